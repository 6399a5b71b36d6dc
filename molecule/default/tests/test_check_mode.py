"""On a converged machine, check mode has nothing to announce."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path


def test_check_mode_announces_no_change():
    scenario = Path(__file__).parents[1]
    command = ["ansible-playbook", "--check", "--diff", "-i", scenario / "inventory", scenario / "converge.yml"]
    run = subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, "ANSIBLE_NOCOLOR": "1"}, check=False
    )
    recap = re.findall(r"changed=(\d+) +unreachable=(\d+) +failed=(\d+)", run.stdout)
    assert recap, run.stdout + run.stderr
    assert set(recap) == {("0", "0", "0")}, run.stdout
