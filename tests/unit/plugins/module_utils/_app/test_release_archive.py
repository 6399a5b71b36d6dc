"""An archive is unpacked inside its directory, or rejected."""

from __future__ import annotations

import io
import os
import tarfile
import tempfile
from pathlib import Path

import pytest
from ansible_collections.asgi.deploy.plugins.module_utils._app.release_archive import (
    UnsafeArchive,
    escapes,
    extract,
    links_outside,
)
from hypothesis import given
from hypothesis import strategies as st

LINK = tarfile.SYMTYPE


def archive_of(path, *members):
    """Write an archive to *path*; each of *members* is a name, the content or type, and a link target."""
    with tarfile.open(path, "w:gz") as tar:
        for name, what, target in members:
            member = tarfile.TarInfo(name)
            member.mode = 0o644
            if isinstance(what, str):
                data = what.encode()
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))
            else:
                member.type, member.linkname = what, target
                tar.addfile(member)
    return str(path)


@pytest.fixture(params=["with the data filter", "without"])
def either_python(request, monkeypatch):
    if request.param == "without":
        # Debian 12's Python 3.11.2 lacks the data filter.
        monkeypatch.delattr(tarfile, "data_filter", raising=False)


@pytest.mark.usefixtures("either_python")
@pytest.mark.parametrize(
    "members",
    [
        [("../evil", "x", "")],
        [("/evil", "x", "")],
        [(".", LINK, "harmless")],
        [("a/../../evil", "x", "")],
        [("link", tarfile.SYMTYPE, "/etc")],
        [("a/link", tarfile.SYMTYPE, "../../etc")],
        [("link", tarfile.SYMTYPE, "a"), ("link/x", "x", "")],
        [("hard", tarfile.LNKTYPE, "/etc/passwd")],
        [("pipe", tarfile.FIFOTYPE, "")],
        [("device", tarfile.CHRTYPE, "")],
        [("a/b", "x", ""), ("up", LINK, "a/b/.."), ("chain", LINK, "d/up/../secret"), ("d/up", LINK, "..")],
        [("d/e/f", "x", ""), ("in", LINK, "d"), ("chain1", LINK, "in/../../secret")],
        [("d/e/f", "x", ""), ("d/up", LINK, "e/.."), ("out", LINK, "d/up/../.."), ("chain2", LINK, "out/secret")],
        [("chain3", LINK, "b/../secret"), ("b", LINK, ".")],
        [("chain4", LINK, "b"), ("b", LINK, "c"), ("c", LINK, "/etc/passwd")],
        [("chain5", LINK, "static/x"), ("static", LINK, "/etc")],
        [("replaced", "x", ""), ("replaced", LINK, "harmless")],
        [("replaced1", LINK, "harmless"), ("replaced1", "x", "")],
        [("l", LINK, "."), ("./l/through", "x", "")],
        [("./l", LINK, "."), ("l/through1", "x", "")],
        [("l//through2", "x", ""), ("l", LINK, ".")],
        [("l/through3", "x", ""), ("l", LINK, "harmless")],
        [("linked", "x", ""), ("hard1", tarfile.LNKTYPE, "linked")],
    ],
    ids=lambda members: members[-1][0],
)
def test_unsafe_members_are_rejected_before_files_are_written(tmp_path, members):
    archive = archive_of(tmp_path / "a.tar.gz", ("harmless", "x", ""), *members)
    target = tmp_path / "target"
    target.mkdir()
    with pytest.raises(UnsafeArchive):
        extract(archive, str(target))
    assert list(target.iterdir()) == []


@pytest.mark.usefixtures("either_python")
@pytest.mark.parametrize("given", [str, lambda archive: Path(archive).read_bytes()], ids=["file", "content"])
def test_files_and_symlinks_inside_the_tree_are_unpacked(tmp_path, given):
    archive = archive_of(
        tmp_path / "a.tar.gz", ("d/f", "content", ""), ("d/l", tarfile.SYMTYPE, "../g"), ("g", "other", "")
    )
    extract(given(archive), str(tmp_path / "target"))
    assert (tmp_path / "target/d/f").read_text() == "content"
    assert (tmp_path / "target/d/l").read_text() == "other"


@pytest.mark.parametrize(
    ("target", "out"),
    [
        ("../b", False),
        ("..", False),
        (".", False),
        ("../../b", True),
        ("../..", True),
        ("/b", True),
        ("..b", False),
        ("d", False),
        ("deep/../file", False),
        ("deep/../../file", False),
        ("deep/../../../file", True),
        ("deep/../../../../file", True),
        ("../deep/../../d/file", True),
        ("root/../file", True),
        ("root/a/file", False),
        ("loop", False),
        ("away", True),
        ("missing/../../file", False),
    ],
)
def test_escaping_symlinks(tmp_path, target, out):
    links = {
        "a/deep": "../d/e/f",
        "a/root": "..",
        "a/loop": "loop",
        "a/away": "../gone",
        "gone": "/etc",
        "a/link": target,
    }
    assert escapes("a/link", links.get) is out
    for name, leads_to in links.items():
        (tmp_path / "tree" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "tree" / name).symlink_to(leads_to)
    found = links_outside(str(tmp_path / "tree"))
    assert found == sorted(["a/away", "gone", *(["a/link"] if out else [])])


NAMES = st.sampled_from(["a", "b", "c"])
PATHS = st.lists(NAMES, min_size=1, max_size=3).map("/".join)
TARGETS = st.lists(st.sampled_from(["a", "b", "c", "..", "..", "."]), min_size=1, max_size=6).map("/".join)


@given(st.dictionaries(PATHS, TARGETS | st.none(), min_size=1, max_size=8))
def test_no_unpacked_path_is_outside_the_directory(members):
    """Every archive is either rejected, or unpacked without paths that lead out of the directory."""
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory, "deep", "target")
        root.mkdir(parents=True)
        archive = archive_of(
            Path(directory, "a.tar.gz"),
            *((name, LINK if target else "content", target) for name, target in members.items()),
        )
        try:
            extract(archive, str(root))
        except (UnsafeArchive, OSError):  # one member is a file, and another member needs a directory at the same path
            return
        for path in root.rglob("*"):
            assert Path(os.path.realpath(path)).is_relative_to(root)
        assert links_outside(str(root)) == []
