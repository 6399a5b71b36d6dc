# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Access to files with secrets, and differences between the wanted and the current access.

files.replace_file() writes these files, so that no other account can open a new file before it is complete.
"""

from __future__ import annotations

import os
import re
import stat
from typing import Callable, NamedTuple

from ansible_collections.asgi.deploy.plugins.module_utils._host.files import (
    access,
    describe_access,
    read_text,
    replace_file,
)

# Permissions of accounts other than the owner and group.
OTHERS = 0o007
_MODE = re.compile(r"0[0-7]{3}")


class Access(NamedTuple):
    """Owner, group and mode of a secret file. *directory_mode* is the mode of its directory, which root owns; None leaves it unchanged."""

    uid: int = 0
    gid: int = 0
    mode: int = 0o600
    directory_mode: int | None = None


def parse_mode(text: object) -> int:
    """Parse *text* as an octal mode; raise ValueError if it is invalid or grants access to other accounts."""
    if not _MODE.fullmatch(str(text)):
        raise ValueError(f"{text!r} is not a mode of four octal digits in quotes, such as '0600'")
    mode = int(str(text), 8)
    if mode & OTHERS:
        raise ValueError(f"{text!r} grants access to every account: use a mode that ends with 0, such as '0640'")
    return mode


def exposure(path: str, wanted: Access) -> dict[str, tuple[str, str]]:
    """Return the current and the wanted access (owner, group and mode) of *path* and of its directory, if they differ.

    If the file or directory is missing, its current access is "".
    """
    expected = {path: access(wanted.uid, wanted.gid, wanted.mode)}
    if wanted.directory_mode is not None:
        expected[os.path.dirname(path)] = access(os.geteuid(), os.getegid(), wanted.directory_mode)
    found = {each: (describe_access(os.path.realpath(each)), want) for each, want in sorted(expected.items())}
    return {each: (before, want) for each, (before, want) in found.items() if before != want}


def explain(differences: dict[str, tuple[str, str]]) -> str:
    """Return the *differences* of exposure() as a sentence, "" if there are none."""
    return ", ".join(f"{path} is {before or 'missing'}, not {want}" for path, (before, want) in differences.items())


def has_text(path: str, text: str) -> bool:
    """Return whether *path* is a regular file, not a symlink, that contains *text*."""
    try:
        regular = stat.S_ISREG(os.lstat(path).st_mode)
    except FileNotFoundError:
        return False
    return regular and read_text(path, errors="surrogateescape") == text


def write_secret(path: str, text: str, wanted: Access, check: Callable[[str], None] | None = None) -> None:
    """Set the *wanted* mode of the directory, then replace *path* with a file that contains *text* if *check* accepts it."""
    directory = os.path.dirname(path)
    if wanted.directory_mode is not None:
        os.makedirs(os.path.dirname(directory), mode=0o755, exist_ok=True)
        if not os.path.isdir(directory):
            os.mkdir(directory, mode=0o700)
        os.chown(directory, os.geteuid(), os.getegid())
        os.chmod(directory, wanted.directory_mode)
    replace_file(path, text, wanted.mode, wanted.gid, wanted.uid, check)
