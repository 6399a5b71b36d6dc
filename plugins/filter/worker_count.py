# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter for the number of workers of :func:`plugin_utils._server.workers.worker_plan`."""

from __future__ import annotations

DOCUMENTATION = r"""
name: worker_count
short_description: Number of workers for a host
version_added: 1.0.0
description:
  - Derives the number of workers from the facts of the host.
  - Fails if the facts contain no CPU count.
positional: _input, workers
extends_documentation_fragment:
  - asgi.deploy.worker_plan
seealso:
  - plugin: asgi.deploy.worker_plan
    plugin_type: filter
  - module: asgi.deploy.host_info
author:
  - the asgi.deploy authors (@asgi-deploy)
"""

EXAMPLES = r"""
- name: Show the number of workers
  ansible.builtin.debug:
    msg: "{{ ansible_facts | asgi.deploy.worker_count }}"  # 5 on a host with 4 CPUs

- name: Show the number of synchronous workers, 8 at most
  ansible.builtin.debug:
    msg: "{{ ansible_facts | asgi.deploy.worker_count(kind='sync', maximum=8) }}"
"""

RETURN = r"""
_value:
  description: The number of workers.
  type: int
"""

from ansible.errors import AnsibleFilterError
from ansible_collections.asgi.deploy.plugins.plugin_utils._server.workers import worker_plan


def worker_count_filter(facts, workers="auto", **limits):
    try:
        return worker_plan(facts, workers, **limits).workers
    except (TypeError, ValueError) as exc:
        raise AnsibleFilterError(f"worker_count: {exc}") from exc


class FilterModule:
    def filters(self):
        return {"worker_count": worker_count_filter}
