"""What a run that finds nothing to do costs a host: each execution of a module is a Python that starts there."""

from __future__ import annotations

import re
from collections import Counter

EXECUTED = re.compile(r"Using module file \S+/(\w+)\.py")


def test_few_modules_are_executed_when_there_is_nothing_to_do(playbook):
    status, said = playbook("site", "-vvv", "--limit", "debian13-hello")

    assert status == 0, said
    assert "changed=0" in said
    # what is staged, and what the host has; what it has for nginx; what is live, and what nginx serves; its metrics, as it has some
    once = ("release", "host_info", "activate", "nginx_site", "metrics_endpoint")
    assert Counter(EXECUTED.findall(said)) == dict.fromkeys(once, 1)
