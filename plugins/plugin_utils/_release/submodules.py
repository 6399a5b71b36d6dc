# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Determine the repository of a git submodule. The file .gitmodules is part of the source, so its URLs are not trusted."""

from __future__ import annotations

import posixpath
import re
from typing import NamedTuple

from ansible_collections.asgi.deploy.plugins.plugin_utils._release.transports import repository_fault

# A URL, an scp-like address, or a path on the controller. The password in a URL may contain "@".
_URL = re.compile(
    r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?:(?P<user>[^/\s]*)@)?(?P<host>[^/@]*)(?P<path>/.*|)", re.DOTALL
)
_SCP = re.compile(r"(?P<host>[^/:]+):(?P<path>.*)", re.DOTALL)


class Refused(Exception):
    """The URL of the submodule is not acceptable; the exception contains the fault, a relative clause."""


class Submodule(NamedTuple):
    """A submodule: its path in the tree of its repository, and the commit and the URL that the repository records, the URL if it has one."""

    path: str
    commit: str
    url: str | None


def submodule_url(parent: str, url: str | None) -> str:
    """Return the address of a submodule with this *url* in the repository *parent*; raise Refused if it is not acceptable."""
    if not url:
        raise Refused("which has no URL in .gitmodules")
    if url.startswith(("./", "../")):
        return _relative(parent, url)
    fault = repository_fault(url)
    if fault:
        raise Refused(f"whose URL is {url!r}, {fault}")
    if is_local(url) and not is_local(parent):
        # Otherwise a repository could copy any repository of the controller into the release.
        raise Refused("whose URL is a path on the controller")
    if not _URL.fullmatch(url) and not _SCP.fullmatch(url) and not url.startswith("/"):
        raise Refused(f"whose URL is {url!r}, which is not the address of a repository")
    return _with_credentials(parent, url)


def is_local(url: str) -> bool:
    """Return whether *url* is a path on the controller."""
    found = _URL.fullmatch(url)
    return found["scheme"].lower() == "file" if found else not _SCP.fullmatch(url)


def _relative(parent: str, url: str) -> str:
    """Return the address of *url* relative to the repository *parent*, on the same server and with the same credentials."""
    found = _URL.fullmatch(parent) or _SCP.fullmatch(parent)
    start = found.start("path") if found else 0
    parts = [part for part in parent[start:].split("/") if part]
    for part in url.split("/"):
        if part == ".." and parts:
            parts.pop()
        elif part == "..":
            raise Refused(f"whose URL {url!r} leads out of the server")
        elif part not in ("", "."):
            parts.append(part)
    path = "/".join(parts)
    if not path or not path.isprintable():
        raise Refused(f"whose URL is {url!r}, which is not the address of a repository")
    return f"{parent[:start]}{'/' if parent[start:].startswith('/') else ''}{path}"


def _with_credentials(parent: str, url: str) -> str:
    """Return *url* with the credentials of *parent* if it is on the same server and has none."""
    ours, theirs = _URL.fullmatch(parent), _URL.fullmatch(url)
    if not ours or not theirs or theirs["user"] is not None or not ours["user"]:
        return url
    if (ours["scheme"].lower(), ours["host"].lower()) != (theirs["scheme"].lower(), theirs["host"].lower()):
        return url
    return f"{theirs['scheme']}://{ours['user']}@{theirs['host']}{theirs['path']}"


def joined(prefix: str, path: str) -> str:
    """Return *path* below the directory *prefix*, which may be empty."""
    return posixpath.join(prefix, path) if prefix else path
