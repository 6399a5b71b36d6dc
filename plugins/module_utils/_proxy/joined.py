# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Apps that share a server name: one app owns the name, and the others have a path each (asgi_proxy_path).

The site of the owner includes a file with the locations of each other app. The file is named after the app and the server name, and records
the path. The apps can come and go in any order, because nginx accepts a pattern without files.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from ansible_collections.asgi.deploy.plugins.module_utils._host.files import read_text

FILE = re.compile(r"asgi-(?P<app>[a-z][\w-]*)@(?P<name>[a-z0-9._-]+)\.inc")

_JOINED = re.compile(r"^# Path: (/\S+) of (\S+), (removed from|kept in) requests$", re.MULTILINE)
# A location of an owner's site, in the format of match() in plugin_utils/_render/site_plan.py; the group is its URL.
_LOCATION = re.compile(r"^ *location (?:= |\^~ |~ \^)(/[^\s+(]*)(?:\(\?:/\|\$\))? \{", re.MULTILINE)
_RESERVED = re.compile(r"\{ set \$asgi_vacant (/[^\s;]+); \}")


class Joined(NamedTuple):
    """The place of an app: the path of a server name, and whether nginx removes the path from requests."""

    path: str
    name: str
    strips: bool

    def url_path(self, path: str) -> str:
        """Return the path at which clients reach the app's own *path*."""
        return f"{self.path}{path}" if self.strips else path


def parse(text: str | None) -> Joined | None:
    """Return the place that the *text* of a site or of its locations records; None for an app with its own site."""
    found = _JOINED.search(text or "")
    return Joined(found[1], found[2], found[3] == "removed from") if found else None


def file_name(app: str, name: str) -> str:
    """Return the name of the file with the locations of *app* below the server name *name*."""
    return f"asgi-{app}@{name.replace('*', '_')}.inc"


def others(directory: Path, app: str = "") -> dict[str, Joined]:
    """Return the places of all apps with files in *directory*, except *app*, by app."""
    found = {}
    for file in sorted(directory.glob("asgi-*@*.inc")):
        match, place = FILE.fullmatch(file.name), parse(read_text(str(file), errors="replace"))
        if match and place and match["app"] != app:
            found[match["app"]] = place
    return found


def path_faults(app: str, wanted: Joined, directory: Path) -> list[str]:
    """Return a message for each other app that has the same path of the same name."""
    return [
        f"{wanted.path} of {wanted.name} belongs to the app {other} already"
        for other, place in others(directory, app).items()
        if (place.path, place.name) == (wanted.path, wanted.name)
    ]


def is_below(url: str, path: str) -> bool:
    """Return whether *url* is the *path* of an app, or below it."""
    return url.rstrip("/") == path or url.startswith(f"{path}/")


def overlaps(site: str, names: list[str], directory: Path) -> list[tuple[str, str, str]]:
    """Return (URL, path, app) for each location in the text *site*, a site of *names*, that is below the path of another app."""
    urls = [url.replace("\\", "") for url in _LOCATION.findall(site)]
    return [
        (url, place.path, app)
        for app, place in others(directory).items()
        if place.name in names
        for url in dict.fromkeys(urls)
        if is_below(url, place.path)
    ]


def vacant(site: str, names: list[str], directory: Path) -> list[str]:
    """Return the reserved paths in the text *site*, a site of *names*, that no app has."""
    taken = {place.path for place in others(directory).values() if place.name in names}
    return [path for path in _RESERVED.findall(site) if path not in taken]
