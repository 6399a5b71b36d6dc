# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Root takes ownership of a release, in which an untrusted build may have created anything."""

from __future__ import annotations

import errno
import os
import socket
import stat
from pathlib import Path

import pytest
from ansible_collections.asgi.deploy.plugins.module_utils._app.build_ownership import (
    HandoverError,
    copy_program,
    give,
    take_over,
)
from ansible_collections.asgi.deploy.plugins.module_utils._host import interpreter
from ansible_collections.asgi.deploy.plugins.module_utils._host.files import remove_tree

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
STRANGER = 65534


@pytest.fixture
def tree(tmp_path):
    """Return the directory of a release with one file."""
    release = tmp_path / "release"
    (release / ".venv/bin").mkdir(parents=True)
    (release / "code").mkdir()
    (release / "code/main.py").write_text("")
    return release


def never(_path):
    return False


def owners(tree):
    return {(path.lstat().st_uid, path.lstat().st_gid) for path in [tree, *tree.rglob("*")]}


@as_root
def test_a_tree_with_symlinks_changes_owner_and_back(tree, tmp_path):
    outside = tmp_path / "outside"
    outside.write_text("")
    (tree / "code/link").symlink_to("main.py")
    (tree / "code/directory").symlink_to("../.venv")
    (tree / "code/dangling").symlink_to("gone")
    (tree / "code/loop").symlink_to("loop")

    give(str(tree), STRANGER, STRANGER)
    assert owners(tree) == {(STRANGER, STRANGER)}
    take_over(str(tree), never)
    assert owners(tree) == {(0, 0)}

    (tree / "code/out").symlink_to(outside)
    give(str(tree), STRANGER, STRANGER)
    assert outside.stat().st_uid == 0
    with pytest.raises(HandoverError):
        take_over(str(tree), never)
    assert outside.stat().st_uid == 0


def test_privileges_and_write_access_of_others_are_removed(tree):
    modes = {"setuid": 0o4755, "setgid": 0o2755, "group": 0o664, "others": 0o666, "private": 0o600, "program": 0o755}
    for name, mode in modes.items():
        (tree / name).touch()
        (tree / name).chmod(mode)
    (tree / "code").chmod(0o3777)

    take_over(str(tree), never)

    assert {name: stat.S_IMODE((tree / name).stat().st_mode) for name in [*modes, "code"]} == {
        "setuid": 0o755,
        "setgid": 0o755,
        "group": 0o644,
        "others": 0o644,
        "private": 0o600,
        "program": 0o755,
        "code": 0o755,
    }


def test_extended_attributes_are_removed(tree):
    """File capabilities and ACLs are extended attributes too; unprivileged tests can set only user attributes."""
    try:
        os.setxattr(tree / "code/main.py", "user.x", b"1")
        os.setxattr(tree / "code", "user.x", b"1")
    except OSError:
        pytest.skip("the file system has no extended attributes")
    take_over(str(tree), never)
    assert os.listxattr(tree / "code/main.py") == os.listxattr(tree / "code") == []


def test_a_file_system_without_extended_attributes(tree, monkeypatch):
    def unsupported(path, **_options):
        raise OSError(errno.ENOTSUP, "Operation not supported", path)

    monkeypatch.setattr(os, "listxattr", unsupported)
    take_over(str(tree), never)


@as_root
def test_capabilities_and_acls_are_removed(tree):
    main = tree / "code/main.py"
    try:
        os.setxattr(main, "security.capability", bytes.fromhex("0100000200200000000000000000000000000000"))
        # user:65534:rwx in addition to the entries that correspond to the mode.
        entries = [(1, 7, -1), (2, 7, STRANGER), (4, 5, -1), (16, 7, -1), (32, 5, -1)]
        acl = b"\x02\0\0\0" + b"".join(
            tag.to_bytes(2, "little") + bits.to_bytes(2, "little") + number.to_bytes(4, "little", signed=number < 0)
            for tag, bits, number in entries
        )
        os.setxattr(tree / "code", "system.posix_acl_access", acl)
        os.setxattr(tree / "code", "system.posix_acl_default", acl)
    except OSError as exc:
        pytest.skip(f"the file system has no capabilities or ACLs: {exc}")
    assert len(os.listxattr(tree / "code")) == 2

    take_over(str(tree), never)

    assert os.listxattr(main) == os.listxattr(tree / "code") == []
    assert stat.S_IMODE((tree / "code").stat().st_mode) == 0o755


def fifo(path):
    os.mkfifo(path)


def unix_socket(path):
    os.chdir(path.parent)  # the length of a socket's path is limited
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path.name)


def device(path):
    os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 3))


def hard_link(path):
    (path.parents[2] / "elsewhere").write_text("")
    os.link(path.parents[2] / "elsewhere", path)


