# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read the source tree in a tar or zip archive, from a URL or from a path on the controller."""

from __future__ import annotations

import hashlib
import io
import lzma
import os
import re
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from http.client import HTTPException
from pathlib import Path

from ansible.module_utils.urls import open_url
from ansible_collections.asgi.deploy.plugins.module_utils._app.release import mask_urls, without_credentials
from ansible_collections.asgi.deploy.plugins.plugin_utils._release.source_error import (
    ARCHIVE,
    CHECKSUM,
    SourceError,
)
from ansible_collections.asgi.deploy.plugins.plugin_utils._release.source_tree import Entry, excluded, in_order
from ansible_collections.asgi.deploy.plugins.plugin_utils._release.transports import REMEDY, described, insecure_urls
from ansible_collections.asgi.deploy.plugins.plugin_utils._release.wheel_cache import WheelCache

# Without any data; the whole download may take longer.
SILENCE_SECONDS = 60
URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
SHA256 = re.compile(r"sha256:([0-9a-f]{64})")
# A link in a zip file is a file with the path of its target.
LINK_BYTES = 4096
# Files that macOS adds to archives: attributes of the archived files, and settings of the Finder.
OF_MACOS = re.compile(r"__MACOSX|\.DS_Store|\._.*")
# Errors of the decompressors, some of which are not errors of tarfile or zipfile.
UNREADABLE = (OSError, EOFError, tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, NotImplementedError)


def locate(archive: str, checksum: str | None, insecure: bool) -> Path:
    """Return the path of *archive*, a URL or a path, with this *checksum*; download it unless the controller's cache has it.

    *insecure* allows a transport that does not authenticate the server.
    """
    match = SHA256.fullmatch(checksum.lower()) if checksum else None
    if checksum and not match:
        remedy = "write it as sha256: and 64 hexadecimal digits, as `sha256sum` prints them"
        raise SourceError("archive-checksum-invalid", CHECKSUM, f"is {checksum!r}", remedy)
    if not URL.match(archive):
        path = Path(archive)
        if not path.is_file():
            fault = "is not a file" if path.exists() else "does not exist on the controller"
            raise SourceError(
                "archive-missing", ARCHIVE, f"is {archive!r}, which {fault}", "set the path of a tar or zip file"
            )
        if match:
            _verify(path, match[1], archive)
        return path
    return _downloaded(archive, match[1] if match else "", insecure)


def public_url(url: str) -> str:
    """Return *url* without credentials and the query, which may contain a token or a signature."""
    return without_credentials(url).partition("#")[0].partition("?")[0]


def _downloaded(url: str, sha256: str, insecure: bool) -> Path:
    if not re.match(r"https?://[^/\s]", url) or not url.isprintable():
        fault = f"is {public_url(url)!r}, which is neither an https:// URL nor a path"
        raise SourceError("archive-url-invalid", ARCHIVE, fault, "set an https:// URL, or a path on the controller")
    unsafe = insecure_urls(url)
    if unsafe and not insecure:
        raise SourceError(
            "transport-insecure", ARCHIVE, f"is at {described(unsafe)}, which does not authenticate the server", REMEDY
        )
    if not sha256:
        remedy = "set it to sha256: and the SHA-256 of the archive, so that every run deploys the same code"
        raise SourceError("archive-checksum-missing", CHECKSUM, "is not set, and the archive has a URL", remedy)
    cache = WheelCache()
    path = cache.directory / "archives" / sha256
    if path.is_file():
        os.utime(path)
        return path
    cache.make_directory(path.parent)
    cache.remove_unused()
    temporary = path.with_name(f"{sha256}.{os.getpid()}")
    try:
        with open_url(url, http_agent="asgi.deploy", timeout=SILENCE_SECONDS) as response, temporary.open("wb") as file:
            shutil.copyfileobj(response, file)
        _verify(temporary, sha256, public_url(url))
        temporary.replace(path)
    except (OSError, HTTPException, ValueError) as exc:
        reason = mask_urls(str(exc).replace(url, public_url(url)))[:200]
        fault = f"is {public_url(url)}, which cannot be downloaded: {reason}"
        remedy = "check the URL, and the connection from the controller"
        raise SourceError("archive-download-failed", ARCHIVE, fault, remedy) from exc
    finally:
        temporary.unlink(missing_ok=True)
    return path


def _verify(path: Path, sha256: str, name: str) -> None:
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != sha256:
        fault = f"is sha256:{sha256}, but {name} has sha256:{found}"
        remedy = "compare it with the published checksum; if they differ, the archive has been replaced"
        raise SourceError("archive-checksum-mismatch", CHECKSUM, fault, remedy)


