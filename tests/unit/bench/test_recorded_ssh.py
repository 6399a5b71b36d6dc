# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ssh replacement of bench/fleet.py, which records and replays the responses of a host."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[3] / "bench" / "recorded_ssh.sh"
MODULE = "/bin/sh -c '/usr/bin/python3 && sleep 0'"

# A fake ssh that prints its arguments and input, and counts its calls.
SSH = """\
#!/bin/sh
echo call >>"$0.log"
echo "args: $*"
cat
exit 3
"""


@pytest.fixture
def ssh(tmp_path):
    """Return a function that runs the script as Ansible does, with a fake ssh."""
    fake = tmp_path / "bin" / "ssh"
    fake.parent.mkdir()
    fake.write_text(SSH)
    fake.chmod(0o755)
    recording = tmp_path / "recording"
    recording.mkdir()

    def run(*command, host="app1", records=False, stdin="module\n"):
        environment = {**os.environ, "PATH": f"{fake.parent}:{os.environ['PATH']}", "SSH_RECORDING": str(recording)}
        if records:
            environment["SSH_RECORDS"] = "yes"
        return subprocess.run(
            [SCRIPT, "-o", "Port=22", host, *command],
            input=stdin,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )

    run.recording = recording
    run.calls = lambda: Path(f"{fake}.log").read_text().count("call")
    return run


def test_every_host_replays_the_recorded_answers(ssh):
    first = ssh(MODULE, records=True)
    second = ssh(MODULE, records=True, stdin="another\n")
    assert (first.returncode, first.stdout) == (3, f"args: -o Port=22 app1 {MODULE}\nmodule\n")
    assert second.stdout.endswith("another\n")
    (ssh.recording / "count-app1").unlink()
    for host in ("app1", "app2"):
        played = [ssh(MODULE, host=host) for _time in range(2)]
        assert [(answer.returncode, answer.stdout) for answer in played] == [(3, first.stdout), (3, second.stdout)]
    assert ssh.calls() == 2


def test_replay_takes_the_recorded_time(ssh):
    ssh(MODULE, records=True)
    took = ssh.recording / "answer-0.took"
    seconds, status = took.read_text().split()
    assert (float(seconds) < 30, status) == (True, "3")
    (ssh.recording / "count-app1").unlink()
    took.write_text("1.250 0\n")
    (ssh.recording.parent / "bin" / "sleep").symlink_to("/bin/echo")
    assert ssh(MODULE).stdout.startswith("1.250\n")


def test_missing_recording_fails(ssh):
    answer = ssh(MODULE)
    assert answer.returncode not in (0, 3)
    assert "answer-0" in answer.stderr


def test_other_commands_go_to_ssh(ssh):
    assert ssh("-V").stdout == "args: -o Port=22 app1 -V\nmodule\n"
    assert list(ssh.recording.iterdir()) == []
