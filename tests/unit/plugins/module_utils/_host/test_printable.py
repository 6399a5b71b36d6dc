"""Control characters from a host never reach the operator's terminal."""

from __future__ import annotations

import ast
import os
import re
import unicodedata
from pathlib import Path

import pytest
from ansible_collections.asgi.deploy.plugins.module_utils._host.printable import printable
from ansible_collections.asgi.deploy.plugins.plugin_utils._release.action_failure import ActionFailure
from ansible_collections.asgi.deploy.plugins.plugin_utils._release.source_error import SourceError
from hypothesis import given
from hypothesis import strategies as st
from samples import MEASUREMENTS

PLUGINS = Path(__file__).parents[5] / "plugins"

# One of each kind: clear the screen, rewrite the line, C1 CSI, direction override, zero-width space, line separator, surrogate, tag.
HOSTILE = "\x1b[2J\x1b]52;c;Y3VybA==\x07\r\x08\x00\x7f\x9b31m\x85\u202e\u2066\u200b\u2028\ufeff\U000e0041"
ESCAPED = r"\x1b[2J\x1b]52;c;Y3VybA==\x07\x0d\x08\x00\x7f\x9b31m\x85\u202e\u2066\u200b\u2028\ufeff" + r"\U000e0041"


# Format characters that are visible, such as Arabic number signs, or belong to hieroglyphs, shorthand or music.
HARMLESS = re.compile("[\u0600-\u0605\u06dd\u070f\u0890\u0891\u08e2\U00010000-\U000dffff]")


def unprintable(text):
    """Return the characters in *text* that a terminal interprets or hides, by Unicode category."""
    found = {char for char in text if unicodedata.category(char) in ("Cc", "Cf", "Cs", "Zl", "Zp")} - {"\n", "\t"}
    return {char for char in found if not HARMLESS.match(char)}


ANYTHING = st.recursive(
    st.text(alphabet=st.characters()) | st.integers() | st.none() | st.booleans(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(alphabet=st.characters()), inner),
)


def texts(value):
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from (key, *texts(item))
    elif isinstance(value, list):
        for item in value:
            yield from texts(item)


@given(ANYTHING)
def test_unprintable_characters_are_removed(value):
    shown = printable(value)
    assert not [text for text in texts(shown) if unprintable(text)]
    assert printable(shown) == shown


@given(st.text(alphabet=st.characters()))
def test_escaped_characters_are_readable(text):
    if "\\" not in text:
        shown = printable(text)
        assert re.sub(r"\\(x..|u....|U.{8})", lambda match: chr(int(match[1][1:], 16)), shown, flags=re.DOTALL) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (HOSTILE, ESCAPED),
        ("two\n\tlines", "two\n\tlines"),
        ("\r\n", "\\x0d\n"),
        ("caf\xe9 \u65e5\u672c\u8a9e \u0441\u043b\u043e\u0432\u043e \u0627\u0644\u0639 \u0600 \U0001f600", None),
        (r"C:\x1b \u202e", None),
        ("\udc9b", r"\udc9b"),
        (b"\x1b", None),
        (3, None),
    ],
)
def test_printable(text, shown):
    assert printable(text) == (text if shown is None else shown)


def test_structures():
    assert printable({"a\x1b": ["\x07", ("\x7f", 1)], "b": None}) == {r"a\x1b": [r"\x07", [r"\x7f", 1]], "b": None}


@pytest.mark.parametrize("error", [ActionFailure, lambda text: SourceError("x", "asgi_app_source.git", text, text)])
def test_failures_on_the_controller(error):
    assert not unprintable(str(error(HOSTILE)))


HOSTILE_MODULE = """
from ansible_collections.asgi.deploy.plugins.module_utils._host.host_module import HostModule

module = HostModule(argument_spec={"token": {"type": "str", "no_log": True}, "way": {"type": "str"}})
text = "HOSTILE"
module.warn(f"a warning {text}")
if module.params["way"] == "command":
    module.run_command(["printf", "%b", text.encode("unicode_escape").decode()], check_rc=True)
    module.run_command(["sh", "-c", "printf '\\\\033[2J\\\\233' >&2; exit 1"], check_rc=True)
if module.params["way"] == "fail":
    module.fail_json(msg=f"it does not boot {text}\\n  Traceback {text} {module.params['token']}\\n\\nImportError: {text}", serving=text)
if module.params["way"] == "fail in one line":
    module.fail_json(msg=f"it does not boot {text}")
diff = {"before": "", "after": f"{text}\\n", "before_header": text, "after_header": text}
app = {"name": "shop", "slot": text, "release": text, "config": text, "state": text, "workers": 2, "previous": text, "since": text}
module.exit_json(changed=True, apps=[app], diff=diff, note=text, token=module.params["token"], **{f"key {text}": 1})
"""

