# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""nginx's limits for all sites: connections and open files in nginx.conf, and sizes of hash tables in a separate file.

``worker_connections`` is only valid in the ``events`` block of nginx.conf, which cannot be repeated elsewhere, so its value is changed in
place. A comment on the same line records the previous value, which is restored when the last site is removed. If the administrator's value
is already large enough, it is kept.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from ansible_collections.asgi.deploy.plugins.module_utils._proxy.nginx_config import Directive, parse_leniently

CONNECTIONS = "worker_connections"
FILES = "worker_rlimit_nofile"
# nginx's default
DEFAULT_CONNECTIONS = 512

# Sizes of hash tables for fifty sites and the longest possible DNS name.
HASHES = {
    "proxy_headers_hash_bucket_size": 128,
    "proxy_headers_hash_max_size": 1024,
    "server_names_hash_bucket_size": 512,
    "server_names_hash_max_size": 4096,
    "variables_hash_bucket_size": 128,
    "variables_hash_max_size": 4096,
}
_HEADER = """\
# Managed by the Ansible collection asgi.deploy; changes are overwritten.
# Sizes for many sites, long names and long headers, each unless another file of /etc/nginx has it.
"""

_MARKED = re.compile(r" # asgi\.deploy: was (\d+|not set)")


def limits(text: str) -> dict:
    """Return the limits of connections and files that nginx.conf (*text*) sets for each worker, by directive."""
    return {
        name: int(found.arguments[0])
        for name, found in _limit_directives(text).items()
        if len(found.arguments) == 1 and found.arguments[0].isdecimal()
    }


def _events(directives: list[Directive]) -> Directive | None:
    return next((each for each in directives if each.name == "events" and each.block is not None), None)


def _limit_directives(text: str) -> dict[str, Directive]:
    """Return the directives in *text* that set the limits, by name, in the order of the text."""
    top = parse_leniently(text)
    events = _events(top)
    found = [each for each in top if each.name == FILES]
    found += [each for each in (events.block if events else ()) if each.name == CONNECTIONS]
    return {each.name: each for each in sorted(found, key=lambda each: each.start)}


def with_limits(text: str, connections: int, files: int | None) -> str:
    """Return nginx.conf with at least these limits, or unchanged if it cannot be parsed. With *files* None, only connections change."""
    text = without_limits(text)
    if not _events(parse_leniently(text)):
        return text
    text = _with(text, CONNECTIONS, connections)
    return text if files is None else _with(text, FILES, files)


def _with(text: str, name: str, value: int) -> str:
    current = _limit_directives(text).get(name)
    if current:
        if not current.arguments[0].isdecimal() or int(current.arguments[0]) >= value:
            return text
        return _put(text, current.start, current.end, f"{name} {value};", current.arguments[0])
    events = _events(parse_leniently(text))
    if name == FILES:
        return _put(text, events.start, events.start, f"{name} {value};", "not set")
    return _put(text, events.opened, events.opened, f"\n\t{name} {value};", "not set")


def _put(text: str, start: int, end: int, directive: str, previous: str) -> str:
    rest = text[end:]
    # Keep the rest of the line out of the added comment.
    gap = "" if re.match(r"[ \t]*(?:#[^\n]*)?(?:\n|$)", rest) else "\n"
    return f"{text[:start]}{directive} # asgi.deploy: was {previous}{gap}{rest}"


def without_limits(text: str) -> str:
    """Return nginx.conf with the values that were set before this collection changed them."""
    for each in reversed(list(_limit_directives(text).values())):
        marked = _MARKED.match(text, each.end)
        if not marked:
            continue
        start, end, previous = each.start, marked.end(), marked.group(1)
        if previous != "not set":
            text = f"{text[:start]}{each.name} {previous};{text[end:]}"
        elif each.name == CONNECTIONS:
            text = text[:start].rstrip(" \t").removesuffix("\n") + text[end:]
        else:
            text = text[:start] + text[end:].removeprefix("\n")
    return text


def sets(texts: Iterable[str], name: str) -> bool:
    """Return whether one of the *texts* sets the directive *name* (outside comments)."""
    return any(re.search(rf"(?m)^[^#\n]*\b{name}\s", text) for text in texts)


def hashes(others: Iterable[str]) -> str:
    """Return the text of the file with the hash table sizes, except those that one of the texts *others* sets."""
    others = list(others)
    return _HEADER + "".join(f"{name} {size};\n" for name, size in HASHES.items() if not sets(others, name))
