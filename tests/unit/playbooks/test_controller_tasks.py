"""Tasks on the controller override the connection variables and ansible_become, which an inventory may set for all hosts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[3]
LOCAL = {
    "ansible_become": False,
    "ansible_connection": "local",
    "ansible_python_interpreter": "{{ ansible_playbook_python }}",
}
BLOCK = re.compile(r"^```ya?ml\n(.*?)^```", re.MULTILINE | re.DOTALL)


def dictionaries(value: Any) -> Iterator[dict]:
    """Yield every dictionary in *value*, including tasks."""
    if isinstance(value, dict):
        yield value
        value = list(value.values())
    for each in value if isinstance(value, list) else ():
        yield from dictionaries(each)


def texts() -> Iterator[tuple[str, str]]:
    for directory in ("roles", "playbooks", "examples", "inventories", "molecule/servers/hooks"):
        for path in sorted((ROOT / directory).rglob("*.yml")):
            yield str(path.relative_to(ROOT)), path.read_text()
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), *sorted(ROOT.glob("roles/*/README.md"))]:
        for number, block in enumerate(BLOCK.findall(path.read_text()), 1):
            yield f"{path.relative_to(ROOT)} {number}", block
    for path in sorted((ROOT / "plugins").rglob("*.py")):
        for number, block in enumerate(
            re.findall(r'^EXAMPLES = r"""\n(.*?)"""', path.read_text(), re.MULTILINE | re.DOTALL), 1
        ):
            yield f"{path.relative_to(ROOT)} {number}", block


def on_the_controller(task: dict) -> bool:
    return "localhost" in (task.get("delegate_to"), task.get("hosts")) or task.get("connection") == "local"


FOUND = [
    pytest.param(task, id=f"{where}: {task.get('name')}")
    for where, text in texts()
    for task in dictionaries(yaml.safe_load(text))
    if on_the_controller(task) or "local_action" in task
]


def test_controller_tasks_are_found():
    places = {parameter.id.split(" ")[0].rstrip(":") for parameter in FOUND}
    assert {
        "playbooks/status.yml",
        "playbooks/doctor.yml",
        "playbooks/tune.yml",
        "docs/how-to/external-load-balancer.md",
    } <= places


@pytest.mark.parametrize("task", FOUND)
def test_controller_task_overrides_connection_variables(task):
    # `become: false` does not override ansible_become
    assert {name: task.get("vars", {}).get(name) for name in LOCAL} == LOCAL
