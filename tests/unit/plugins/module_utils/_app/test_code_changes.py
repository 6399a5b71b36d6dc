"""The files of the code that a deploy changes."""

from __future__ import annotations

import tarfile

import pytest
from ansible_collections.asgi.deploy.plugins.module_utils._app.code_changes import (
    MOST_LINES,
    archived_files,
    describe_changes,
    released_files,
)


@pytest.fixture
def tree(tmp_path):
    """Return a release with a source tree."""
    code = tmp_path / "release/code"
    (code / "static").mkdir(parents=True)
    (code / "main.py").write_text("app = 1")
    (code / "static/logo").write_bytes(b"\0")
    (code / "link").symlink_to("main.py")
    (code / "directory").symlink_to("static")
    return code


def packed(tree):
    archive = tree.parents[1] / "archive.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        for path in sorted(tree.iterdir()):
            tar.add(path, arcname=path.name)
    return str(archive)


def test_an_unchanged_tree_has_no_changes(tree):
    files = archived_files(packed(tree))
    assert set(files) == {"main.py", "static/logo", "link", "directory"}
    assert released_files(str(tree.parent)) == files
    assert describe_changes(files, files) == ""


def test_changes_are_listed_without_contents(tree):
    before = released_files(str(tree.parent))
    (tree / "main.py").write_text("app = 's3cret'")
    (tree / "static/logo").unlink()
    (tree / "new.py").touch()
    (tree / "link").unlink()
    (tree / "link").symlink_to("new.py")
    assert describe_changes(before, archived_files(packed(tree))).splitlines() == [
        "changed link",
        "changed main.py",
        "added new.py",
        "removed static/logo",
    ]


def test_a_release_of_a_subdirectory_is_compared_as_a_whole(tree):
    source = tree.parent / "source"
    tree.rename(source)
    tree.symlink_to("source/static")
    assert "main.py" in released_files(str(tree.parent))


def test_files_that_the_build_adds_are_not_changes(tree):
    files = archived_files(packed(tree))
    for path in ("__pycache__/main.cpython-313.pyc", "static/__pycache__/x.pyc", "shop.egg-info/PKG-INFO"):
        (tree / path).parent.mkdir(parents=True, exist_ok=True)
        (tree / path).touch()
    (tree / "media").symlink_to("/srv/shop/shared/media")
    (tree / "static/db.sqlite3").symlink_to("/srv/shop/shared/static/db.sqlite3")
    assert describe_changes(released_files(str(tree.parent)), files) == ""


def test_the_list_is_limited():
    lines = describe_changes({}, {str(number): "" for number in range(MOST_LINES + 5)}).splitlines()
    assert (len(lines), lines[-1]) == (MOST_LINES + 1, "and 5 more files")
