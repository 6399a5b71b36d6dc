# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The action plugin release_command passes the app, the release, the environment and the sandbox to the module."""

from __future__ import annotations

import json
from unittest.mock import Mock

import pytest
from ansible.errors import AnsibleActionFail
from ansible_collections.asgi.deploy.plugins.action.release_command import ActionModule

HOOK = {
    "asgi_name": "shop",
    "asgi_release": {"id": "src-1"},
    "asgi_env": {"DATABASE_URL": "postgres:///shop", "DEBUG": 1},
}


@pytest.fixture
def module_args(monkeypatch):
    """Return a function that returns the options of the module for the arguments of a task and its variables."""
    monkeypatch.setattr("ansible.plugins.action.ActionBase.run", lambda *_arguments: {})

    def run(arguments, task_vars):
        action = ActionModule(
            Mock(args=arguments, async_val=0), Mock(), Mock(), Mock(), Mock(template=lambda v: v), Mock()
        )
        monkeypatch.setattr(action, "_execute_module", Mock(return_value={"rc": 0}))
        assert action.run(task_vars=task_vars) == {"rc": 0}
        return action._execute_module.call_args.kwargs["module_args"]

    return run


@pytest.mark.parametrize(("seconds", "asynchronous"), [(0, False), (3600, True)])
def test_the_module_gets_the_sandbox_and_can_run_asynchronously(monkeypatch, seconds, asynchronous):
    monkeypatch.setattr("ansible.plugins.action.ActionBase.run", lambda *_arguments: {})
    task = Mock(args={"name": "hello", "sandbox": {"write_paths": ["/"]}}, async_val=seconds)
    templar = Mock(template=lambda value: value)
    action = ActionModule(task, Mock(has_native_async=False), Mock(), Mock(), templar, Mock())
    monkeypatch.setattr(action, "_execute_module", Mock(return_value={"rc": 0}))

    assert action.run(task_vars={"asgi_server_memory_max": "1G", "other": 1}) == {"rc": 0}
    given = action._execute_module.call_args.kwargs
    assert given["module_args"] == {"name": "hello", "sandbox": {"memory_max": "1G"}, "environment": None}
    assert bool(given["wrap_async"]) is asynchronous


def test_a_hook_needs_only_the_command(module_args):
    given = module_args({"argv": ["alembic", "current"]}, HOOK)

    assert (given["name"], given["release"], given["argv"]) == ("shop", "src-1", ["alembic", "current"])
    # A string, because Ansible would mask each value of a dictionary, such as 1.
    assert json.loads(given["environment"]) == {"DATABASE_URL": "postgres:///shop", "DEBUG": 1}


def test_options_of_the_task_take_precedence(module_args):
    arguments = {"name": "tiles", "release": "src-2", "environment": {"DEBUG": 0, "STATIC": "/x"}}
    given = module_args(arguments, HOOK)

    assert (given["name"], given["release"]) == ("tiles", "src-2")
    wanted = {"DATABASE_URL": "postgres:///shop", "DEBUG": 0, "STATIC": "/x"}
    assert json.loads(given["environment"]) == wanted
    assert module_args({**arguments, "environment": json.dumps(arguments["environment"])}, HOOK) == given


def test_without_variables_nothing_is_passed(module_args):
    assert module_args({"argv": ["true"]}, {"asgi_env": {}}) == {"argv": ["true"], "sandbox": {}, "environment": None}


@pytest.mark.parametrize("value", ["TOKEN=secret", "[1]", ["secret"]])
def test_an_environment_that_is_not_a_dictionary_is_an_error_without_its_value(module_args, value):
    with pytest.raises(AnsibleActionFail, match="environment is neither a dictionary nor the JSON of one") as caught:
        module_args({"environment": value}, HOOK)
    assert "secret" not in str(caught.value)
