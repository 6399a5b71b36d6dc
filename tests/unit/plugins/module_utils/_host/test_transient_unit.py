# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs in transient units: the command line of systemd-run, the program's environment, and its complete termination."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from ansible_collections.asgi.deploy.plugins.module_utils._host import transient_unit
from ansible_collections.asgi.deploy.plugins.module_utils._host.transient_unit import (
    LAUNCHER,
    STARTER,
    Finished,
    Output,
    TimedOut,
    TransientUnit,
    UnitError,
)

COLLECTIONS = Path(__file__).parents[5] / ".collections"
SECRET = "postgres://shop:pass phrase@db/shop"


@pytest.fixture
def unit(transient_units):
    """Return a unit that the stand-in for systemd runs."""
    return TransientUnit("asgi-test", "nobody", [])


def run(unit, *argv, environment=None, timeout=20, cwd="/"):
    return unit.run(list(argv), cwd, environment or {}, timeout)


def alive(pid):
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    return True


def wait_for(condition):
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_the_command_line_of_systemd_run():
    command = TransientUnit("asgi-x", "_shop", [("MemoryMax", "1G"), ("UMask", "0022")]).command(60)
    options, program = command[: command.index("--")], command[command.index("--") + 1 :]

    assert options[0] == "systemd-run"
    assert {"--quiet", "--pipe", "--wait", "--collect", "--service-type=exec", "--unit=asgi-x.service"} < set(options)
    assert {
        "--property=User=_shop",
        "--property=KillMode=control-group",
        "--property=SendSIGKILL=yes",
        "--property=NoNewPrivileges=yes",
        "--property=MemoryMax=1G",
        "--property=RuntimeMaxSec=75",
    } < set(options)
    assert options.index("--property=UMask=0022") > options.index("--property=UMask=0027")
    assert program[:3] == ["/usr/bin/python3", "-I", "-S"]
    assert program[-1] == STARTER


def test_systemd_expands_nothing_in_the_starter():
    assert "$" not in STARTER + LAUNCHER


def test_the_result_of_a_program(unit, tmp_path):
    found = run(unit, "sh", "-c", "pwd; echo no >&2; exit 7", cwd=tmp_path)
    assert found == Finished(7, f"{tmp_path}\n", "no\n")


def test_the_program_has_exactly_the_given_environment(unit):
    values = {
        "NEWLINE": "a\nb\n",
        "EMPTY": "",
        "QUOTES": "'\"\\ $HOME %n ${X}",
        "LATIN": "caf\udce9",
        "PYTHONHOME": "/x",
    }
    found = run(unit, sys.executable, "-I", "-c", "import os; print(ascii(dict(os.environ)))", environment=values)
    # Python may add LC_CTYPE
    assert {k: v for k, v in eval(found.out).items() if k != "LC_CTYPE"} == {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "USER": "nobody",
        "LOGNAME": "nobody",
        "LANG": "C.UTF-8",
        **values,
    }


def test_the_environment_is_in_no_command_line(unit, transient_units):
    run(unit, "true", environment={"SECRET": SECRET})
    assert SECRET not in (transient_units / "asgi-test.json").read_text()


def test_a_large_environment_and_a_large_output(unit):
    found = run(
        unit,
        "sh",
        "-c",
        "echo ${#A}${#B}; head -c 300000 /dev/zero",
        environment={"A": "a" * 120_000, "B": "b" * 120_000},
    )
    assert found.out == "120000120000\n" + "\0" * 300_000


def ignored(status):
    """Return the ignored signals in the content of /proc/<pid>/status."""
    mask = int(re.search(r"^SigIgn:\s*(\w+)", status, re.MULTILINE)[1], 16)
    return {number for number in range(1, 65) if mask >> (number - 1) & 1}


def test_the_program_has_no_input_and_default_signals(unit):
    assert run(unit, "cat").out == ""
    script = "import signal; print(signal.getsignal(signal.SIGCHLD))"
    assert run(unit, "/usr/bin/python3", "-c", script).out == "0\n"
    # Python ignores SIGPIPE and SIGXFSZ; the caller of the tests may ignore further signals, which systemd would reset.
    of_tests = ignored(Path("/proc/self/status").read_text())
    of_program = ignored(run(unit, "cat", "/proc/self/status").out)
    assert of_program == of_tests - {signal.SIGPIPE, signal.SIGXFSZ}


