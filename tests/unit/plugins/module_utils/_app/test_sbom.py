"""The software bill of materials is valid, reproducible CycloneDX, and generated without executing code or following symlinks."""

from __future__ import annotations

import json
import os
from importlib import resources
from pathlib import Path

import jsonschema
import pytest
import referencing
from ansible_collections.asgi.deploy.plugins.module_utils._app.sbom import as_text, read_distributions, sbom

MANIFEST = {
    "id": "1.4.0-3f1c0a9b2e",
    "app": "hello",
    "module": "main:app",
    "source": {"kind": "git", "label": "abc", "digest": "0", "url": "https://git.example/x.git", "commit": "abc"},
    "installer": "uv",
    "python": "3.11.2",
    "packages": {},
    "built_at": "2026-11-30T12:00:00Z",
}
SCHEMAS = resources.files("cyclonedx.schema") / "_res"


@pytest.fixture
def venv(tmp_path):
    """Return a function that installs the metadata of a package, and returns the virtual environment."""
    (tmp_path / "venv/lib/python3.11/site-packages").mkdir(parents=True)

    def install(name, version="1.0", headers="", direct_url=None, text=None):
        info = tmp_path / f"venv/lib/python3.11/site-packages/{name}-{version}.dist-info"
        info.mkdir()
        header = f"Metadata-Version: 2.4\nName: {name}\nVersion: {version}\n{headers}\nThe description\nName: other\n"
        (info / "METADATA").write_text(header if text is None else text)
        if direct_url is not None:
            (info / "direct_url.json").write_text(direct_url)
        return str(tmp_path / "venv")

    return install


def schema(name):
    return json.loads((SCHEMAS / name).read_text(encoding="utf-8"))


def validate(document):
    """Raise ValidationError unless *document* conforms to the schema of CycloneDX 1.6."""
    registry = referencing.Registry().with_resources(
        (reference, referencing.Resource.from_contents(schema(file)))
        for reference, file in (
            ("http://cyclonedx.org/schema/spdx.schema.json", "spdx.SNAPSHOT.schema.json"),
            ("http://cyclonedx.org/schema/jsf-0.82.schema.json", "jsf-0.82.SNAPSHOT.schema.json"),
        )
    )
    bom = schema("bom-1.6.SNAPSHOT.schema.json")
    jsonschema.Draft7Validator(bom, registry=registry, format_checker=jsonschema.FormatChecker()).validate(document)


def component(document, name):
    [found] = [each for each in document["components"] if each["name"] == name]
    return found


def edges(document):
    return {each["ref"]: each.get("dependsOn", []) for each in document["dependencies"]}


def test_the_document_is_valid_and_complete(venv):
    venv("Zope.Interface", "8.0+local.1", "License: ZPL-2.1\n")
    venv(
        "uvicorn",
        headers="License-Expression: BSD-3-Clause\nRequires-Dist: h11>=0.8\nRequires-Dist: httptools; extra == 'x'\n",
    )
    venv("httptools", headers="Classifier: License :: OSI Approved :: MIT License\nRequires-Dist: gone\n")
    directory = venv("h11", headers="License: Copyright\n  and a whole text\n")
    wheels = [{"name": "H11", "version": "1.0", "sha256": "a" * 64}]
    document = sbom(MANIFEST, read_distributions(directory), wheels)
    validate(document)
    assert as_text(document) == as_text(sbom(MANIFEST, read_distributions(directory), wheels))
    assert [each["name"] for each in document["components"]] == [
        "h11",
        "httptools",
        "uvicorn",
        "Zope.Interface",
        "python",
    ]
    assert component(document, "Zope.Interface")["purl"] == "pkg:pypi/zope-interface@8.0%2Blocal.1"
    assert component(document, "uvicorn")["licenses"] == [{"expression": "BSD-3-Clause"}]
    assert component(document, "httptools")["licenses"] == [{"license": {"name": "MIT License"}}]
    assert "licenses" not in component(document, "h11")
    assert component(document, "h11")["hashes"] == [{"alg": "SHA-256", "content": "a" * 64}]
    assert component(document, "python")["version"] == "3.11.2"
    assert document["metadata"]["component"]["version"] == MANIFEST["id"]
    assert document["metadata"]["timestamp"] == MANIFEST["built_at"]
    found = edges(document)
    assert found["pkg:pypi/uvicorn@1.0"] == ["pkg:pypi/h11@1.0"], "no extra, nothing that is not installed"
    assert found["app:hello"][-1] == "python"
    assert "pkg:pypi/h11@1.0" not in found["app:hello"]
    assert set(found) == {each["bom-ref"] for each in [*document["components"], document["metadata"]["component"]]}


def test_another_release_has_another_serial_number(venv):
    packages = read_distributions(venv("six"))
    serials = {sbom({**MANIFEST, **changed}, packages)["serialNumber"] for changed in ({}, {"id": "x"}, {"app": "y"})}
    assert len(serials) == 3


def test_origins_of_packages_are_listed(venv):
    vcs = {"url": "https://user:secret@git.example/x.git", "vcs_info": {"vcs": "git", "commit_id": "abc"}}
    archive = {"url": "https://a.example/a b.whl", "archive_info": {"hashes": {"sha256": "b" * 64, "sha1": "no"}}}
    venv("repository", direct_url=json.dumps(vcs))
    venv("archive", direct_url=json.dumps(archive))
    venv("odd", direct_url='{"url": 3, "archive_info": []}')
    venv("odder", direct_url="[")
    document = sbom(MANIFEST, read_distributions(venv("local", direct_url='{"url": "file:///srv/x", "dir_info": {}}')))
    validate(document)
    assert "secret" not in as_text(document)
    assert component(document, "repository")["externalReferences"][0]["type"] == "vcs"
    assert component(document, "archive")["externalReferences"][0]["url"] == "https://a.example/a%20b.whl"
    assert component(document, "archive")["hashes"] == [{"alg": "SHA-256", "content": "b" * 64}]
    assert "externalReferences" not in component(document, "local")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Name: ../../etc\nVersion: 1\n",
        "Name: x\nVersion: 1\x1b[31m\n",
        "Name: x\n",
        "Name: x\r\nVersion: \x00\r\n",
        "\xff" * 2000,
        "Requires-Dist: " * 100000,
    ],
)
def test_packages_with_invalid_metadata_are_omitted(venv, text):
    venv("bad", text=text)
    document = sbom(MANIFEST, read_distributions(venv("six")))
    validate(document)
    assert [each["name"] for each in document["components"]] == ["six", "python"]


def test_symlinks_are_not_followed(venv, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("Name: secret\nVersion: 1\nLicense: root:x:0\n")
    (tmp_path / "other-1.dist-info").mkdir()
    (tmp_path / "other-1.dist-info/METADATA").write_text(secret.read_text())
    directory = venv("six")
    site_packages = Path(directory, "lib/python3.11/site-packages")
    (site_packages / "linked-1.dist-info").symlink_to(tmp_path / "other-1.dist-info")
    (site_packages / "inner-1.dist-info").mkdir()
    (site_packages / "inner-1.dist-info/METADATA").symlink_to(secret)
    (site_packages / "pipe-1.dist-info").mkdir()
    os.mkfifo(site_packages / "pipe-1.dist-info/METADATA")
    (site_packages / "file-1.dist-info").touch()
    assert [each.name for each in read_distributions(directory)] == ["six"]
    Path(directory, "lib/python3.12").symlink_to(tmp_path)
    with pytest.raises(OSError):
        read_distributions(directory)
