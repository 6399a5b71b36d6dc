"""A run with the callback that tells what each play took."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

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


def test_it_tells_of_each_play_also_of_one_that_fails(tmp_path):
    (tmp_path / "playbook.yml").write_text(PLAYBOOK)
    environment = {
        **os.environ,
        "ANSIBLE_COLLECTIONS_PATH": str(COLLECTIONS),
        "ANSIBLE_CALLBACKS_ENABLED": "asgi.deploy.profile_plays",
        "ASGI_PROFILE_PLAYS_SLOWEST": "1",
        "ANSIBLE_NOCOLOR": "1",
    }
    run = subprocess.run(
        [sys.executable, "-m", "ansible", "playbook", "-i", "localhost,", "-c", "local", "playbook.yml"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 2, run.stdout + run.stderr
    said = run.stdout.partition("PLAYS ")[2]
    assert re.findall(r"^(First|Second|in all) +(\d+) ", said, re.MULTILINE) == [
        ("First", "3"),
        ("Second", "1"),
        ("in all", "4"),
    ]
    assert len(re.findall(r"^  \w", said, re.MULTILINE)) == 2
