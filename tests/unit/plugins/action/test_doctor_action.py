"""The action plugin doctor: the module's arguments, and the verdicts on its observations."""

from __future__ import annotations

from unittest.mock import Mock

import pytest
from ansible_collections.asgi.deploy.plugins.action.doctor import ActionModule

SEEN = {"name": "hello", "live": None}


@pytest.fixture
def doctor(monkeypatch):
    """Return a function that runs the action with the module's response; it returns the action's result and the module's arguments."""
    monkeypatch.setattr("ansible.plugins.action.ActionBase.run", lambda *_arguments: {})
    given = {}

    def run(answer, **arguments):
        task = Mock(args={"name": "hello", **arguments}, async_val=0)
        action = ActionModule(task, Mock(), Mock(), Mock(), Mock(), None)
        monkeypatch.setattr(action, "_execute_module", lambda **call: given.update(call) or answer)
        return action.run(task_vars={}), given["module_args"]

    return run


def test_expected_values_stay_on_the_controller(doctor):
    result, sent = doctor(
        {"changed": False, "observations": SEEN}, expected={"workers": 2}, site={"host": "x", "port": 443}
    )

    assert sent == {"name": "hello", "site": {"host": "x", "port": 443}}
    assert [verdict["check"] for verdict in result["verdicts"]] == ["deployed"]


def test_failure_of_the_module_has_no_verdicts(doctor):
    result, _sent = doctor({"failed": True, "msg": "systemd: no"})

    assert result == {"failed": True, "msg": "systemd: no"}
