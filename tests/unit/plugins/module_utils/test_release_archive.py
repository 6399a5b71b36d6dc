"""An archive is unpacked below its directory or not at all."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest
from ansible_collections.asgi.deploy.plugins.module_utils.release_archive import UnsafeArchive, escapes, extract


def archive_of(path, *members):
    """Write an archive of (name, content | type, link target) to *path*."""
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
        # Debian 12's Python 3.11.2 has none
        monkeypatch.delattr(tarfile, "data_filter", raising=False)


@pytest.mark.usefixtures("either_python")
@pytest.mark.parametrize(
    "members",
    [
        [("../evil", "x", "")],
        [("/evil", "x", "")],
        [("a/../../evil", "x", "")],
        [("link", tarfile.SYMTYPE, "/etc")],
        [("a/link", tarfile.SYMTYPE, "../../etc")],
        [("link", tarfile.SYMTYPE, "a"), ("link/x", "x", "")],
        [("hard", tarfile.LNKTYPE, "/etc/passwd")],
        [("pipe", tarfile.FIFOTYPE, "")],
        [("device", tarfile.CHRTYPE, "")],
    ],
    ids=lambda members: members[-1][0],
)
def test_what_is_unsafe_is_refused_before_anything_is_written(tmp_path, members):
    archive = archive_of(tmp_path / "a.tar.gz", ("harmless", "x", ""), *members)
    target = tmp_path / "target"
    target.mkdir()
    with pytest.raises(UnsafeArchive):
        extract(archive, str(target))
    assert list(target.iterdir()) == []


@pytest.mark.usefixtures("either_python")
@pytest.mark.parametrize("given", [str, lambda archive: Path(archive).read_bytes()], ids=["file", "content"])
def test_files_and_links_within_the_tree_are_unpacked(tmp_path, given):
    archive = archive_of(
        tmp_path / "a.tar.gz", ("d/f", "content", ""), ("d/l", tarfile.SYMTYPE, "../g"), ("g", "other", "")
    )
    extract(given(archive), str(tmp_path / "target"))
    assert (tmp_path / "target/d/f").read_text() == "content"
    assert (tmp_path / "target/d/l").read_text() == "other"


@pytest.mark.parametrize(
    ("name", "target", "out"),
    [
        ("a", "b", False),
        ("d/a", "../b", False),
        ("d/a", "..", False),
        ("a", ".", False),
        ("a", "..", True),
        ("a", "../b", True),
        ("d/a", "../../b", True),
        ("a", "/b", True),
        ("a", "..b", False),
    ],
)
def test_a_link_escapes(name, target, out):
    assert escapes(name, target) is out
