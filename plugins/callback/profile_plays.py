# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What each play of a run took."""

from __future__ import annotations

DOCUMENTATION = r"""
name: profile_plays
type: aggregate
short_description: What each play of a run took
version_added: 0.2.0
description:
  - Prints at the end of each playbook, for each of its plays, the number of its tasks, its seconds and its slowest tasks.
  - A task takes from its beginning to that of the next one, on all hosts of the play together; with the strategy C(free) these
    overlap, and the figures say little. A task that is skipped on all hosts counts, as the controller went through it.
requirements:
  - C(callbacks_enabled = asgi.deploy.profile_plays) in C(ansible.cfg)
options:
  slowest:
    description: How many tasks of each play are named, the slowest first.
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
from ansible_collections.asgi.deploy.plugins.plugin_utils.plays import Play, Step, report


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "asgi.deploy.profile_plays"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self, display=None, options=None):
        super().__init__(display=display, options=options)
        # each with what it is called and when it began
        self._plays = []
        self._play = self._task = None

    def v2_playbook_on_play_start(self, play):
        self._end_play()
        self._play = (play.get_name(), time.monotonic(), [])

    def v2_playbook_on_vars_prompt(self, *_arguments, **_options):
        # of the play that comes; what its user takes to answer is none of the one before
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
            self._display.display(line)
        # ansible-playbook may run another one
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
