"""Check mode on a converged machine reports no change."""

from __future__ import annotations

import re


def test_check_mode_reports_no_change(playbook):
    _status, output = playbook("site", "--check", "--diff")

    recap = re.findall(r"changed=(\d+) +unreachable=(\d+) +failed=(\d+)", output)
    assert recap, output
    assert set(recap) == {("0", "0", "0")}, output
