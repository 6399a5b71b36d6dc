"""Archives give the same tree as the directory that they contain, or are rejected before anything is unpacked."""

from __future__ import annotations

import hashlib
import http.server
import io
import tarfile
import threading
import zipfile
from pathlib import Path

import pytest
from ansible_collections.asgi.deploy.plugins.plugin_utils._release.source import normalise, resolve, without_secrets
from ansible_collections.asgi.deploy.plugins.plugin_utils._release.source_error import SourceError


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache/asgi/archives"


@pytest.fixture
def tree(tmp_path):
    root = tmp_path / "shop-1.0"
    (root / "backend").mkdir(parents=True)
    (root / "main.py").write_text("app = None\n")
    (root / "backend/main.py").write_text("app = None\n")
    (root / "backend/debug.log").write_text("x")
    (root / "run.sh").write_text("#!/bin/sh\n")
    (root / "run.sh").chmod(0o755)
    (root / "requirements.txt").touch()
    (root / "link").symlink_to("backend/main.py")
    return root


@pytest.fixture
def at(tmp_path):
    runs = iter(range(1000))

    def new_run(exclude=(), insecure=False, **source):
        return resolve(normalise(source, Path), list(exclude), tmp_path / f"run{next(runs)}", insecure)

    return new_run


def tar_of(path, members, mode="w"):
    with tarfile.open(path, mode) as tar:
        for name, content in members.items():
            if isinstance(content, tarfile.TarInfo):
                tar.addfile(content)
            else:
                member = tarfile.TarInfo(name)
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
    return str(path)


def special(name, kind, target=""):
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    return member


def zip_tree(tree, path, top):
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(tree.rglob("*")):
            name = f"{top}{file.relative_to(tree).as_posix()}"
            if file.is_symlink():
                info = zipfile.ZipInfo(name)
                info.external_attr = 0o120777 << 16
                archive.writestr(info, str(file.readlink()))
            elif file.is_file():  # without entries for directories
                archive.write(file, name)


@pytest.mark.parametrize("name", ["a.tar", "a.tar.gz", "a.tar.bz2", "a.tar.xz"])
@pytest.mark.parametrize("top", ["shop-1.0", ".", ""])
def test_tar_gives_the_same_tree_as_the_directory(tree, at, tmp_path, name, top):
    with tarfile.open(tmp_path / name, f"w:{name.rpartition('.')[2].replace('tar', '')}") as tar:
        if top:
            tar.add(tree, top)
        else:
            for path in tree.iterdir():
                tar.add(path, path.name)
    assert at(archive=str(tmp_path / name)).digest == at(path=str(tree)).digest


@pytest.mark.parametrize("top", ["shop-1.0/", "./", ""])
def test_zip_gives_the_same_tree_as_the_directory(tree, at, tmp_path, top):
    zip_tree(tree, tmp_path / "a.zip", top)
    assert at(archive=str(tmp_path / "a.zip")).digest == at(path=str(tree)).digest


@pytest.mark.parametrize(
    "added",
    [
        ["__MACOSX/._shop-1.0", "__MACOSX/shop-1.0/._main.py"],
        [".DS_Store"],
        ["._shop-1.0"],
        ["__MACOSX/a", ".DS_Store"],
    ],
)
def test_files_that_macos_adds_are_no_second_top_directory(tree, at, tmp_path, added):
    zip_tree(tree, tmp_path / "a.zip", "shop-1.0/")
    with zipfile.ZipFile(tmp_path / "a.zip", "a") as archive:
        for name in added:
            archive.writestr(name, b"\0\5\x16\7")
    assert at(archive=str(tmp_path / "a.zip")).digest == at(path=str(tree)).digest


@pytest.mark.parametrize("names", [["__MACOSX/._a"], [".DS_Store", "._a"]])
def test_an_archive_with_nothing_else_keeps_its_names(at, tmp_path, names):
    archive = tar_of(tmp_path / "a.tar", dict.fromkeys(names, b""))
    with tarfile.open(at(archive=archive).archive) as tar:
        assert set(names) <= {member.name for member in tar.getmembers()}


def test_patterns_and_subdirectory_start_below_the_top_directory(tree, at, tmp_path):
    with tarfile.open(tmp_path / "shop-v1.tar.gz", "w:gz") as tar:
        tar.add(tree, "shop-1.0")
    found = at(["/main.py", "*.log"], archive=str(tmp_path / "shop-v1.tar.gz"), subdirectory="backend")
    assert found.digest == at(["/main.py", "*.log"], path=str(tree), subdirectory="backend").digest
    assert found.label == "shop-v1"
    assert found.details == {"archive": "shop-v1.tar.gz", "subdirectory": "backend"}
    without = at(["backend"], archive=str(tmp_path / "shop-v1.tar.gz"))
    with tarfile.open(without.archive) as tar:
        assert [member.name for member in tar.getmembers() if member.name.startswith("backend")] == []


def test_hard_link_becomes_a_copy_and_the_last_member_of_a_name_counts(at, tmp_path):
    archive = tar_of(tmp_path / "a.tar", {"a": b"one", "b": special("b", tarfile.LNKTYPE, "a")})
    with tarfile.open(archive, "a") as tar:
        member = tarfile.TarInfo("./c")
        for content in (b"old", b"new"):
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    with tarfile.open(at(archive=archive).archive) as tar:
        assert {m.name: tar.extractfile(m).read() for m in tar.getmembers()} == {"a": b"one", "b": b"one", "c": b"new"}


