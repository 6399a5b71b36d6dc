"""The command line of the host command, and the programs that it starts."""

from __future__ import annotations

import contextlib
import json
import os
from types import SimpleNamespace

import pytest
from ansible_collections.asgi.deploy.plugins.module_utils._app.process_slots import ProcessSlots
from ansible_collections.asgi.deploy.plugins.module_utils._app.release_log import Pair
from ansible_collections.asgi.deploy.plugins.module_utils._app.slots import ActivationError
from ansible_collections.asgi.deploy.plugins.module_utils._command import attached, main
from ansible_collections.asgi.deploy.plugins.module_utils._host.layout import layout

LIVE = Pair("src-0123456789", "c1")


class Executed(Exception):
    """Raised instead of replacing the process; contains the command."""


class App(ProcessSlots):
    """An app whose release LIVE is in the slot green."""

    def lock(self, why):
        return contextlib.nullcontext()

    def state(self):
        return SimpleNamespace(live="green", live_pair=LIVE)

    def serving(self):
        return "release src-0123456789 keeps serving in slot green"


@pytest.fixture
def app(tmp_path, monkeypatch):
    """Return the layout of the app, below *tmp_path*."""
    paths = layout("shop")
    for key in ("releases", "configs", "slots_directory", "staged", "log", "tmpfiles", "current", "live_socket"):
        paths[key] = f"{tmp_path}/{key}"
    for slot in paths["slots"].values():
        for link, target in (("release", f"../../releases/{LIVE.release}"), ("config", "../../configs/c1")):
            slot[link] = f"{paths['slots_directory']}/{slot['name']}/{link}"
            os.makedirs(os.path.dirname(slot[link]), exist_ok=True)
            os.symlink(target, slot[link])
    os.symlink("green.sock", paths["live_socket"])
    os.makedirs(f"{paths['configs']}/c1")
    with open(f"{paths['configs']}/c1/env", "w", encoding="utf-8") as file:
        file.write('TOKEN="secret"\nASGI_APP="shop"\n')
    with open(f"{paths['configs']}/c1/service.conf", "w", encoding="utf-8") as file:
        file.write("[Service]\nMemoryMax=1G\n")
    os.makedirs(f"{paths['releases']}/{LIVE.release}")
    monkeypatch.setattr(main, "layout", lambda name: paths)
    monkeypatch.setattr(main, "App", lambda paths, systemd, by: App(paths, systemd, by="jo"))
    monkeypatch.setattr(main.os, "geteuid", lambda: 0)
    return paths


@pytest.fixture
def execute(monkeypatch):
    """Replace the process by an exception; return a function that returns the command line."""

    def execvp(_file, argv):
        raise Executed(argv)

    monkeypatch.setattr(main.os, "execvp", execvp)

    def run(*arguments):
        with pytest.raises(Executed) as caught:
            main.main(["shop", *arguments])
        return caught.value.args[0]

    return run


@pytest.fixture
def attach(monkeypatch):
    """Return the arguments of the commands that run in units."""
    calls = []

    class Unit:
        def __init__(self, name, user, sandbox):
            self.sandbox = sandbox

        def attach(self, argv, directory, environment, file, modules, create):
            calls.append(
                SimpleNamespace(argv=argv, cwd=directory, path=environment["PATH"], file=file, sandbox=self.sandbox)
            )
            return 7

    monkeypatch.setattr(attached, "TransientUnit", Unit)
    return calls


def test_an_account_without_root_is_referred_to_sudo(app, monkeypatch, capsys):
    monkeypatch.setattr(main.os, "geteuid", lambda: 1000)
    assert main.main(["shop", "run", "echo", "a b"]) == 1
    assert capsys.readouterr().err == "asgi: root is required -> sudo asgi shop run echo 'a b'\n"


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"]])
def test_help_requires_no_root(monkeypatch, arguments):
    monkeypatch.setattr(main.os, "geteuid", lambda: 1000)
    with pytest.raises(SystemExit, match="0"):
        main.main(["shop", *arguments])


