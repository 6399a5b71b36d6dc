# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the nginx_site module decides, apart from what it reads and writes."""

from __future__ import annotations

import re
from collections.abc import Iterable

_STAMP = re.compile(r"^\d{4}/\d\d/\d\d \d\d:\d\d:\d\d (\[\w+\]) \d+#\d+:")


def readable(output: str, moves: dict[str, str]) -> str:
    """Return what nginx said about the copy as it would have said it about the original."""
    for old, new in moves.items():
        output = output.replace(new, old)
    # "nginx: [emerg] ...", or where it was built to log to stderr, "2026/11/21 00:10:00 [emerg] 12#12: ..."
    lines = [_STAMP.sub(r"\1", line.removeprefix("nginx: ")) for line in output.strip().splitlines()]
    said = [line for line in lines if not re.match(r"(the )?configuration file .* (test|syntax is) ", line)]
    return "\n".join(said or lines)


def served_twice(output: str, contents: Iterable[str]) -> list[str]:
    """Return the host names of *contents* that, as nginx warns in *output*, another site serves already."""
    words = {word for content in contents for word in re.split(r"[\s;]+", content)}
    names = re.findall(r'conflicting server name "([^"]+)"', output)
    return sorted({name for name in names if name in words})


def warnings(output: str) -> list[str]:
    """Return what nginx warns of in *output*, made readable, each once."""
    found = re.findall(r"\[warn\] (.+)", output)
    return list(dict.fromkeys(found))


def listens_on(content: str, port: int) -> bool:
    """Return whether a site with the text *content* listens on *port*."""
    return bool(re.search(rf"^\s*listen\s+(?:\S+:)?{port}[\s;]", content, re.MULTILINE))


def quic_ports(contents: Iterable[str]) -> list[int]:
    """Return the ports on which sites with the texts *contents* want HTTP/3, which comes over UDP."""
    found = [re.findall(r"^\s*listen\s+(?:\S+:)?(\d+)\s[^;]*\bquic\b", text, re.MULTILINE) for text in contents]
    return sorted({int(port) for ports in found for port in ports})


def serves(content: str, name: str, port: int) -> bool:
    """Return whether a site with the text *content* answers for *name* on *port*."""
    lines = re.findall(r"^\s*server_name\s+([^;]*);", content, re.MULTILINE)
    return listens_on(content, port) and any(name in line.split() for line in lines)


def speaks_proxy_protocol(content: str, port: int) -> bool:
    """Return whether a site with the text *content* wants the proxy protocol on *port*."""
    return bool(re.search(rf"^\s*listen\s+(?:\S+:)?{port}\s[^;]*\bproxy_protocol\b", content, re.MULTILINE))


def unneeded(contents: dict[str, str]) -> list[str]:
    """Return which of the files *contents* of conf.d that apps share no app needs any more, in an order to remove them.

    The default server of a port is there for the apps that listen on it (there is another one for HTTP/3), the rest for
    any app.
    """
    apps = [text for name, text in contents.items() if re.fullmatch(r"asgi-[a-z][\w-]*\.conf", name)]
    listens = [found for text in apps for found in re.findall(r"^\s*listen\s+(?:\S*:)?(\d+)\b(.*)", text, re.MULTILINE)]
    defaults = {f"asgi-01-default-{port}{'-quic' if ' quic' in flags else ''}.conf" for port, flags in listens}
    # what others build on goes last: nginx may be started between any two
    return [
        name
        for name in sorted(contents, reverse=True)
        if (name.startswith("asgi-01-default-") and name not in defaults) or (re.match(r"asgi-\d", name) and not apps)
    ]


def removes_default(policy: str, present: bool, is_link: bool, untouched: bool) -> bool:
    """Return whether the distribution's default site is to be removed; raise ValueError if a person must decide."""
    if policy == "keep" or not present:
        return False
    if not is_link:
        raise ValueError(
            "is a file of somebody's and not the package's link, and may answer for every host name that no site "
            "serves: move it away, or say 'keep' if it is no default_server"
        )
    if policy == "remove_untouched" and not untouched:
        raise ValueError(
            "is not as the package left it, and may answer for every host name that no site serves: say 'remove' if it "
            "can go, or 'keep' if it is no default_server"
        )
    return True
