# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Interrupt a module on a signal or when the controller disconnects, so that it can clean up."""

from __future__ import annotations

import contextlib
import select
import signal


class Interrupted(Exception):
    """The module was interrupted; the message contains the reason."""


def hung_up():
    """Return whether the controller has closed the module's standard output."""
    poll = select.poll()
    poll.register(1, 0)
    return bool(poll.poll(0))


@contextlib.contextmanager
def interruptible():
    """Raise Interrupted inside the context on a signal or when the controller disconnects. After the context, signals are ignored."""

    def interrupt(number, _frame):
        if number != signal.SIGALRM:
            raise Interrupted(f"interrupted by {signal.Signals(number).name}")
        if hung_up():
            raise Interrupted("the controller has disconnected")

    signals = [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGALRM]
    for each in signals:
        signal.signal(each, interrupt)
    if not hung_up():  # if true from the start, hung_up() cannot detect a disconnect
        signal.setitimer(signal.ITIMER_REAL, 1, 1)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for each in signals:
            signal.signal(each, signal.SIG_IGN)
