"""The action plugin fleet_check: problems that only a comparison of hosts detects."""

from __future__ import annotations

import pytest
from ansible_collections.asgi.deploy.plugins.action import fleet_check

CLAIMS = {"app": "shop", "names": {}, "listeners": []}


@pytest.mark.parametrize(
    ("check", "healthy", "broken", "messages"),
    [
        (
            "claims",
            {"claims": {**CLAIMS, "app": "tiles"}},
            {"claims": CLAIMS},
            ["nothing has been changed:", "lb1 and lb2 are names of one machine, and both have the app shop"],
        ),
        (
            "balancers",
            {"faults": {}},
            {"faults": {"a.test": "no server"}},
            ["lb2 does not pass clients of a.test on to the app: no server"],
        ),
    ],
)
def test_problems_fail_with_a_list(run_action, check, healthy, broken, messages):
    def run(result):
        first = {"claims": CLAIMS} if check == "claims" else healthy
        hostvars = {name: {"ansible_host": "a", "result": each} for name, each in (("lb1", first), ("lb2", result))}
        return run_action(fleet_check, {"check": check, "register": "result"}, hostvars)

    assert run(healthy) == {"changed": False, "hosts": ["lb1", "lb2"]}
    failed = run(broken)
    assert failed["failed"] is True
    assert all(line.startswith(message) for line, message in zip(failed["msg"], messages, strict=True))
