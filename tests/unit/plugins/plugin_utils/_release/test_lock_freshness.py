# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Locks that do not match the declared dependencies. Their tools computed the hashes and the entries in this file."""

from __future__ import annotations

import hashlib
import json
import tomllib

import pytest
from ansible_collections.asgi.deploy.plugins.plugin_utils._release.lock_freshness import (
    pdm_lock_matches,
    pipfile_lock_matches,
    uv_lock_fault,
)

PDM = """
[project]
name = "shop"
version = "1"
requires-python = ">=3.11"
dependencies = ["idna>=3"]
[project.optional-dependencies]
pg = ["six"]
[dependency-groups]
My_Dev = ["iniconfig"]
[tool.pdm.dev-dependencies]
test = ["pluggy"]
[tool.pdm.resolution]
respect-source-order = true
[[tool.pdm.source]]
name = "mirror"
url = "https://index.example/simple"
verify_ssl = true
"""
PDM_LOCK = """
[metadata]
lock_version = "4.5.0"
content_hash = "sha256:4063579078d39c502822e7d4d832ed77be1b88f8c4086f1b8774c36b29c12ce3"
"""


def test_hash_of_pdm():
    assert pdm_lock_matches(PDM, PDM_LOCK)
    assert pdm_lock_matches(PDM.replace('version = "1"', 'version = "2"'), PDM_LOCK)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('"idna>=3"', '"idna>=4"'),
        ('["idna>=3"]', "[]"),
        (">=3.11", ">=3.12"),
        ('"six"', '"attrs"'),
        ('"iniconfig"', '"attrs"'),
        ('"pluggy"', '"attrs"'),
        ("respect-source-order = true", 'overrides = {six = "1.0"}'),
    ],
)
def test_a_pdm_lock_that_is_older_than_the_project(before, after):
    assert not pdm_lock_matches(PDM.replace(before, after), PDM_LOCK)


def test_hashes_of_earlier_versions_of_pdm():
    """Before version 2.17, the hash contained the overrides only; before 2.20, not the dependency groups."""
    content = {
        "sources": [{"name": "mirror", "url": "https://index.example/simple", "verify_ssl": True}],
        "dependencies": ["idna>=3"],
        "dev-dependencies": {"test": ["pluggy"]},
        "optional-dependencies": {"pg": ["six"]},
        "requires-python": ">=3.11",
    }
    for more in ({"overrides": {}}, {"resolution": {"respect-source-order": True}}):
        digest = hashlib.sha256(json.dumps({**content, **more}, sort_keys=True).encode()).hexdigest()
        assert pdm_lock_matches(PDM, f'[metadata]\nlock_version = "4.1"\ncontent_hash = "sha256:{digest}"\n')


@pytest.mark.parametrize(
    "metadata",
    [
        "",
        'lock_version = "4.5.0"',
        'lock_version = "4.0"\ncontent_hash = "sha256:00"',
        'lock_version = "4.5.1"\ncontent_hash = "sha256:00"\nlock_inputs = {}',
        'lock_version = "4.5.0"\ncontent_hash = "md5:00"',
    ],
)
def test_a_pdm_lock_without_a_comparable_hash_counts_as_fresh(metadata):
    assert pdm_lock_matches(PDM, f"[metadata]\n{metadata}\n")


PIPFILE = """
[[source]]
url = "https://index.example/simple"
verify_ssl = true
name = "mirror"
[packages]
Idna = ">=3"
six = {version = "*", extras = ["a"]}
[dev-packages]
iniconfig = "*"
[docs]
pluggy = "*"
[requires]
python_version = "3.11"
[scripts]
serve = "uvicorn main:app"
"""
HASHES = {
    "with normalised names": "a4fdd1fedd2dc6b91ae7f0216ff9ccbc5328e452f7cbe2cf38b7f62fcfbb8a15",
    "of earlier versions": "a0c7feb4ad939e74a7f1232817561d17a46a6e6a496668b64229cb37e592b822",
}


def pipfile_lock(digest):
    return json.dumps({"_meta": {"hash": {"sha256": digest}}})


@pytest.mark.parametrize("digest", HASHES.values(), ids=HASHES)
def test_hash_of_pipenv(digest):
    assert pipfile_lock_matches(PIPFILE, pipfile_lock(digest))
    assert pipfile_lock_matches(PIPFILE.replace("uvicorn", "gunicorn"), pipfile_lock(digest))
    for before, after in (('">=3"', '">=4"'), ("iniconfig", "attrs"), ("pluggy", "attrs"), ('"3.11"', '"3.12"')):
        assert not pipfile_lock_matches(PIPFILE.replace(before, after), pipfile_lock(digest))