def test_a_program_that_is_killed(unit):
    assert run(unit, "sh", "-c", "kill -9 $$").status == 128 + signal.SIGKILL


def test_remaining_processes_are_killed(unit):
    found = run(unit, "sh", "-c", "setsid sleep 60 >/dev/null 2>&1 & echo $!")
    assert not alive(found.out)


def test_a_program_that_takes_too_long(unit):
    began = time.monotonic()
    with pytest.raises(TimedOut) as caught:
        run(unit, "sh", "-c", "echo before; echo why >&2; setsid sleep 60 & echo $!; sleep 60", timeout=0.5)
    assert time.monotonic() - began < 10
    before, pid = caught.value.out.split()
    assert (before, caught.value.err) == ("before", "why\n")
    assert not alive(pid)


def test_pipe_held_open_outside_the_unit_does_not_block(unit, tmp_path):
    """A process outside the unit holds the output open, for example because it received the descriptor through a socket."""
    script = f"echo out; echo $$ >{tmp_path}/pid; sleep 1"
    keeper = subprocess.Popen(
        [
            sys.executable,
            "-c",
            f"""
import os, time
while not os.path.exists("{tmp_path}/pid") or not os.path.getsize("{tmp_path}/pid"):
    time.sleep(0.01)
kept = os.open("/proc/" + open("{tmp_path}/pid").read().strip() + "/fd/1", os.O_WRONLY)
time.sleep(60)
""",
        ]
    )
    try:
        began = time.monotonic()
        assert run(unit, "sh", "-c", script).out == "out\n"
        assert time.monotonic() - began < 10
    finally:
        keeper.kill()
        keeper.wait()


def test_output_is_bounded(unit):
    found = run(unit, "sh", "-c", "echo first; head -c 50000000 /dev/zero; echo; echo last")
    assert len(found.out) < transient_unit.OUTPUT_LIMIT + 100
    assert found.out.startswith("first\n")
    assert found.out.endswith("\nlast\n")
    assert "bytes omitted" in found.out


@pytest.mark.parametrize("chunks", [[b"0123456789"], [b"0"] * 3 + [b"123456789"], [b"01234", b"56789"]])
def test_the_start_and_the_end_are_kept(chunks):
    output = Output(limit=6)
    for chunk in chunks:
        output.add(chunk)
    head, note, tail = output.text().split("\n")
    assert (head, tail) == (b"".join(chunks)[:3].decode(), "789")
    assert note == f"[... {sum(map(len, chunks)) - 6} bytes omitted ...]"


def test_a_character_between_start_and_end():
    output = Output(limit=6)
    output.add("aaé".encode() + b"bb")
    assert output.text() == "aaébb"


@pytest.mark.parametrize(
    ("argv", "cwd", "error"),
    [
        (["no-such-program"], "/", "No such file or directory: 'no-such-program'"),
        (["/etc/passwd"], "/", "Permission denied: '/etc/passwd'"),
        (["true"], "/no/such/directory", "No such file or directory: '/no/such/directory'"),
    ],
)
def test_a_program_that_cannot_be_executed(unit, argv, cwd, error):
    with pytest.raises(OSError, match=error):
        run(unit, *argv, cwd=cwd)


def test_a_program_cannot_fake_an_execution_error(unit):
    assert run(unit, "echo", '0123[2, "x"]').out == '0123[2, "x"]\n'


def test_a_unit_that_systemd_rejects(transient_units):
    with pytest.raises(
        UnitError, match="systemd did not start asgi-test.service: Failed to determine user credentials"
    ):
        run(TransientUnit("asgi-test", "no-such-user", []), "true")


def test_a_process_that_systemd_cannot_set_up(transient_units):
    with pytest.raises(UnitError, match="process failed with 226/NAMESPACE; see journalctl --unit=asgi-test.service"):
        run(TransientUnit("asgi-test", "nobody", [("BindPaths", "/no-such")]), "true")


def test_a_host_without_systemd_run(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UnitError, match="systemd-run cannot be started: No such file"):
        run(TransientUnit("asgi-test", "nobody", []), "true")


