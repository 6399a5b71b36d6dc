# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pack the host command: a zip file with the modules of module_utils that the command imports, which Python executes.

The same version of the collection always results in the same file, so that hosts can compare digests.
"""

from __future__ import annotations

import ast
import hashlib
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path

from ansible_collections.asgi.deploy.plugins.plugin_utils._release.run_cache import once

PLUGINS = Path(__file__).resolve().parents[2]
PACKAGE = "ansible_collections.asgi.deploy.plugins"
COMMAND = f"{PACKAGE}.module_utils._command.main"
MAIN = f"""import sys

if sys.version_info < (3, 9):
    sys.exit("asgi: /usr/bin/python3 of this host is older than Python 3.9")
from {COMMAND} import main

sys.exit(main())
"""
# The earliest time that zip files can contain.
TIME = (1980, 1, 1, 0, 0, 0)


def command_program(directory: str | os.PathLike[str]) -> dict[str, str]:
    """Return the ``path`` of the program on the controller, and its SHA-256 ``digest``; it is packed once per run, in *directory*."""

    def pack(place: Path) -> dict[str, str]:
        path = place / "asgi.pyz"
        write_program(path)
        return {"path": str(path), "digest": hashlib.sha256(path.read_bytes()).hexdigest()}

    return once(directory, "command", str(PLUGINS), pack)


def write_program(path: Path) -> None:
    """Write the program to *path*. Its members are not compressed, because the versions of zlib compress differently."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, text in sorted(_members().items()):
            archive.writestr(zipfile.ZipInfo(name, TIME), text)


def _members() -> dict[str, str]:
    """Return the text of each member by its path."""
    found = {"__main__.py": MAIN}
    waiting = [COMMAND]
    while waiting:
        name = waiting.pop()
        member = f"{name.replace('.', '/')}.py"
        if member not in found:
            found[member] = _file(name).read_text(encoding="utf-8")
            waiting += _imports(found[member])
            for parent in Path(member).parents[:-1]:
                found[f"{parent.as_posix()}/__init__.py"] = ""
    return found


def _imports(text: str) -> Iterator[str]:
    """Yield the names of the collection's modules that the module *text* imports."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(f"{PACKAGE}."):
            if _file(node.module).exists():
                yield node.module
            else:
                yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _file(name: str) -> Path:
    return PLUGINS / f"{name.removeprefix(PACKAGE + '.').replace('.', '/')}.py"