GIT = "#!/bin/sh\nprintf 'remote: \\033[2J\\202\\233 \\302\\233 cannot be fetched\\r\\n' >&2\nexit 128\n"

PLAYBOOK = (
    r"""
- hosts: localhost
  gather_facts: false
  vars:
    text: "HOSTILE"
    token: "secret\x1bvalue"
    app: {name: shop, slot: "{{ text }}", release: "{{ text }}", config: c1, state: "{{ text }}", workers: 2, since: "{{ text }}"}
    verdicts: [{app: shop, check: "{{ text }}", verdict: fail, code: "{{ text }}", found: "{{ text }}", remedy: "{{ text }}"}]
    site: {verdict: failed, url: "{{ text }}", causes: ["{{ text }}"], notes: ["{{ text }}"], certificate: {kind: "{{ text }}", days: 3}}
    tuned:
      plan: "{{ text }}"
      release: "{{ text }}"
      load: {tool: "{{ text }}", method: GET, path: /, connections: 64, seconds: 5, warmup: 2, rounds: 1, keepalive: 32}
"""
    + MEASUREMENTS
    + r"""    plan: {workers: 3, worker_memory: 128, reason: 3 = 2 CPUs + 1}
    maintained: {backends: {localhost: shop}, balancers: {localhost: []}, along: {}, servers: {localhost: []}}
  tasks:
    - hostile: {token: "{{ token }}", way: succeed}
      diff: true
      register: result
    - hostile: {token: "{{ token }}", way: fail}
      ignore_errors: true
    - hostile: {way: fail in one line}
      ignore_errors: true
    - hostile: {way: command}
      ignore_errors: true
    - debug: {var: result}
    - asgi.deploy.release: {name: shop, module: "main:app", source: {git: "https://example.org/x", ref: main}, uv_version: "1"}
      ignore_errors: true
    - set_fact:
        status: {apps: ["{{ app }}"]}
        doctor: {verdicts: "{{ verdicts }}", observations: {name: shop}}
        ansible_failed_result: {msg: "{{ text }}", details: ["{{ text }}"]}
        checked: {site: "{{ site }}", release: "{{ text }}"}
    - asgi.deploy.fleet_report: "{{ item }}"
      loop:
        - {kind: status, registers: [status], formats: [table, json, html]}
        - {kind: doctor, registers: [doctor], formats: [table, json]}
        - {kind: maintenance, plan: "{{ maintained }}", failed: [localhost]}
        - {kind: deploy, failed: [localhost]}
        - {kind: site, registers: [checked]}
      loop_control: {label: "{{ item.kind }}"}
      register: compiled
    - debug: {msg: "{{ compiled.results | map(attribute='reports') }}"}
    - debug: {msg: "{{ compiled.results[0].verdict }} {{ compiled.results[0].problem_hosts }}"}
    - debug: {msg: "{{ tuned | asgi.deploy.tune_report('web1', 'shop', plan, item) }}"}
      loop: [table, vars, json, html]
    - fail: {msg: "{{ text | asgi.deploy.printable }}"}
      ignore_errors: true
"""
)


def test_unprintable_characters_are_escaped(ansible_playbook, tmp_path, monkeypatch):
    """Ansible's default callback does not escape messages, warnings and diffs."""
    spelled = HOSTILE.encode("unicode_escape").decode()
    (tmp_path / "library").mkdir()
    (tmp_path / "library/hostile.py").write_text(HOSTILE_MODULE.replace("HOSTILE", spelled))
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/git").write_text(GIT)
    (tmp_path / "bin/git").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")

    status, output = ansible_playbook(PLAYBOOK.replace("HOSTILE", spelled))

    assert status == 0, output
    assert "ok=12 " in output, "every task has printed something"
    assert unprintable(output) == set()
    assert output.count(r"\x1b[2J") > 20
    # Python converts a carriage return in the output to a newline, so look for the escaped form.
    assert len(re.findall(r"\\x07\\{1,2}x0d\\{1,2}x08", output)) > 20
    assert re.search(r"remote: \\{1,2}x1b\[2J", output)
    assert "secret" not in output


@pytest.mark.parametrize("name", ["plugin_utils/_tune/tuning_report", "action/fleet_report", "action/fleet_check"])
def test_plugins_that_build_a_text_from_host_data_escape_it(name):
    called = {
        node.func.id
        for node in ast.walk(ast.parse((PLUGINS / f"{name}.py").read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    assert "printable" in called