MODULE = """
import signal
from ansible_collections.asgi.deploy.plugins.module_utils._host.transient_unit import TransientUnit
# A shell starts a job in the background, such as the tests, with SIGINT ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)
TransientUnit("asgi-test", "nobody", []).run(["sh", "-c", "echo $$ >{pid}; setsid sleep 60 & sleep 60"], "/", {{}}, 60)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGINT])
def test_the_unit_ends_with_the_module(transient_units, tmp_path, number):
    pid = tmp_path / "pid"
    module = subprocess.Popen(
        [sys.executable, "-c", MODULE.format(pid=pid)],
        # not all of sys.path, because the stand-in for systemd-run may have another Python
        env={**os.environ, "PYTHONPATH": str(COLLECTIONS)},
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_for(lambda: pid.exists() and pid.read_text())
        module.send_signal(number)
        module.wait(10)
        wait_for(lambda: not (transient_units / "asgi-test.pid").exists())
        assert not alive(pid.read_text())
    finally:
        module.kill()


def test_a_leftover_unit_of_an_earlier_run(unit, transient_units, tmp_path):
    other = subprocess.Popen(["systemd-run", "--unit=asgi-test.service", "--", "/bin/sleep", "60"])
    wait_for((transient_units / "asgi-test.pid").exists)
    with pytest.raises(UnitError, match="already loaded"):
        run(unit, "true")
    unit.stop()
    assert run(unit, "true").status == 0
    other.wait(10)
    unit.stop()  # succeeds although the unit no longer exists


def test_the_recorded_command_line_is_that_of_the_unit(unit, transient_units):
    run(unit, "true", timeout=20)
    assert json.loads((transient_units / "asgi-test.json").read_text()) == unit.command(20)[1:]


def attach(unit, *argv, cwd="/", **options):
    return unit.attach(list(argv), str(cwd), {"PATH": "/x/bin:/usr/bin:/bin"}, "/srv/shop/configs/c1/env", **options)


def test_an_attached_command_uses_the_streams_of_the_caller(unit, tmp_path, capfd):
    status = attach(unit, "sh", "-c", 'pwd; echo "$0 $PYTHONPATH"; echo no >&2; exit 7', "a $HOME %h", cwd=tmp_path / "new",
                    modules="/code", create=True)  # fmt: skip
    assert status == 7
    assert capfd.readouterr() == (f"{tmp_path}/new\na $HOME %h /code\n", "no\n")


def test_the_unit_of_an_attached_command(unit, transient_units):
    attach(unit, "true", "$HOME %h")
    command = json.loads((transient_units / "asgi-test.json").read_text())
    assert {"--pipe", "--wait", "--property=EnvironmentFile=/srv/shop/configs/c1/env"} < set(command)
    assert "--property=Environment=PATH=/x/bin:/usr/bin:/bin" in command
    assert not any(character in command[-1] for character in "$%"), "special for systemd"


def test_a_command_at_a_terminal_gets_its_own_terminal(unit, transient_units, monkeypatch):
    for name in ("stdin", "stdout", "stderr"):
        monkeypatch.setattr(getattr(sys, name), "isatty", lambda: True, raising=False)
    attach(unit, "true")
    assert "--pty" in json.loads((transient_units / "asgi-test.json").read_text())


@pytest.mark.parametrize(
    ("argv", "status"), [(["sh", "-c", "kill -INT $$"], 130), (["sh", "-c", "kill -KILL $$"], 137), (["nowhere"], 127)]
)
def test_the_status_of_an_attached_command(unit, capfd, argv, status):
    assert attach(unit, *argv) == status
    assert capfd.readouterr().err == ("asgi: nowhere: No such file or directory\n" if status == 127 else "")


def test_signals_are_passed_on_to_an_attached_command(unit, monkeypatch):
    commands = []
    monkeypatch.setattr(transient_unit.subprocess, "run", lambda command, **_options: commands.append(command))
    before = signal.getsignal(signal.SIGTERM)
    with unit._passing_on():
        os.kill(os.getpid(), signal.SIGTERM)
    assert commands == [["systemctl", "--no-ask-password", "kill", "--signal=15", "asgi-test.service"]]
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_unit_that_systemd_cannot_set_up(transient_units, monkeypatch):
    lines = "x.service: Failed at step NAMESPACE spawning /usr/bin/python3: No such file or directory\n"
    monkeypatch.setattr(
        transient_unit.subprocess, "run", lambda *_command, **_options: subprocess.CompletedProcess([], 0, stdout=lines)
    )
    with pytest.raises(UnitError, match="Failed at step NAMESPACE"):
        attach(TransientUnit("asgi-test", "nobody", [("BindPaths", "/no-such/path")]), "true")
    lines = "x.service: Main process exited\n"
    assert attach(TransientUnit("asgi-test", "nobody", []), "sh", "-c", "exit 226") == 226
