# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The log files of nginx's sites, and which accounts may read them.

nginx creates missing log files as root:root with mode 0644. Requests may contain tokens, so this module creates the files before nginx opens
them, with the mode 0640, the account of nginx's workers and the group adm, as Debian's logrotate configuration does.
"""

from __future__ import annotations

import contextlib
import glob
import grp
import os
import pwd
import re
import stat
from collections.abc import Iterable

from ansible_collections.asgi.deploy.plugins.module_utils._host.files import describe_access, entry_name
from ansible_collections.asgi.deploy.plugins.module_utils._proxy.nginx_config import parse_leniently

MODE = 0o640
GROUP = "adm"
DEFAULT_ACCOUNT = "www-data"

_LOG = re.compile(r"^\s*(?:access|error)_log\s+(/[^\s;$]+)[\s;]", re.MULTILINE)
_USER = re.compile(r"^\s*user\s+([^\s;]+)", re.MULTILINE)


def log_files(texts: Iterable[str]) -> list[str]:
    """Return the log files that the sites *texts* set, except paths with variables, which nginx's workers open themselves."""
    found = {path for text in texts for path in _LOG.findall(text)}
    return sorted(path for path in found if not path.startswith("/dev/"))


def shared_log_files(configuration: str | None) -> list[str]:
    """Return the log files that the text of nginx.conf sets for servers without their own log, such as the default servers of a port."""
    top = parse_leniently(configuration or "")
    inner = [own for each in top if each.name == "http" for own in each.block or ()]
    return log_files(each.source for each in (*top, *inner) if each.block is None)


def worker_account(configuration: str | None) -> str:
    """Return the account of nginx's workers according to the text of nginx.conf."""
    found = _USER.search(configuration or "")
    return found[1].strip("\"'") if found else DEFAULT_ACCOUNT


def risks(paths: Iterable[str], account: str) -> list[str]:
    """Return a fault for each log in *paths* below a directory that belongs to neither root nor the workers' *account*.

    nginx opens its logs as root, so the directory's owner could make nginx write to any file by replacing the log with a symlink.
    """
    trusted = {0, os.geteuid(), _uid(account)}
    faults = []
    for path in paths:
        directory = os.path.realpath(os.path.dirname(path))
        while directory != "/":
            with contextlib.suppress(FileNotFoundError):
                owner = os.stat(directory).st_uid
                if owner not in trusted:
                    faults.append(
                        f"the log {path} is below {directory}, which belongs to {entry_name(pwd.getpwuid, owner)}"
                    )
                    break
            directory = os.path.dirname(directory)
    return faults


def is_exposed(mode: int, gid: int) -> bool:
    """Return whether a log with *mode* and the group *gid* must change.

    It must change if other accounts have access, or if its group is root, because adm then has no access. Any other group was chosen by the
    administrator.
    """
    return bool(stat.S_IMODE(mode) & 0o007) or gid == 0


def exposed(paths: Iterable[str]) -> list[str]:
    """Return the log files among *paths* that are missing or must change, and the rotated copies that must change."""
    return [path for path in paths if _must_change(path, missing=True)] + [
        copy
        for path in paths
        for copy in sorted(glob.glob(f"{glob.escape(path)}[.-]*"))
        if _must_change(copy, missing=False)
    ]


def protect(paths: Iterable[str], account: str) -> None:
    """Create missing log files among *paths*, and make all of them accessible only to root, *account* and adm."""
    uid, gid = _uid(account), _gid(GROUP)
    for path in paths:
        # Deny access until owner and mode are set, and do not follow symlinks.
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        try:
            os.fchown(descriptor, uid, gid)
            os.fchmod(descriptor, MODE)
        finally:
            os.close(descriptor)


def describe(path: str) -> str:
    """Return owner, group and mode of the file *path* for --diff, "" if it does not exist."""
    found = describe_access(path)
    return f"{found}\n" if found else ""


def _must_change(path: str, missing: bool) -> bool:
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        # If the directory is missing, nginx itself rejects the site.
        return missing and os.path.isdir(os.path.dirname(path))
    # A symlink, for instance to /dev/stdout, or a FIFO is a choice of the administrator.
    return stat.S_ISREG(found.st_mode) and is_exposed(found.st_mode, found.st_gid)


def _uid(account: str) -> int:
    try:
        return pwd.getpwnam(account).pw_uid
    except KeyError:
        return 0


def _gid(group: str) -> int:
    try:
        return grp.getgrnam(group).gr_gid
    except KeyError:
        return 0
