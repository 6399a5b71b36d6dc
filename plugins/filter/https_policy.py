# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter plugin for :func:`plugin_utils._render.https_policy.https_policy`."""

from __future__ import annotations

DOCUMENTATION = r"""
name: https_policy
short_description: Return the cipher suites and the HSTS header of a site
version_added: 1.0.0
description:
  - Returns the settings that nginx on the application hosts and HAProxy on the load balancers share.
positional: _input, provider, max_age, include_subdomains, preload
options:
  _input:
    description: The TLS profile, V(intermediate) or V(modern).
    type: str
    required: true
  provider:
    description: The source of the certificate. A site with a V(selfsigned) certificate sends no HSTS header.
    type: str
    required: true
  max_age:
    description: How long browsers remember to use HTTPS only, in seconds. A site sends no HSTS header if it is 0.
    type: int
    required: true
  include_subdomains:
    description: Whether the header also applies to all subdomains.
    type: bool
    default: false
  preload:
    description: Whether browsers may include the site in their preload lists.
    type: bool
    default: false
author:
  - the asgi.deploy authors (@asgi-deploy)
"""

EXAMPLES = r"""
- name: Print the HSTS header of a site
  ansible.builtin.debug:
    msg: "{{ ('intermediate' | asgi.deploy.https_policy('acme', 31536000)).hsts }}"
"""

RETURN = r"""
_value:
  description:
    - RV(ignore:ciphers) is the list of cipher suites in OpenSSL's format, empty for TLS 1.3 only.
    - RV(ignore:hsts) is the value of the header C(Strict-Transport-Security), empty if the site sends none.
  type: dict
"""

from ansible_collections.asgi.deploy.plugins.plugin_utils._render.https_policy import https_policy


class FilterModule:
    def filters(self):
        return {"https_policy": https_policy}
