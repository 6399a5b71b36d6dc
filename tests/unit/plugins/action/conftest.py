"""Fixtures of the action plugins."""

from __future__ import annotations

from unittest.mock import Mock

import pytest


@pytest.fixture
def run_action(monkeypatch):
    """Return a function that runs an action plugin on the controller with arguments and task variables."""
    monkeypatch.setattr("ansible.plugins.action.ActionBase.run", lambda *_arguments: {})

    def run(plugin, arguments, hostvars, check_mode=False, **play_vars):
        task = Mock(args=arguments, async_val=0, check_mode=check_mode)
        hosts = list(hostvars)
        task_vars = {
            **(hostvars[hosts[0]] if hosts else {}),
            "inventory_hostname": hosts[0] if hosts else None,
            "hostvars": hostvars,
            "ansible_play_hosts": hosts,
            "ansible_play_hosts_all": hosts,
            **play_vars,
        }
        templar = Mock(template=lambda value: value)
        return plugin.ActionModule(task, Mock(), Mock(), Mock(), templar, None).run(task_vars=task_vars)

    return run