@pytest.mark.parametrize(
    "members",
    [
        {"../x": b""},
        {"a/../../x": b""},
        {"/etc/x": b""},
        {"x": special("x", tarfile.CHRTYPE)},
        {"x": special("x", tarfile.FIFOTYPE)},
        {"x": special("x", tarfile.LNKTYPE, "/etc/passwd")},
        {"a": b"", "a/x": b""},
        {"a": special("a", tarfile.SYMTYPE, "b"), "a/x": b"", "b/y": b""},
    ],
)
def test_unsafe_member_is_rejected(at, tmp_path, members):
    archive = tar_of(tmp_path / "a.tar", {"main.py": b"", **members})
    with pytest.raises(SourceError) as caught:
        at(archive=archive)
    assert (caught.value.variable, caught.value.code) == ("asgi_app_source.archive", "archive-unsafe")


@pytest.mark.parametrize("target", ["/etc/passwd", "../x"])
def test_symlink_out_of_the_archive_is_rejected(at, tmp_path, target):
    archive = tar_of(tmp_path / "a.tar", {"main.py": b"", "x": special("x", tarfile.SYMTYPE, target)})
    with pytest.raises(SourceError, match="symlink 'x'"):
        at(archive=archive)


@pytest.mark.parametrize("name", ["../x", "/x", "a/../../x"])
def test_unsafe_name_in_a_zip_is_rejected(at, tmp_path, name):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("main.py", "")
        archive.writestr(name, "")
    with pytest.raises(SourceError, match="which is a path out of the archive"):
        at(archive=str(tmp_path / "a.zip"))


def test_damaged_archive_is_rejected(tree, at, tmp_path):
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as tar:
        tar.add(tree, ".")
    zip_tree(tree, tmp_path / "a.zip", "")
    content = (tmp_path / "a.tar.gz").read_bytes()
    (tmp_path / "half.tar.gz").write_bytes(content[: len(content) // 2])
    content = (tmp_path / "a.zip").read_bytes()
    (tmp_path / "bits.zip").write_bytes(content.replace(b"app = None", b"app = Nope"))
    for name in ("half.tar.gz", "bits.zip"):
        with pytest.raises(SourceError) as caught:
            at(archive=str(tmp_path / name))
        assert caught.value.code == "archive-unreadable"


def test_pointer_in_an_archive_is_rejected(at, tmp_path):
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"
    with pytest.raises(SourceError, match="run `git lfs pull` before you make the archive"):
        at(archive=tar_of(tmp_path / "a.tar", {"logo.svg": pointer}))


# -- URLs ----------------------------------------------------------------------------------------------


@pytest.fixture
def server(tree, tmp_path):
    """A server of shop.tar.gz: its URL, the paths of its requests, and the checksum."""
    with tarfile.open(tmp_path / "shop.tar.gz", "w:gz") as tar:
        tar.add(tree, "shop-1.0")
    content = (tmp_path / "shop.tar.gz").read_bytes()
    requests = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            requests.append(self.path)
            self.send_response(404 if "nowhere" in self.path else 200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_arguments):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{running.server_port}"
        yield url, requests, f"sha256:{hashlib.sha256(content).hexdigest()}"
        running.shutdown()


def test_archive_is_downloaded_once(server, tree, at, cache):
    url, requests, checksum = server
    found = at(insecure=True, archive=f"{url}/shop.tar.gz", checksum=checksum)
    assert found.digest == at(path=str(tree)).digest
    assert found.details == {"archive": f"{url}/shop.tar.gz"}
    again = at(insecure=True, archive=f"{url}/shop.tar.gz", checksum=checksum.upper())
    assert again.digest == found.digest
    assert requests == ["/shop.tar.gz"]
    assert [path.name for path in cache.iterdir()] == [checksum.partition(":")[2]]


def test_archive_with_another_checksum_is_not_kept(server, at, cache):
    url, _requests, checksum = server
    with pytest.raises(SourceError, match=f"has {checksum}") as caught:
        at(insecure=True, archive=f"{url}/shop.tar.gz", checksum=f"sha256:{'0' * 64}")
    assert caught.value.code == "archive-checksum-mismatch"
    assert list(cache.iterdir()) == []


def test_failed_download_is_reported_without_credentials(server, at):
    url, _requests, checksum = server
    url = url.replace("http://", "http://me:secret@")
    with pytest.raises(SourceError, match="which cannot be downloaded: .*404") as caught:
        at(insecure=True, archive=f"{url}/nowhere.tar.gz?token=secret", checksum=checksum)
    assert "secret" not in str(caught.value)


def test_credentials_of_the_url_are_not_recorded(server, at):
    url, _requests, checksum = server
    archive = f"{url.replace('//', '//me:secret@')}/shop.tar.gz?X-Amz-Signature=secret"
    found = at(insecure=True, archive=archive, checksum=checksum)
    assert found.details == {"archive": f"{url}/shop.tar.gz"}
    assert without_secrets({"archive": archive, "checksum": checksum}) == {**found.details, "checksum": checksum}
    assert without_secrets({"git": "https://me:secret@x.example/a?b", "ref": "v1"})["git"] == "https://x.example/a?b"
    assert without_secrets({"git": "me@x.example:a", "path": "/a?b"}) == {"git": "me@x.example:a", "path": "/a?b"}


def test_insecure_url_is_rejected(server, at):
    url, requests, checksum = server
    with pytest.raises(SourceError, match="does not authenticate the server"):
        at(archive=f"{url}/shop.tar.gz", checksum=checksum)
    assert requests == []
