"""The playbooks run.yml, logs.yml and releases.yml."""

from __future__ import annotations

import re

SECRET = "not-for-other-eyes"


def test_run_uses_the_first_host_of_the_app(hellos, playbook):
    output = playbook.succeeds("run", "--limit", "hello", asgi_run="python -c 'import main, os; print(os.environ)'")
    assert output.count("ASGI_APP") == 1
    assert "HELLO_SECRET" in output
    assert SECRET not in output
    assert "changed=1" in output


def test_run_fails_if_the_command_fails(hellos, playbook):
    output = playbook.fails("run", "--limit", "hello", asgi_run=["sh", "-c", "echo out; exit 3"], asgi_run_hosts="all")
    assert output.count("sh ended with status 3") >= len(hellos)
    assert "out" in output


def test_logs(one_hello, playbook):
    output = playbook.succeeds("logs", *one_hello.limit, asgi_logs_lines=200)
    assert "started release" in output


def test_releases(app, playbook):
    output = playbook.succeeds("releases", *app.limit)
    assert re.search(rf"{app.inventory_name} +{app.name} +\S+ +\S+ +\S+ \S+ +\S+ +live", output)