def deep(path):
    for _ in range(1500):
        path.mkdir()
        os.chdir(path)
        path = Path("d")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (fifo, "is neither a file, a directory nor a symlink"),
        (unix_socket, "is neither a file, a directory nor a symlink"),
        pytest.param(device, "is neither a file, a directory nor a symlink", marks=as_root),
        (hard_link, "is a hard link"),
        (deep, "is more than 100 directories below"),
        (lambda path: path.symlink_to("/etc/passwd"), "is a symlink to /etc/passwd, outside of the release"),
        (lambda path: path.symlink_to("../.."), "outside of the release"),
        (lambda path: path.symlink_to("/nonexistent"), "outside of the release"),
    ],
    ids=["fifo", "socket", "device", "hard link", "deep", "absolute link", "parent", "dangling"],
)
def test_unsafe_files_are_rejected(tree, make, message, monkeypatch):
    monkeypatch.chdir("/")
    make(tree / "code/strange")
    with pytest.raises(HandoverError, match=message):
        take_over(str(tree), never)
    os.chdir("/")
    remove_tree(str(tree))
    assert not tree.exists()


def test_a_chain_of_symlinks_out_of_the_tree_is_rejected(tree):
    """Each symlink alone stays in the tree; only the chain leads out."""
    (tree / "code/a/b").mkdir(parents=True)
    (tree / "code/up").symlink_to("a/b")
    (tree / "top").symlink_to("code/up/../../..")
    (tree / "out").symlink_to("top/../elsewhere")
    with pytest.raises(HandoverError, match=r"/out is a symlink to .*/elsewhere, outside of the release"):
        take_over(str(tree), never)


def test_the_interpreter_may_be_outside(tree, tmp_path, monkeypatch):
    python, name = tmp_path / "usr-bin/python3.13", tree / ".venv/bin/python"
    python.parent.mkdir()
    python.write_text("#!/bin/sh\nprintf 3.13")
    python.chmod(0o755)
    name.symlink_to(python)
    (tree / ".venv/bin/python3").symlink_to("python")
    take_over(str(tree), interpreter.leads_to_interpreter)
    assert interpreter.version_of(str(name)) == "3.13"

    for mode in (0o777, 0o775):
        python.chmod(mode)
        assert interpreter.version_of(str(name)) == ""
        with pytest.raises(HandoverError, match="python3? is a symlink to"):
            take_over(str(tree), interpreter.leads_to_interpreter)
    python.chmod(0o755)
    python.parent.chmod(0o777)
    assert interpreter.changeable_part(str(name)) == str(python.parent)
    python.parent.chmod(0o1777)
    assert interpreter.changeable_part(str(name)) == ""

    name.unlink()
    name.symlink_to("/bin/sh")
    assert interpreter.version_of(str(name)) == "", "root runs no other program"
    monkeypatch.setattr(interpreter, "RELEASES", interpreter.re.compile(str(tmp_path)))
    assert interpreter.changeable_part(str(python)) == str(python)


@pytest.fixture
def scratch(tmp_path):
    (tmp_path / "scratch/bin").mkdir(parents=True)
    (tmp_path / "scratch/bin/uv").write_text("uv")
    return tmp_path / "scratch"


def test_a_program_is_copied(scratch, tmp_path):
    copy_program(str(scratch), ["bin", "uv"], str(tmp_path / "uv"), os.getuid())
    assert (tmp_path / "uv").read_text() == "uv"
    assert stat.S_IMODE((tmp_path / "uv").stat().st_mode) == 0o755


def link_to_secret(scratch):
    (scratch / "bin/uv").unlink()
    (scratch / "bin/uv").symlink_to("/etc/passwd")


def link_to_directory(scratch):
    (scratch / "bin").rename(scratch / "elsewhere")
    (scratch / "bin").symlink_to("elsewhere")


def pipe(scratch):
    (scratch / "bin/uv").unlink()
    os.mkfifo(scratch / "bin/uv")


def large(scratch):
    os.truncate(scratch / "bin/uv", 1 << 40)


@pytest.mark.parametrize("make", [link_to_secret, link_to_directory, pipe, large])
def test_a_replaced_file_is_not_copied(scratch, tmp_path, make):
    make(scratch)
    with pytest.raises((HandoverError, OSError)):
        copy_program(str(scratch), ["bin", "uv"], str(tmp_path / "uv"), os.getuid())
    assert not (tmp_path / "uv").exists()


def test_a_file_of_another_account_is_not_copied(scratch, tmp_path):
    """A build can hard-link a file that only root can read, and root would copy it."""
    with pytest.raises(HandoverError):
        copy_program(str(scratch), ["bin", "uv"], str(tmp_path / "uv"), os.getuid() + 1)
