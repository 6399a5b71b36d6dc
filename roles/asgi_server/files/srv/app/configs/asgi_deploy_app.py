# Copyright: (c) 2026, the asgi.deploy authors
# Simplified BSD License (see https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Load the application, in the same way for every server.

The check of a release before its deploy (plugins/module_utils/_app/import_probe.py) does the same.
"""

from __future__ import annotations

import ast
import importlib
import os
import sys

_target = ""
_working_directory: str | None = None


def configure(target: str, working_directory: str | None = None) -> None:
    """Set what load() returns: *target* is ``package.module:attribute``, which can contain calls with literal arguments.

    The default of *working_directory* is the current directory, the code of the release.
    """
    global _target, _working_directory
    _target, _working_directory = target, working_directory


def load():
    """Enter the working directory of the app and return the app."""
    if _working_directory:
        enter(_working_directory)
    module, _colon, expression = _target.partition(":")
    return _value(ast.parse(expression, mode="eval").body, importlib.import_module(module))


def _value(node: ast.AST, module):
    """Return the value of *node*, a chain of attributes and calls that starts with a name in *module*."""
    if isinstance(node, ast.Call):
        keywords = {keyword.arg: ast.literal_eval(keyword.value) for keyword in node.keywords}
        return _value(node.func, module)(*map(ast.literal_eval, node.args), **keywords)
    if isinstance(node, ast.Attribute):
        return getattr(_value(node.value, module), node.attr)
    return getattr(module, node.id)


def enter(directory: str) -> None:
    """Make *directory* the working directory, and import modules from the current one, even in child processes.

    *directory* is not added to sys.path, because the app can write to it.
    """
    code = os.getcwd()
    if code not in sys.path:
        sys.path.insert(0, code)
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (code, os.environ.get("PYTHONPATH"))))
    os.makedirs(directory, exist_ok=True)
    os.chdir(directory)
