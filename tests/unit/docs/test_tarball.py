# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tarball contains the files that users need, and no others."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
GALAXY = yaml.safe_load((ROOT / "galaxy.yml").read_text())
# Folders that ship as a whole, apart from the exceptions.
FOLDERS = ("LICENSES", "docs", "inventories/example", "meta", "playbooks", "plugins", "roles")
NOT_SHIPPED = ("docs/benchmarks/", "docs/conf.py")
FILES = {"LICENSE", "README.md", "SECURITY.md", "changelogs/changelog.yaml"}
# `antsibull-changelog release` writes this file
OPTIONAL = {"CHANGELOG.rst"}
ADDED_BY_THE_BUILD = {"FILES.json", "MANIFEST.json"}


def git_files(*paths):
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *paths]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.splitlines()
    return {name for name in listed if (ROOT / name).exists()}


@pytest.fixture(scope="module")
def shipped(tmp_path_factory):
    target = tmp_path_factory.mktemp("tarball")
    galaxy = Path(sys.executable).with_name("ansible-galaxy")
    command = [galaxy, "collection", "build", "--output-path", target, ROOT]
    subprocess.run(command, check=True, capture_output=True, env={**os.environ, "ANSIBLE_HOME": str(target / "home")})
    [path] = target.glob("*.tar.gz")
    assert path.name == f"asgi-deploy-{GALAXY['version']}.tar.gz"
    with tarfile.open(path) as tarball:
        return {member.name for member in tarball if not member.isdir()}


def test_tarball_contains_exactly_the_listed_files(shipped):
    expected = {name for name in git_files(*FOLDERS) if not name.startswith(NOT_SHIPPED)} | FILES
    assert shipped - ADDED_BY_THE_BUILD - OPTIONAL == expected


def test_build_ignore_has_no_stale_entries():
    names = [entry for entry in GALAXY["build_ignore"] if "*" not in entry]
    assert [name for name in names if not (ROOT / name).exists()] == []
