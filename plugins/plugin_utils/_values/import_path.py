# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The import path of an application: ``package.module:attribute``, or a call of a factory with literal arguments."""

from __future__ import annotations

import ast
import re

NAMES = r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*"
PATH = re.compile(rf"{NAMES}:{NAMES}(?P<call>\(.*\))?", re.ASCII)


def check_import_path(text: str) -> None:
    """Raise ValueError unless *text* is the import path of an application; its arguments are a fault and a remedy."""
    match = PATH.fullmatch(text) if text.isprintable() else None
    if not match:
        raise ValueError("", "")
    if match["call"]:
        _check_call(match["call"])


def _check_call(arguments: str) -> None:
    """Raise ValueError unless *arguments*, which include the parentheses, are literals."""
    try:
        call = ast.parse(f"f{arguments}", mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise ValueError("which is not a valid call", "") from None
    if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name):
        raise ValueError("which is not a single call of a factory", "set an attribute with the result of the calls")
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
