# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The import path of an application: ``package.module:attribute``, which can contain calls with literal arguments."""

from __future__ import annotations

import ast
import re

NAMES = r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*"
PATH = re.compile(rf"{NAMES}:(?P<expression>{NAMES}(?:\(.*)?)", re.ASCII)


def check_import_path(text: str) -> None:
    """Raise ValueError unless *text* is the import path of an application; its arguments are a fault and a remedy."""
    match = PATH.fullmatch(text) if text.isprintable() else None
    if not match:
        raise ValueError("", "")
    try:
        node: ast.AST = ast.parse(match["expression"], mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise ValueError("which is not valid Python", "") from None
    while not isinstance(node, ast.Name):
        if isinstance(node, ast.Call):
            _check_arguments(node)
            node = node.func
        elif isinstance(node, ast.Attribute):
            node = node.value
        else:
            raise ValueError("which contains more than names and calls", "set an attribute with the result")


def _check_arguments(call: ast.Call) -> None:
    """Raise ValueError unless all arguments of *call* are literals."""
    for value in (*call.args, *(keyword.value for keyword in call.keywords)):
        try:
            ast.literal_eval(value)
        except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
            remedy = (
                "use literals such as 'text', 1, True or {'key': []}; let the factory read other values from asgi_env"
            )
            raise ValueError(f"whose argument {ast.unparse(value)} is not a literal", remedy) from None
    if any(keyword.arg is None for keyword in call.keywords):
        raise ValueError("whose arguments are unpacked with **", "write each argument as name=value")