def archive_tree(path: Path, exclude: Sequence[str], stack: ExitStack) -> list[Entry]:
    """Return the entries of the archive *path*, without its top-level directory if it has only one. *stack* keeps the archive open."""
    try:
        if zipfile.is_zipfile(path):
            found = list(_zip_entries(stack.enter_context(zipfile.ZipFile(path))))
        else:
            found = list(_tar_entries(stack.enter_context(_open_tar(path))))
    except UNREADABLE as exc:
        raise unreadable(exc) from exc
    entries = _without_top(_with_parents(found))
    left_out = {entry.name for entry in entries if excluded(entry.name, exclude)}
    return in_order(entry for entry in entries if left_out.isdisjoint([entry.name, *_parents(entry.name)]))


def _open_tar(path: Path) -> tarfile.TarFile:
    try:
        return tarfile.open(path)
    except tarfile.ReadError as exc:
        # The error has a line for each format.
        raise tarfile.ReadError("it is neither a zip file nor a complete tar file in a supported format") from exc


def unreadable(exc: BaseException) -> SourceError:
    fault = f"cannot be read: {exc or type(exc).__name__}"
    return SourceError("archive-unreadable", ARCHIVE, fault, "set a complete tar file (gz, bz2 or xz) or zip file")


def _tar_entries(tar: tarfile.TarFile) -> Iterator[Entry]:
    for member in tar.getmembers():
        name = _plain(member.name)
        if not name:
            continue
        if member.isdir():
            yield Entry(name, "directory")
        elif member.issym():
            yield Entry(name, "link", target=member.linkname)
        elif member.isreg() or (member.islnk() and _linked(tar, member)):
            # A hard link becomes a copy of the file in the archive.
            yield Entry(name, "file", bool(member.mode & stat.S_IXUSR), open=partial(tar.extractfile, member))
        else:
            raise _unsafe(name, "neither a file, a directory nor a symlink")


def _linked(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bool:
    """Return whether the hard link *member* leads to a file in the archive."""
    try:
        return tar.getmember(member.linkname).isreg()
    except KeyError:
        return False


def _zip_entries(archive: zipfile.ZipFile) -> Iterator[Entry]:
    for info in archive.infolist():
        name, mode = _plain(info.filename), info.external_attr >> 16
        if not name:
            continue
        if info.flag_bits & 1:
            raise SourceError("archive-unreadable", ARCHIVE, "is encrypted", "set an archive without a password")
        if info.is_dir():
            yield Entry(name, "directory")
        elif stat.S_ISLNK(mode):
            with archive.open(info) as file:
                yield Entry(name, "link", target=os.fsdecode(file.read(LINK_BYTES)))
        elif stat.S_IFMT(mode) in (0, stat.S_IFREG):
            yield Entry(name, "file", bool(mode & stat.S_IXUSR), open=partial(archive.open, info))
        else:
            raise _unsafe(name, "neither a file, a directory nor a symlink")


def _plain(name: str) -> str:
    """Return *name* without redundant parts, empty for the root; raise SourceError if it leads out of the archive."""
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if name.startswith("/") or ".." in parts or "\0" in name:
        raise _unsafe(name, "a path out of the archive")
    return "/".join(parts)


def _with_parents(found: Iterable[Entry]) -> list[Entry]:
    """Return the last entry of each name, with the directories that the archive does not list."""
    by_name = {entry.name: entry for entry in found}
    for name in list(by_name):
        for parent in _parents(name):
            if by_name.setdefault(parent, Entry(parent, "directory")).kind != "directory":
                raise _unsafe(name, f"below {parent!r}, which is not a directory")
    return list(by_name.values())


def _without_top(entries: list[Entry]) -> list[Entry]:
    """Return *entries* without the directory that contains all of them, if there is one."""
    tops = {top for entry in entries if not OF_MACOS.fullmatch(top := entry.name.partition("/")[0])}
    if len(tops) != 1 or any(entry.name in tops and entry.kind != "directory" for entry in entries):
        return entries
    below = f"{tops.pop()}/"
    return [entry._replace(name=entry.name.removeprefix(below)) for entry in entries if entry.name.startswith(below)]


def _parents(name: str) -> Iterator[str]:
    while "/" in name:
        name = name.rpartition("/")[0]
        yield name


def _unsafe(name: str, what: str) -> SourceError:
    fault = f"contains {name!r}, which is {what}"
    return SourceError(
        "archive-unsafe", ARCHIVE, fault, "make the archive from a directory, for instance with git archive"
    )


def text_file(name: str, content: str) -> Entry:
    return Entry(name, "file", open=partial(io.BytesIO, content.encode()))
