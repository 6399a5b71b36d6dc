# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run a program as an unprivileged account in a transient systemd unit, and kill all its child processes afterwards.

systemd-run starts a small Python program, the starter, as the account. The starter reads the command, its directory and its environment from
standard input. This keeps the environment out of command lines, files and unit properties, and applies it only after systemd has dropped
privileges. The starter waits for the end of the command and watches its own input: if the module dies, even from SIGKILL, the input ends,
the starter exits, and systemd kills the unit's control group.

A command that is attached to a terminal or to the caller's streams gets its environment from a file instead, which systemd reads as root.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import NamedTuple

from ansible_collections.asgi.deploy.plugins.module_utils._host.errors import Reported

PYTHON = "/usr/bin/python3"
# Bytes to keep of each output stream, half from the start and half from the end.
OUTPUT_LIMIT = 1 << 20
# The unit's own timeout exceeds the caller's by this margin, so the caller normally stops the unit first.
GRACE_SECONDS = 15
STOP_SECONDS = 30
POLL_SECONDS = 0.2

# Default properties. The caller's properties come later and take precedence, because systemd uses the last assignment.
PROPERTIES = (
    ("KillMode", "control-group"),
    ("KillSignal", "SIGKILL"),
    ("SendSIGKILL", "yes"),
    ("TimeoutStopSec", "10"),
    # Let the starter survive an out-of-memory kill of the command, so that it can report the kill.
    ("OOMPolicy", "continue"),
    ("NoNewPrivileges", "yes"),
    ("UMask", "0027"),
    ("TasksMax", "512"),
)

# Exit statuses if systemd cannot set up a process, and the failed step, see systemd.exec(5).
SETUP_STEPS = {
    200: "CHDIR",
    203: "EXEC",
    216: "GROUP",
    217: "USER",
    218: "CAPABILITIES",
    219: "CGROUP",
    226: "NAMESPACE",
    227: "NO_NEW_PRIVILEGES",
    228: "SECCOMP",
    231: "APPARMOR",
}

# The program must not contain "$", which systemd expands in arguments.
STARTER = """
import json, os, select, signal, sys
line = sys.stdin.buffer.readline()
if not line.endswith(b"\\n"):
    sys.exit(1)
order = json.loads(line)
token = order["token"].encode()
ended, wake = os.pipe()
os.set_blocking(wake, False)
signal.signal(signal.SIGCHLD, lambda *_: None)
signal.set_wakeup_fd(wake)
child = os.fork()
if not child:
    os.write(1, token + b"\\n")
    name = order["cwd"]
    try:
        for number in (signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(number, signal.SIG_DFL)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        if order["create"]:
            os.makedirs(name, exist_ok=True)
        os.chdir(name)
        name = order["argv"][0]
        os.execvpe(name, order["argv"], order["environment"])
    except OSError as exc:
        os.write(1, token + json.dumps([exc.errno, name]).encode() + b"\\n")
    finally:
        os._exit(127)
poll = select.poll()
poll.register(0, 0)
poll.register(ended, select.POLLIN)
found = 0
while not found:
    if any(number == 0 for number, _ in poll.poll()):
        sys.exit(1)
    os.read(ended, 512)
    found, status = os.waitpid(child, os.WNOHANG)
sys.exit(128 + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status))
"""

# Runs an attached command and waits for it, because systemd would report success if SIGINT or SIGTERM ends the command. The order is passed
# as an argument; like the program, it must not contain "$".
LAUNCHER = """
import json, os, signal, sys
order = json.loads(sys.argv[1])
passed_on = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
for number in passed_on:
    signal.signal(number, signal.SIG_IGN)
child = os.fork()
if not child:
    name = order["cwd"]
    try:
        for number in (*passed_on, signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(number, signal.SIG_DFL)
        if order["create"]:
            os.makedirs(name, exist_ok=True)
        os.chdir(name)
        if order["modules"]:
            os.environ["PYTHONPATH"] = ":".join(filter(None, (order["modules"], os.environ.get("PYTHONPATH"))))
        name = order["argv"][0]
        os.execvp(name, order["argv"])
    except OSError as exc:
        os.write(2, f"asgi: {name}: {exc.strerror}\\n".encode("utf-8", "replace"))
    finally:
        os._exit(127)
_child, status = os.waitpid(child, 0)
sys.exit(128 + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status))
"""
# Signals that are passed on to an attached command.
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)


class UnitError(Reported):
    """systemd did not start the unit; the message contains systemd's reason."""


class TimedOut(Exception):
    """The program exceeded its timeout and was killed; *out* and *err* contain its output until then."""

    def __init__(self, out: str = "", err: str = "") -> None:
        super().__init__()
        self.out, self.err = out, err


