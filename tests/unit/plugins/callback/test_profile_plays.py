"""The output of runs with the callback plugin profile_plays."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import Mock

from ansible_collections.asgi.deploy.plugins.callback import profile_plays

COLLECTIONS = Path(__file__).parents[4] / ".collections"

PLAYBOOK = """
- name: First
  hosts: localhost
  gather_facts: false
  tasks:
    - name: Notify
      ansible.builtin.debug: {msg: one}
      changed_when: true
      notify: Handle
    - name: Skip
      ansible.builtin.debug: {msg: two}
      when: false
  handlers:
    - name: Handle
      ansible.builtin.debug: {msg: three}
- name: Second
  hosts: localhost
  gather_facts: false
  tasks:
    - name: Fail
      ansible.builtin.fail: {msg: four}
"""


ANOTHER = """
- name: Third
  hosts: localhost
  vars_prompt: [{name: answer, default: nothing}]
  gather_facts: false
  tasks:
    - name: Print
      ansible.builtin.debug: {msg: five}
"""


def run_playbooks(directory, *texts):
    names = []
    for text in texts:
        names.append(f"playbook{len(names)}.yml")
        (directory / names[-1]).write_text(text)
    environment = {
        **os.environ,
        "ANSIBLE_COLLECTIONS_PATH": str(COLLECTIONS),
        "ANSIBLE_CALLBACKS_ENABLED": "asgi.deploy.profile_plays",
        "ASGI_PROFILE_PLAYS_SLOWEST": "1",
        "ANSIBLE_NOCOLOR": "1",
    }
    return subprocess.run(
        [sys.executable, "-m", "ansible", "playbook", "-i", "localhost,", "-c", "local", *names],
        cwd=directory,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_failed_play_is_in_the_report(tmp_path):
    run = run_playbooks(tmp_path, PLAYBOOK)
    assert run.returncode == 2, run.stdout + run.stderr
    report = run.stdout.partition("PLAYS ")[2]
    assert re.findall(r"^(First|Second|total) +(\d+) ", report, re.MULTILINE) == [
        ("First", "3"),
        ("Second", "1"),
        ("total", "4"),
    ]
    assert len(re.findall(r"^  \w", report, re.MULTILINE)) == 2


def test_each_playbook_has_its_own_report(tmp_path):
    run = run_playbooks(tmp_path, ANOTHER.replace("Third", "Zeroth"), ANOTHER)
    assert run.returncode == 0, run.stdout + run.stderr
    plays = [
        re.findall(r"^(\w+th|Third|total) +(\d+) ", report, re.MULTILINE) for report in run.stdout.split("PLAYS ")[1:]
    ]
    assert plays == [[("Zeroth", "1"), ("total", "1")], [("Third", "1"), ("total", "1")]]


def test_time_of_a_prompt_is_not_part_of_the_previous_play(monkeypatch):
    clock = SimpleNamespace(now=0.0, monotonic=lambda: clock.now)
    monkeypatch.setattr(profile_plays, "time", clock)
    callback = profile_plays.CallbackModule(display=Mock(verbosity=0))
    callback.get_option = lambda _name: 0
    first, second = (Mock(**{"get_name.return_value": name}) for name in ("First", "Second"))
    callback.v2_playbook_on_play_start(first)
    callback.v2_playbook_on_task_start(first, is_conditional=False)
    clock.now = 5.0
    callback.v2_playbook_on_vars_prompt("answer", private=True)
    clock.now = 65.0
    callback.v2_playbook_on_play_start(second)
    clock.now = 66.0
    callback.v2_playbook_on_stats(None)
    lines = [call.args[0].split() for call in callback._display.display.call_args_list]
    assert lines[1:] == [["First", "1", "5.0"], ["Second", "0", "1.0"], ["total", "1", "6.0"]]
