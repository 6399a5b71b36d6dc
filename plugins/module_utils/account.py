# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run a program as the app's account, with the app's environment."""

from __future__ import annotations

import contextlib
import os
import pwd
import signal
import subprocess


class TimedOut(Exception):
    """The program did not end in time."""


def run_as(user: str, argv: list, cwd: str, environment: dict[str, str], timeout: float) -> tuple:
    """Return (status, standard output, standard error) of *argv*, run by *user*.

    The environment is the app's, so nothing may run in it before the privileges are gone: no runuser or sudo, which root
    would start with an LD_PRELOAD of the app's choice.
    """
    account = pwd.getpwnam(user)
    process = subprocess.Popen(
        argv,
        cwd=cwd,
        env={"PATH": "/usr/local/bin:/usr/bin:/bin", "USER": user, "LOGNAME": user, "LANG": "C.UTF-8", **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        user=account.pw_uid,
        group=account.pw_gid,
        extra_groups=[],
        umask=0o027,
        start_new_session=True,
    )
    try:
        said = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        raise TimedOut from None
    finally:
        # what it may have started belongs to nobody now
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    return (process.returncode, *(each.decode("utf-8", "replace") for each in said))
