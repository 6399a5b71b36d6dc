"""A model of systemd for tests: `systemctl` on units in a directory tree, without processes.

The model reads the unit files, drop-ins, `.wants` links and tmpfiles.d snippets of the tree, and keeps the state that only PID 1 has: which
units are active, the text from which it loaded each unit, and pending jobs. A service "runs" if the paths of the tree in its unit exist. It
fails to start if its working directory contains a file `broken`, or `broken.` and the name of the unit without its instance.

Validated against systemd 257 of Debian 13:

- New templates, instances and drop-ins of units that are not loaded take effect without a daemon-reload. A changed file of a loaded unit
  needs one. `enable --no-reload` marks all loaded units as in need of one until the next reload; `disable` and `enable` reload.
- `start` of a service starts the socket that it requires. If the start fails, `systemctl` fails, the socket keeps listening and the service
  stays in auto-restart. Jobs of a killed `systemctl` continue.
- `stop` of socket and service stops the service first, and the socket listens until the service has stopped. `stop --no-block` returns
  while the service is deactivating. `start` waits for such a stop. Stopping only the socket also stops the service that requires it.
  Stopping only the service leaves the socket, and the next connection starts the service again.
- A socket unit whose file was removed stays active. `start` does not restore the file; stop and start do.
- Units whose file was removed keep running, need a daemon-reload, and can be stopped. `disable` removes the links of a unit without a
  file, and fails if there are none. `stop` fails with status 5 for units that do not exist.
- After a reboot, units with links start, with what they require, and the `d` and `L+` lines of tmpfiles.d have been applied.
- Starting a target starts what it wants. Targets and timers stop at once. Stopping a target, even an inactive one, stops its parts (PartOf=).
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from glob import glob
from pathlib import Path
from typing import NamedTuple, Protocol

UNITS = "etc/systemd/system"
RUNTIME_UNITS = "run/systemd/system"


class Files(Protocol):
    """The files of a machine below the directory *root*."""

    root: str

    def read(self, path: str) -> str:
        """Return the content of the file *path* below the root, "" if there is none."""

    def real(self, path: str) -> str:
        """Return *path* without symlinks, "" if there is no such file."""


class State(NamedTuple):
    """The state of a unit in PID 1: *loaded* is the text of its files when systemd read them, *uses* the files of its processes."""

    active: str = "inactive"
    sub: str = "dead"
    loaded: str = ""
    uses: tuple[str, ...] = ()
    stops: bool = False

    @property
    def up(self) -> bool:
        return self.active != "inactive"


UNLOADED = State()


@cache
def settings(text: str) -> dict[str, list[str]]:
    """Return the values of each setting in the text of a unit."""
    found: dict[str, list[str]] = {}
    for name, value in re.findall(r"^([A-Z]\w*)=(.*)$", text, re.MULTILINE):
        found.setdefault(name, []).extend(value.split())
    return found


class SystemdModel:
    """The systemd of the machine with *files*. *effect* is called before each change of a unit's state."""

    def __init__(self, files: Files, effect: Callable[[], None]) -> None:
        self.files = files
        self.root = files.root
        self.effect = effect
        self.units: dict[str, State] = {}
        self.outdated = False
        #: Whether systemd changes files itself, between two effects.
        self.busy = False

    def run_command(self, argv: list[str], **_options: object) -> tuple[int, str, str]:
        """Run a command line, like `AnsibleModule.run_command`."""
        argv = argv[2:] if argv[0] == "timeout" else argv
        if argv[0] != "systemctl":
            return 0, "", ""
        words = [word for word in argv[1:] if not word.startswith("-")]
        flags = [word for word in argv[1:] if word.startswith("-")]
        verb, names = words[0].replace("-", "_"), words[1:]
        if "--value" in flags:
            return 0, "\n", ""
        try:
            fault = getattr(self, f"_{verb}")(names, flags)
        except OSError as exc:  # from effect()
            fault = str(exc)
        return (0, fault[1], "") if isinstance(fault, tuple) else (1 if fault else 0, "", fault or "")

    # ---- files

    def text(self, name: str) -> str:
        """Return the text of a unit's files on the disk, "" if it has none."""
        found = ""
        for directory in (UNITS, RUNTIME_UNITS):
            found = (
                found or self.files.read(f"/{directory}/{name}") or self.files.read(f"/{directory}/{template_of(name)}")
            )
        for directory in (UNITS, RUNTIME_UNITS):
            drop_ins = f"{self.root}/{directory}/{name}.d"
            if os.path.isdir(drop_ins):
                files = sorted(file for file in os.listdir(drop_ins) if file.endswith(".conf"))
                found += "".join(self.files.read(f"/{directory}/{name}.d/{file}") for file in files)
        return found.replace("%i", name.partition("@")[2].rpartition(".")[0])

    def _links(self, name: str) -> list[str]:
        return [os.path.join(self.root, UNITS, f"{each}.wants", name) for each in self._of(name, "WantedBy")]

    def _of(self, name: str, setting: str) -> list[str]:
        return settings(self._get(name).loaded or self.text(name)).get(setting, [])

    def _used(self, text: str) -> tuple[str, ...]:
        """Return the files below the root that the service with this *text* needs, () if one is missing."""
        names = ("WorkingDirectory", "EnvironmentFile", "ExecStart")
        paths = [path for name in names for path in settings(text).get(name, []) if path.startswith(self.root)]
        found = tuple(map(self.files.real, paths))
        return found if all(found) else ()

    # ---- states

    def _get(self, name: str) -> State:
        return self.units.get(name, UNLOADED)

    def _set(self, name: str, **changes: object) -> None:
        self.units[name] = self._get(name)._replace(**changes)

    def _collect(self) -> None:
        """Unload inactive units, except a service whose socket is active."""
        self.units = {
            name: state
            for name, state in self.units.items()
            if state.up or (name.endswith(".service") and self._get(name.replace(".service", ".socket")).up)
        }

    def _load(self, name: str) -> None:
        if not self._get(name).loaded:
            self._set(name, loaded=self.text(name))

    def needs_daemon_reload(self, name: str) -> bool:
        loaded = self._get(name).loaded
        return bool(loaded) and (self.outdated or loaded != self.text(name))

    # ---- verbs

    def _show(self, names: list[str], flags: list[str]) -> tuple[int, str]:
        if any("Timeout" in flag for flag in flags):
            return 0, "TimeoutStartUSec=1min\nTimeoutStopUSec=1min\n"
        blocks = []
        for name in names:
            state, text = self._get(name), self.text(name)
            blocks.append(
                f"Id={name}\nActiveState={state.active}\nSubState={state.sub}\n"
                f"NeedDaemonReload={'yes' if self.needs_daemon_reload(name) else 'no'}\n"
                f"MainPID={100 if state.uses else 0}\nActiveEnterTimestamp=\n"
                f"CanReload={'yes' if 'ExecReload' in settings(state.loaded or text) else 'no'}\n"
                f"LoadState={'loaded' if text else 'not-found'}\n"
            )
        return 0, "\n".join(blocks)

    def _start(self, names: list[str], _flags: list[str]) -> str:
        failed = [name for name in self._with_dependencies(names) if not self._start_unit(name)]
        return f"Job for {failed[0]} failed" if failed else ""

    def _with_dependencies(self, names: Iterable[str]) -> list[str]:
        found: list[str] = []
        for name in names:
            needed = [*self._of(name, "Requires"), *self._of(name, "Wants")]
            found += self._with_dependencies(each for each in needed if each not in names and self.text(each))
            found.append(name)
        return list(dict.fromkeys(found))

    def _start_unit(self, name: str) -> bool:
        if self._get(name).stops:
            self._finish_stop(name)
        if self._get(name).active == "active":
            return True
        conflicting = [each for each in self._of(name, "Conflicts") if self._get(each).up]
        if conflicting:
            self._stop(conflicting, [])
        self.effect()
        self._load(name)
        text = self._get(name).loaded
        if not text:
            return False
        if name.endswith(".socket"):
            self._listen(name)
            return True
        if not name.endswith(".service"):
            self._set(name, active="active", sub="active")
            return True
        self._exec(name)
        self.effect()
        return self._become_ready(name)

    def _exec(self, name: str) -> None:
        self._set(name, active="activating", sub="start", uses=self._used(self._get(name).loaded))

    def _become_ready(self, name: str) -> bool:
        uses = self._get(name).uses
        faults = ("broken", f"broken.{name.partition('@')[0]}")
        started = bool(uses) and not any(self.files.real(f"{path}/{fault}") for path in uses for fault in faults)
        if started:
            self._set(name, active="active", sub="running")
        else:
            self._set(name, active="activating", sub="auto-restart", uses=())
        return started

    def _listen(self, name: str) -> None:
        path = self._of(name, "ListenStream")[0]
        self.busy = True
        os.makedirs(os.path.dirname(path), mode=0o711, exist_ok=True)
        Path(path).write_text("socket")
        self.busy = False
        self._set(name, active="active", sub="listening")
        self._load(name.replace(".socket", ".service"))

    def _stop(self, names: list[str], flags: list[str]) -> str:
        missing = [name for name in names if not self._get(name).up and not self.text(name)]
        if missing:
            return f"Unit {missing[0]} not loaded."
        stopping = [name for name in self._with_dependents(names) if self._get(name).up]
        if stopping:
            self.effect()
        for name in stopping:
            self._set(name, stops=True)
            if name.endswith(".service"):
                self._set(name, active="deactivating", sub="stop-sigterm")
            elif not name.endswith(".socket"):
                self._finish_stop(name)
        if "--no-block" not in flags:
            for name in sorted(filter(self.units.get, stopping), key=lambda name: name.endswith(".socket")):
                self.effect()
                self._finish_stop(name)
        return ""

    def _with_dependents(self, names: Iterable[str]) -> list[str]:
        names = list(names)
        parts = [
            each
            for each in self.units
            if {*self._of(each, "Requires"), *self._of(each, "PartOf")} & set(names) and each not in names
        ]
        return [*names, *parts]

    def _finish_stop(self, name: str) -> None:
        if name.endswith(".socket"):
            self.busy = True
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._of(name, "ListenStream")[0])
            self.busy = False
        self._set(name, active="inactive", sub="dead", uses=(), stops=False)
        self._collect()

    def _reload(self, names: list[str], _flags: list[str]) -> str:
        for name in names:
            self.effect()
            self._exec(name)
            self._become_ready(name)
        return ""

    def _restart(self, names: list[str], flags: list[str]) -> str:
        return self._stop(names, []) or self._start(names, flags)

    def _reset_failed(self, _names: list[str], _flags: list[str]) -> str:
        return ""

    def _enable(self, names: list[str], flags: list[str]) -> str:
        for name in names:
            if not self.text(name):
                return f"Failed to enable unit: Unit {name} does not exist"
            for link in filter(lambda link: not os.path.lexists(link), self._links(name)):
                os.makedirs(os.path.dirname(link), exist_ok=True)
                os.symlink(os.path.join(self.root, UNITS, template_of(name)), link)
                self.outdated = True
        return "" if "--no-reload" in flags else self._daemon_reload()

    def _disable(self, names: list[str], _flags: list[str]) -> str:
        for name in names:
            links = glob(f"{self.root}/{UNITS}/*.wants/{name}")
            if not links and not self.text(name):
                return f"Failed to disable unit: Unit {name} does not exist"
            for link in links:
                os.unlink(link)
        return self._daemon_reload()

    def _daemon_reload(self, _names: Iterable[str] = (), _flags: Iterable[str] = ()) -> str:
        if self.outdated or any(map(self.needs_daemon_reload, self.units)):
            self.effect()
        for name in self.units:
            self._set(name, loaded=self.text(name) or self._get(name).loaded)
        self.outdated = False
        return ""

    # ---- what happens without systemctl

    def boot(self) -> None:
        """Lose all processes and /run, apply tmpfiles.d, and start the enabled units."""
        self.units, self.outdated = {}, False
        run = os.path.join(self.root, "run")
        shutil.rmtree(run, ignore_errors=True)
        os.mkdir(run)
        for file in sorted(Path(self.root, "etc/tmpfiles.d").glob("*.conf")):
            for kind, path, mode, _user, _group, _age, *argument in map(str.split, _lines(file.read_text())):
                if kind == "d":
                    os.makedirs(path, exist_ok=True)
                    os.chmod(path, int(mode, 8))
                elif kind == "L+":
                    os.symlink(argument[0], path)
        for target in ("sockets.target", "multi-user.target"):
            for link in sorted(glob(f"{self.root}/{UNITS}/{target}.wants/*")):
                self._start([os.path.basename(link)], [])

    def time_passes(self) -> None:
        """Finish pending jobs: drained services stop, starting services become ready or fail, failed ones restart."""
        for name in sorted(self.units, key=lambda name: name.endswith(".socket")):
            state = self._get(name)
            if state.stops:
                self._finish_stop(name)
            elif state.active == "activating":
                if state.sub == "auto-restart":
                    self._exec(name)
                self._become_ready(name)

    def serving(self, path: str) -> tuple[str, ...]:
        """Return the files of the service that answers a connection to the unix socket *path*; () if none does.

        A connection would start a stopped service. This method changes nothing.
        """
        path = self.files.real(path)
        for name, state in self.units.items():
            if name.endswith(".socket") and state.up and not state.stops and self._of(name, "ListenStream") == [path]:
                service = name.replace(".socket", ".service")
                running = self._get(service)
                return () if running.stops else running.uses or self._used(running.loaded)
        return ()

    def connect(self, path: str) -> bool:
        """Connect to the unix socket *path*, which starts a stopped service; return whether a process accepts the connection."""
        if not self.serving(path):
            return False
        service = f"{self._unit_of(self.files.real(path))}.service"
        return self._get(service).active == "active" or self._start_unit(service)

    def _unit_of(self, path: str) -> str:
        names = (name for name in self.units if name.endswith(".socket"))
        return next(name for name in names if self._of(name, "ListenStream") == [path]).rpartition(".")[0]


@cache
def template_of(name: str) -> str:
    return re.sub(r"@[^.]*\.", "@.", name)


def _lines(text: str) -> Iterator[str]:
    return (line for line in text.splitlines() if line and not line.startswith("#"))
