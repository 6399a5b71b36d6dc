# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The host that runs the hook asgi_app_hook_staged."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

VARS = Path(__file__).parents[4] / "roles/asgi_app/vars/main.yml"


@pytest.mark.parametrize(
    ("inventory", "play_vars", "expected"),
    [
        # each inventory name has one app
        ("web1 asgi_name=shop\nweb2 asgi_name=tiles\nweb3 asgi_name=tiles", {}, ["web1", "web2", "web2"]),
        # vars of an import_playbook, see docs/how-to/several-apps-on-one-host.md
        ("web1\nweb2\nweb3", {"asgi_name": "shop"}, ["web1", "web1", "web1"]),
        ("web1 asgi_name=tiles\nweb2\nweb3", {"asgi_name": "shop"}, ["web1", "web1", "web1"]),
    ],
)
def test_first_host_of_each_app_runs_the_hook(ansible_playbook, inventory, play_vars, expected):
    message = "{{ inventory_hostname }}: {{ __asgi_app_hosts | first }}"
    play = {
        "hosts": "all",
        "gather_facts": False,
        "vars": play_vars,
        "vars_files": [str(VARS)],
        "tasks": [{"ansible.builtin.debug": {"msg": message}}],
    }
    status, output = ansible_playbook(yaml.safe_dump([play]), f"{inventory}\n")
    assert status == 0, output
    for host, first in zip(("web1", "web2", "web3"), expected, strict=True):
        assert f"{host}: {first}" in output
