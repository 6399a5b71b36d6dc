# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the values of a role's options have the types of its argument specification.

Stricter than Ansible, which would accept the text '60' for a number or 'a' for the list ['a']: what it converts is
thrown away, and the roles' templates get what the user wrote.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.module_utils.parsing.convert_bool import BOOLEANS_TRUE
from ansible_collections.asgi.deploy.plugins.plugin_utils.problems import Problem, shown

KINDS = {"int": "a number", "float": "a number", "bool": "true or false", "list": "a list", "dict": "a dictionary"}


def typed(spec: dict[str, dict], values: dict[str, Any]) -> tuple[dict[str, Any], list[Problem]]:
    """Return those of *values* that have their type, with the defaults of suboptions, and the objections to the others.

    *values* are templated; one that is not set is left out.
    """
    good, found = {}, []
    for name, value in values.items():
        objections = problems_of(name, value, spec[name])
        if objections:
            found += objections
        else:
            good[name] = _validated(name, value, spec[name])
    return good, found


def purpose(option: dict) -> str:
    """Return the first sentence of an option's description: what a right value would be."""
    text = option.get("description", "")
    text = text[0] if isinstance(text, list) else text
    # without Ansible's markup, as in O(asgi_env)
    return "it is: " + re.sub(r"\b[A-Z]\(([^()]*)\)", r"\1", text.strip())


def problems_of(name: str, value: Any, option: dict) -> list[Problem]:
    """Return the objections to *value* for *option*, from its type to its choices."""
    if value is None:
        return [
            Problem(name, "is null", f"leave it out{_for_default(option)}, or give what it is for: {_what(option)}")
        ]
    found = list(_mistyped(name, value, option, bool(option.get("no_log"))))
    if found:
        return found
    messages = _validator(name, value, option).error_messages
    if not messages:
        return []
    fault = "is wrong" if option.get("no_log") else f"is {shown(value)}"
    return [Problem(name, f"{fault}: {'; '.join(messages)}", purpose(option))]


def _mistyped(name: str, value: Any, option: dict, secret: bool) -> Iterator[Problem]:
    """Yield what is of another type than *option* wants, in its elements and suboptions too."""
    kind = option.get("type", "str")
    if not _fits(value, kind):
        yield Problem(name, f"is {_shown(value, secret)}", _remedy(name, value, kind, option, secret))
    elif kind == "list":
        element = {"type": option.get("elements", "raw"), "options": option.get("options")}
        for index, item in enumerate(value):
            if item is None:
                yield Problem(f"{name}[{index}]", "is null", "leave it out, or give a value")
            else:
                yield from _mistyped(f"{name}[{index}]", item, element, secret)
    elif kind == "dict":
        for key, suboption in (option.get("options") or {}).items():
            if value.get(key) is not None:
                yield from _mistyped(f"{name}.{key}", value[key], suboption, secret or bool(suboption.get("no_log")))
            elif key in value and "default" in suboption:
                yield Problem(f"{name}.{key}", "is null", f"leave it out{_for_default(suboption)}, or give a value")


def _fits(value: Any, kind: str) -> bool:
    if kind == "bool":
        return isinstance(value, bool)
    if kind == "int":
        return isinstance(value, int) and not isinstance(value, bool)
    if kind == "float":
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    if kind == "list":
        return isinstance(value, (list, tuple))
    if kind == "dict":
        return isinstance(value, dict)
    # a number is a text as well: versions and ports are written without quotes
    return kind == "raw" or not isinstance(value, (list, tuple, dict))


def _shown(value: Any, secret: bool) -> str:
    what = "the text" if isinstance(value, str) else f"a {type(value).__name__},"
    if isinstance(value, (list, tuple)):
        what = "the list"
    elif isinstance(value, dict):
        what = "the dictionary"
    elif isinstance(value, (bool, int, float)):
        what = "the value"
    return what.rstrip(",") if secret else f"{what} {shown(value)}"


def _remedy(name: str, value: Any, kind: str, option: dict, secret: bool) -> str:
    wanted = f"give {KINDS.get(kind, 'a text')}"
    # -e x=1 makes a text of everything; how else it got to be one is seen in the inventory
    if not isinstance(value, str) or not name.isidentifier() or secret:
        return wanted
    meant = _meant(value, kind, option)
    if meant is None:
        return wanted
    return f"{wanted}; on the command line as JSON: -e '{json.dumps({name: meant})}'"


def _meant(value: str, kind: str, option: dict) -> Any:
    """Return what the user most likely meant by the text *value*, else the default as an example, else None."""
    text = value.strip()
    if kind == "bool":
        return text.lower() in BOOLEANS_TRUE
    if kind == "list":
        return [word.strip() for word in text.split(",")]
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    return found if _fits(found, kind) else option.get("default") or None


def _for_default(option: dict) -> str:
    return " for the default" if "default" in option else ""


def _what(option: dict) -> str:
    return purpose(option).removeprefix("it is: ")


def _validator(name: str, value: Any, option: dict):
    return ArgumentSpecValidator({name: {**option, "required": False}}).validate({name: value})


def _validated(name: str, value: Any, option: dict) -> Any:
    return _validator(name, value, option).validated_parameters[name]
