# Copyright: (c) 2026, the asgi.deploy authors
# Simplified BSD License (see https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""What every server process of a slot has in common: its end in time, its word to systemd, and its last words."""

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
"""Part of the time to stop that is kept for ending what did not drain, and for the app's own shutdown."""

LINGER_SECONDS = 5
"""Of these, how long the proxy may take to close the connections whose streams were ended: more than its keepalive."""

TICK = 0.1
"""uvicorn's: how often, in seconds, a worker looks up from its requests."""

HEARTBEAT_SECONDS = 1
"""How often a worker says that it serves. gunicorn's own worker classes do it as often; uvicorn's less."""


# Python goes through all that a process has for garbage before that ends, for a tenth of a second and more, after
# everything that was registered like this; what is frozen it leaves to the system. Workers inherit it from the master.
atexit.register(gc.freeze)


UNTESTED: list[str] = []
"""What is installed and newer than what this was tested with, to be told once."""


def require(tested: dict[str, tuple]) -> None:
    """Note the packages that are newer than what is *tested*; raise ImportError for one that is too old to work."""
    UNTESTED.extend(check_versions(tested, {name: version(name) for name in tested}))


def check_versions(tested: dict[str, tuple], installed: dict[str, str]) -> list[str]:
    """Return those *installed* packages that are newer than what is *tested*; raise ImportError for one that is too old.

    *tested* has the oldest and the newest version of each package as pairs of numbers.
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
    """Raise ImportError if *package* has lost a name that is built on here: *needed* has the names of each owner."""
    for owner, names in needed.items():
        for name in names:
            if not hasattr(owner, name):
                raise ImportError(f"this version of {package} is not supported: {owner} has no {name}")


def die_of(sig: int) -> None:
    """End this process as *sig* would if nobody handled it."""
    signal.signal(sig, signal.SIG_DFL)
    signal.raise_signal(sig)


def tell_where_on_abort() -> None:
    """Have SIGABRT, which ends a process that hangs, write to the journal where each of its threads is.

    In C, so that it works while Python does not get to run: a handler of Python's would wait for the very call that hangs.
    """
    faulthandler.disable()  # else enabling it again, after a fork, leaves the handler that is there now
    signal.signal(signal.SIGABRT, signal.SIG_DFL)
    faulthandler.enable()


def keep_systemds_address() -> None:
    """Keep systemd's address from the server, which would report READY before it serves."""
    if "NOTIFY_SOCKET" in os.environ:
        os.environ["ASGI_DEPLOY_NOTIFY_SOCKET"] = os.environ.pop("NOTIFY_SOCKET")


def feed_watchdog() -> None:
    """Tell systemd that all is well; if it does not listen just now, the next time is soon enough."""
    notify_systemd("WATCHDOG=1", patience=0)


def notify_systemd(message: str, patience: float = 5) -> None:
    """Send *message* to systemd, if it started us and keep_systemds_address() was called; all goes on without, too.

    If it has no room for it, *patience* is how many seconds it is waited for.
    """
    address = os.environ.get("ASGI_DEPLOY_NOTIFY_SOCKET")
    if address:
        notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        with notify, contextlib.suppress(OSError):
            notify.settimeout(patience)
            notify.sendto(message.encode(), address.replace("@", "\0", 1) if address.startswith("@") else address)