@pytest.mark.parametrize("lock", ["{}", '{"_meta": {}}', '{"_meta": {"hash": {"md5": "00"}}}'])
def test_a_pipfile_lock_without_a_hash_counts_as_fresh(lock):
    assert pipfile_lock_matches(PIPFILE, lock)
    assert pipfile_lock_matches("[packages]\n", pipfile_lock("00"))


PROJECT = """
[project]
name = "Shop.App"
dependencies = [
    "six >= 1.0, !=1.1",
    "idna[all]>=3,<4 ; python_version < '3.13'",
    "typing_extensions",
    "Iniconfig ; python_version < '3.8'",
    "pluggy>=1 ; sys_platform == 'win32'",
    "pluggy>=1.5 ; sys_platform != 'win32'",
    "packaging ~= 24.0",
    "attrs==24.*",
]
[project.optional-dependencies]
pg_One = ["iniconfig==2.0.0", "toml ; sys_platform == 'win32'"]
all = ["shop-app[pg-one]"]
[dependency-groups]
dev = ["packaging", {include-group = "web"}]
web = ["pluggy~=1.5", "six"]
"""
UV_LOCK = """
requires-dist = [
    { name = "attrs", specifier = "==24.*" },
    { name = "idna", extras = ["all"], marker = "python_full_version < '3.13'", specifier = ">=3,<4" },
    { name = "iniconfig", marker = "python_full_version < '3.8'" },
    { name = "iniconfig", marker = "extra == 'pg-one'", specifier = "==2.0.0" },
    { name = "packaging", specifier = "~=24.0" },
    { name = "pluggy", marker = "sys_platform != 'win32'", specifier = ">=1.5" },
    { name = "pluggy", marker = "sys_platform == 'win32'", specifier = ">=1" },
    { name = "shop-app", extras = ["pg-one"], marker = "extra == 'all'" },
    { name = "six", specifier = ">=1.0,!=1.1" },
    { name = "toml", marker = "sys_platform == 'win32' and extra == 'pg-one'" },
    { name = "typing-extensions" },
]
requires-dev.dev = [{ name = "packaging" }, { name = "pluggy", specifier = "~=1.5" }, { name = "six" }]
requires-dev.web = [{ name = "pluggy", specifier = "~=1.5" }, { name = "six" }]
"""


def uv_fault(project=PROJECT, lock=UV_LOCK, groups=("web", "dev")):
    return uv_lock_fault(tomllib.loads(project), {"metadata": tomllib.loads(lock)}, groups)


def test_a_fresh_uv_lock():
    assert uv_fault() == ""


@pytest.mark.parametrize(
    ("before", "after", "fault"),
    [
        ('"typing_extensions",', '"typing_extensions", "HTTPX>=0.28",', "httpx is not locked"),
        ('"typing_extensions",', "", "typing-extensions is locked, but no longer required"),
        ("six >= 1.0", "six >= 1.2", "six was locked with another version specifier or other extras"),
        ("idna[all]", "idna", "idna was locked with another"),
        ("iniconfig==2.0.0", "iniconfig==2.0.1", "iniconfig was locked with another"),
        ("pluggy~=1.5", "pluggy~=1.6", "pluggy was locked with another"),
    ],
)
def test_a_uv_lock_that_is_older_than_the_project(before, after, fault):
    assert uv_fault(PROJECT.replace(before, after)).startswith(fault)


def test_a_group_that_is_not_installed_is_not_compared():
    project = PROJECT.replace("pluggy~=1.5", "pluggy~=1.6")
    assert uv_fault(project, groups=["dev"]) == uv_fault(project, groups=[]) == ""


@pytest.mark.parametrize(
    ("project", "lock"),
    [
        ("[tool.uv.workspace]\nmembers = ['x']\n", UV_LOCK),
        (PROJECT, ""),
        (PROJECT.replace("[project]", "[project]\ndynamic = ['dependencies']").replace("attrs==", "attrs>="), UV_LOCK),
        # a member of a workspace, whose root sets the source
        (PROJECT, UV_LOCK.replace('"six", specifier = ">=1.0,!=1.1"', '"six", editable = "libraries/six"')),
        (f"{PROJECT}[tool.uv.sources]\nattrs = {{index = 'x'}}\n", UV_LOCK.replace("==24.*", "==24.*,>1")),
    ],
)
def test_an_entry_that_cannot_be_compared_counts_as_fresh(project, lock):
    assert uv_fault(project, lock, []) == ""
