"""A machine for tests that stop a module after each of its effects.

The modules run their real code on a directory tree and on a model of systemd. An effect is a change of a file, which Python announces as an
audit event, or a change of a unit, which the model announces. Before each effect, the machine records its state: a kill at that moment leaves
exactly this state behind. One run therefore yields all states that a crash can leave.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

from ansible_collections.asgi.deploy.plugins.module_utils._app import app_home, build_python, removal, slots, staging
from ansible_collections.asgi.deploy.plugins.module_utils._app.app_module import AppModule
from ansible_collections.asgi.deploy.plugins.module_utils._app.release_protocol import Missing
from ansible_collections.asgi.deploy.plugins.module_utils._app.slots import App
from ansible_collections.asgi.deploy.plugins.module_utils._host import systemd
from ansible_collections.asgi.deploy.plugins.module_utils._host.layout import layout
from ansible_collections.asgi.deploy.plugins.module_utils._host.systemd import Systemd
from ansible_collections.asgi.deploy.plugins.module_utils._proxy import site_requests
from ansible_collections.asgi.deploy.plugins.module_utils._proxy.site_check import FAILED, OK, Judgement
from ansible_collections.asgi.deploy.plugins.modules import abandon, activate, deactivate, reload, rollback, unstage
from systemd_model import State, SystemdModel

# Audit events of Python that announce a change of a file, and the positions of its path or paths in their arguments.
EVENTS = {
    "open": (0,),
    "os.chmod": (0,),
    "os.chown": (0,),
    "os.mkdir": (0,),
    "os.remove": (0,),
    "os.rename": (0, 1),
    "os.rmdir": (0,),
    "os.symlink": (1,),
    "os.truncate": (0,),
}
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
PROBE = {"path": "/", "host": "x", "statuses": [200], "successes": 1, "timeout": 1, "deadline": 1}
# A temporary file or directory, and the random part of its name.
LEFTOVER = r"(/\.new-|/\.old-|/\.[^/]*\.(?:json|conf|service|socket|target|timer|env|py|unit)\.)[^/]*"
# The end of each release id.
DIGEST = "-0000000000"
# The files of two processes, of which one is exclusive, and of a timer.
COMMON = "PartOf=hello@%i.target\n[Service]\nWorkingDirectory=@release@/code\n"
PROCESSES = {
    "process.beat.service": f"[Unit]\nConflicts=hello.beat.1@@other@.service\n{COMMON}",
    "process.worker.service": f"[Unit]\n{COMMON}",
    "process.cleanup.service": "[Service]\nWorkingDirectory=@release@/code\n",
    "process.cleanup.timer": "[Unit]\nPartOf=hello@%i.target\n",
    "processes.json": json.dumps(
        {
            "beat": {"kind": "process", "command": ["beat"], "exclusive": True},
            "worker": {"kind": "process", "command": ["worker"]},
            "cleanup": {"kind": "timer", "command": ["cleanup"]},
        }
    ),
}

_listener: Callable[[str, tuple], None] | None = None


def _audit(event: str, arguments: tuple) -> None:
    if _listener is not None and event in EVENTS:
        _listener(event, arguments)


sys.addaudithook(_audit)


class Snapshot(NamedTuple):
    """The state of the machine: its files by path (kind, content or target, mode), and the units in the model of systemd."""

    files: dict[str, tuple[str, str, int]]
    units: dict[str, State]
    outdated: bool

    def key(self) -> frozenset:
        """Return a key that is equal for equivalent states.

        It ignores the content of locks, and the names, content and number of temporary files that a crash left behind.
        """
        return frozenset([*map(_distinct, self.files.items()), *self.units.items(), self.outdated])


@cache
def _distinct(file: tuple[str, tuple[str, str, int]]) -> tuple:
    path, (kind, content, mode) = file
    name = re.sub(LEFTOVER, r"\1*", path)
    if name != path:
        return name, kind
    return path, kind, "" if path.endswith("lock") else content, mode


class Done(Exception):
    """A module has succeeded."""


class Failed(Exception):
    """A module has failed; the message is its error."""


class Outcome(NamedTuple):
    """The result of an operation; *error* is the message of the failed module."""

    changed: bool
    error: str = ""
    results: tuple[dict, ...] = ()


class Machine:
    """A machine with the app ``hello``. *visit* is called with the state before each effect."""

    def __init__(self, root: Path, monkeypatch: Any) -> None:
        self.root = os.path.realpath(root)
        self.visit: Callable[[], None] | None = None
        self.systemd = SystemdModel(self, self._before_effect)
        self.paths = _rooted(layout("hello"), self.root)
        self.check_mode = False
        self.params: dict[str, Any] = {}
        self.results: list[dict] = []
        self.files: dict[str, tuple[str, str, int]] = {}
        self.touched: set[str] = set()
        self.effects = 0
        # The number of the effect that fails, as on a full file system.
        self.fails_at = 0
        self._patch(monkeypatch)
        for name in ("run", "etc/tmpfiles.d", "srv", "proc", "etc/systemd/system"):
            os.makedirs(os.path.join(self.root, name))
        self.touched.add(self.root)
        self.sync()

    # ---- the modules on this machine

    def _patch(self, monkeypatch: Any) -> None:
        machine = self

        class Frame(AppModule):
            def __init__(self, argument_spec, **_options):
                self.params = {
                    name: machine.params.get(name, option.get("default")) for name, option in argument_spec.items()
                }
                self.check_mode = machine.check_mode
                self.paths = machine.paths
                self.systemd = Systemd(machine.systemd.run_command)
                self.run_command = machine.systemd.run_command
                self.app = App(self.paths, self.systemd, dry=self.check_mode, by="tester")

            def exit_json(self, **result):
                machine.results.append(result)
                raise Done

            def fail_json(self, msg, **_result):
                raise Failed(msg)

            def warn(self, warning, **_options):
                pass

        class Site(site_requests.Site):
            def __init__(self, app, run, probe):
                self.app, self.run, self.probe, self.paths = app, run, probe, app.paths

            def _of_live(self):
                return self

            def wait(self, _seconds):
                served = machine.systemd.serving(self.paths["live_socket"])
                return Judgement(
                    OK if served and not machine.marked("bad-site", served) else FAILED, ["the site fails"], []
                )

            def result(self, _judgement):
                return {}

        for module in (abandon, activate, deactivate, reload, rollback):
            monkeypatch.setattr(module, "AppModule", Frame)
        for module in (activate, reload, rollback):
            monkeypatch.setattr(module, "Site", Site)
        for module in (slots, reload, site_requests):
            monkeypatch.setattr(module, "wait_healthy", self._wait_healthy)
        monkeypatch.setattr(unstage, "HostModule", Frame)
        for module in (app_home, unstage):
            monkeypatch.setattr(module, "layout", lambda _name: machine.paths)
        monkeypatch.setattr(activate, "_gid", lambda *_arguments: -1)
        monkeypatch.setattr(slots, "accepts", self._accepts)
        monkeypatch.setattr(slots, "now", lambda: "now")
        monkeypatch.setattr(systemd, "LINKS", (f"{self.root}/etc/systemd/system/*.wants",))
        monkeypatch.setattr(systemd, "read_output", lambda _argv: "journal")
        monkeypatch.setattr(reload, "_check", lambda *_arguments: None)
        monkeypatch.setattr(reload, "serving", lambda service: {service.main_pid})
        monkeypatch.setattr(reload, "wait_replaced", lambda *_arguments: "")
        monkeypatch.setattr(app_home, "PROCESSES", Path(self.root, "proc"))
        monkeypatch.setattr(app_home.AppHome, "is_complete", lambda home, release: bool(home.manifest(release)))
        monkeypatch.setattr(staging, "_build", self._build)
        monkeypatch.setattr(staging, "_planned", lambda _recipe: "")
        monkeypatch.setattr(staging, "missing_files", lambda *_arguments: Missing())
        monkeypatch.setattr(staging, "prune", list)
        monkeypatch.setattr(removal, "prune", list)
        monkeypatch.setattr(build_python, "STORE", Path(self.root, "opt"))
        for module in (removal, app_home):
            monkeypatch.setattr(module, "TransientUnit", lambda *_arguments: SimpleNamespace(stop=lambda: None))
        monkeypatch.setattr(removal, "pwd", SimpleNamespace(getpwnam=self._account))
        monkeypatch.setattr(os, "fsync", lambda _descriptor: None)

    def _account(self, _name: str) -> SimpleNamespace:
        if not os.path.exists(self._account_file):
            raise KeyError
        return SimpleNamespace(pw_dir=self.paths["home"])

    @property
    def _account_file(self) -> str:
        return os.path.join(self.root, "etc/account")

    def _wait_healthy(self, path: str, _probe: object) -> str:
        used = self.systemd.connect(path) and self.systemd.serving(path)
        return "" if used and not self.marked("unhealthy", used) else "answered 500"

    def _accepts(self, path: str) -> bool:
        self.systemd.connect(path)
        return os.path.exists(path)

    def _build(self, home: app_home.AppHome, recipe: Recipe) -> dict:
        home.remove(recipe.release)
        code = home.releases / recipe.release / "code"
        code.mkdir(parents=True)
        for fault in ("broken", "unhealthy", "bad-site", "broken.hello.worker.1"):
            if fault in recipe.release:
                (code / fault).touch()
        manifest = {"id": recipe.release, "built_at": recipe.release}
        (home.releases / recipe.release / "release.json").write_text(json.dumps(manifest))
        return {}

    def module(self, main: Callable[[], None], **params: Any) -> dict:
        """Run a module; return its result, or raise Failed."""
        self.params = {"name": "hello", **params}
        try:
            main()
        except Done:
            return self.results[-1]
        raise AssertionError("the module has no result")

    # ---- operations

    def run(self, operation: Callable[[Machine], bool], check_mode: bool = False) -> Outcome:
        """Run *operation*; return its outcome."""
        global _listener
        self.check_mode = check_mode
        self.results = []
        self.effects = 0
        self.sync()
        _listener = self._changes
        try:
            changed, error = operation(self), ""
        except (Failed, OSError) as exc:
            changed, error = True, str(exc)
        finally:
            _listener = None
        self.sync()
        return Outcome(changed, error, tuple(self.results))

    def _changes(self, event: str, arguments: tuple) -> None:
        if event == "open" and (not arguments[2] & WRITES or arguments[2] & os.O_TMPFILE == os.O_TMPFILE):
            return
        directory = arguments[-1] if event in ("os.remove", "os.rmdir") else -1
        paths = [self._full(arguments[position], directory) for position in EVENTS[event]]
        if any(path.startswith(self.root) for path in paths):
            if not self.systemd.busy:
                self._before_effect(may_fail=event not in ("os.remove", "os.rmdir"))
            self.touched.update(paths)

    def _full(self, path: Any, directory: int) -> str:
        if isinstance(path, int):
            return os.readlink(f"/proc/self/fd/{path}")
        path = os.fsdecode(path)
        return path if path.startswith("/") else f"{os.readlink(f'/proc/self/fd/{directory}')}/{path}"

    def _before_effect(self, may_fail: bool = True) -> None:
        global _listener
        if _listener is None:
            return
        self.effects += 1
        if self.effects == self.fails_at and may_fail:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        if self.visit:
            listener, _listener = _listener, None
            self.sync()
            self.visit()
            _listener = listener

    # ---- states

    def sync(self) -> None:
        """Read the files that have changed since the last call."""
        for path in self.touched:
            relative = path[len(self.root) :]
            below = f"{relative}/"
            for known in [each for each in self.files if each == relative or each.startswith(below)]:
                del self.files[known]
            self._read(path, relative)
        self.touched.clear()

    def _read(self, path: str, relative: str) -> None:
        if os.path.islink(path):
            self.files[relative] = ("link", os.readlink(path), 0)
        elif os.path.isdir(path):
            self.files[relative] = ("directory", "", os.stat(path).st_mode & 0o777)
            for name in os.listdir(path):
                self._read(f"{path}/{name}", f"{relative}/{name}")
        elif os.path.exists(path):
            self.files[relative] = ("file", Path(path).read_text(), os.stat(path).st_mode & 0o777)

    def read(self, path: str) -> str:
        """Return the content of the file *path* below the root, "" if there is none."""
        self.sync()
        return self.files.get(path, ("", "", 0))[1]

    def real(self, path: str) -> str:
        """Return *path* without symlinks, "" if there is no such file."""
        self.sync()
        found = ""
        for part in path[len(self.root) + 1 :].split("/"):
            if part == "..":
                found = found.rpartition("/")[0]
                continue
            kind, target, _mode = self.files.get(f"{found}/{part}", ("", "", 0))
            if kind == "link":
                directory = "" if target.startswith(self.root) else f"{self.root}{found}/"
                found = self.real(f"{directory}{target}")[len(self.root) :]
            else:
                found = f"{found}/{part}" if kind else ""
            if not found:
                return ""
        return f"{self.root}{found}"

    def snapshot(self) -> Snapshot:
        return Snapshot(dict(self.files), dict(self.systemd.units), self.systemd.outdated)

    def restore(self, state: Snapshot) -> None:
        self.sync()
        different = {path for path, _entry in self.files.items() ^ state.files.items()}
        for path in sorted(different & self.files.keys(), reverse=True):
            kind = self.files[path][0]
            # A file keeps its inode, because a module may hold a lock on it.
            if kind != "link" and state.files.get(path, ("",))[0] == kind:
                continue
            (os.rmdir if kind == "directory" else os.unlink)(self.root + path)
        for path in sorted(different & state.files.keys()):
            kind, content, mode = state.files[path]
            if kind == "link":
                os.symlink(content, self.root + path)
                continue
            if kind == "file":
                Path(self.root + path).write_text(content)
            elif not os.path.isdir(self.root + path):
                os.mkdir(self.root + path)
            os.chmod(self.root + path, mode)
        self.files = dict(state.files)
        self.systemd.units, self.systemd.outdated = dict(state.units), state.outdated

    def boot(self) -> None:
        self.systemd.boot()
        self.touched.add(f"{self.root}/run")
        self.sync()

    def time_passes(self) -> None:
        self.systemd.time_passes()
        self.touched.add(f"{self.root}/run")
        self.sync()

    # ---- what the tests check

    def entry(self, name: str) -> tuple[str, str, int]:
        """Return kind, content or target, and mode of the file with this *name* in the layout."""
        return self.files.get(self.paths[name][len(self.root) :], ("", "", 0))

    @property
    def live(self) -> str | None:
        """Return the slot to which the live socket leads."""
        return self.entry("live_socket")[1].replace(".sock", "") or None

    def served(self) -> tuple[str, ...]:
        """Return the release and the configuration that answer a connection to the live socket, () if none does."""
        return _names(self.systemd.serving(self.paths["live_socket"]))

    @property
    def release(self) -> str | None:
        """Return the release that answers a connection to the live socket, without its digest."""
        return "".join(self.served()[:1]).replace(DIGEST, "") or None

    def marked(self, fault: str, used: tuple[str, ...]) -> bool:
        """Return whether the release among the *used* files has the *fault*."""
        return any(self.real(f"{path}/{fault}") for path in used)

    def running(self) -> set[str]:
        """Return the active units, without those that finish their work."""
        return {name for name, unit in self.systemd.units.items() if unit.up and not unit.stops}

    def enabled(self) -> set[str]:
        return {path.split("/")[-1] for path in self.files if ".wants/" in path}

    def log(self) -> list:
        return json.loads(self.entry("log")[1] or "[]")

    def in_use(self) -> Iterator[str]:
        """Yield the files that the processes use."""
        for state in self.systemd.units.values():
            yield from state.uses


class Recipe(NamedTuple):
    """The part of a recipe that staging reads."""

    release: str
    files: None = None
    command: None = None


def _rooted(value: Any, root: str) -> Any:
    if isinstance(value, dict):
        return {key: _rooted(item, root) for key, item in value.items()}
    return f"{root}{value}" if value.startswith("/") else value


def _names(used: tuple[str, ...]) -> tuple[str, ...]:
    """Return the release and the digest of the configuration in the paths that a service uses."""
    found = {}
    for path in used:
        match = re.search(r"/(releases|configs)/([^/]+)", path)
        if match:
            found[match.group(1)] = match.group(2)
    return tuple(found.get(kind, "") for kind in ("releases", "configs")) if found else ()


class Stage(NamedTuple):
    """Stage *release*, as the role asgi_app does."""

    release: str

    def __call__(self, machine: Machine) -> bool:
        home = app_home.AppHome("hello")
        if not machine.check_mode:
            if not os.path.exists(machine._account_file):
                Path(machine._account_file).touch()
            for path in (machine.paths["home"], machine.paths["releases"]):
                if not os.path.isdir(path):
                    os.mkdir(path)
        with home.locked() if not machine.check_mode else contextlib.nullcontext():
            return staging.stage(home, Recipe(self.release + DIGEST), 1, change=not machine.check_mode)["changed"]


class Deploy(NamedTuple):
    """Stage and activate *release*, as deploy.yml does. *hook* is ``passes`` or ``fails``: a hook between booted and live."""

    release: str
    conf: str = "workers = 2"
    unit: str = ""
    hook: str = ""
    reloads: bool = True
    stages: bool = True
    processes: bool = False

    def __call__(self, machine: Machine) -> bool:
        changed = self.stages and Stage(self.release)(machine)
        options = self._options(machine)
        if self.hook:
            booted = machine.module(activate.main, **options, until="booted")
            changed |= booted["changed"]
            if booted["activated"] and self.hook == "fails" and not machine.check_mode:
                machine.module(abandon.main, slot=booted["slot"], reason="the hook failed")
                raise Failed("the hook failed")
        return machine.module(activate.main, **options)["changed"] or changed

    def _options(self, machine: Machine) -> dict:
        home, run = machine.paths["home"], machine.paths["run"]
        service = (
            f"[Unit]\nRequires=hello@%i.socket\n[Service]\nWorkingDirectory={home}/slots/%i/release/code\n"
            f"EnvironmentFile={home}/slots/%i/config/env\n{'ExecReload=kill' if self.reloads else ''}\n"
            f"[Install]\nWantedBy=multi-user.target\n{self.unit}"
        )
        socket = f"[Socket]\nListenStream={run}/%i.sock\n[Install]\nWantedBy=sockets.target\n{self.unit}"
        files = {"gunicorn.conf.py": self.conf, "service.conf": "[Service]\n", "service.unit": service}
        files.update(PROCESSES if self.processes else {})
        return {"release": self.release + DIGEST, "files": files, "socket": socket, "environment": "{}", "probe": PROBE}


def roll_back(machine: Machine) -> bool:
    return machine.module(rollback.main)["changed"]


def reload_workers(machine: Machine) -> bool:
    return machine.module(reload.main)["changed"]


class Abandon(NamedTuple):
    """Abandon the release in *slot*, as the role does if a hook fails."""

    slot: str

    def __call__(self, machine: Machine) -> bool:
        return machine.module(abandon.main, slot=self.slot, reason="the hook failed")["changed"]


def uninstall(machine: Machine) -> bool:
    """Remove the app, as uninstall.yml does."""
    changed = machine.module(deactivate.main)["changed"]
    removed = machine.module(unstage.main)
    account = os.path.exists(machine._account_file)
    if account and not machine.check_mode:
        os.unlink(machine._account_file)
    return changed or removed["changed"] or account
