"""The modules live_command and app_log: the context of the live release, and output without secrets."""

from __future__ import annotations

import functools
import getpass
import os
from types import SimpleNamespace

import pytest
from ansible_collections.asgi.deploy.plugins.module_utils._app.process_slots import ProcessSlots
from ansible_collections.asgi.deploy.plugins.module_utils._host.host_module import HostModule
from ansible_collections.asgi.deploy.plugins.module_utils._host.layout import layout
from ansible_collections.asgi.deploy.plugins.modules import app_log, live_command

SECRET = "postgres://shop:pass@db/shop"


class Ended(Exception):
    """Raised with the module's result when the module ends."""


@pytest.fixture
def run(tmp_path, monkeypatch, transient_units):
    """Return a function that runs a module on an app whose release r1 is live in the slot green."""

    def end(**result):
        raise Ended(result)

    paths = {**layout("shop"), "user": getpass.getuser(), "configs": str(tmp_path / "configs")}
    paths["live_socket"] = str(tmp_path / "live.sock")
    paths["tmpfiles"] = str(tmp_path / "tmpfiles")
    for slot in paths["slots"].values():
        slot["release"], slot["config"] = (str(tmp_path / f"{slot['name']}-{kind}") for kind in ("release", "config"))
    for link, target in (("live.sock", "green.sock"), ("green-release", "../releases/r1"), ("green-config", "../c1")):
        (tmp_path / link).symlink_to(target)
    code = tmp_path / "r1/code"
    code.mkdir(parents=True)
    (tmp_path / "configs/c1").mkdir(parents=True)
    (tmp_path / "configs/c1/env").write_text(f'DATABASE_URL="{SECRET}"\n')
    (tmp_path / "configs/c1/service.conf").write_text("MemoryMax=1G\n")
    monkeypatch.setattr(
        live_command, "release_paths", lambda *_ids: {"code": str(code), "venv": str(tmp_path / "venv")}
    )

    def of(module, check_mode=False, output="", **params):
        params = {
            "name": "shop",
            "command": None,
            "argv": None,
            "timeout": 30,
            "lines": 9,
            "since": None,
            "process": None,
            **params,
        }
        ended = SimpleNamespace(params=params, check_mode=check_mode, exit_json=end, paths=paths, commands=[])
        ended.fail_json = lambda **result: end(failed=True, **result)
        ended.reporting = functools.partial(HostModule.reporting, ended)
        ended.require_deployed = lambda: None
        ended.app = ProcessSlots(paths, SimpleNamespace(show=lambda *_units: {}))
        ended.run_command = lambda command: (ended.commands.append(command), (0, output, ""))[1]
        monkeypatch.setattr(module, "AppModule", lambda **_options: ended)
        with pytest.raises(Ended) as caught:
            module.main()
        return caught.value.args[0], ended.commands

    of.code, of.live = code, tmp_path / "live.sock"
    return of


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can run a command as another account")
@pytest.mark.parametrize(
    "given",
    [
        {"command": "sh -c 'pwd; echo $DATABASE_URL $ASGI_APP'"},
        {"argv": ["sh", "-c", "pwd; echo $DATABASE_URL $ASGI_APP"]},
    ],
)
def test_a_command_runs_in_the_live_context(run, given, transient_units):
    result, _commands = run(live_command, **given)
    assert (result["rc"], result["stdout"]) == (0, f"{run.code}\n******** shop\n")
    [unit] = transient_units.glob("*.json")
    assert "--property=MemoryMax=1G" in unit.read_text()
    assert SECRET not in unit.read_text()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can run a command as another account")
def test_a_failed_command_fails_the_module(run):
    result, _commands = run(live_command, command="sh -c 'echo no $DATABASE_URL >&2; exit 3'")
    assert (result["failed"], result["rc"], result["msg"]) == (True, 3, "sh ended with status 3: no ********")


def test_a_command_needs_a_live_release(run):
    run.live.unlink()
    assert "no release of shop is live" in run(live_command, command="true")[0]["msg"]
    assert run(live_command, command=" ")[0]["failed"]
    assert "command: No closing quotation" in run(live_command, command="echo '")[0]["msg"]
    assert run(live_command, command="true", check_mode=True)[0]["skipped"]


def test_the_log_has_no_secrets(run):
    result, [command] = run(app_log, output=f"connecting to {SECRET}\nup\n", since="1 h ago")
    assert result == {"changed": False, "lines": ["connecting to ********", "up"]}
    assert {"--lines=9", "--since=1 h ago", "--unit=shop@green.service"} < set(command)


def test_the_log_of_an_unknown_process(run):
    assert "shop has no process 'worker'" in run(app_log, process="worker")[0]["msg"]
