# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter for :func:`plugin_utils._server.servers.hang_timeout_margin`."""

from __future__ import annotations

DOCUMENTATION = r"""
name: hang_timeout_margin
short_description: Extra grace added to the hang timeouts
version_added: 1.0.0
description:
  - Returns the number of seconds that the roles add to C(asgi_server_timeout) and C(asgi_server_watchdog).
  - The number is 0 for a server with an event loop. With V(gthread), busy threads cannot be distinguished from stuck threads until
    nginx stops waiting for their responses. The extended C(asgi_server_timeout) therefore exceeds that time by at least 5 seconds.
options:
  _input:
    description: Name of the server.
    type: str
    required: true
    choices: [uvicorn_worker, gunicorn_asgi, uvicorn, gthread]
  timeout:
    description: Value of C(asgi_server_timeout) in seconds.
    type: int
    required: true
  read_timeout:
    description: Value of C(asgi_proxy_read_timeout) in seconds.
    type: int
    required: true
  locations:
    description: Value of C(asgi_proxy_locations), of which the longest C(read_timeout) counts.
    type: list
    elements: dict
seealso:
  - plugin: asgi.deploy.server_profile
    plugin_type: filter
author:
  - the asgi.deploy authors (@asgi-deploy)
"""

EXAMPLES = r"""
- name: Print the seconds after which a worker with stuck threads is killed
  ansible.builtin.debug:
    msg: "{{ 30 + 'gthread' | asgi.deploy.hang_timeout_margin(timeout=30, read_timeout=60) }}"  # 65
"""

RETURN = r"""
_value:
  description: Seconds, 0 or more.
  type: int
"""

from ansible_collections.asgi.deploy.plugins.plugin_utils._server.servers import hang_timeout_margin


class FilterModule:
    def filters(self):
        return {"hang_timeout_margin": hang_timeout_margin}
