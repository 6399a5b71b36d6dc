# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter for the functions of :mod:`module_utils._host.layout`."""

from __future__ import annotations

DOCUMENTATION = r"""
name: layout
short_description: Paths, unit names and accounts of an app
version_added: 1.0.0
description:
  - Returns everything on a host that is named after an app.
  - The roles of this collection use this filter instead of facts, so that they agree on these names.
positional: _input, release
options:
  _input:
    description: Name of the app (C(asgi_name)), 1 to 31 characters, V([a-z][a-z0-9]*([_-][a-z0-9]+\)*).
    type: str
    required: true
  release:
    description: Id of a release, for its paths under V(release).
    type: str
author:
  - the asgi.deploy authors (@asgi-deploy)
"""

EXAMPLES = r"""
- name: Print the path of the live socket
  ansible.builtin.debug:
    msg: "{{ ('hello' | asgi.deploy.layout).live_socket }}"  # /run/hello/live.sock

- name: Print the path of a release's interpreter
  ansible.builtin.debug:
    msg: "{{ ('hello' | asgi.deploy.layout('src-1')).release.python }}"  # /srv/hello/releases/src-1/.venv/bin/python
"""

RETURN = r"""
_value:
  description:
    - The keys V(name), V(user), V(group), V(build_user), V(build_comment), V(build_unit), V(build_cache), V(home),
      V(releases), V(configs), V(slots_directory), V(shared), V(cache), V(staged),
      V(current), V(log), V(lock), V(build_lock), V(kept), V(run), V(live_socket), V(tmpfiles), V(service_template),
      V(socket_template), V(trial_proxy_unit), V(tls), V(nginx_site), V(access_log), V(error_log).
    - The key V(balancer) contains the app's names and files in HAProxy, with the keys V(backend), V(fresh), V(site), V(ca_bundle).
    - The keys V(blue) and V(green) in V(slots), and the key V(trial), contain the keys V(name), V(directory), V(release), V(config),
      V(socket), V(service_unit), V(socket_unit), V(drop_in).
    - If O(release) is set, V(release) contains the keys V(id), V(directory), V(code), V(venv), V(python), V(manifest), V(sbom).
  type: dict
"""

from ansible_collections.asgi.deploy.plugins.module_utils._host.layout import layout, release_paths
from ansible_collections.asgi.deploy.plugins.plugin_utils._values.filters import as_filter


def layout_filter(name, release=None):
    return {**layout(name), **({} if release is None else {"release": release_paths(name, release)})}


class FilterModule:
    def filters(self):
        return as_filter("layout", layout_filter)