@pytest.mark.parametrize("arguments", [[], ["stop"], ["env"], ["logs", "-n", "many"], ["run", "--rel", "x", "ls"]])
def test_invalid_command_lines_are_rejected(app, arguments):
    with pytest.raises(SystemExit, match="2"):
        main.main(["shop", *arguments])


@pytest.mark.parametrize(
    ("arguments", "argv"),
    [
        (["alembic", "upgrade", "head"], ["alembic", "upgrade", "head"]),
        (["--", "ls", "--release"], ["ls", "--release"]),
        (["pytest", "--help", "--", "x"], ["pytest", "--help", "--", "x"]),
    ],
)
def test_a_command_runs_in_the_live_context(app, attach, arguments, argv):
    assert main.main(["shop", "run", *arguments]) == 7
    [call] = attach
    assert call.argv == argv
    assert call.cwd == f"/srv/shop/releases/{LIVE.release}/code"
    assert call.path.startswith(f"/srv/shop/releases/{LIVE.release}/.venv/bin:")
    assert call.file == f"{app['configs']}/c1/env"
    assert call.sandbox == [("MemoryMax", "1G")]


def test_a_command_runs_in_another_release(app, attach, monkeypatch, capsys):
    os.makedirs(f"{app['releases']}/src-aaaaaaaaaa")
    real = attached.release_paths
    monkeypatch.setattr(
        attached,
        "release_paths",
        lambda name, id: {**real(name, id), "manifest": f"{app['releases']}/{id}/release.json"},
    )
    assert main.main(["shop", "run", "--release", "src-aaaaaaaaaa", "ls"]) == 1
    assert "there is no release src-aaaaaaaaaa of shop" in capsys.readouterr().err

    open(f"{app['releases']}/src-aaaaaaaaaa/release.json", "w").close()
    assert main.main(["shop", "run", "--release", "src-aaaaaaaaaa", "ls"]) == 7
    assert attach[-1].cwd == "/srv/shop/releases/src-aaaaaaaaaa/code"
    assert main.main(["shop", "run", "--release", "../../../tmp", "ls"]) == 1


def test_a_shell_shows_the_release(app, attach):
    assert main.main(["shop", "shell"]) == 7
    assert attach[0].argv[-2:] == ["/bin/bash", "--norc"]
    assert "shop src-0123456789" in attach[0].argv[1]


def test_only_names_of_variables_are_printed(app, capsys):
    assert main.main(["shop", "env", "--names"]) == 0
    assert capsys.readouterr().out == "ASGI_APP\nTOKEN\n"


def test_logs_use_no_pager(app, execute):
    command = execute("logs", "-f", "--lines", "5", "--since", "1 h ago")
    assert command == [
        "journalctl",
        "--no-pager",
        "--quiet",
        "--output=short-iso",
        "--lines=5",
        "--unit=shop@blue.service",
        "--unit=shop@green.service",
        "--since=1 h ago",
        "--follow",
    ]
    assert execute("logs", "web")[-1] == "--unit=shop@green.service"


PROCESSES = {
    "worker": {"kind": "process", "command": ["worker"], "instances": 2},
    "cleanup": {"kind": "timer", "command": ["cleanup"]},
}


@pytest.fixture
def processes(app):
    """Give the live release two processes and a timer."""
    for slot in app["slots"].values():
        os.unlink(slot["config"])
        os.makedirs(slot["config"])
        with open(f"{slot['config']}/processes.json", "w", encoding="utf-8") as file:
            json.dump(PROCESSES, file)


def test_logs_of_processes(processes, execute):
    units = [f"--unit=shop.worker.{number}@{slot}.service" for slot in ("blue", "green") for number in (1, 2)]
    assert [word for word in execute("logs", "worker") if word.startswith("--unit")] == units
    assert execute("logs", "cleanup")[-1] == "--unit=shop.cleanup@green.service"
    assert {"--unit=shop@blue.service", "--unit=shop.cleanup@blue.service", *units} < set(execute("logs"))


