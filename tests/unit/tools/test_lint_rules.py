"""The project's own ansible-lint rules detect violations, and .ansible-lint enables the rules."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[3]
COPY = {"dest": "/etc/x", "src": "x", "owner": "root", "group": "root"}
CONTENT = {"content": "{{ secret }}", "dest": "/etc/x", "owner": "root", "group": "root"}

# Tasks that wrote secrets before the module secret_file existed.
FORMER = {
    "certificate": ("ansible.builtin.copy", {**CONTENT, "mode": "0600"}),
    "users": ("ansible.builtin.copy", {**CONTENT, "group": "www-data", "mode": "0640"}),
    "keepalived": ("ansible.builtin.copy", {**CONTENT, "mode": "0600"}),
}
FORBIDDEN = {
    **FORMER,
    "template": ("ansible.builtin.template", {**COPY, "mode": "0640"}),
    "short name": ("template", {**COPY, "mode": "640"}),
    "symbolic": ("ansible.builtin.copy", {**COPY, "mode": "u=rw,g=r,o="}),
    "removed by a symbolic mode": ("ansible.builtin.copy", {**COPY, "mode": "o-rwx"}),
    "assemble": ("ansible.builtin.assemble", {**COPY, "mode": "0600"}),
    "get_url": ("ansible.builtin.get_url", {"url": "https://x.test/", "dest": "/etc/x", "mode": "0400"}),
    "lineinfile": ("ansible.builtin.lineinfile", {"path": "/etc/x", "line": "x", "mode": "0600"}),
    "blockinfile": ("ansible.builtin.blockinfile", {"path": "/etc/x", "block": "x", "mode": "0600"}),
}
ALLOWED = {
    "public copy": ("ansible.builtin.copy", {**COPY, "mode": "0644"}),
    "program": ("ansible.builtin.copy", {**COPY, "mode": "0755"}),
    "symbolic": ("ansible.builtin.template", {**COPY, "mode": "u=rw,go=r"}),
    "directory": ("ansible.builtin.file", {"path": "/etc/x", "state": "directory", "mode": "0700"}),
    "the module": ("asgi.deploy.secret_file", {"path": "/etc/x", "content": "x", "mode": "0600"}),
}


def lint(directory: Path, tasks: list) -> list[str]:
    """Write *tasks* to a role file in *directory*; return the names of the tasks that the rule reports."""
    file = directory / "roles/demo/tasks/main.yml"
    file.parent.mkdir(parents=True)
    file.write_text("---\n" + "\n".join(yaml.safe_dump([task], sort_keys=False) for task in tasks))
    command = [Path(sys.executable).parent / "ansible-lint", "--offline", "--nocolor", "-q", "-f", "pep8"]
    config = ["--config-file", ROOT / ".ansible-lint"]
    done = subprocess.run([*command, *config, file], cwd=ROOT, capture_output=True, text=True, check=False)
    lines = file.read_text().splitlines()
    findings = [line.split(":") for line in done.stdout.splitlines() if "asgi-secret-file" in line]
    assert done.returncode in (0, 2), done.stderr
    return [lines[int(finding[1]) - 1].removeprefix("- name: ") for finding in findings]


def tasks(cases: dict) -> list:
    return [{"name": f"Case {name}", module: options} for name, (module, options) in cases.items()]


def test_rule_detects_only_violations(tmp_path):
    hidden = {"name": "Case hidden", "ansible.builtin.copy": {**COPY, "mode": "0644"}, "no_log": True}
    reported = lint(tmp_path, [*tasks(FORBIDDEN), hidden, *tasks(ALLOWED)])
    assert sorted(reported) == sorted([*(f"Case {name}" for name in FORBIDDEN), "Case hidden"])


@pytest.mark.parametrize("name", sorted(FORMER))
def test_roles_write_secrets_with_secret_file(name):
    """The test above shows that the rule detects the tasks that these files contained before."""
    paths = list(ROOT.glob(f"roles/*/tasks/{name}.yml"))
    assert paths
    for path in paths:
        modules = {key for task in yaml.safe_load(path.read_text()) for key in task}
        assert "ansible.builtin.copy" not in modules
        assert "asgi.deploy.secret_file" in modules
