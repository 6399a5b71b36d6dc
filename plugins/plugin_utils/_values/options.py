# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check values against the argument specification of a role, without converting them.

Ansible would accept the string '60' for a number, and 'a' for the list ['a'], but the templates of the roles would receive the original
values, because Ansible discards the converted ones.
"""

from __future__ import annotations

import difflib
import json
import math
import re
from collections.abc import Iterator
from datetime import date
from typing import Any

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.module_utils.parsing.convert_bool import BOOLEANS_TRUE
from ansible_collections.asgi.deploy.plugins.module_utils._host.ansible_core import KEEPS_TYPES
from ansible_collections.asgi.deploy.plugins.plugin_utils._values.characters import LINE_ENDS, refused_character
from ansible_collections.asgi.deploy.plugins.plugin_utils._values.problems import Problem, shown

# Options that may contain line breaks. Environment variables may contain any character except NUL, see module_utils/_host/environment.py.
MULTI_LINE = frozenset(
    [
        "asgi_balancer_tls_certificate_content",
        "asgi_balancer_tls_key_content",
        "asgi_proxy_locations[].snippet",
        "asgi_proxy_snippet_http",
        "asgi_proxy_snippet_server",
        "asgi_proxy_tls_certificate_content",
        "asgi_proxy_tls_key_content",
    ]
)
ENVIRONMENTS = frozenset(["asgi_app_build_env", "asgi_env"])

KINDS = {
    "int": "use a number",
    "float": "use a number",
    "bool": "use true or false",
    "list": "use a list",
    "dict": "use a dictionary",
}


def typed(spec: dict[str, dict], values: dict[str, Any]) -> tuple[dict[str, Any], list[Problem]]:
    """Return the valid values among the templated *values*, with the defaults of suboptions, and the problems of the invalid ones."""
    good, found = {}, []
    for name, value in values.items():
        problems = problems_of(name, value, spec[name])
        if problems:
            found += problems
        else:
            good[name] = _validated(name, value, spec[name])
    return good, found


def purpose(option: dict) -> str:
    """Return a remedy for an option without a valid value: the first sentence of its description."""
    text = option.get("description", "")
    text = text[0] if isinstance(text, list) else text
    # Removes Ansible's markup, such as O(asgi_env).
    text = re.sub(r"\b[A-Z]\(([^()]*)\)", r"\1", text.strip())
    return f"set it ({text})" if text else "set it"


def problems_of(name: str, value: Any, option: dict) -> list[Problem]:
    """Return the problems of *value* for *option*: its type, characters and choices."""
    if value is None:
        remedy = f"remove it{_for_default(option)}, or {purpose(option)}"
        return [Problem("value-null", name, "is null", remedy)]
    secret = bool(option.get("no_log"))
    found = list(_dates(name, value)) or list(_mistyped(name, value, option, secret))
    found = found or ([] if name in ENVIRONMENTS else list(_characters(name, value, secret)))
    if found:
        return found
    messages = _validator(name, value, option).error_messages
    if not messages:
        return []
    fault = "is invalid" if option.get("no_log") else f"is {shown(value)}"
    return [Problem("value-invalid", name, f"{fault}: {'; '.join(messages)}", purpose(option))]


def _mistyped(name: str, value: Any, option: dict, secret: bool) -> Iterator[Problem]:
    """Yield a problem for each value, element and suboption whose type differs from that in *option*."""
    kind = option.get("type", "str")
    if not _fits(value, kind):
        yield Problem("type-wrong", name, f"is {_shown(value, secret)}", _remedy(name, value, kind, option, secret))
    elif kind == "list":
        element = {"type": option.get("elements", "raw"), "options": option.get("options")}
        for index, item in enumerate(value):
            if item is None:
                yield Problem("value-null", f"{name}[{index}]", "is null", "remove it, or set a value")
            else:
                yield from _mistyped(f"{name}[{index}]", item, element, secret)
    elif kind == "dict":
        yield from _unknown_keys(name, value, option.get("options"))
        for key, suboption in (option.get("options") or {}).items():
            if value.get(key) is not None:
                yield from _mistyped(f"{name}.{key}", value[key], suboption, secret or bool(suboption.get("no_log")))
            elif key in value and "default" in suboption:
                remedy = f"remove it{_for_default(suboption)}, or set a value"
                yield Problem("value-null", f"{name}.{key}", "is null", remedy)


def _dates(name: str, value: Any) -> Iterator[Problem]:
    """Yield a problem for each value in *value* that YAML parses as a date, such as 2026-01-01."""
    if isinstance(value, date):  # datetime is a subclass of date
        yield Problem("date-unquoted", name, "is a YAML date, not a string")
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _dates(f"{name}.{key}", item)
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            yield from _dates(f"{name}[{index}]", item)


def _characters(name: str, value: Any, secret: bool) -> Iterator[Problem]:
    """Yield a problem for each string in *value*, including keys, with line breaks or control characters."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _characters(f"a name in {name}", key, secret)
            yield from _characters(f"{name}.{key}", item, secret)
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            yield from _characters(f"{name}[{index}]", item, secret)
    elif isinstance(value, str):
        multi_line = re.sub(r"\[[0-9]+\]", "[]", name) in MULTI_LINE
        character = refused_character(value, LINE_ENDS if multi_line else "")
        if character is not None:
            fault = "contains" if secret else f"is {shown(value)}, which contains"
            remedy = "remove that character" if multi_line else ""
            yield Problem("character-not-allowed", name, f"{fault} {character!r}", remedy)


def _unknown_keys(name: str, value: dict, options: dict | None) -> Iterator[Problem]:
    for key in value if options else ():
        if key not in options:
            near = difflib.get_close_matches(str(key), options, n=1)
            remedy = f"did you mean {near[0]}?" if near else f"keys are {', '.join(sorted(options))}"
            yield Problem("key-unknown", f"{name}.{key}", "is not a known key", remedy)


def _fits(value: Any, kind: str) -> bool:
    if kind == "bool":
        return isinstance(value, bool)
    if kind == "int":
        return isinstance(value, int) and not isinstance(value, bool)
    if kind == "float":
        return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    if kind == "list":
        return isinstance(value, (list, tuple))
    if kind == "dict":
        return isinstance(value, dict)
    # Numbers are valid strings: YAML parses an unquoted version or port as one.
    return kind == "raw" or isinstance(value, (str, int, float))


def _shown(value: Any, secret: bool) -> str:
    kinds = {str: "the string", list: "the list", tuple: "the list", dict: "the dictionary"}
    kind = next((name for each, name in kinds.items() if isinstance(value, each)), f"the {type(value).__name__}")
    return kind if secret else f"{kind} {shown(value)}"


def _remedy(name: str, value: Any, kind: str, option: dict, secret: bool) -> str:
    wanted = KINDS.get(kind, "use a string")
    # The most likely reason for a string is "-e name=value", which always sets a string.
    if not isinstance(value, str) or not name.isidentifier() or secret:
        return wanted
    example = _example(value, kind, option)
    if example is None:
        return wanted
    if kind in ("int", "float") and not KEEPS_TYPES:
        wanted += " without a template, which returns a string before ansible-core 2.19"
    return f"{wanted}; on the command line as JSON: -e '{json.dumps({name: example})}'"


def _example(value: str, kind: str, option: dict) -> Any:
    """Return the string *value* converted to *kind* if possible, else the default, else None."""
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


def _validator(name: str, value: Any, option: dict):
    return ArgumentSpecValidator({name: {**option, "required": False}}).validate({name: value})


def _validated(name: str, value: Any, option: dict) -> Any:
    return _validator(name, value, option).validated_parameters[name]
