# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Thin door to :func:`plugin_utils.servers.server_profile`."""

from __future__ import annotations

DOCUMENTATION = r"""
name: server_profile
short_description: What follows from the choice of a server
version_added: 0.2.0
description:
  - Returns what the roles do differently for each value of C(asgi_server_type).
  - Fails for a server that there is not.
options:
  _input:
    description: Name of the server.
    type: str
    required: true
    choices: [uvicorn_worker, gunicorn_asgi, uvicorn, gthread]
seealso:
  - plugin: asgi.deploy.worker_plan
    plugin_type: filter
author:
  - the asgi.deploy authors (@asgi-deploy)
"""

EXAMPLES = r"""
- name: Say what an app with threads needs
  ansible.builtin.debug:
    msg: "{{ ('gthread' | asgi.deploy.server_profile).requirements }}"  # ['gunicorn>=26,<28']
"""

RETURN = r"""
_value:
  description: The server.
  type: dict
  contains:
    interface:
      description: What the application has to be, V(asgi) or V(wsgi).
      type: str
    plan:
      description: Kind of its workers for P(asgi.deploy.worker_plan#filter).
      type: str
    program:
      description: Name of its file in the slot's configuration.
      type: str
    worker_class:
      description: gunicorn's class of workers; null for a server without gunicorn.
      type: str
    modules:
      description: Names of the files of the collection that go into the slot's configuration beside it.
      type: list
      elements: str
    requirements:
      description: Requirements that a release gets for it by default.
      type: list
      elements: str
    needed:
      description: Names of the packages without which it does not start.
      type: list
      elements: str
"""

from ansible.errors import AnsibleFilterError
from ansible_collections.asgi.deploy.plugins.plugin_utils.servers import server_profile


def server_profile_filter(name):
    try:
        return server_profile(name)
    except ValueError as exc:
        raise AnsibleFilterError(f"server_profile: {exc}") from exc


class FilterModule:
    def filters(self):
        return {"server_profile": server_profile_filter}
