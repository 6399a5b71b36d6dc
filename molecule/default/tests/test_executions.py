"""The number of module executions of a no-op run. Each execution starts a Python interpreter on the host."""

from __future__ import annotations

import re
from collections import Counter

EXECUTED = re.compile(r"Using module file \S+/(\w+)\.py")


def test_no_op_site_executes_few_modules(playbook):
    output = playbook.succeeds("site", "-vvv", "--limit", "debian13-hello")

    assert "changed=0" in output
    # one execution each: staging, host facts for nginx, activation, the site, the metrics endpoint and the site check
    once = ("release", "host_info", "activate", "nginx_site", "metrics_endpoint", "site_check")
    assert Counter(EXECUTED.findall(output)) == dict.fromkeys(once, 1)


def test_no_op_deploy_executes_no_module_for_the_site_check(playbook):
    """The module that changes the app has already checked the site."""
    output = playbook.succeeds("deploy", "-vvv", "--limit", "debian13-hello")

    assert "changed=0" in output
    assert Counter(EXECUTED.findall(output)) == dict.fromkeys(("release", "activate", "metrics_endpoint"), 1)
    assert re.search(r"debian13-hello +answers +https://", output), output