class Finished(NamedTuple):
    """The exit status of a program, or 128 plus the number of the signal that killed it, and its output."""

    status: int
    out: str
    err: str


class TransientUnit:
    """A program in the unit ``<name>.service``, run as *user* with *properties*, a list of (name, value)."""

    def __init__(self, name: str, user: str, properties: list[tuple[str, str]]) -> None:
        self.name = f"{name}.service"
        self.user = user
        self.properties = list(properties)

    def command(self, timeout: float) -> list[str]:
        """Return the command line of systemd-run. It does not contain the program, which the starter reads from standard input."""
        properties = [
            *PROPERTIES,
            ("User", self.user),
            ("RuntimeMaxSec", f"{int(timeout) + GRACE_SECONDS}"),
            *self.properties,
        ]
        return [*self._systemd_run(properties, "--pipe"), *(PYTHON, "-I", "-S", "-X", "utf8", "-c", STARTER)]

    def _systemd_run(self, properties: list[tuple[str, str]], streams: str) -> list[str]:
        return [
            "systemd-run",
            "--quiet",
            "--no-ask-password",
            streams,
            "--wait",
            "--collect",
            "--service-type=exec",
            f"--unit={self.name}",
            # The default description is the command line, which would be logged.
            f"--description={self.name}",
            *(f"--property={name}={value}" for name, value in properties),
            "--",
        ]

    def run(self, argv: list, cwd: str, environment: dict[str, str], timeout: float, create: bool = False) -> Finished:
        """Run *argv* in the directory *cwd*, and return when all processes of the unit have ended.

        With *create*, the account creates the directory if it is missing.

        The program's environment consists of *environment* and a default PATH, USER, LOGNAME and LANG. Raise TimedOut after
        *timeout* seconds, UnitError if systemd does not start the unit, and OSError if the program cannot be executed.
        """
        token = secrets.token_hex(16)
        order = {
            "token": token,
            "argv": [os.fspath(each) for each in argv],
            "cwd": os.fspath(cwd),
            "create": create,
            "environment": {
                "PATH": "/usr/local/bin:/usr/bin:/bin",
                "USER": self.user,
                "LOGNAME": self.user,
                "LANG": "C.UTF-8",
                **environment,
            },
        }
        try:
            process = subprocess.Popen(
                self.command(timeout), cwd="/", stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
            )
        except OSError as exc:
            raise UnitError(f"systemd-run cannot be started: {exc.strerror}") from exc
        out, err = Output(), Output()
        with process:
            try:
                order = json.dumps(order).encode("ascii") + b"\n"
                in_time = self._communicate(process, order, {process.stdout: out, process.stderr: err}, timeout)
            finally:
                if process.poll() is None:
                    self.stop()
                    process.kill()
        if not out.skip(f"{token}\n"):
            raise UnitError(
                f"systemd did not start {self.name}: {err.text().strip() or self._failure(process.returncode)}"
            )
        if out.skip(token):
            number, name = json.loads(out.text())
            raise OSError(number, os.strerror(number), name)
        if not in_time:
            raise TimedOut(out.text(), err.text())
        return Finished(process.returncode, out.text(), err.text())

    def attach(
        self, argv: list, cwd: str, environment: dict[str, str], file: str, modules: str = "", create: bool = False
    ) -> int:
        """Run *argv* with this process's standard streams, and return its exit status when all processes of the unit have ended.

        The environment consists of *environment*, which every account of the host can read, and of the variables in *file*, which take
        precedence. *modules* comes first in PYTHONPATH. If all streams are a terminal, the command gets its own terminal, so that Ctrl-C
        reaches it. Signals to this process are passed on.
        """
        order = {
            "argv": [os.fspath(each) for each in argv],
            "cwd": os.fspath(cwd),
            "modules": modules,
            "create": create,
        }
        properties = [
            *PROPERTIES,
            ("User", self.user),
            *(("Environment", f"{name}={value}") for name, value in environment.items()),
            ("EnvironmentFile", file),
            *self.properties,
        ]
        interactive = all(stream.isatty() for stream in (sys.stdin, sys.stdout, sys.stderr))
        command = [
            *self._systemd_run(properties, "--pty" if interactive else "--pipe"),
            *(PYTHON, "-I", "-S", "-X", "utf8", "-c", LAUNCHER),
            # JSON escapes instead of "$", and of "%", which is special in unit files
            json.dumps(order).replace("$", "\\u0024").replace("%", "\\u0025"),
        ]
        try:
            # In a new session, so that Ctrl-C does not end systemd-run itself if it has no pseudo-terminal; the signal is passed on instead.
            process = subprocess.Popen(command, cwd="/", start_new_session=not interactive)
        except OSError as exc:
            raise UnitError(f"systemd-run cannot be started: {exc.strerror}") from exc
        with process, self._passing_on():
            status = process.wait()
        if status in SETUP_STEPS:
            fault = self._setup_fault(status)
            if fault:
                raise UnitError(fault)
        return status if status >= 0 else 128 - status

    @contextlib.contextmanager
    def _passing_on(self) -> Iterator[None]:
        """Pass the SIGNALS to this process on to the processes of the unit."""

        def pass_on(number: int, _frame: object) -> None:
            command = ["systemctl", "--no-ask-password", "kill", f"--signal={number}", self.name]
            subprocess.run(command, cwd="/", stdin=subprocess.DEVNULL, capture_output=True, check=False)

        before = {number: signal.signal(number, pass_on) for number in SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _setup_fault(self, status: int) -> str:
        """Return the step that failed if systemd could not set up the process of the unit, "" if the command itself ended with *status*."""
        command = ["journalctl", "--no-pager", "--output=cat", "--lines=20", f"--unit={self.name}"]
        found = subprocess.run(command, cwd="/", stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        lines = [line for line in found.stdout.splitlines() if f"at step {SETUP_STEPS[status]} " in line]
        return f"systemd did not start {self.name}: {lines[-1]}" if lines else ""

    def _failure(self, status):
        """Explain *status*, the exit status of systemd-run or of a process that systemd could not set up."""
        step = SETUP_STEPS.get(status)
        reason = f"setting up its process failed with {status}/{step}" if step else f"systemd-run ended with {status}"
        return f"{reason}; see journalctl --unit={self.name}"

    def stop(self) -> None:
        """Kill all processes of the unit, including those that an interrupted module has left behind."""
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            subprocess.run(
                ["systemctl", "--quiet", "--no-ask-password", "stop", self.name],
                cwd="/",
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=STOP_SECONDS,
                check=False,
            )

    def _communicate(self, process, order, outputs, timeout):
        """Send *order* and read the pipes until systemd-run ends; stop the unit and return False after *timeout* seconds."""
        in_time, deadline = True, time.monotonic() + timeout
        with selectors.DefaultSelector() as selector:
            os.set_blocking(process.stdin.fileno(), False)
            selector.register(process.stdin, selectors.EVENT_WRITE)
            for pipe in outputs:
                selector.register(pipe, selectors.EVENT_READ)
            while selector.get_map():
                # Wait for systemd-run instead of the end of the pipes, because a process outside the unit may hold a pipe open.
                ended = process.poll() is not None
                if time.monotonic() > deadline:
                    if not in_time:
                        break
                    in_time, deadline = False, time.monotonic() + STOP_SECONDS
                    self.stop()
                for key, _events in selector.select(0 if ended else POLL_SECONDS):
                    if key.fileobj is process.stdin:
                        order = order[_write(key.fd, order) :]
                        rest = order
                    else:
                        rest = os.read(key.fd, 1 << 20)
                        outputs[key.fileobj].add(rest)
                    if not rest:
                        selector.unregister(key.fileobj)
                if ended:
                    break
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(STOP_SECONDS)
        return in_time


class Output:
    """The start and the end of a program's output, together at most *limit* bytes."""

    def __init__(self, limit: int = OUTPUT_LIMIT) -> None:
        self._half = limit // 2
        self._head = bytearray()
        self._tail = bytearray()
        self._omitted = 0

    def add(self, chunk: bytes) -> None:
        room = self._half - len(self._head)
        self._head += chunk[:room]
        self._tail += chunk[room:]
        excess = len(self._tail) - self._half
        if excess > 0:
            del self._tail[:excess]
            self._omitted += excess

    def skip(self, prefix: str) -> bool:
        """Remove *prefix* from the start; return whether the output starts with it."""
        found = self._head.startswith(prefix.encode())
        if found:
            del self._head[: len(prefix)]
        return found

    def text(self) -> str:
        note = f"\n[... {self._omitted} bytes omitted ...]\n" if self._omitted else ""
        head, tail = (bytes(part).decode("utf-8", "replace") for part in (self._head, self._tail))
        return f"{head}{note}{tail}" if note else bytes(self._head + self._tail).decode("utf-8", "replace")


def _write(descriptor, data):
    """Write *data* and return the number of bytes written; if systemd-run has failed and closed the pipe, return the full length."""
    try:
        return os.write(descriptor, data)
    except BrokenPipeError:
        return len(data)
