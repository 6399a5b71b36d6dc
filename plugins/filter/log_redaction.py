# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Thin door to :func:`plugin_utils.log_redaction.expressions`."""

from __future__ import annotations

DOCUMENTATION = r"""
name: log_redaction
short_description: How nginx finds the secrets in a request's query
version_added: 0.1.0
description:
  - Returns the regular expressions with which nginx's C(map) finds query parameters by their names, so that their values
    can be left out of a log.
  - Names count in upper and lower case, and as a part of structured ones such as C(user[password]). A name in which letters
    or digits are percent-encoded counts as well, whatever it is, as there is no other reason to encode those (RFC 3986, 2.3).
  - Fails for a name that is none, and for more than 2000 characters of names.
positional: _input
options:
  _input:
    description: The names of the parameters.
    type: list
    elements: str
    required: true
author:
  - the asgi.deploy authors (@asgi-deploy)
"""

EXAMPLES = r"""
- name: Show how nginx finds tokens
  ansible.builtin.debug:
    msg: "{{ (['token'] | asgi.deploy.log_redaction).any }}"
"""

RETURN = r"""
_value:
  description: Quoted keys for C(map).
  type: dict
  contains:
    any:
      description: Matches a request's target that has such a parameter.
      type: str
    first:
      description: Matches one that has such a parameter with another value than C(***). The named groups C(asgi_before) and
        C(asgi_after) are what is around that value.
      type: str
    rest:
      description: The same; the named group C(asgi_path) is what is before the query.
      type: str
    steps:
      description: So many times the second is to be applied.
      type: int
"""

from ansible.errors import AnsibleFilterError
from ansible_collections.asgi.deploy.plugins.plugin_utils.log_redaction import STEPS, expressions


def log_redaction(names):
    try:
        return {**expressions(names)._asdict(), "steps": STEPS}
    except ValueError as exc:
        raise AnsibleFilterError(f"log_redaction: {exc}") from exc


class FilterModule:
    def filters(self):
        return {"log_redaction": log_redaction}
