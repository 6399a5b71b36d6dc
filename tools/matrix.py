#!/usr/bin/env python
"""Test every supported version of ansible-core, and the code of the modules with the oldest Pythons of hosts.

    tools/matrix.py                     all rows
    tools/matrix.py --row 2.16          one row
    tools/matrix.py --step unit         one step of each row
    tools/matrix.py --list              the names of the rows as JSON, for CI

A row has its own virtual environment in .cache/matrix, with the newest patch release of its ansible-core and with the collections of the
package `ansible` that belong to it. The last lines are a table of the rows.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
CACHE = ROOT / ".cache/matrix"
PLUGIN_TESTS = ROOT / "tests/unit/plugins"

# Packages that the tests import, besides ansible-core.
TEST_PACKAGES = "cyclonedx-python-lib gunicorn hypothesis jsonschema pip pytest pytest-xdist requests uvicorn uvicorn-worker websockets"
# Tests of code that calls ansible-core. The other tests give the same result for each version.
CORE_FOLDERS = ("action", "callback", "filter", "modules", "plugin_utils/_values")
CORE_TEST = re.compile(r"\bansible_playbook\b|^from ansible(\.|_core\b)|\bPRINTS_EXCEPTIONS\b", re.MULTILINE)
# Tests of module code that also need code of the controller, which requires a newer Python.
CONTROLLER_TEST = re.compile(r"\bplugin_utils\b|\bplugins\.filter\b|\brendering\b|\bansible_playbook\b")


class Row(NamedTuple):
    """A combination of versions. *debian* is the machine; a row without it tests only the code of the modules."""

    python: str
    core: str
    # version of the package `ansible`
    ansible: str = ""
    debian: str = ""

    @property
    def name(self) -> str:
        return self.core if self.debian else f"python{self.python}"


# ansible-core supports only hosts whose Python is not much newer than itself: 2.16 and 2.17 up to 3.12 (Debian 12 has 3.11), 2.18 and 2.19 up
# to 3.13 (Debian 13), 2.20 and later 3.14 (Debian 14).
ROWS = (
    Row("3.12", "2.16", "9", "12"),  # Ubuntu 24.04, execution environments of automation platforms
    Row("3.12", "2.17", "10", "12"),
    Row("3.13", "2.18", "11", "13"),
    Row("3.11", "2.19", "12", "13"),
    Row("3.13", "2.20", "13", "14"),
    Row("3.13", "2.21", "14", "14"),
    # RHEL 9, and Ubuntu 22.04; ansible-core itself runs only on the controller, so any version that supports this Python is suitable
    Row("3.9", "2.15"),
    Row("3.10", "2.17"),
)


class Failed(Exception):
    """A step of a row has failed."""


class Run:
    """The run of one row."""

    def __init__(self, row: Row) -> None:
        self.row = row
        self.directory = CACHE / row.name
        self.venv = self.directory / "venv"
        self.log = self.directory / "log"
        self.app = self.directory / "app"
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")},
            "PATH": f"{self.venv / 'bin'}:{os.environ['PATH']}",
            "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
            "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".collections"),
            "ANSIBLE_LOCALHOST_WARNING": "false",
            "MATRIX_MACHINE": f"asgi-matrix-{row.name}",
            "MATRIX_IMAGE": f"asgi-ready:{row.debian}",
            "MATRIX_APP": str(self.app),
        }

    def call(self, *command: str) -> str:
        """Run *command*, and return its output; raise Failed with the output if it fails."""
        done = subprocess.run(
            command,
            cwd=ROOT,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
        )
        with self.log.open("a") as log:
            log.write(f"$ {' '.join(command)}\n{done.stdout}\n")
        if done.returncode != 0:
            raise Failed(f"{' '.join(command)}: status {done.returncode}\n{done.stdout}")
        return done.stdout

    def prepare(self) -> None:
        """Create the virtual environment."""
        self.directory.mkdir(parents=True, exist_ok=True)
        self.log.write_text("")
        python = self.venv / "bin/python"
        if not python.exists():
            self.call("uv", "venv", "--quiet", "--python", interpreter(self.row.python), str(self.venv))
        packages = [f"ansible-core~={self.row.core}.0", *TEST_PACKAGES.split()]
        if self.row.ansible:
            packages.append(f"ansible~={self.row.ansible}.0")
        self.call("uv", "pip", "install", "--quiet", "--upgrade", "--python", str(python), *packages)

    def version(self) -> str:
        program = (
            "from ansible.release import __version__; import platform; print(__version__, platform.python_version())"
        )
        return self.call("python", "-c", program).strip()

    def unit(self) -> Iterator[str]:
        """Run the unit tests that depend on ansible-core, or those of the modules' code."""
        tests = core_tests() if self.row.debian else host_tests()
        output = self.call("pytest", "--quiet", "--numprocesses", "2", *map(str, tests))
        yield output.strip().splitlines()[-1].strip("= ")

    def sanity(self) -> Iterator[str]:
        """Run ansible-test sanity."""
        if not self.row.debian:
            return
        [tarball] = ROOT.glob("asgi-deploy-*.tar.gz")
        self.call("tools/sanity.sh", str(tarball), str(self.venv.relative_to(ROOT)))
        yield "no findings"

    def host(self) -> Iterator[str]:
        """Converge a new machine, run again without changes, deploy other code, and roll back."""
        if not self.row.debian:
            return
        self.call(sys.executable, "tests/hosts/image.py", self.row.debian, "ready")
        shutil.rmtree(self.app, ignore_errors=True)
        shutil.copytree(ROOT / "examples/hello", self.app)
        self.playbook("tests/hosts/destroy.yml")
        try:
            self.playbook("tests/hosts/create.yml", "tests/hosts/prepare.yml")
            yield from self.operations()
        finally:
            self.playbook("tests/hosts/destroy.yml")

    def operations(self) -> Iterator[str]:
        yield f"converge {self.timed('playbooks/site.yml')}"
        first = self.message()
        yield f"again {self.timed('playbooks/site.yml', changed=False)}"
        main = self.app / "main.py"
        main.write_text(main.read_text().replace("from FastAPI", "from the next release"))
        yield f"deploy {self.timed('playbooks/deploy.yml')}"
        if "from the next release" not in self.message():
            raise Failed(f"the app does not serve the deployed release: {self.message()}")
        yield f"rollback {self.timed('playbooks/rollback.yml')}"
        if self.message() != first:
            raise Failed(f"the app does not serve the first release: {self.message()} instead of {first}")
        # The doctor expects the live release to be that of the source.
        main.write_text(main.read_text().replace("from the next release", "from FastAPI"))
        yield f"doctor {self.timed('playbooks/doctor.yml')}"
        self.reject_bad_input()

    def reject_bad_input(self) -> None:
        try:
            self.playbook("playbooks/site.yml", "-e", "asgi_server_workers_min=many")
        except Failed as exc:
            if "asgi_server_workers_min is the string 'many'" in str(exc):
                return
            raise
        raise Failed("site.yml accepts asgi_server_workers_min=many")

    def timed(self, playbook: str, changed: bool = True) -> str:
        began = time.monotonic()
        recap = self.playbook(playbook)
        took = time.monotonic() - began
        if not changed and not re.search(r"^hello\s+: ok=\d+ +changed=0 ", recap, re.MULTILINE):
            raise Failed(f"the second run of {playbook} has changed something:\n{recap}")
        return f"{took:.0f} s"

    def playbook(self, *arguments: str) -> str:
        return self.call("ansible-playbook", "-i", "tests/matrix/inventory.yml", *arguments)

    def message(self) -> str:
        """Return the answer of the app."""
        from probe import ask  # CI lists the rows without its requirements

        published = self.call("docker", "port", self.environment["MATRIX_MACHINE"], "443").splitlines()[0]
        answer = ask("localhost", int(published.rpartition(":")[2]))
        if answer.status != 200:
            raise Failed(f"the app answers {answer.status}: {answer.text}")
        return answer.text


