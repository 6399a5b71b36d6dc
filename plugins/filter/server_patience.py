# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Thin door to :func:`plugin_utils.servers.server_patience`."""

from __future__ import annotations

DOCUMENTATION = r"""
name: server_patience
short_description: How much later than its timeout a worker is killed
version_added: 0.2.0
description:
  - Returns the seconds that are to be added to C(asgi_server_timeout) and to C(asgi_server_watchdog).
  - They are 0 for a server with an event loop. Threads that are all busy may be at work on requests, so with V(gthread)
    they are what it takes to exceed by 5 seconds the time that nginx waits for an answer.
options:
  _input:
    description: Name of the server.
    type: str
    required: true
    choices: [uvicorn_worker, gunicorn_asgi, uvicorn, gthread]
  timeout:
    description: What C(asgi_server_timeout) is, in seconds.
    type: int
    required: true
  read_timeout:
    description: What C(asgi_proxy_read_timeout) is, in seconds.
    type: int
    required: true
  locations:
    description: What C(asgi_proxy_locations) is; the longest C(read_timeout) counts.
    type: list
    elements: dict
seealso:
  - plugin: asgi.deploy.server_profile
    plugin_type: filter
author:
  - the asgi.deploy authors (@asgi-deploy)
"""

EXAMPLES = r"""
- name: Say after how many seconds a worker with stuck threads is killed
  ansible.builtin.debug:
    msg: "{{ 30 + 'gthread' | asgi.deploy.server_patience(timeout=30, read_timeout=60) }}"  # 65
"""

RETURN = r"""
_value:
  description: Seconds, 0 or more.
  type: int
"""

from ansible_collections.asgi.deploy.plugins.plugin_utils.servers import server_patience


class FilterModule:
    def filters(self):
        return {"server_patience": server_patience}
