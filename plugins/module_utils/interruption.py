# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The end of a module before its time, by a signal or because the controller has gone, which leaves it time to clean up."""

from __future__ import annotations

import contextlib
import select
import signal


class Interrupted(Exception):
    """Somebody wants this to end."""


def hung_up():
    """Return whether nobody can read any more what this module will say: the controller has gone."""
    poll = select.poll()
    poll.register(1, 0)
    return bool(poll.poll(0))


@contextlib.contextmanager
def interruptible():
    """Raise Interrupted in the midst of whatever is going on when it is to end; once outside, nothing interrupts."""

    def interrupt(number, _frame):
        if number != signal.SIGALRM:
            raise Interrupted(f"interrupted by {signal.Signals(number).name}")
        if hung_up():
            raise Interrupted("the controller has gone")

    signals = [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGALRM]
    for each in signals:
        signal.signal(each, interrupt)
    if not hung_up():  # or this cannot tell
        signal.setitimer(signal.ITIMER_REAL, 1, 1)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for each in signals:
            signal.signal(each, signal.SIG_IGN)
