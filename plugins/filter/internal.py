# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters for the roles and playbooks of this collection only, which may change in any release.

The docstrings of the functions describe the parameters. ansible-doc requires a file with at least a short description for each filter.
"""

from __future__ import annotations

from ansible_collections.asgi.deploy.plugins.plugin_utils._fleet.balancer import balanced_app, peers, ports
from ansible_collections.asgi.deploy.plugins.plugin_utils._fleet.vrrp import interface_problems
from ansible_collections.asgi.deploy.plugins.plugin_utils._render.https_policy import https_policy
from ansible_collections.asgi.deploy.plugins.plugin_utils._render.include_names import include_names
from ansible_collections.asgi.deploy.plugins.plugin_utils._render.request_headers import header_patterns
from ansible_collections.asgi.deploy.plugins.plugin_utils._render.shared_address import keepalived_disagreements
from ansible_collections.asgi.deploy.plugins.plugin_utils._render.site_plan import site_plan
from ansible_collections.asgi.deploy.plugins.plugin_utils._server.processes import (
    process_environments,
    process_files,
    process_plan,
    procfile_notes,
)
from ansible_collections.asgi.deploy.plugins.plugin_utils._server.sandbox import sandbox_settings
from ansible_collections.asgi.deploy.plugins.plugin_utils._server.servers import hang_timeout_margin
from ansible_collections.asgi.deploy.plugins.plugin_utils._tune.tuning import candidates
from ansible_collections.asgi.deploy.plugins.plugin_utils._tune.tuning_report import tune_report
from ansible_collections.asgi.deploy.plugins.plugin_utils._values.filters import as_filter
from ansible_collections.asgi.deploy.plugins.plugin_utils._values.paths import absolute_path

FILTERS = {
    "balanced_app": balanced_app,
    "balancer_peers": peers,
    "balancer_ports": ports,
    "controller_path": absolute_path,
    "hang_timeout_margin": hang_timeout_margin,
    "header_patterns": header_patterns,
    "https_policy": https_policy,
    "include_names": include_names,
    "interface_problems": interface_problems,
    "keepalived_disagreements": keepalived_disagreements,
    "process_environments": process_environments,
    "process_files": process_files,
    "process_plan": process_plan,
    "procfile_notes": procfile_notes,
    "sandbox_settings": sandbox_settings,
    "site_plan": site_plan,
    "tune_candidates": candidates,
    "tune_report": tune_report,
}


class FilterModule:
    def filters(self):
        found = {}
        for name, function in FILTERS.items():
            found.update(as_filter(name, function))
        return found
