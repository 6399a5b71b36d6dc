# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Print the duration of each play of a run."""

from __future__ import annotations

DOCUMENTATION = r"""
name: profile_plays
type: aggregate
short_description: Print the duration of each play and its slowest tasks
version_added: 1.0.0
description:
  - At the end of each playbook, prints the number of tasks, the duration in seconds and the slowest tasks of each play.
  - A task counts from its start to the start of the next task, for all hosts of the play together. With the strategy C(free), tasks of
    different hosts overlap, and the durations mean little. A task that is skipped on all hosts counts too, because the controller
    processes it.
requirements:
  - C(callbacks_enabled = asgi.deploy.profile_plays) in C(ansible.cfg)
options:
  slowest:
    description: How many of the slowest tasks of each play are printed.
    type: int
    default: 3
    env:
      - name: ASGI_PROFILE_PLAYS_SLOWEST
    ini:
      - section: callback_profile_plays
        key: slowest
author:
  - the asgi.deploy authors (@asgi-deploy)
"""

import time

from ansible.plugins.callback import CallbackBase
from ansible_collections.asgi.deploy.plugins.module_utils._host.printable import printable
from ansible_collections.asgi.deploy.plugins.plugin_utils._fleet.plays import Play, Step, report


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "asgi.deploy.profile_plays"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self, display=None, options=None):
        super().__init__(display=display, options=options)
        # _play: name, start and steps of the current play; _task: name and start of the current task
        self._plays = []
        self._play = self._task = None

    def v2_playbook_on_play_start(self, play):
        self._end_play()
        self._play = (play.get_name(), time.monotonic(), [])

    def v2_playbook_on_vars_prompt(self, *_arguments, **_options):
        # the prompt belongs to the next play, so the time that the user takes does not count for the previous play
        self._end_play()

    def v2_playbook_on_task_start(self, task, is_conditional):
        self._end_task()
        self._task = (task.get_name(), time.monotonic())

    def v2_playbook_on_handler_task_start(self, task):
        self.v2_playbook_on_task_start(task, is_conditional=False)

    def v2_playbook_on_stats(self, stats):
        self._end_play()
        self._display.banner("PLAYS")
        for line in report(self._plays, self.get_option("slowest")):
            self._display.display(printable(line))
        # ansible-playbook may run another playbook afterwards
        self._plays = []

    def _end_task(self):
        if self._task:
            name, began = self._task
            self._play[2].append(Step(name, time.monotonic() - began))
            self._task = None

    def _end_play(self):
        self._end_task()
        if self._play:
            name, began, steps = self._play
            self._plays.append(Play(name, time.monotonic() - began, steps))
            self._play = None
