"""A server, started as systemd starts it, with methods to control and observe it from outside."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from ansible_collections.asgi.deploy.plugins.plugin_utils._server.servers import DEFAULT, SERVERS

from worker.matrix import ROOT, Corner

CONFIGS = ROOT / "roles/asgi_server/files/srv/app/configs"
TEMPLATE = ROOT / "roles/asgi_server/templates/srv/app/configs/gunicorn.conf.py.j2"
SERVED = Path(__file__).parent / "served"
TIMEOUT = 20
# Shorter than the default, because some tests wait this long. The drain lasts for the rest of graceful_timeout.
CLOSING_SECONDS = 4

# Socket activation as in systemd: the socket is descriptor 3, for the process with the id LISTEN_PID.
HAND_OVER = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1")
os.execv(sys.argv[2], sys.argv[2:])
"""

CONFIGURATION = """
import sys
sys.path.append({configs!r})
import asgi_deploy_app
import asgi_deploy_process
asgi_deploy_process.CLOSING_SECONDS = {closing}
asgi_deploy_process.LINGER_SECONDS = 1
import asgi_deploy_master
import asgi_deploy_roster
asgi_deploy_roster.RETRY_SECONDS = 3
{imports}

class Worker({worker}):
    CONFIG_KWARGS = {{"http": {http!r}, "ws": {ws!r}}}

asgi_deploy_app.configure({app!r}, working_directory={directory!r})
wsgi_app = "asgi_deploy_app:load()"
worker_class = Worker
worker_tmp_dir = "/dev/shm"
control_socket_disable = True
keepalive = 5
loglevel = "info"
for name, value in {settings!r}.items():
    globals()[name] = value
{more}
"""


# The program that the role writes for a server without gunicorn, here with the settings of a test.
PROGRAM = """
import sys
sys.path.append({configs!r})
import asgi_deploy_app
import asgi_deploy_process
asgi_deploy_process.CLOSING_SECONDS = {closing}
asgi_deploy_process.LINGER_SECONDS = 1
from asgi_deploy_logging import logging_config
from asgi_deploy_single import serve

# In gunicorn's format, which the methods below parse.
logging = logging_config("info", False)
logging["formatters"]["json"] = {{"format": "[%(process)d] [%(levelname)s] %(message)s"}}
settings = {{"keepalive": 5, "graceful_timeout": 30, "backlog": 2048, **{settings!r}}}
asgi_deploy_app.configure({app!r}, working_directory={directory!r})
{more}
serve(forwarded_allow_ips="*", logging_config=logging, **settings)
"""


def wait_for(what: str, condition: Callable[[], object]) -> None:
    """Wait until *condition* holds."""
    deadline = time.monotonic() + TIMEOUT
    while not condition():
        assert time.monotonic() < deadline, f"waited {TIMEOUT} s for {what}"
        time.sleep(0.02)


def imports_of_ours() -> str:
    """Return the line of the role's configuration template that imports the hooks."""
    [line] = re.findall(r"^from asgi_deploy_master import [\w, ]+", TEMPLATE.read_text(), re.MULTILINE)
    return line.strip()


