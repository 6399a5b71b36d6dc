# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Render a value as Python source."""

from __future__ import annotations

DOCUMENTATION = r"""
name: python_literal
short_description: Render a value as a Python literal
version_added: 1.0.0
description:
  - Renders a value as correctly quoted Python source, for templates of Python files such as gunicorn.conf.py.
  - Fails for a value that Python source cannot represent, for instance an undefined variable.
options:
  _input:
    description: A string, number, boolean, null, list or dictionary of these.
    type: raw
    required: true
author:
  - the asgi.deploy authors (@asgi-deploy)
"""

EXAMPLES = r"""
- name: Print a literal
  ansible.builtin.debug:
    msg: "wsgi_app = {{ \"it's\" | asgi.deploy.python_literal }}"  # wsgi_app = "it's"
"""

RETURN = r"""
_value:
  description: The Python source.
  type: str
"""

import ast
from collections.abc import Mapping, Sequence

from ansible.errors import AnsibleFilterError


def plain(value):
    """Return *value* with Ansible's subclasses of builtin types, whose repr may differ, converted to these types."""
    if value is None or isinstance(value, bool):
        return value
    for kind in (str, int, float):
        if isinstance(value, kind):
            return kind(value)
    if isinstance(value, Mapping):
        return {plain(key): plain(item) for key, item in value.items()}
    if isinstance(value, Sequence):
        return [plain(item) for item in value]
    raise AnsibleFilterError(f"python_literal: a {type(value).__name__} has no literal")


def python_literal(value):
    source = repr(plain(value))
    try:
        ast.literal_eval(source)
    except (ValueError, SyntaxError) as exc:  # inf and nan
        raise AnsibleFilterError(f"python_literal: {source} has no literal") from exc
    return source


class FilterModule:
    def filters(self):
        return {"python_literal": python_literal}
