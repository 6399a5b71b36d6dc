# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The programs of the release workflow."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile

import pytest
import release_check
import tarball_sbom
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

CHANGELOG = "---\nancestor:\nreleases:\n  1.2.0:\n    release_date: '2027-01-01'\n"


def test_tag_of_a_release():
    assert release_check.problems("1.2.0", "name: deploy\nversion: 1.2.0\n", CHANGELOG) == []


@pytest.mark.parametrize(
    ("tag", "version", "problem"),
    [
        ("1.2.1", "1.2.0", "the tag is 1.2.1, and the version in galaxy.yml is 1.2.0"),
        ("1.2.0-dev0", "1.2.0-dev0", "1.2.0-dev0 is a pre-release"),
        ("1.3.0", "1.3.0", "changelogs/changelog.yaml has no release 1.3.0: run antsibull-changelog release"),
    ],
)
def test_tag_that_must_not_be_released(tag, version, problem):
    assert problem in release_check.problems(tag, f"name: deploy\nversion: {version}\n", CHANGELOG)


@pytest.fixture
def tarball(tmp_path):
    info = {
        "namespace": "asgi",
        "name": "deploy",
        "version": "1.2.0",
        "license": ["GPL-3.0-or-later", "BSD-2-Clause"],
        "repository": "https://example.com/repository",
    }
    contents = {
        "MANIFEST.json": json.dumps({"collection_info": info}),
        "meta/runtime.yml": 'requires_ansible: ">=2.16.0"\n',
        "plugins/modules/release.py": "# code\n",
    }
    path = tmp_path / "asgi-deploy-1.2.0.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for name, text in contents.items():
            member = tarfile.TarInfo(name)
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text.encode()))
    return path


def test_sbom_is_valid_and_lists_files_and_requirements(tarball):
    bill = tarball_sbom.bill(tarball)
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(json.dumps(bill)) is None
    assert [each["name"] for each in bill["components"]] == [
        "ansible-core",
        "MANIFEST.json",
        "meta/runtime.yml",
        "plugins/modules/release.py",
    ]
    assert bill["components"][-1]["hashes"][0]["content"] == hashlib.sha256(b"# code\n").hexdigest()
    collection = bill["metadata"]["component"]
    assert (collection["name"], collection["version"]) == ("asgi.deploy", "1.2.0")
    assert collection["hashes"][0]["content"] == hashlib.sha256(tarball.read_bytes()).hexdigest()


def test_sbom_is_written_beside_the_tarball(tarball, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["tarball_sbom.py", str(tarball)])
    assert tarball_sbom.main() == 0
    target = tarball.with_name("asgi-deploy-1.2.0.cdx.json")
    assert capsys.readouterr().out == f"{target}\n"
    assert json.loads(target.read_text())["bomFormat"] == "CycloneDX"
