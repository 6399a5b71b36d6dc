"""Without an ansible.cfg, Ansible prints the lines of a message separately, not with line breaks escaped as \\n."""

from __future__ import annotations

import json
import re
from pathlib import Path
from types import SimpleNamespace

import pytest
from ansible.errors import AnsibleActionFail
from ansible_collections.asgi.deploy.plugins.module_utils._host.ansible_core import PRINTS_EXCEPTIONS
from ansible_collections.asgi.deploy.plugins.module_utils._host.failures import split_message, whole_message
from ansible_collections.asgi.deploy.plugins.plugin_utils._release.action_failure import ActionFailure
from samples import MEASUREMENTS

MODULES = Path(__file__).parents[5] / "plugins/modules"

FAILING_MODULE = """
from ansible_collections.asgi.deploy.plugins.module_utils._host.host_module import HostModule

module = HostModule(argument_spec={"token": {"type": "str", "no_log": True}})
message = f"release src-1 was not activated: it does not boot\\n  Traceback {module.params['token']}\\n\\nImportError: no module\\n"
module.fail_json(msg=message, serving="nothing")
"""

PLAYBOOK = (
    r"""
- hosts: localhost
  gather_facts: false
  vars:
    app:
      name: shop
      slot: blue
      release: src-1
      config: c1
      state: active
      workers: 2
      previous:
      since: Sat 2026-11-21 00:46:28 UTC
    verdicts:
      - {app: shop, check: units, verdict: fail, code: unit-inactive, found: "nginx.service is failed\nfor a reason", remedy: start it}
    tuned:
      plan: three numbers
      release: src-1
      load: {tool: wrk, method: GET, path: /, connections: 64, seconds: 5, warmup: 2, rounds: 1, keepalive: 32}
"""
    + MEASUREMENTS
    + r"""    plan: {workers: 3, worker_memory: 128, reason: 3 = 2 CPUs + 1}
    maintained: {backends: {localhost: shop}, balancers: {localhost: []}, along: {}, servers: {localhost: []}}
  tasks:
    - name: A module
      lines: {token: hunter22}
      ignore_errors: true
      register: result
    - name: An item of a loop
      lines: {token: hunter22}
      loop: [one]
      ignore_errors: true
    - name: The result
      debug: {var: result}
    - name: The action preflight
      asgi.deploy.preflight:
      ignore_errors: true
    - name: The action release
      asgi.deploy.release: {name: shop, module: "main:app", source: {path: no/where}, uv_version: "1"}
      ignore_errors: true
    - set_fact:
        status: {apps: ["{{ app }}"]}
        doctor: {verdicts: "{{ verdicts }}", observations: {name: shop}}
        ansible_failed_result: {msg: it does not boot, details: [Traceback, ImportError]}
    - asgi.deploy.fleet_report: "{{ item }}"
      loop:
        - {kind: status, registers: [status], formats: [table, json]}
        - {kind: doctor, registers: [doctor]}
        - {kind: maintenance, plan: "{{ maintained }}", failed: [localhost]}
        - {kind: deploy, failed: [localhost]}
      register: compiled
    - debug: {msg: "{{ item }}"}
      loop: "{{ compiled.results | map(attribute='reports') | map('dict2items') | flatten | map(attribute='value') }}"
      loop_control: {label: report}
    - debug: {msg: "{{ tuned | asgi.deploy.tune_report('web1', 'shop', plan) }}"}
"""
)


def test_line_breaks_are_not_escaped(ansible_playbook, tmp_path):
    (tmp_path / "library").mkdir()
    (tmp_path / "library/lines.py").write_text(FAILING_MODULE)

    status, output = ansible_playbook(PLAYBOOK)

    assert status == 0, output
    assert "ok=9 " in output, "every task has printed something"
    assert [line for line in output.splitlines() if "\\n" in line] == []
    # the error block and the report print the lines separately; before ansible-core 2.19 there is no error block
    block = re.search(r"was not activated: it does not boot: +Traceback \*{8}\n\nImportError: no module\n", output)
    assert bool(block) == PRINTS_EXCEPTIONS, output
    block = re.search(
        r"problems in the variables of localhost; nothing has been changed:\n  asgi_\S+ .*\n  asgi_", output
    )
    assert bool(block) == PRINTS_EXCEPTIONS, output
    assert "An exception occurred during task execution" not in output
    assert '"localhost shop: 0 ok, 0 warn, 1 fail"' in output
    assert "hunter22" not in output
    [result] = re.findall(r'"result": (\{.*?\n    \})\n', output, re.DOTALL)
    result = json.loads(result)
    assert result["msg"] == "release src-1 was not activated: it does not boot"
    assert result["details"] == ["  Traceback ********", "", "ImportError: no module"]
    assert result["serving"] == "nothing"


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("one", ("one", [])),
        ("one:\n", ("one:", [])),
        ("one:\n\n  two", ("one", ["  two"])),
        ("\none\r\n\n  two  \n\n three\n\n", ("one", ["  two", "", " three"])),
        ("", ("", [])),
    ],
)
def test_split_message(message, expected):
    assert split_message(message) == expected


def test_whole_message():
    assert whole_message({"msg": "one", "details": ["  two", "three"]}) == "one\n  two\nthree"
    assert whole_message({"msg": "one"}) == "one"
    assert whole_message({}) == ""


MESSAGE = "two problems:\n  this\n  that"


def test_the_failure_of_an_action():
    failure = ActionFailure(MESSAGE)

    assert isinstance(failure, AnsibleActionFail)
    assert str(failure) == MESSAGE, "what the error block prints"


@pytest.mark.skipif(PRINTS_EXCEPTIONS, reason="ansible-core before 2.19 reads the attribute")
def test_the_result_of_a_failed_action_of_an_earlier_core():
    wanted = {"failed": True, "msg": "two problems", "details": ["  this", "  that"]}
    assert ActionFailure(MESSAGE).result == wanted
    assert ActionFailure("one").result == {"failed": True, "msg": "one"}


@pytest.mark.skipif(
    not hasattr(AnsibleActionFail, "result_contribution"), reason="ansible-core 2.19 and 2.20 ask for it"
)
def test_the_result_of_a_failed_action():
    wanted = {"failed": True, "msg": "two problems", "details": ["  this", "  that"]}
    assert ActionFailure(MESSAGE).result_contribution == wanted
    assert ActionFailure("one").result_contribution == {"failed": True, "msg": "one"}


@pytest.mark.skipif(not hasattr(AnsibleActionFail, "as_task_result"), reason="ansible-core 2.21 and later ask for it")
def test_the_result_of_a_failed_action_of_a_later_core():
    result = ActionFailure(MESSAGE).as_task_result(SimpleNamespace(result_data={}))
    assert (result.failed, result.msg, result.result_data) == (True, "two problems", {"details": ["  this", "  that"]})
    result = ActionFailure("one").as_task_result(SimpleNamespace(result_data={}))
    assert (result.failed, result.msg, result.result_data) == (True, "one", {})
