"""Fixtures of all unit tests."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from ansible_collections.asgi.deploy.plugins.module_utils._host import journal
from hypothesis import settings
from receiver import receiving

# A slow or busy machine must not fail a test.
settings.register_profile("default", deadline=None)
settings.load_profile("default")

COLLECTIONS = Path(__file__).parents[2] / ".collections"
STAND_INS = Path(__file__).parent / "bin"
LOCAL = """
[all:vars]
ansible_connection=local
ansible_python_interpreter={{ ansible_playbook_python }}
"""


@pytest.fixture
def ansible_playbook(tmp_path):
    """Return a function that runs a playbook without an ansible.cfg, and returns the status and the output."""

    def run(text, inventory="localhost"):
        for name, content in (("playbook.yml", text), ("inventory", inventory + LOCAL), ("ansible.cfg", "")):
            (tmp_path / name).write_text(content)
        settings = {key: value for key, value in os.environ.items() if not key.startswith("ANSIBLE_")}
        settings |= {"ANSIBLE_CONFIG": str(tmp_path / "ansible.cfg"), "ANSIBLE_COLLECTIONS_PATH": str(COLLECTIONS)}
        command = [sys.executable, "-m", "ansible", "playbook", "-i", "inventory", "playbook.yml"]
        done = subprocess.run(
            command,
            cwd=tmp_path,
            env=settings,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout

    return run


@pytest.fixture
def transient_units(tmp_path, monkeypatch):
    """Replace systemd-run and systemctl with stand-ins; return the directory of the units' command lines."""
    directory = tmp_path / "transient-units"
    directory.mkdir()
    monkeypatch.setenv("STAND_IN_UNITS", str(directory))
    monkeypatch.setenv("PATH", f"{STAND_INS}:{os.environ['PATH']}")
    return directory


@pytest.fixture
def journald(tmp_path, monkeypatch):
    """Return a socket that receives the entries of the journal."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(str(tmp_path / "journal"))
        monkeypatch.setattr(journal, "SOCKET", str(tmp_path / "journal"))
        yield server


@pytest.fixture
def receiver():
    """Start a webhook on this computer."""
    with receiving() as found:
        yield found