def test_a_restart_of_a_process(processes, monkeypatch, capsys, markers):
    restarted = []
    monkeypatch.setattr(
        App, "reload_processes", lambda self, slot, only: (restarted.append((slot, only)), ["shop.worker.1@green"])[1]
    )
    assert main.main(["shop", "restart", "worker"]) == 0
    assert restarted == [("green", "worker")]
    assert capsys.readouterr().out == "restarted shop.worker.1@green\n"
    assert markers == [("restart", LIVE, "succeeded")]
    assert main.main(["shop", "restart", "cleanup"]) == 1
    assert capsys.readouterr().err == "asgi: shop has no process 'cleanup' -> use web or worker\n"


def test_logs_of_a_journal_namespace(app, execute):
    with open(f"{app['configs']}/c1/service.conf", "a", encoding="utf-8") as file:
        file.write("LogNamespace=shop\n")
    assert "--namespace=+shop" in execute("logs")


@pytest.mark.parametrize("command", ["logs", "restart"])
def test_unknown_processes_are_rejected(app, capsys, command):
    assert main.main(["shop", command, "worker"]) == 1
    assert "shop has no process 'worker'" in capsys.readouterr().err


@pytest.mark.parametrize("command", [["run", "ls"], ["shell"], ["env", "--names"]])
def test_an_app_without_a_live_release(app, capsys, command):
    os.unlink(app["live_socket"])
    assert main.main(["shop", *command]) == 1
    assert capsys.readouterr().err == "asgi: no release of shop is live -> run deploy.yml\n"


@pytest.fixture
def markers(monkeypatch):
    """Return the result and the reason of each deploy marker."""
    written = []
    monkeypatch.setattr(
        main.DeployMarker, "write", lambda self, *result: written.append((self.what, self.source, *result))
    )
    return written


def test_a_restart(app, monkeypatch, capsys, markers):
    causes = []
    monkeypatch.setattr(main, "restart", lambda *_arguments: {"slot": "blue", "site": {"causes": causes}})
    assert main.main(["shop", "restart"]) == 0
    assert capsys.readouterr().out == "release src-0123456789 was restarted and is live in slot blue\n"
    causes.append("nginx answers 502")
    assert main.main(["shop", "restart"]) == 1
    assert capsys.readouterr().err == "asgi: nginx answers 502\n"
    assert markers == [("restart", LIVE, "succeeded")] * 2


def test_a_failed_restart_keeps_the_live_slot(app, monkeypatch, capsys, markers):
    def fail(app, *_arguments):
        app.warnings.append("shop.beat.1@green.service does not stay up")
        raise ActivationError("it did not start", "Traceback")

    monkeypatch.setattr(main, "restart", fail)
    assert main.main(["shop", "restart"]) == 1
    assert capsys.readouterr().err.splitlines() == [
        "asgi: shop.beat.1@green.service does not stay up",
        "asgi: shop was not restarted: it did not start",
        "release src-0123456789 keeps serving in slot green",
        "Traceback",
    ]
    assert markers == [("restart", LIVE, "failed", "it did not start")]


def test_escape_sequences_of_the_app_do_not_reach_the_terminal(app, monkeypatch, capsys):
    def fail(*_arguments):
        raise ActivationError("it did not start", "\x1b]52;c;cm0gLXJm\x07")

    monkeypatch.setattr(main, "restart", fail)
    main.main(["shop", "restart"])
    monkeypatch.setattr(main, "releases", lambda _app: [])
    monkeypatch.setattr(main, "release_lines", lambda _releases, _staged: ["\x1b[2J"])
    main.main(["shop", "releases"])
    monkeypatch.setattr(main, "describe", lambda *_arguments: {"state": "active"})
    monkeypatch.setattr(main, "status_lines", lambda _found: ["\x1b[2J"])
    main.main(["shop", "status"])
    printed = capsys.readouterr()
    assert "\x1b" not in printed.out + printed.err
    assert printed.out == "\\x1b[2J\n" * 2
