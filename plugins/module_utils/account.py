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
import tempfile
from typing import IO


class TimedOut(Exception):
    """The program did not end in time; *out* and *err* are what it had said by then."""

    def __init__(self, out: str = "", err: str = "") -> None:
        super().__init__()
        self.out, self.err = out, err


def run_as(user: str, argv: list, cwd: str, environment: dict[str, str], timeout: float) -> tuple:
    """Return (status, standard output, standard error) of *argv*, run by *user*; raise TimedOut after *timeout* seconds.

    What it has started and left in its process group is killed when it ends. The environment is the app's, so nothing may
    run in it before the privileges are gone: no runuser or sudo, which root would start with an LD_PRELOAD of the app's
    choice.
    """
    account = pwd.getpwnam(user)
    # not pipes: these end only when all have let go of them that it has started, which may stay
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        process = subprocess.Popen(
            argv,
            cwd=cwd,
            env={
                "PATH": "/usr/local/bin:/usr/bin:/bin",
                "USER": user,
                "LOGNAME": user,
                "LANG": "C.UTF-8",
                **environment,
            },
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            user=account.pw_uid,
            group=account.pw_gid,
            extra_groups=[],
            umask=0o027,
            start_new_session=True,
        )
        try:
            process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise TimedOut(_text(out), _text(err)) from None
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        return process.returncode, _text(out), _text(err)


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode("utf-8", "replace")
