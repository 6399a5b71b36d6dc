"""Projects whose version comes from a repository get it in the packed tree, and the build backends read it there."""

from __future__ import annotations

import io
from functools import partial

import pytest
from ansible_collections.asgi.deploy.plugins.plugin_utils._release.scm_version import (
    ANY_TAG,
    PDM_VARIABLE,
    POETRY_VARIABLE,
    UV_VARIABLE,
    Described,
    Project,
    add_versions,
    archival,
    parse_describe,
    project_of,
    version_of,
)
from ansible_collections.asgi.deploy.plugins.plugin_utils._release.source_tree import Entry

COMMIT = "0123456789abcdef0123456789abcdef01234567"
DATE = "2026-01-02T03:04:05+00:00"
DYNAMIC = '[project]\nname = "shop"\ndynamic = ["version"]\n'


def described(tag="v1.2.0", distance=0):
    return Described(COMMIT, DATE, tag, distance)


def tree(**files):
    names = {name.replace("__", "/"): content for name, content in files.items()}
    directories = {name.rpartition("/")[0] for name in names} - {""}
    return [
        *(Entry(name, "directory") for name in sorted(directories)),
        *(Entry(name, "file", open=partial(io.BytesIO, text.encode())) for name, text in names.items()),
    ]


def requires(*names, backend=DYNAMIC):
    return f"[build-system]\nrequires = {list(names)}\n{backend}"


@pytest.mark.parametrize(
    ("tag", "distance", "version"),
    [
        ("v1.2.0", 0, "1.2.0"),
        ("1.2.0", 0, "1.2.0"),
        ("shop-1.2.0", 0, "1.2.0"),
        ("shop/v1.2.0", 0, "1.2.0"),
        ("my-shop-v2", 0, "2"),
        ("1.2.0rc1", 0, "1.2.0rc1"),
        ("1.2.0+build7", 0, "1.2.0"),
        ("v1.2.0", 3, "1.2.1.dev3+g01234567"),
        ("v1.9", 1, "1.10.dev1+g01234567"),
        ("1.2.0rc1", 2, "1.2.0rc2.dev2+g01234567"),
        ("1.2.0.dev0", 2, "1.2.0.dev2+g01234567"),
        ("", 7, "0.1.dev7+g01234567"),
        ("nightly", 7, "0.1.dev7+g01234567"),
    ],
)
def test_version_of_a_commit(tag, distance, version):
    assert version_of(described(tag, distance)) == version


def test_description_is_written_as_git_archive_substitutes_it():
    assert archival(described(distance=3)) == (
        f"node: {COMMIT}\nnode-date: {DATE}\ndescribe-name: v1.2.0-3-g01234567\n"
    )
    assert archival(described()).endswith("describe-name: v1.2.0\n")
    assert "describe-name" not in archival(described(tag=""))
    assert parse_describe(f"shop-v1.2.0-3-g{COMMIT}\n", COMMIT, DATE) == described("shop-v1.2.0", 3)


@pytest.mark.parametrize(
    ("files", "project"),
    [
        ({"pyproject.toml": requires("setuptools", "setuptools-scm[toml]>=8")}, Project("shop")),
        ({"pyproject.toml": requires("setuptools", "setuptools_scm")}, Project("shop")),
        ({"pyproject.toml": requires("hatchling", "hatch-vcs")}, Project("shop")),
        ({"pyproject.toml": requires("hatchling", "uv-dynamic-versioning>=0.8")}, Project("shop")),
        (
            {
                "pyproject.toml": requires("hatchling", "uv-dynamic-versioning>=0.8")
                + "[tool.hatch.metadata.hooks.uv-dynamic-versioning]\ndependencies = ['shop-types=={{ version }}']\n"
            },
            Project("shop", variable=UV_VARIABLE),
        ),
        ({"pyproject.toml": requires("setuptools", "versioningit")}, Project("shop")),
        (
            {"pyproject.toml": requires("pdm-backend") + '[tool.pdm.version]\nsource = "scm"\ntag_filter = "shop-*"\n'},
            Project("shop", ("shop-*",), variable=PDM_VARIABLE),
        ),
        (
            {
                "pyproject.toml": requires(
                    "poetry-core", "poetry-dynamic-versioning", backend='[tool.poetry]\nname = "shop"\nversion = "0"\n'
                )
                + "[tool.poetry-dynamic-versioning]\nenable = true\n"
            },
            Project("shop", variable=POETRY_VARIABLE),
        ),
        (
            {"setup.py": 'setup(name="shop", use_scm_version=True, setup_requires=["setuptools_scm"])'},
            Project("shop"),
        ),
        ({"setup.py": "setup(pbr=True)", "setup.cfg": "[metadata]\nname = shop\n"}, Project("shop")),
        # The version does not come from a repository.
        ({"pyproject.toml": requires("setuptools", "setuptools-scm", backend='[project]\nversion = "1"\n')}, None),
        ({"pyproject.toml": requires("setuptools")}, None),
        ({"pyproject.toml": requires("pdm-backend") + '[tool.pdm.version]\nsource = "file"\n'}, None),
        ({"pyproject.toml": DYNAMIC}, None),
        ({"setup.py": 'setup(name="shop", version="1")'}, None),
        # Malformed files, which other checks report.
        ({"pyproject.toml": "[project"}, None),
        ({"pyproject.toml": "[build-system]\nrequires = 1\n[tool]\npdm = 1\n"}, None),
    ],
)
def test_projects_whose_version_comes_from_a_repository(files, project):
    assert project_of({name: content.encode() for name, content in files.items()}) == project