STEPS: dict[str, Callable[[Run], Iterator[str]]] = {"unit": Run.unit, "sanity": Run.sanity, "host": Run.host}


def core_tests() -> list[Path]:
    """Return the test files that depend on the version of ansible-core."""
    files = sorted((ROOT / "tests/unit").rglob("test_*.py"))
    folders = [PLUGIN_TESTS / name for name in CORE_FOLDERS]
    return [
        file
        for file in files
        if any(folder in file.parents for folder in folders) or CORE_TEST.search(file.read_text())
    ]


def host_tests() -> list[Path]:
    """Return the test files of the code that runs on hosts."""
    files = sorted(file for name in ("module_utils", "modules") for file in (PLUGIN_TESTS / name).rglob("test_*.py"))
    return [file for file in files if not CONTROLLER_TEST.search(file.read_text())]


def interpreter(version: str) -> str:
    """Return the path of an installed Python, or *version*, which uv then searches for and downloads."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    # a shim of pyenv fails for a version that is not selected
    for candidate in (f"python{version}", *map(str, pyenv.glob(f"versions/{version}.*/bin/python"))):
        with contextlib.suppress(OSError):
            if subprocess.run([candidate, "-c", ""], capture_output=True, check=False).returncode == 0:
                return shutil.which(candidate) or candidate
    return version


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--row", action="append", choices=[row.name for row in ROWS], help="run only this row; repeatable"
    )
    parser.add_argument("--step", action="append", choices=STEPS, help="run only this step of each row; repeatable")
    parser.add_argument("--list", action="store_true", help="print the names of the rows as JSON")
    arguments = parser.parse_args()
    rows = [row for row in ROWS if row.name in (arguments.row or [row.name])]
    if arguments.list:
        print(json.dumps([row.name for row in rows]))
        return
    outcomes = [run(row, arguments.step or list(STEPS)) for row in rows]
    print("==> make matrix", *(f"  {text}" for _passed, text in outcomes), sep="\n")
    sys.exit(not all(passed for passed, _text in outcomes))


def run(row: Row, steps: list[str]) -> tuple[bool, str]:
    """Run the *steps* of *row*; return whether they passed, and a line of the table."""
    this, found = Run(row), []
    step = "prepare"
    print(f"==> {row.name}", flush=True)
    try:
        this.prepare()
        found.append(f"core, Python: {this.version()}")
        for step in steps:
            for text in STEPS[step](this):
                found.append(f"{step}: {text}")
                print(f"    {step}: {text}", flush=True)
    except Failed as exc:
        print(exc, flush=True)
        return False, f"{row.name:10} FAILED {step}: {str(exc).splitlines()[0]}; before: {'; '.join(found)}"
    return True, f"{row.name:10} passed {'; '.join(found)}"


if __name__ == "__main__":
    main()
