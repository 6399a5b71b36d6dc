# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The action plugin release_command passes the sandbox to the module."""

from __future__ import annotations

from unittest.mock import Mock

import pytest
from ansible_collections.asgi.deploy.plugins.action.release_command import ActionModule


@pytest.mark.parametrize(("seconds", "asynchronous"), [(0, False), (3600, True)])
def test_the_module_gets_the_sandbox_and_can_run_asynchronously(monkeypatch, seconds, asynchronous):
    monkeypatch.setattr("ansible.plugins.action.ActionBase.run", lambda *_arguments: {})
    task = Mock(args={"name": "hello", "sandbox": {"write_paths": ["/"]}}, async_val=seconds)
    templar = Mock(template=lambda value: value)
    action = ActionModule(task, Mock(has_native_async=False), Mock(), Mock(), templar, Mock())
    monkeypatch.setattr(action, "_execute_module", Mock(return_value={"rc": 0}))

    assert action.run(task_vars={"asgi_server_memory_max": "1G", "other": 1}) == {"rc": 0}
    given = action._execute_module.call_args.kwargs
    assert given["module_args"] == {"name": "hello", "sandbox": {"memory_max": "1G"}}
    assert bool(given["wrap_async"]) is asynchronous
