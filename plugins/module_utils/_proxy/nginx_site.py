# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pure functions of the module nginx_site: parsing of nginx's output, shared files, and the distribution's default site."""

from __future__ import annotations

import re
from collections.abc import Iterable

from ansible_collections.asgi.deploy.plugins.module_utils._proxy.joined import FILE as JOINED

# Names of files that sites include; a checksum follows the prefix. Unlike *.conf files, nginx reads them only through the include in a site.
INCLUDE_PREFIX, INCLUDE_SUFFIX = "asgi-00-", ".inc"

_STAMP = re.compile(r"^\d{4}/\d\d/\d\d \d\d:\d\d:\d\d (\[\w+\]) \d+#\d+:")


def error_lines(output: str, moves: dict[str, str]) -> str:
    """Return the error lines in nginx's *output* about a copy, with the original paths. *moves* maps original paths to paths in the copy."""
    for old, new in moves.items():
        output = output.replace(new, old)
    # Lines start with "nginx: [emerg] ", or with "2026/11/21 00:10:00 [emerg] 12#12: " if nginx logs to stderr.
    lines = [_STAMP.sub(r"\1", line.removeprefix("nginx: ")) for line in output.strip().splitlines()]
    errors = [line for line in lines if not re.match(r"(the )?configuration file .* (test|syntax is) ", line)]
    return "\n".join(errors or lines)


def duplicate_names(output: str, contents: Iterable[str]) -> list[str]:
    """Return the host names in *contents* that another site already serves, according to the warnings in nginx's *output*."""
    words = {word for content in contents for word in re.split(r"[\s;]+", content)}
    names = re.findall(r'conflicting server name "([^"]+)"', output)
    return sorted({name for name in names if name in words})


def warnings(output: str) -> list[str]:
    """Return the warnings in nginx's *output*, without duplicates."""
    found = re.findall(r"\[warn\] (.+)", output)
    return list(dict.fromkeys(found))


def quic_ports(contents: Iterable[str]) -> list[int]:
    """Return the UDP ports on which the sites in *contents* listen for HTTP/3."""
    found = [re.findall(r"^\s*listen\s+(?:\S+:)?(\d+)\s[^;]*\bquic\b", text, re.MULTILINE) for text in contents]
    return sorted({int(port) for ports in found for port in ports})


def is_app(name: str) -> bool:
    """Return whether the file *name* in conf.d is the site of an app."""
    return bool(re.fullmatch(r"asgi-[a-z][\w-]*\.conf", name))


def unneeded(contents: dict[str, str]) -> list[str]:
    """Return the names of the files in conf.d that no app needs anymore, in the order in which to remove them.

    *contents* maps names of this collection's files to texts. An app needs the default servers of its ports, including a separate one for
    HTTP/3, and the files that its site includes. Every app needs the other shared files. An app that shares a name needs the file with
    its locations, which its own file names in a comment.
    """
    joined = [name for name in contents if JOINED.fullmatch(name)]
    left = [name for name in joined if f"conf.d/{name}," not in contents.get(_site_of(name), "")]
    apps = [text for name, text in contents.items() if is_app(name)]
    listens = [found for text in apps for found in re.findall(r"^\s*listen\s+(?:\S*:)?(\d+)\b(.*)", text, re.MULTILINE)]
    needed = {f"asgi-01-default-{port}{'-quic' if ' quic' in flags else ''}.conf" for port, flags in listens}
    texts = [*apps, *(contents[name] for name in joined if name not in left)]
    needed |= {name for text in texts for name in re.findall(r"^\s*include\s+conf\.d/([^;]+);", text, re.MULTILINE)}
    # Remove shared maps and log formats last, because nginx could start in between.
    return left + [
        name
        for name in sorted(contents, reverse=True)
        if re.match(r"asgi-\d", name)
        and name not in needed
        and (not apps or name.startswith("asgi-01-default-") or name.endswith(INCLUDE_SUFFIX))
    ]


def _site_of(name: str) -> str:
    """Return the name of the site's own file for the file *name* with its locations."""
    return f"asgi-{JOINED.fullmatch(name)['app']}.conf"


def removes_default(policy: str, present: bool, is_link: bool, untouched: bool) -> bool:
    """Return whether to remove the distribution's default site; raise ValueError if the user must decide."""
    if policy == "keep" or not present:
        return False
    if not is_link:
        raise ValueError(
            "is a file instead of the package's symlink, and may serve all host names that no site serves -> move it away, or use "
            "'keep' if it is not a default_server"
        )
    if policy == "remove_untouched" and not untouched:
        raise ValueError(
            "was changed since its installation, and may serve all host names that no site serves -> use 'remove' to remove it, or "
            "'keep' if it is not a default_server"
        )
    return True
