"""On a converged machine, check mode has nothing to announce."""

from __future__ import annotations

import re


def test_check_mode_announces_no_change(playbook):
    _status, said = playbook("site", "--check", "--diff")

    recap = re.findall(r"changed=(\d+) +unreachable=(\d+) +failed=(\d+)", said)
    assert recap, said
    assert set(recap) == {("0", "0", "0")}, said
