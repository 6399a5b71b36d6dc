# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Load the application of a release and check that it is one. import_check.py runs this file with the release's Python.

``load`` works like the server's asgi_deploy_app.py; a test compares the two.
"""

from __future__ import annotations

import ast
import functools
import importlib
import inspect
import os
import sys
import traceback

NOT_AN_APPLICATION = 3
"""Exit status if the target was loaded, but is not an application. The last line of stderr is FAULT and the fault."""

FAULT = "asgi_deploy: "


def enter(directory: str) -> None:
    """Make *directory* the working directory; modules are still imported from the current one, the code of the release."""
    code = os.getcwd()
    sys.path[0] = code
    if directory:
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (code, os.environ.get("PYTHONPATH"))))
        os.makedirs(directory, exist_ok=True)
        os.chdir(directory)


def load(target: str):
    """Return the application with the path *target*: ``package.module:attribute``, which can contain calls with literal arguments."""
    module, _colon, expression = target.partition(":")
    return _value(ast.parse(expression, mode="eval").body, importlib.import_module(module))


def _value(node: ast.AST, module):
    """Return the value of *node*, a chain of attributes and calls that starts with a name in *module*."""
    if isinstance(node, ast.Call):
        keywords = {keyword.arg: ast.literal_eval(keyword.value) for keyword in node.keywords}
        return _value(node.func, module)(*map(ast.literal_eval, node.args), **keywords)
    if isinstance(node, ast.Attribute):
        return getattr(_value(node.value, module), node.attr)
    return getattr(module, node.id)


def uncalled(target: str) -> str:
    """Return the path of the factory that *target* calls first, or *target* if it contains no call."""
    return target.partition("(")[0]


def fault_of(target: str, found) -> str:
    """Return why *found*, the object that *target* leads to, is not an application, with the remedy; "" if it is one."""
    if inspect.iscoroutine(found):
        found.close()
        return f"{target} returns a coroutine, which no server awaits: make the factory a normal function instead of async def"
    if not callable(found):
        return f"{target} is of the type {type(found).__name__}, which is not an application"
    if inspect.isclass(found):
        if _is_class_of_requests(found):
            return ""
        return f"{target} is a class, not an application: set asgi_module to an instance, such as {target}()"
    try:
        signature = inspect.signature(found)
    except (TypeError, ValueError):  # written in C
        return ""
    parameters = signature.parameters.values()
    if any(parameter.kind is parameter.VAR_POSITIONAL for parameter in parameters):
        return ""
    if _accepts(found, 0) and not _is_called_for_requests(found):
        return (
            f"{target} needs no arguments, so it is not an application but returns one: set asgi_module to {target}()"
        )
    # ASGI 3, WSGI, and ASGI 2, whose functions take only the scope
    if _accepts(found, 3) or _accepts(found, 2) or next(iter(parameters)).name == "scope":
        return ""
    return (
        f"{target} takes {signature}, which are not the arguments of an application: if it returns the application, "
        f"set asgi_module to a call with literal arguments, such as {target}('value')"
    )


def _is_called_for_requests(found) -> bool:
    """Return whether *found*, all of whose parameters have defaults, is an application and not a factory.

    A function is an application if it is asynchronous or has the parameters of an application. An instance is one if servers can call it.
    """
    if next(iter(inspect.signature(found).parameters), "") in ("scope", "environ"):
        return True
    function = found.func if isinstance(found, functools.partial) else found
    if inspect.iscoroutinefunction(function):
        return _accepts(found, 3)
    creates = inspect.isroutine(function) or inspect.isclass(function)
    return not creates and (_accepts(found, 3) or _accepts(found, 2))


def _is_class_of_requests(found: type) -> bool:
    """Return whether a server creates an instance of *found* for each request: ASGI 3, WSGI, or ASGI 2."""
    if (_accepts(found, 3) and hasattr(found, "__await__")) or (_accepts(found, 2) and hasattr(found, "__iter__")):
        return True
    call = next((vars(base)["__call__"] for base in found.__mro__ if "__call__" in vars(base)), None)
    # ASGI 2 calls an instance with receive and send
    return _accepts(found, 1) and call is not None and _accepts(call, 3) and not _accepts(call, 4)


def _accepts(found, count: int) -> bool:
    """Return whether *found* can be called with *count* positional arguments."""
    try:
        inspect.signature(found).bind(*[None] * count)
    except (TypeError, ValueError):
        return False
    return True


def main() -> None:
    directory, target, whole = sys.argv.pop(), sys.argv.pop(), sys.argv.pop()
    shared, sys.argv[1:] = sys.argv[1:], []
    try:
        for each in shared:
            os.makedirs(each, exist_ok=True)
        enter(directory)
        found = load(target)
        fault = fault_of(target, found) if target == whole or not callable(found) else ""
        status = NOT_AN_APPLICATION if fault else 0
        if fault:
            sys.stderr.write(f"\n{FAULT}{fault}\n")
    except BaseException as exc:  # noqa: BLE001 - any failure of the app
        trace = traceback.TracebackException.from_exception(exc)
        loaders = ("<string>", "<frozen importlib", importlib.__file__)
        trace.stack[:] = [frame for frame in trace.stack if not frame.filename.startswith(loaders)]
        sys.stderr.write("".join(trace.format()))
        status = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    main()
