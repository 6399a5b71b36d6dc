"""A server of ours, started as systemd would start it, and what can be seen of it from outside."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from ansible_collections.asgi.deploy.plugins.plugin_utils.servers import DEFAULT, SERVERS

from worker.matrix import ROOT, Corner

CONFIGS = ROOT / "roles/asgi_server/files/srv/app/configs"
TEMPLATE = ROOT / "roles/asgi_server/templates/srv/app/configs/gunicorn.conf.py.j2"
SERVED = Path(__file__).parent / "served"
PATIENCE = 20
# shorter than shipped, as some tests wait for it; the drain has the rest of graceful_timeout
CLOSING_SECONDS = 4

# what systemd does: the socket is descriptor 3, and only the process that is named may take it
HAND_OVER = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1")
os.execv(sys.argv[2], sys.argv[2:])
"""

CONFIGURATION = """
import sys
sys.path.append({configs!r})
import asgi_deploy_process
asgi_deploy_process.CLOSING_SECONDS = {closing}
asgi_deploy_process.LINGER_SECONDS = 1
import asgi_deploy_master
asgi_deploy_master.RETRY_SECONDS = 3
{imports}

class Worker({worker}):
    CONFIG_KWARGS = {{"http": {http!r}, "ws": {ws!r}}}

wsgi_app = "{app}"
worker_class = Worker
worker_tmp_dir = "/dev/shm"
control_socket_disable = True
keepalive = 5
loglevel = "info"
for name, value in {settings!r}.items():
    globals()[name] = value
{more}
"""


# without gunicorn: the program that the role writes, with the settings of a test
PROGRAM = """
import sys
sys.path.append({configs!r})
import asgi_deploy_process
asgi_deploy_process.CLOSING_SECONDS = {closing}
asgi_deploy_process.LINGER_SECONDS = 1
from asgi_deploy_logging import logging_config
from asgi_deploy_single import serve

# as gunicorn writes it, for those who read it below
logging = logging_config("info", False)
logging["formatters"]["json"] = {{"format": "[%(process)d] [%(levelname)s] %(message)s"}}
settings = {{"keepalive": 5, "graceful_timeout": 30, "backlog": 2048, **{settings!r}}}
serve({app!r}, forwarded_allow_ips="*", logging_config=logging, **settings)
"""


def wait_for(what: str, condition: Callable[[], object]) -> None:
    """Wait until *condition* holds; the patience is only there so that a failure ends."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.02)


def imports_of_ours() -> str:
    """Return how the shipped configuration gets its hooks."""
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
    ) -> None:
        """Run *server*, or in its place a class of gunicorn's workers that is not ours, *stock* (``module.Class``)."""
        self.address = str(directory / "app.sock")
        self.gate = directory / "gate"
        self.done = directory / "done"
        self._interpreter = corner.interpreter()
        self._release = directory / "release"
        self._log = directory / "log"
        profile = SERVERS[server]
        app = "stage:app" if profile.interface == "asgi" else "stage_wsgi:app"
        shared = {"configs": str(CONFIGS), "closing": CLOSING_SECONDS, "app": app}
        self._notifications: list[tuple[float, str]] = []
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
            text = PROGRAM.format(settings=settings, **shared)
        self._program.write_text(text)

    @contextmanager
    def running(self) -> Iterator[Self]:
        """Hold the sockets and start the service; at the end it is killed, if nobody has stopped it."""
        self.release("well")
        with (
            socket.socket(socket.AF_UNIX) as self._listener,
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as self._notified,
        ):
            self._listener.bind(self.address)
            self._listener.listen(2048)
            self._notified.bind(self.address + ".notify")
            self._notified.settimeout(0.2)
            listening = threading.Thread(target=self._listen)
            listening.start()
            try:
                self.start()
                yield self
            finally:
                self._over.set()
                listening.join()
                if self._process.poll() is None:
                    workers = self.workers()
                    self._process.kill()
                    self._process.wait(PATIENCE)
                    for pid in workers:
                        os.kill(pid, signal.SIGKILL)

    def start(self) -> None:
        began = time.monotonic()
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
                env=environment,
                pass_fds=[descriptor],
                stdout=log,
                stderr=log,
            )
        wait_for("READY", lambda: self._heard("READY=1", since=began))

    def _listen(self) -> None:
        """Take what is said to systemd, as systemd would at once."""
        while not self._over.is_set():
            with contextlib.suppress(TimeoutError):
                said = self._notified.recv(1024).decode()
                # when it came, not when it began to be waited for
                self._notifications.append((time.monotonic(), said))

    def _heard(self, message: str, since: float) -> bool:
        return any(message in said for at, said in list(self._notifications) if at > since)

    # ---- what is done to it

    def release(self, boots: str) -> None:
        """Say how what is on disk boots from now on."""
        self._release.write_text(boots)

    def send(self, sig: int) -> None:
        self._process.send_signal(sig)

    def stop(self, sig: int = signal.SIGTERM) -> float:
        """Stop it and return the seconds that it took."""
        began = time.monotonic()
        self.send(sig)
        self._process.wait(PATIENCE)
        return time.monotonic() - began

    def reload(self) -> None:
        """Replace all workers and wait until the old ones have gone."""
        old = self.workers()
        self.send(signal.SIGHUP)
        wait_for("the old workers to go", lambda: not self.workers() & old)

    # ---- what is seen of it

    def feeds_watchdog(self, seconds: float = 3) -> bool:
        """Return whether systemd hears within that time, from now on, that all is well."""
        began = time.monotonic()
        while time.monotonic() < began + seconds:
            if self._heard("WATCHDOG=1", since=began):
                return True
            time.sleep(0.1)
        return False

    @property
    def master(self) -> int:
        return self._process.pid

    def workers(self) -> set[int]:
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children")
        return {int(pid) for pid in children.read_text().split()}

    def serving(self) -> set[int]:
        """Return the workers that have booted and do not drain."""
        log = self.log()
        drain = {int(pid) for pid in re.findall(r"\[(\d+)\] \[INFO\] This worker drains", log)}
        booted = {int(pid) for pid in re.findall(r"\[(\d+)\] \[INFO\] Application startup complete", log)}
        return (booted - drain) & self.workers()

    def log(self) -> str:
        return self._log.read_text()

    def said(self, words: str) -> int:
        """Return how often it said so in its log."""
        return self.log().count(words)

    def fewest_serving(self) -> int:
        """Return the lowest number of workers that served at one time, since so many did for the first time.

        Counted from the order of what the log says, so it holds however slow the machine is.
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
