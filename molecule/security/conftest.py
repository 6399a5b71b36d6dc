"""The host, the victim and the intruder. No attack may change the victim."""

from __future__ import annotations

import shutil
import textwrap
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest
from scenario import Playbook, Runner
from security.target import HOST, MARK, App
from testinfra.host import Host

HERE = Path(__file__).parent
# The timeouts of a playbook for boot, drain and stop add up to less.
PLAYBOOK_SECONDS = 300


@pytest.fixture(scope="module")
def machine() -> Host:
    return HOST


@pytest.fixture
def victim() -> App:
    return App("victim")


@pytest.fixture
def intruder() -> App:
    return App("intruder")


@pytest.fixture(scope="module")
def playbook() -> Playbook:
    """Runs playbooks, by default for the intruder only."""
    return Playbook(HERE / "inventory", "--limit", "intruder", timeout=PLAYBOOK_SECONDS)


@pytest.fixture
def source(tmp_path) -> Callable[..., Path]:
    """Return a function that creates a source of the intruder with further files. The app imports `hostile.py`."""

    def make(files: dict[str, str] | None = None) -> Path:
        directory = tmp_path / uuid.uuid4().hex
        shutil.copytree(HERE / "apps/intruder", directory, ignore=shutil.ignore_patterns("__pycache__"))
        (directory / "variant").write_text(directory.name)  # makes it a new release
        for name, text in (files or {}).items():
            path = directory / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(textwrap.dedent(text))
        return directory

    return make


@pytest.fixture
def deploy(playbook, source) -> Runner:
    """Deploy the intruder with additional source files and variables."""
    return Runner(lambda files=None, **variables: playbook("deploy", security_source=str(source(files)), **variables))


@pytest.fixture
def restored(playbook):
    """Deploy the intruder of the inventory at the end of the test."""
    yield
    playbook.succeeds("site")


def marks() -> list[str]:
    """Return the files of attacks that root owns, or that are outside the directories of the intruder."""
    find = f"find / -xdev \\( -path /proc -o -path /sys \\) -prune -o -name '{MARK}*' -printf '%u %p\\n'"
    allowed = ("/srv/intruder/", "/var/cache/asgi/apps/intruder/", "/tmp/", "/var/tmp/")
    files = [line.split(" ", 1) for line in HOST.check_output(find).splitlines()]
    return [f"{path} of {owner}" for owner, path in files if owner == "root" or not path.startswith(allowed)]


@pytest.fixture(autouse=True)
def unharmed(victim):
    """Assert that the victim serves with the same files and processes, and that no file exists outside the intruder's directories."""
    before = victim.fingerprint()
    yield
    assert victim.ask().text == "fine"
    assert victim.fingerprint() == before
    assert marks() == []
