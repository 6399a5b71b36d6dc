# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module release_command: the environment of the command, and its output without secrets."""

from __future__ import annotations

import functools
import getpass
import json
import os
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from ansible_collections.asgi.deploy.plugins.module_utils._host.host_module import HostModule
from ansible_collections.asgi.deploy.plugins.module_utils._host.layout import layout
from ansible_collections.asgi.deploy.plugins.modules import release_command as module

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can run a command as another account")

SECRET = "postgres://shop:pass phrase@db/shop"


class Ended(Exception):
    """Raised with the module's result when the module ends."""


@pytest.fixture
def command(tmp_path, monkeypatch, transient_units):
    """Return a function that runs the module with the account of the tests, in *tmp_path*."""
    code, programs = tmp_path / "code", tmp_path / ".venv/bin"
    code.mkdir()
    programs.mkdir(parents=True)

    def end(**result):
        raise Ended(result)

    def run(*argv, environment=None, check_mode=False, timeout=60, release="src-0123456789", **sandbox):
        params = {
            "name": "shop",
            "release": release,
            "argv": list(argv),
            "environment": environment and json.dumps(environment),
            "timeout": timeout,
            "sandbox": {"memory_max": "1G", **sandbox},
        }
        ended = SimpleNamespace(
            params=params, check_mode=check_mode, exit_json=end, fail_json=lambda **result: end(failed=True, **result)
        )
        ended.reporting = functools.partial(HostModule.reporting, ended)
        monkeypatch.setattr(module, "HostModule", lambda **_options: ended)
        with pytest.raises(Ended) as caught:
            module.main()
        return caught.value.args[0]

    monkeypatch.setattr(
        module, "layout", lambda name: {**layout(name), "user": getpass.getuser(), "home": str(tmp_path)}
    )
    monkeypatch.setattr(module, "release_paths", lambda *_ids: {"code": str(code), "venv": str(programs.parent)})
    run.code, run.programs, run.units = code, programs, transient_units
    return run


def test_the_command_runs_in_the_environment_of_the_app(command):
    program = command.programs / "alembic"
    program.write_text("#!/bin/sh\necho $1 in $PWD for $ASGI_APP with $ASGI_SHARED\nenv | grep -c DATABASE_URL= >&2\n")
    program.chmod(0o755)

    found = command("alembic", "upgrade", environment={"DATABASE_URL": SECRET})

    assert found == {
        "changed": True,
        "rc": 0,
        "stdout": f"upgrade in {command.code} for shop with /srv/shop/shared\n",
        "stderr": "1\n",
    }


def test_the_command_runs_in_the_working_directory_of_the_app(command):
    found = command(
        "sh", "-c", "echo $PWD $PYTHONPATH", environment={"PYTHONPATH": "/lib"}, working_directory="shared/data"
    )

    assert found["stdout"] == f"{command.code.parent}/shared/data {command.code}:/lib\n"


def test_secrets_are_masked_in_the_output(command):
    script = "echo $DATABASE_URL; echo no $DATABASE_URL >&2; exit 3"

    found = command("sh", "-c", script, environment={"DATABASE_URL": SECRET})

    assert found["failed"]
    assert found["rc"] == 3
    assert found["msg"].startswith("sh ended with status 3: no ")
    assert SECRET not in json.dumps(found)


def test_failures_are_reported(command, monkeypatch):
    assert "nowhere cannot be run in" in command("nowhere")["msg"]
    assert command("sleep", "60", timeout=1)["msg"] == "sleep did not end within 1 s, and was killed: no output"
    assert "argv is empty" in command()["msg"]
    assert "1BAD" in command("true", environment={"1BAD": "x"})["msg"]
    monkeypatch.setattr(module, "layout", lambda name: {**layout(name), "user": "no-such-account"})
    assert "there is no account 'no-such-account'" in command("true")["msg"]


def test_the_cause_comes_before_the_traceback(command):
    found = command(
        "sh", "-c", "echo Traceback >&2; echo '  File x' >&2; echo 'OperationalError: no such table' >&2; exit 1"
    )

    assert found["msg"].splitlines() == [
        "sh ended with status 1: OperationalError: no such table",
        "Traceback",
        "  File x",
        "OperationalError: no such table",
    ]


def test_the_output_of_a_killed_command_is_returned(command):
    script = "echo migrated 1 of 2; echo $DATABASE_URL is locked >&2; sleep 60"

    found = command("sh", "-c", script, environment={"DATABASE_URL": SECRET}, timeout=1)

    assert found["failed"]
    assert found["stdout"] == "migrated 1 of 2\n"
    assert found["msg"] == "sh did not end within 1 s, and was killed: ******** is locked"


def test_child_processes_are_killed_without_waiting(command):
    # The child process keeps standard output open.
    found = command("sh", "-c", "sleep 60 & echo $!", timeout=30)

    assert found["rc"] == 0
    deadline = time.monotonic() + 10
    while runs(int(found["stdout"])):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_process_in_another_session_is_killed(command):
    found = command("sh", "-c", "setsid sleep 60 & sleep 0.2; pgrep -n -f 'sleep 60'", timeout=30)

    assert found["rc"] == 0
    assert not runs(int(found["stdout"].split()[-1]))


def test_the_command_runs_in_the_sandbox_of_the_app(command):
    command("true")

    [unit] = command.units.glob("asgi-command-shop-*.json")
    options = json.loads(unit.read_text())
    assert "--property=MemoryMax=1G" in options
    assert "--property=TemporaryFileSystem=/srv:ro" in options
    assert "--property=NoNewPrivileges=yes" in options


def test_output_is_bounded(command):
    found = command("sh", "-c", "head -c 5000000 /dev/zero | tr '\\0' x")

    assert found["rc"] == 0
    assert len(found["stdout"]) < 1_100_000


def runs(pid):
    """Return whether the process runs. A zombie that init has not reaped yet does not count."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def test_check_mode_runs_nothing(command):
    assert command("touch", "there", check_mode=True)["skipped"]
    assert not (command.code / "there").exists()


def test_a_missing_release_is_an_error(command):
    found = command("true", release=None)

    assert found == {"failed": True, "msg": "release is missing, and the task is not part of a hook -> set release"}