@pytest.mark.parametrize(
    "settings",
    [
        '[tool.setuptools_scm]\ngit_describe_command = "git describe --tags --long --match shop-*"\n',
        '[tool.setuptools_scm.scm.git]\ndescribe_command = ["git", "describe", "--match=shop-*"]\n',
        "[tool.hatch.version.raw-options]\ngit_describe_command = \"git describe --match 'shop-*'\"\n",
    ],
)
def test_tags_are_those_of_the_projects_own_command(settings):
    project = project_of({"pyproject.toml": (requires("setuptools-scm") + settings).encode()})
    assert project.match == ("shop-*",)


@pytest.mark.parametrize(
    "settings",
    [
        '[tool.setuptools_scm]\ntag_regex = "^release-(?P<version>.+)$"\n',
        '[tool.hatch.version]\ntag-pattern = "^release-(.+)$"\n',
    ],
)
def test_tags_are_parsed_by_the_projects_own_pattern(settings):
    project = project_of({"pyproject.toml": (requires("setuptools-scm") + settings).encode()})
    assert version_of(described("release-1.2.0"), project.tag) == "1.2.0"


def test_versions_are_added_next_to_the_projects():
    calls = []

    def describe(match):
        calls.append(match)
        return described()

    entries = tree(
        **{
            "api__pyproject.toml": requires("hatch-vcs"),
            "web__pyproject.toml": requires("setuptools"),
            "sdist__pyproject.toml": requires("hatch-vcs"),
            "sdist__PKG-INFO": "Version: 1.0",
        }
    )
    found = add_versions(entries, lambda _directory: describe)
    by_name = {entry.name: entry for entry in found.entries}
    assert by_name.keys() - {entry.name for entry in entries} == {"api/PKG-INFO", "api/.git_archival.txt"}
    assert by_name["api/PKG-INFO"].open().read() == b"Metadata-Version: 2.1\nName: shop\nVersion: 1.2.0\n"
    assert found.versions == {"api": "1.2.0"}
    assert calls == [ANY_TAG]


def test_version_file_is_added_to_its_package():
    """The app is imported from the source tree, which shadows the installed package."""
    project = requires("setuptools-scm") + '[tool.setuptools_scm]\nversion_file = "shop/_version.py"\n'
    entries = tree(**{"pyproject.toml": project, "shop__init.py": ""})
    found = {
        entry.name: entry for entry in add_versions(entries, lambda _directory: lambda _match: described()).entries
    }
    assert b"__version__ = version = '1.2.0'" in found["shop/_version.py"].open().read()
    elsewhere = tree(**{"pyproject.toml": project})
    assert "shop/_version.py" not in {
        entry.name for entry in add_versions(elsewhere, lambda _directory: lambda _match: described()).entries
    }


def test_archival_file_of_the_source_is_replaced():
    """In a repository without tags, git-archive(1) writes no version into it."""
    entries = tree(**{".git_archival.txt": "node: $Format:%H$\n", "pyproject.toml": requires("setuptools-scm")})
    found = {
        entry.name: entry for entry in add_versions(entries, lambda _directory: lambda _match: described()).entries
    }
    assert b"describe-name: v1.2.0" in found[".git_archival.txt"].open().read()


def test_variables_of_backends_that_read_no_file():
    entries = tree(**{"pyproject.toml": requires("pdm-backend") + '[tool.pdm.version]\nsource = "scm"\n'})
    assert add_versions(entries, lambda _directory: lambda _match: described()).variables == {PDM_VARIABLE: "1.2.0"}


def test_tree_outside_of_a_repository_is_not_changed():
    entries = tree(**{"pyproject.toml": requires("setuptools-scm")})
    assert add_versions(entries, lambda _directory: lambda _match: None).entries == entries
