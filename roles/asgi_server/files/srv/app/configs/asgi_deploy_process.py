# Copyright: (c) 2026, the asgi.deploy authors
# Simplified BSD License (see https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Functions that all server processes of a slot use: versions, notifications of systemd, signals and child processes."""

from __future__ import annotations

import atexit
import contextlib
import faulthandler
import gc
import os
import re
import signal
import socket
from importlib.metadata import version

CLOSING_SECONDS = 10
"""Part of the stop timeout that is reserved for closing the remaining connections and for the app's own shutdown."""

LINGER_SECONDS = 5
"""Part of CLOSING_SECONDS in which the proxy has to close connections whose streams were ended; more than its keepalive."""

TICK = 0.1
"""Interval of a worker's periodic work in seconds, as in uvicorn."""

PR_SET_CHILD_SUBREAPER = 36

HEARTBEAT_SECONDS = 1
"""Interval of heartbeats, the same as in gunicorn's own worker classes. uvicorn's is longer."""


# Skips the garbage collection at exit, which takes a tenth of a second or more and ignores frozen objects. It runs after all
# functions that the app registers. Workers inherit the registration from the master.
atexit.register(gc.freeze)


UVICORN_SETTINGS: dict = {}
"""Attributes of uvicorn's Config that the configuration sets."""

UNTESTED: list[str] = []
"""Installed packages that are newer than the tested versions, for one warning."""


def require(tested: dict[str, tuple]) -> None:
    """Record packages that are newer than the *tested* versions; raise ImportError for one that is too old."""
    UNTESTED.extend(check_versions(tested, {name: version(name) for name in tested}))


def check_versions(tested: dict[str, tuple], installed: dict[str, str]) -> list[str]:
    """Return the *installed* packages that are newer than the *tested* versions; raise ImportError for one that is too old.

    *tested* maps each package to its oldest and newest version as pairs of numbers.
    """
    newer = []
    for name, (oldest, newest) in tested.items():
        text = installed[name]
        number = numbers(text)
        if number < oldest:
            raise ImportError(f"{name} {text} is too old for asgi_deploy: use {'.'.join(map(str, oldest))} or newer")
        if number > newest:
            newer.append(f"{name} {text}")
    return newer


def numbers(text: str) -> tuple[int, ...]:
    """Return the first two numbers of a version."""
    return tuple(map(int, re.findall(r"\d+", text)[:2]))


def check_names(needed: dict[object, tuple], package: str) -> None:
    """Raise ImportError if *package* lacks a name that this code uses; *needed* maps each owner to its names."""
    for owner, names in needed.items():
        for name in names:
            if not hasattr(owner, name):
                raise ImportError(f"this version of {package} is not supported: {owner} has no {name}")


def die_of(sig: int) -> None:
    """End this process with the default action of the signal *sig*."""
    signal.signal(sig, signal.SIG_DFL)
    signal.raise_signal(sig)


def print_stacks_on_abort() -> None:
    """Make SIGABRT, which ends a hanging process, print the stacks of all threads.

    faulthandler is written in C, so it works while Python cannot run. A Python handler would wait for the hanging call.
    """
    faulthandler.disable()  # otherwise, enabling it again after a fork keeps the current handler
    signal.signal(signal.SIGABRT, signal.SIG_DFL)
    faulthandler.enable()


_notify_socket = ""


def store_notify_address() -> None:
    """Remove systemd's address from the environment and store it for notify_systemd().

    Otherwise, the server would report READY before it serves. With ``NotifyAccess=main``, systemd ignores all other processes, so
    neither workers nor programs that the app starts need the address.
    """
    global _notify_socket
    _notify_socket = os.environ.pop("NOTIFY_SOCKET", "")


def feed_watchdog() -> None:
    """Feed systemd's watchdog without waiting; the next heartbeat retries."""
    notify_systemd("WATCHDOG=1", timeout=0)


def notify_systemd(message: str, timeout: float = 5) -> bool:
    """Send *message* to systemd if store_notify_address() has stored its address; return whether it was sent.

    Wait up to *timeout* seconds if the queue of systemd's socket is full.
    """
    if not _notify_socket:
        return False
    address = _notify_socket.replace("@", "\0", 1) if _notify_socket.startswith("@") else _notify_socket
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as notify:
            notify.settimeout(timeout)
            notify.sendto(message.encode(), address)
    except OSError:
        return False
    return True


# ---- child processes of the app


def adopt_orphans() -> bool:
    """Adopt orphaned descendants of this process; return whether the kernel supports that.

    prctl(2), PR_SET_CHILD_SUBREAPER. Without it, init adopts them, and the master cannot find them.
    """
    try:
        import ctypes

        return ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0
    except (ImportError, OSError, AttributeError, MemoryError):  # MemoryError: no executable memory
        return False


def children() -> set[int]:
    """Return the ids of this process's children."""
    found: set[int] = set()
    with contextlib.suppress(OSError):
        for thread in os.listdir("/proc/self/task"):
            with contextlib.suppress(OSError), open(f"/proc/self/task/{thread}/children", encoding="ascii") as file:
                found.update(map(int, file.read().split()))
    return found


def reaped():
    """Reap and yield the ended children, each with its exit status, which is the negative signal number if a signal ended it."""
    with contextlib.suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                return
            yield pid, os.waitstatus_to_exitcode(status)


def has_zombie() -> bool:
    """Return whether there is an ended child that has not been reaped yet."""
    try:
        return os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:
        return False


def group_of(pid: int) -> int:
    """Return the process group of *pid*, 0 if it has ended."""
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return 0


def send(pid: int, sig: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, sig)


def keep_connections_from_children(listeners: list[socket.socket]) -> None:
    """Make processes that the app forks, such as those of a pool, close the client connections at once.

    A connection ends when the last process closes it. Executed programs do not inherit connections.
    """
    addresses = {listener.getsockname() for listener in listeners}
    os.register_at_fork(after_in_child=lambda: _let_go(addresses))


def _let_go(addresses: set) -> None:
    # with a default timeout, creating a socket object makes the socket non-blocking, for the worker as well
    default = socket.getdefaulttimeout()
    socket.setdefaulttimeout(None)
    with contextlib.suppress(OSError):
        descriptors = [int(name) for name in os.listdir("/proc/self/fd")]
        nothing = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        for descriptor in filter(lambda each: _is_connection(each, addresses), descriptors):
            # not closed: objects of the app still hold the descriptor number, and could close another file that reuses it
            os.dup2(nothing, descriptor, inheritable=False)
        os.close(nothing)
    socket.setdefaulttimeout(default)


def _is_connection(descriptor: int, addresses: set) -> bool:
    """Return whether *descriptor* is a connection to one of the *addresses*, and not the listening socket."""
    try:
        found = socket.socket(fileno=descriptor)
    except OSError:  # not a socket
        return False
    try:
        return found.getsockname() in addresses and not found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    except OSError:
        return False
    finally:
        found.detach()
