"""What goes to the host and what is judged on the controller."""

from __future__ import annotations

from unittest.mock import Mock

import pytest
from ansible_collections.asgi.deploy.plugins.action.doctor import ActionModule

SEEN = {"name": "hello", "live": None}


@pytest.fixture
def doctor(monkeypatch):
    """Run the action on a host that answers *answer*; return its result and what the module was given."""
    monkeypatch.setattr("ansible.plugins.action.ActionBase.run", lambda *_arguments: {})
    given = {}

    def run(answer, **arguments):
        task = Mock(args={"name": "hello", **arguments}, async_val=0)
        action = ActionModule(task, Mock(), Mock(), Mock(), Mock(), None)
        monkeypatch.setattr(action, "_execute_module", lambda **call: given.update(call) or answer)
        return action.run(task_vars={}), given["module_args"]

    return run


def test_what_is_expected_stays_here_and_the_rest_goes_to_the_host(doctor):
    result, sent = doctor(
        {"changed": False, "observations": SEEN}, expected={"workers": 2}, site={"host": "x", "port": 443}
    )

    assert sent == {"name": "hello", "site": {"host": "x", "port": 443}}
    assert [verdict["check"] for verdict in result["verdicts"]] == ["deployed"]


def test_a_host_that_could_not_be_observed_is_not_judged(doctor):
    result, _sent = doctor({"failed": True, "msg": "systemd: no"})

    assert result == {"failed": True, "msg": "systemd: no"}
