# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Allowed transports for code and packages: those that authenticate the server, and files."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

SWITCH = "asgi_app_insecure_transports"
REMEDY = f"use https:// or ssh://, or set {SWITCH} to true if you accept that an on-path attacker can replace it"

# http is insecure for the loopback address too: any account of the machine can listen there while the real server is down.
SECURE = frozenset(["https", "ssh", "file"])
GIT_SECURE = "file:https:ssh"
GIT_INSECURE = "file:git:http:https:ssh"

# A URL, and the prefix of an address that selects a git remote helper, such as "ext::".
_URL = re.compile(r"(?:(?P<vcs>git|hg|svn|bzr)\+)?(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<rest>\S*)")
_HELPER = re.compile(r"[A-Za-z0-9][A-Za-z0-9+.-]*::")
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")

# Variables of uv, pip and git that disable certificate verification.
_TRUSTING = ("PIP_TRUSTED_HOST", "UV_INSECURE_HOST", "UV_ALLOW_INSECURE_HOST", "GIT_SSL_NO_VERIFY")
_TOOLS = ("PIP_", "UV_")


def insecure_urls(text: str) -> list[str]:
    """Return the URLs in *text* whose transport does not authenticate the server, without credentials and paths."""
    found = []
    for match in _URL.finditer(text):
        scheme = match["scheme"].lower()
        if scheme not in SECURE:
            host = re.split(r"[/?#'\",\]}]", match["rest"], maxsplit=1)[0].rpartition("@")[2]
            found.append(f"{match['vcs'] + '+' if match['vcs'] else ''}{scheme}://{host}")
    return list(dict.fromkeys(found))


def variables(text: str) -> list[str]:
    """Return the names of the environment variables that uv and pip would expand in *text*."""
    return list(dict.fromkeys(_VARIABLE.findall(text)))


def insecure_environment(environment: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield each variable in *environment* that makes the installers trust unauthenticated servers, and its effect."""
    for name, value in sorted(environment.items()):
        if name in _TRUSTING and value.strip():
            yield name, "disables certificate verification"
        elif name.startswith(_TOOLS) and not name.endswith("_PROXY"):
            for url in insecure_urls(value):
                yield name, f"contains {url}"


def repository_fault(url: str) -> str:
    """Return why *url* is not a safe address of a git repository, regardless of its transport; empty if it is safe."""
    if url.startswith("-") or not url.isprintable():
        return "which is not the address of a repository"
    if _HELPER.match(url):
        return "which makes git run a remote helper"
    # An scp-like address or a URL. ssh would parse a host with a leading dash as an option.
    host = url.partition("://")[2] or url.partition(":")[0]
    if host.split("/")[0].rpartition("@")[2].startswith("-"):
        return "whose host ssh would parse as an option"
    return ""


def described(urls: Iterable[str], limit: int = 3) -> str:
    """Return the first *limit* of *urls* as text for a message, and the number of others."""
    urls = list(urls)
    return ", ".join(urls[:limit]) + (f" and {len(urls) - limit} more" if len(urls) > limit else "")
