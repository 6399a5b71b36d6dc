# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Interruption of a module by a signal or a disconnected controller."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest
from ansible_collections.asgi.deploy.plugins.module_utils._host.interruption import Interrupted, interruptible


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_interrupts(number):
    before = {each: signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGALRM)}
    try:
        with pytest.raises(Interrupted, match=number.name), interruptible():
            os.kill(os.getpid(), number)
            time.sleep(5)
        os.kill(os.getpid(), number)  # a second signal does not interrupt the cleanup
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


# A program that prints errors to stderr, because the test closes its stdout.
WAITING = """
import sys, time
from ansible_collections.asgi.deploy.plugins.module_utils._host.interruption import interruptible
try:
    with interruptible():
        print("ready", flush=True)
        time.sleep({seconds})
except Exception as exc:
    print(exc, file=sys.stderr)
"""


def waiting(seconds):
    return subprocess.Popen(
        [sys.executable, "-c", WAITING.format(seconds=seconds)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )


def test_disconnected_controller_interrupts_the_module():
    with waiting(30) as process:
        assert process.stdout.readline() == "ready\n"
        process.stdout.close()
        assert "the controller has disconnected" in process.stderr.read()


def test_connected_controller_does_not_interrupt():
    with waiting(2) as process:
        assert process.stdout.read() == "ready\n"
        assert process.stderr.read() == ""
