"""Paths in the code that every release shares."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest
from ansible_collections.asgi.deploy.plugins.plugin_utils._release.shared_paths import shared_paths
from ansible_collections.asgi.deploy.plugins.plugin_utils._release.source import normalise, resolve
from ansible_collections.asgi.deploy.plugins.plugin_utils._release.source_error import SourceError


@pytest.fixture
def tree(tmp_path):
    """A source with a project in shop/, which has a directory for uploads."""
    root = tmp_path / "source"
    for name in ("shop/main.py", "shop/media/.gitignore", "shop/media/photos/.gitkeep", "media/logo.svg"):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return root


def resolved(root, directory, *shared, exclude=(), **source):
    given = normalise({"path": str(root), **source, **({"shared": list(shared)} if shared else {})}, Path)
    return resolve(given, exclude, directory)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["media/", "db.sqlite3"], ["db.sqlite3", "media/"]),
        (["./var//media//", "var/db"], ["var/db", "var/media/"]),
        (["media-old/", "media/"], ["media/", "media-old/"]),
    ],
)
def test_paths_are_normalised_and_sorted(values, expected):
    assert shared_paths(values) == expected


@pytest.mark.parametrize(
    "values",
    [
        [""],
        ["."],
        ["./"],
        [".."],
        ["../x"],
        ["a/../../x"],
        ["/media/"],
        ["~/media"],
        ["a\nb"],
        ["a", "a/"],
        ["a/", "a/b"],
    ],
)
def test_paths_outside_of_the_app_or_inside_each_other_are_rejected(values):
    with pytest.raises(SourceError) as caught:
        shared_paths(values)
    assert (caught.value.variable, caught.value.code) == ("asgi_app_source.shared", "source-shared-invalid")


def test_shared_paths_are_not_part_of_the_source(tree, tmp_path):
    found = resolved(tree, tmp_path, "media/", "db.sqlite3", subdirectory="shop")

    with tarfile.open(found.archive) as tar:
        assert sorted(tar.getnames()) == ["media", "media/logo.svg", "shop", "shop/main.py"]
    assert found.details["shared"] == ["db.sqlite3", "media/"]


def test_shared_paths_change_the_release(tree, tmp_path):
    (tree / "shop/media/.gitignore").unlink()
    (tree / "shop/media/photos/.gitkeep").unlink()
    digests = {
        resolved(tree, tmp_path, *shared, subdirectory="shop").digest
        for shared in ((), ("cache/",), ("cache",), ("cache/", "x"), ("x", "cache/"))
    }
    assert len(digests) == 4


@pytest.mark.parametrize(
    ("shared", "fault"),
    [
        ("media/", "contains 'media/', and the source contains 'media/logo.svg'"),
        ("media", "contains 'media', which is a directory in the source -> write it as media/"),
        ("shop/main.py", "and the source contains 'shop/main.py'"),
        ("shop/main.py/db", "and the source contains 'shop/main.py'"),
        ("shop/", "and the source contains 'shop/main.py'"),
    ],
)
def test_files_of_the_source_are_never_hidden(tree, tmp_path, shared, fault):
    with pytest.raises(SourceError) as caught:
        resolved(tree, tmp_path, shared)
    assert fault in str(caught.value)


def test_the_remedy_for_files_of_the_source(tree, tmp_path):
    with pytest.raises(SourceError, match=r"set asgi_app_exclude_extra to \[/media\]"):
        resolved(tree, tmp_path, "media/")
    assert resolved(tree, tmp_path, "media/", exclude=["/media"]).details["shared"] == ["media/"]


@pytest.mark.parametrize("kind", ["wheel", "package"])
def test_only_a_source_with_code_has_shared_paths(kind):
    with pytest.raises(SourceError, match=r"asgi_app_source\.shared is set, but asgi_app_source has"):
        normalise({kind: "shop==1.0", "shared": ["media/"]}, Path)