class Service:
    def __init__(
        self,
        corner: Corner,
        directory: Path,
        settings: dict,
        http: str = "auto",
        ws: str = "auto",
        stock: str = "",
        server: str = DEFAULT,
        more: str = "",
        app: str = "",
        working_directory: str | None = None,
    ) -> None:
        """Write the configuration of *server*, or of *stock* (``module.Class``), a worker class of another project."""
        self.address = str(directory / "app.sock")
        self.code = directory / "code"
        self.code.mkdir(exist_ok=True)
        self.gate = directory / "gate"
        self.done = directory / "done"
        self._interpreter = corner.interpreter()
        self._release = directory / "release"
        self._log = directory / "log"
        profile = SERVERS[server]
        app = app or ("stage:app" if profile.interface == "asgi" else "stage_wsgi:app")
        shared = {
            "configs": str(CONFIGS),
            "closing": CLOSING_SECONDS,
            "app": app,
            "directory": working_directory,
        }
        self._notifications: list[tuple[float, str]] = []
        self.ignored: list[str] = []
        self._over = threading.Event()
        self._program = directory / profile.program
        self._gunicorn = ["-m", "gunicorn", "--config"] if profile.worker_class else []
        if profile.worker_class:
            module, _dot, worker = (stock or profile.worker_class).rpartition(".")
            text = CONFIGURATION.format(
                imports="\n".join([*([] if stock else [imports_of_ours()]), f"from {module} import {worker}"]),
                worker=worker,
                http=http,
                ws=ws,
                settings={"workers": 2, **settings},
                more=more,
                **shared,
            )
        else:
            text = PROGRAM.format(settings=settings, more=more, **shared)
        self._program.write_text(text)

    @contextmanager
    def running(self) -> Iterator[Self]:
        """Open the sockets and start the service. Kill the service at the end if it still runs."""
        self.release("well")
        with (
            socket.socket(socket.AF_UNIX) as self._listener,
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as self._notified,
        ):
            self._listener.bind(self.address)
            self._listener.listen(2048)
            self._notified.bind(self.address + ".notify")
            self._notified.settimeout(0.2)
            self._notified.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
            listening = threading.Thread(target=self._listen)
            listening.start()
            try:
                self.start()
                yield self
            finally:
                self._over.set()
                listening.join()
                if self._process.poll() is None:
                    self._process.kill()
                    self._process.wait(TIMEOUT)
                # systemd kills the remaining processes of a unit too
                for pid in self.processes():
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)

    def start(self) -> None:
        began = time.monotonic()
        self._execute()
        wait_for("READY", lambda: self._heard("READY=1", since=began))

    def fails_to_boot(self) -> int:
        """Start the service and return its exit status."""
        self._execute()
        return self._process.wait(TIMEOUT)

    def _execute(self) -> None:
        environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(SERVED),
            "PYTHONDONTWRITEBYTECODE": "1",
            "RELEASE": str(self._release),
            "GATE": str(self.gate),
            "DONE": str(self.done),
            "NOTIFY_SOCKET": self._notified.getsockname(),
            "WATCHDOG_USEC": "10000000",
        }
        descriptor = self._listener.fileno()
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-c", HAND_OVER, str(descriptor), self._interpreter, *self._gunicorn, self._program],
                cwd=self.code,
                env=environment,
                pass_fds=[descriptor],
                stdout=log,
                stderr=log,
            )

    def _listen(self) -> None:
        """Receive notifications as they arrive. Like systemd with ``NotifyAccess=main``, accept only those of the main process."""
        while not self._over.is_set():
            with contextlib.suppress(TimeoutError):
                message, [(_level, _type, sender)], _flags, _address = self._notified.recvmsg(1024, 256)
                if struct.unpack("3i", sender)[0] == self._process.pid:
                    # Record the time of arrival, because a test may start to wait later.
                    self._notifications.append((time.monotonic(), message.decode()))
                else:
                    self.ignored.append(message.decode())

    def _heard(self, message: str, since: float) -> bool:
        return any(message in received for at, received in list(self._notifications) if at > since)

    # ---- control

    def release(self, boots: str) -> None:
        """Set how the release on disk boots from now on."""
        self._release.write_text(boots)

    def send(self, sig: int) -> None:
        self._process.send_signal(sig)

    def stop(self, sig: int = signal.SIGTERM) -> float:
        """Stop the service, and return the duration of the stop in seconds."""
        began = time.monotonic()
        self.send(sig)
        self._process.wait(TIMEOUT)
        return time.monotonic() - began

    def reload(self) -> None:
        """Replace all workers, and wait until the old ones have exited."""
        old = self.workers()
        self.send(signal.SIGHUP)
        wait_for("the old workers to go", lambda: not self.workers() & old)

    # ---- observation

    def notifies_watchdog(self, seconds: float = 3) -> bool:
        """Return whether the service notifies the watchdog within *seconds*."""
        began = time.monotonic()
        while time.monotonic() < began + seconds:
            if self._heard("WATCHDOG=1", since=began):
                return True
            time.sleep(0.1)
        return False

    @property
    def master(self) -> int:
        return self._process.pid

    @property
    def runs(self) -> bool:
        return self._process.poll() is None

    def processes(self) -> set[int]:
        """Return all processes with the service's environment, regardless of their parents."""
        found = set()
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if f"RELEASE={self._release}\0".encode() in (process / "environ").read_bytes():
                    found.add(int(process.name))
        return found

    def workers(self) -> set[int]:
        # Other children of the master are adopted orphans, which are in a worker's process group or in their own session.
        children = Path(f"/proc/{self.master}/task/{self.master}/children").read_text().split()
        master = os.getpgid(self.master), os.getsid(self.master)
        found = set()
        for pid in map(int, children):
            with contextlib.suppress(ProcessLookupError):
                if os.getpgid(pid) in (pid, master[0]) and os.getsid(pid) == master[1]:
                    found.add(pid)
        return found

    def serving(self) -> set[int]:
        """Return the workers that have booted and do not drain."""
        log = self.log()
        drain = {int(pid) for pid in re.findall(r"\[(\d+)\] \[INFO\] This worker drains", log)}
        booted = {int(pid) for pid in re.findall(r"\[(\d+)\] \[INFO\] Application startup complete", log)}
        return (booted - drain) & self.workers()

    def log(self) -> str:
        return self._log.read_text()

    def logged(self, words: str) -> int:
        """Return the number of occurrences of *words* in the log."""
        return self.log().count(words)

    def fewest_serving(self) -> int:
        """Return the lowest number of serving workers since their number first reached its maximum.

        The number follows from the order of the log entries, and does not depend on the speed of the machine.
        """
        booted: set[str] = set()
        drained: set[str] = set()
        numbers = []
        for pid, what in re.findall(
            r"\[(\d+)\] \[INFO\] (Application startup complete|This worker drains)", self.log()
        ):
            (booted if what.startswith("App") else drained).add(pid)
            numbers.append(len(booted - drained))
        return min(numbers[numbers.index(max(numbers)) :])
