# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter for :func:`plugin_utils._server.servers.server_profile`."""

from __future__ import annotations

DOCUMENTATION = r"""
name: server_profile
short_description: Properties of a server
version_added: 1.0.0
description:
  - Returns the properties of a value of C(asgi_server_type) that the roles use.
  - Fails for an unknown server.
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
- name: Print the requirements of the server gthread
  ansible.builtin.debug:
    msg: "{{ ('gthread' | asgi.deploy.server_profile).requirements }}"  # ['gunicorn>=26,<28']
"""

RETURN = r"""
_value:
  description: The properties of the server.
  type: dict
  contains:
    interface:
      description: Interface of the application, V(asgi) or V(wsgi).
      type: str
    plan:
      description: Kind of the workers for P(asgi.deploy.worker_plan#filter).
      type: str
    program:
      description: File name, in the slot's configuration, of the server's configuration or program.
      type: str
    settings:
      description: The library that reads C(asgi_server_settings), V(uvicorn) or V(gunicorn).
      type: str
    worker_class:
      description: Worker class of gunicorn; null for a server without gunicorn.
      type: str
    modules:
      description: Names of the collection's other files in the slot's configuration.
      type: list
      elements: str
    requirements:
      description: Default requirements of the server in a release.
      type: list
      elements: str
    needed:
      description: Names of the packages that the server needs to start.
      type: list
      elements: str
    head_size:
      description: Largest request line or header that the server accepts, in bytes.
      type: int
    head_fields:
      description: Largest number of headers that the server accepts in a request.
      type: int
"""

from ansible_collections.asgi.deploy.plugins.plugin_utils._server.servers import server_profile
from ansible_collections.asgi.deploy.plugins.plugin_utils._values.filters import as_filter


class FilterModule:
    def filters(self):
        return as_filter("server_profile", server_profile)
