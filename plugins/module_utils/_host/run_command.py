# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run a program like AnsibleModule.run_command, for the host command, which has no AnsibleModule."""

from __future__ import annotations

import os
import subprocess


def run_command(argv: list[str]) -> tuple[int, str, str]:
    """Run *argv* with a neutral locale and without input; return its exit status, its output and its errors."""
    done = subprocess.run(
        argv,
        cwd="/",
        env={**os.environ, "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
    return done.returncode, done.stdout, done.stderr
