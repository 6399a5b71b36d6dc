# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The environment of an app: validation, systemd's EnvironmentFile= format, and masking of values."""

from __future__ import annotations

import datetime
import re
from fnmatch import fnmatchcase
from typing import NamedTuple

_VARIABLE = re.compile(r'^([A-Za-z_][A-Za-z0-9_]*)="((?:[^"\\]|\\.)*)"$', re.MULTILINE | re.DOTALL)
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

# Linux limits each argument and environment variable to this length.
LONGEST = 128 * 1024 - 1

# Shorter values are words such as "1" or "true", and masking them would make messages unreadable.
SECRET_LENGTH = 6
HIDDEN = "********"


class ServerVariable(NamedTuple):
    """A variable that configures the server, Python or systemd instead of the app."""

    pattern: str
    withheld: bool
    """Whether the variable is withheld from the app's processes, because it would override the collection's own setting."""
    remedy: str


SERVER_VARIABLES = (
    ServerVariable("GUNICORN_CMD_ARGS", True, "use the variables asgi_server_*"),
    # A gunicorn master passes these to the master that replaces it.
    ServerVariable("GUNICORN_PID", True, "remove it"),
    ServerVariable("GUNICORN_FD", True, "remove it"),
    ServerVariable("GUNICORN_*", False, "use the variables asgi_server_*"),
    ServerVariable("UVICORN_*", False, "use the variables asgi_server_*"),
    ServerVariable("WEB_CONCURRENCY", False, "use asgi_server_workers"),
    ServerVariable("FORWARDED_ALLOW_IPS", False, "use asgi_server_forwarded_allow_ips"),
    ServerVariable("SENDFILE", True, "remove it"),
    ServerVariable("PORT", False, "the server listens on a socket that nginx connects to; see asgi_proxy_https_port"),
    # systemd sets these variables; an EnvironmentFile= would override them.
    ServerVariable("LISTEN_FDS", True, "systemd sets it"),
    ServerVariable("LISTEN_PID", True, "systemd sets it"),
    ServerVariable("LISTEN_FDNAMES", True, "systemd sets it"),
    ServerVariable("NOTIFY_SOCKET", True, "systemd sets it"),
    ServerVariable("WATCHDOG_USEC", True, "use asgi_server_watchdog"),
    ServerVariable("WATCHDOG_PID", True, "systemd sets it"),
    ServerVariable("ASGI_SLOT", True, "systemd sets it"),
    ServerVariable("ASGI_DEPLOY_NOTIFY_SOCKET", True, "remove it"),
    # These would break the app's virtual environment. PYTHONPATH, PYTHONOPTIMIZE and others are passed on to the app.
    ServerVariable("PYTHONHOME", True, "use asgi_app_python"),
    ServerVariable("PYTHONPLATLIBDIR", True, "use asgi_app_python"),
    ServerVariable("PYTHONINSPECT", True, "remove it"),
)


def server_variable(name: str) -> ServerVariable | None:
    """Return the first entry of SERVER_VARIABLES that matches the variable *name*."""
    return next((each for each in SERVER_VARIABLES if fnmatchcase(name, each.pattern)), None)


def withheld(name: str, value: str) -> bool:
    """Return whether the variable is withheld from the app. The servers read WEB_CONCURRENCY and fail if its value is not a number."""
    found = server_variable(name)
    return found is not None and (
        found.withheld or (name == "WEB_CONCURRENCY" and not re.fullmatch("[1-9][0-9]*", value))
    )


def without_withheld(environment: dict[str, str]) -> dict[str, str]:
    """Return *environment* without the variables that are withheld from the app."""
    return {name: value for name, value in environment.items() if not withheld(name, value)}


def server_warnings(source: str, environment: dict[str, str]) -> list:
    """Return a warning for each server variable in *environment*; *source* is the place where it is set."""
    found = []
    for name, value in sorted(environment.items()):
        variable = server_variable(name)
        if variable:
            effect = "is not passed on to the app" if withheld(name, value) else "has no effect on the server"
            found.append(f"{source}: {name} {effect}: {variable.remedy}")
    return found


def check_environment(environment: dict) -> dict[str, str]:
    """Return *environment* with its values as strings; raise ValueError for an invalid name or value."""
    checked = {}
    for name, value in environment.items():
        if not isinstance(name, str) or not NAME.fullmatch(name):
            raise ValueError(f"{name!r} is not a name for an environment variable (letters, digits, '_')")
        if isinstance(value, datetime.date):  # datetime is a subclass of date
            raise ValueError(f"{name} is a YAML date, not a string: quote the value")
        if not isinstance(value, (str, int, float)):
            raise ValueError(f"{name} is a {_kind(value)}; it must be a string, a number or a boolean")
        text = str(value).lower() if isinstance(value, bool) else str(value)
        if "\0" in text:
            raise ValueError(f"{name} contains a NUL character, which no environment variable can")
        try:
            length = len(f"{name}={text}".encode())
        except UnicodeEncodeError:
            # Omit the cause, which quotes the value.
            raise ValueError(f"{name} contains a surrogate, which UTF-8 cannot encode") from None
        if length > LONGEST:
            raise ValueError(f"{name} has {length} bytes, but the limit for an environment variable is {LONGEST}")
        checked[name] = text
    return checked


def _kind(value: object) -> str:
    kinds = {type(None): "null", dict: "dictionary", bytes: "binary value"}
    return next((word for kind, word in kinds.items() if isinstance(value, kind)), "list")


def render_environment(environment: dict[str, str]) -> str:
    """Return the content of an EnvironmentFile= with *environment*.

    Within double quotes, systemd keeps all characters, including newlines, and removes a backslash before ``"``, a backslash,
    a backquote or ``$``, see EnvironmentFile= in systemd.exec(5).
    """
    lines = []
    for name, value in sorted(environment.items()):
        quoted = re.sub(r'(["\\`$])', r"\\\1", value)
        lines.append(f'{name}="{quoted}"\n')
    return "".join(lines)


def parse_environment(text: str) -> dict[str, str]:
    """Return the environment from *text*, the output of render_environment()."""
    return {name: re.sub(r'\\(["\\`$])', r"\1", value) for name, value in _VARIABLE.findall(text)}


def app_environment(paths: dict, environment: dict[str, str]) -> dict[str, str]:
    """Return the environment of the app with the layout *paths*: the variables that every app gets, overridden by the user's *environment*.

    Withheld server variables are left out. The unit adds ASGI_SLOT, the slot of the instance.
    """
    return {
        "ASGI_APP": paths["name"],
        "ASGI_SHARED": paths["shared"],
        "HOME": paths["shared"],
        # Libraries keep downloaded models, compiled code and fonts there. They would fill the backups of the app's data.
        "XDG_CACHE_HOME": paths["cache"],
        # polars checks the processor at import by executing code that it writes into memory, which the sandbox denies.
        "POLARS_SKIP_CPU_CHECK": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUNBUFFERED": "1",
        **without_withheld(environment),
    }


def release_environment(paths: dict, venv: str, environment: dict[str, str]) -> dict[str, str]:
    """Return the environment of a program of a release that runs outside of the slots: *venv* is in its PATH, and ASGI_SLOT is not set."""
    return {"PATH": search_path(venv), **app_environment(paths, environment)}


def search_path(venv: str) -> str:
    """Return the PATH of a program of the release with the virtual environment *venv*."""
    return f"{venv}/bin:/usr/local/bin:/usr/bin:/bin"


def describe_environment(environment: dict[str, str], before: dict[str, str]) -> str:
    """Return the names in *environment*, marked "new" or "changed" if the value differs from *before*."""
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
