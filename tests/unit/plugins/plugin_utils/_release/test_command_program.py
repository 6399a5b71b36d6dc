"""The program of the host command: reproducible, and independent of Ansible and of packages on the host."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile

import pytest
from ansible_collections.asgi.deploy.plugins.plugin_utils._release.command_program import (
    PLUGINS,
    command_program,
    write_program,
)


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    path = tmp_path_factory.mktemp("program") / "asgi.pyz"
    write_program(path)
    return path


def test_the_program_is_reproducible(program, tmp_path):
    os.environ["TZ"] = "Asia/Tokyo"
    write_program(tmp_path / "again.pyz")
    assert (tmp_path / "again.pyz").read_bytes() == program.read_bytes()


def test_the_program_is_packed_once_per_run(tmp_path):
    first = command_program(tmp_path)
    os.utime(first["path"], (1, 1))
    assert command_program(tmp_path) == first
    assert os.stat(first["path"]).st_mtime == 1


def test_the_program_contains_no_code_of_the_controller_and_no_module(program):
    names = [name for name in zipfile.ZipFile(program).namelist() if not name.endswith("__init__.py")]
    assert all(name == "__main__.py" or "/plugins/module_utils/_" in name for name in names)
    sources = {name.partition("/plugins/")[2] for name in names} - {""}
    assert all((PLUGINS / name).is_file() for name in sources)
    assert "module_utils/_command/main.py" in sources


def test_the_program_runs_with_the_standard_library_only(program):
    # -S removes the packages of the tests, such as Ansible, from the path.
    command = [sys.executable, "-I", "-S", str(program), "shop", "run", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "--release ID" in done.stdout
