# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A command of a release: with what environment it runs, and that no secret is told of it."""

from __future__ import annotations

import getpass
import json
import os
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from ansible_collections.asgi.deploy.plugins.module_utils.layout import layout
from ansible_collections.asgi.deploy.plugins.modules import release_command as module

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="nobody but root may run something as an account")

SECRET = "postgres://shop:pass phrase@db/shop"


class Ended(Exception):
    """The module has ended, with what it said."""


@pytest.fixture
def command(tmp_path, monkeypatch):
    """Return a function that runs the module, as this account and below *tmp_path*."""
    code, programs = tmp_path / "code", tmp_path / ".venv/bin"
    code.mkdir()
    programs.mkdir(parents=True)

    def end(**said):
        raise Ended(said)

    def run(*argv, environment=None, check_mode=False, timeout=60):
        params = {
            "name": "shop",
            "release": "src-0123456789",
            "argv": list(argv),
            "environment": environment and json.dumps(environment),
            "timeout": timeout,
        }
        ended = SimpleNamespace(
            params=params, check_mode=check_mode, exit_json=end, fail_json=lambda **said: end(failed=True, **said)
        )
        monkeypatch.setattr(module, "AnsibleModule", lambda **_options: ended)
        with pytest.raises(Ended) as caught:
            module.main()
        return caught.value.args[0]

    monkeypatch.setattr(module, "layout", lambda name: {**layout(name), "user": getpass.getuser()})
    monkeypatch.setattr(module, "release_paths", lambda *_ids: {"code": str(code), "venv": str(programs.parent)})
    run.code, run.programs = code, programs
    return run


def test_it_runs_with_what_the_app_has(command):
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


def test_no_secret_is_told(command):
    script = "echo $DATABASE_URL; echo no $DATABASE_URL >&2; exit 3"

    found = command("sh", "-c", script, environment={"DATABASE_URL": SECRET})

    assert found["failed"]
    assert found["rc"] == 3
    assert found["msg"].startswith("sh ended with status 3: no ")
    assert SECRET not in json.dumps(found)


def test_what_goes_wrong_is_told(command, monkeypatch):
    assert "nowhere cannot be run in" in command("nowhere")["msg"]
    assert command("sleep", "60", timeout=1)["msg"] == "sleep did not end within 1 s, and was killed: it said nothing"
    assert "argv is empty" in command()["msg"]
    assert "1BAD" in command("true", environment={"1BAD": "x"})["msg"]
    monkeypatch.setattr(module, "layout", lambda name: {**layout(name), "user": "no-such-account"})
    assert "there is no account 'no-such-account'" in command("true")["msg"]


def test_what_was_said_before_it_was_killed_is_told(command):
    script = "echo migrated 1 of 2; echo $DATABASE_URL is locked >&2; sleep 60"

    found = command("sh", "-c", script, environment={"DATABASE_URL": SECRET}, timeout=1)

    assert found["failed"]
    assert found["stdout"] == "migrated 1 of 2\n"
    assert found["msg"] == "sh did not end within 1 s, and was killed: ******** is locked"


def test_what_it_leaves_running_is_ended_and_not_waited_for(command):
    # it holds standard output
    found = command("sh", "-c", "sleep 60 & echo $!", timeout=30)

    assert found["rc"] == 0
    deadline = time.monotonic() + 10
    while runs(int(found["stdout"])):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def runs(pid):
    """Whether a process does anything; a dead one is there until init has noticed."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def test_check_mode_runs_nothing(command):
    assert command("touch", "there", check_mode=True)["skipped"]
    assert not (command.code / "there").exists()
