# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""systemd's EnvironmentFile= format, and keeping its values out of what people see."""

from __future__ import annotations

import re

_VARIABLE = re.compile(r'^([A-Za-z_][A-Za-z0-9_]*)="((?:[^"\\]|\\.)*)"$', re.MULTILINE | re.DOTALL)
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

# Shorter values are words like "1" or "true": hiding them would garble every message.
SECRET_LENGTH = 6
HIDDEN = "********"


def check_environment(environment: dict) -> dict[str, str]:
    """Return *environment* with its values as strings; raise ValueError for what no process could be given."""
    checked = {}
    for name, value in environment.items():
        if not isinstance(name, str) or not NAME.fullmatch(name):
            raise ValueError(f"{name!r} is not a name for an environment variable (letters, digits, '_')")
        if isinstance(value, (dict, list)) or value is None:
            raise ValueError(f"{name} is a {type(value).__name__}; it must be a string, a number or a boolean")
        text = str(value).lower() if isinstance(value, bool) else str(value)
        if "\0" in text:
            raise ValueError(f"{name} contains a NUL character, which no environment variable can")
        checked[name] = text
    return checked


def render_environment(environment: dict[str, str]) -> str:
    """Return the text of an EnvironmentFile= that gives a service *environment*.

    Within double quotes systemd keeps everything, new lines included, but for the backslash before ``"``, a backslash,
    a backquote or ``$`` (systemd.exec(5), EnvironmentFile=).
    """
    lines = []
    for name, value in sorted(environment.items()):
        quoted = re.sub(r'(["\\`$])', r"\\\1", value)
        lines.append(f'{name}="{quoted}"\n')
    return "".join(lines)


def parse_environment(text: str) -> dict[str, str]:
    """Return the environment that render_environment() made *text* of."""
    return {name: re.sub(r'\\(["\\`$])', r"\1", value) for name, value in _VARIABLE.findall(text)}


def app_environment(paths: dict, environment: dict[str, str]) -> dict[str, str]:
    """Return what the app *paths* runs with: what every app gets, and the user's *environment* on top.

    The unit adds ASGI_SLOT, the slot that this instance runs in.
    """
    return {
        "ASGI_APP": paths["name"],
        "ASGI_SHARED": paths["shared"],
        "HOME": paths["shared"],
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUNBUFFERED": "1",
        **environment,
    }


def release_environment(paths: dict, venv: str, environment: dict[str, str]) -> dict[str, str]:
    """Return what a program of a release gets outside of the unit, whose virtual environment is *venv*: all but ASGI_SLOT."""
    return {"PATH": f"{venv}/bin:/usr/local/bin:/usr/bin:/bin", **app_environment(paths, environment)}


def describe_environment(environment: dict[str, str], before: dict[str, str]) -> str:
    """Return the names in *environment*, each with the word "new" or "changed" if it is not as it was *before*."""
    lines = []
    for name, value in sorted(environment.items()):
        known = before.get(name)
        change = "" if known == value else ", new" if known is None else ", changed"
        lines.append(f"{name} (hidden{change})")
    return "\n".join(lines)


def hide(text: str, environment: dict[str, str]) -> str:
    """Return *text* without the values of *environment*; an app's traceback may quote them."""
    for value in sorted(environment.values(), key=len, reverse=True):
        if len(value) >= SECRET_LENGTH:
            text = text.replace(value, HIDDEN)
    return text
