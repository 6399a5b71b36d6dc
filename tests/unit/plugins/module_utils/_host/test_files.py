# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Messages for file system errors, atomic writes, and removal."""

from __future__ import annotations

import errno
import os
import re
import shutil

import pytest
from ansible_collections.asgi.deploy.plugins.module_utils._host import files
from ansible_collections.asgi.deploy.plugins.module_utils._host.files import (
    Obstacle,
    free_space,
    holder,
    is_full,
    leftovers,
    locked,
    reason_of,
    refuse_full,
    replace_file,
    replace_link,
    writing,
)


def gathered(*files):
    return shutil.Error([(f"/a/{name}", f"/b/{name}", why) for name, why in files])


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (PermissionError(13, "Permission denied", "/etc/x"), "/etc/x: Permission denied"),
        # fsync raises errors without a file name
        (OSError(28, "No space left on device"), "No space left on device"),
        (TimeoutError("timed out"), "timed out"),
        (OSError(), "OSError"),
        (gathered(("x", "[Errno 13] Permission denied: '/a/x'")), "[Errno 13] Permission denied: '/a/x'"),
        (gathered(("x", "it is a socket")), "/a/x: it is a socket"),
        (gathered(*(("x", f"no {number}") for number in range(5))), "/a/x: no 0; /a/x: no 1; /a/x: no 2; and 2 more"),
        (shutil.SameFileError("'/a' and '/b' are the same file"), "'/a' and '/b' are the same file"),
    ],
)
def test_reason(error, message):
    assert reason_of(error) == message


SPACE = r"the file system \S+ has \d+ MiB( and \d+ files)? free: make room there and run this again"


def test_error_of_a_full_file_system_reports_its_free_space(tmp_path):
    path = tmp_path / "not/there"
    with pytest.raises(OSError) as caught, writing(str(path)), open("/dev/full", "w") as file:
        file.write("more than fits")
    assert caught.value.errno == errno.ENOSPC
    assert re.fullmatch(rf"{path}: No space left on device \({SPACE}\)", reason_of(caught.value))


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.EDQUOT, "Disk quota exceeded", "/tmp/x"),
        # shutil.copyfile raises this error; its second file is the destination
        OSError(errno.ENOSPC, "No space left on device", "/proc/version", None, "/tmp/x"),
        shutil.Error([("/proc/version", "/tmp/x", "[Errno 28] No space left on device: '/tmp/x'")]),
    ],
)
def test_limits_of_every_source(error):
    assert re.search(rf"/tmp/x.*\({SPACE}\)$", reason_of(error))
    assert "/proc has" not in reason_of(error)


def test_output_of_an_installer():
    assert is_full("error: failed to write to file `/srv/x`: No space left on device (os error 28)")
    assert is_full("ERROR: Could not install packages due to an OSError: [Errno 122] Disk quota exceeded")
    assert not is_full("error: no space in the name of a package")


def test_each_file_system_is_reported_once(tmp_path):
    assert free_space(str(tmp_path / "a"), str(tmp_path / "b/c")).count("the file system") == 1
    assert free_space("/proc/self", str(tmp_path)).count("the file system") == 2


def test_space_check_leaves_no_file(tmp_path, monkeypatch):
    refuse_full(str(tmp_path))
    assert list(tmp_path.iterdir()) == []

    monkeypatch.setattr(files.tempfile, "TemporaryFile", lambda dir: open("/dev/full", "wb"))  # noqa: SIM115
    with pytest.raises(OSError, match="No space left") as caught:
        refuse_full(str(tmp_path))
    assert caught.value.filename == str(tmp_path)


def test_failed_write_keeps_the_previous_file(tmp_path, monkeypatch):
    path = tmp_path / "x"
    path.write_text("before")

    def full(_descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left") as caught:
        replace_file(str(path), "after")
    assert caught.value.filename == str(path)
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("kind", ["a directory", "a file"])
def test_only_a_link_is_replaced_by_a_link(tmp_path, kind):
    path = tmp_path / "current"
    path.mkdir() if kind == "a directory" else path.write_text("dear")
    with pytest.raises(Obstacle, match=f"{path} is {kind}, not the symlink"):
        replace_link(str(path), "releases/r1")
    assert os.listdir(tmp_path) == ["current"]

    path.rename(tmp_path / "current.old")
    assert replace_link(str(path), "releases/r1")


def test_link_of_an_interrupted_run_is_replaced(tmp_path):
    path = tmp_path / "current"
    (tmp_path / ".current.new").symlink_to("releases/r1")
    assert leftovers(str(path)) == [str(tmp_path / ".current.new")]
    assert replace_link(str(path), "releases/r2")
    assert (os.listdir(tmp_path), os.readlink(path)) == (["current"], "releases/r2")


def test_lock_is_taken_again_if_the_previous_holder_has_removed_the_file(tmp_path, monkeypatch):
    """A lock on a removed file would not exclude other processes."""
    path = tmp_path / "lock"
    holder_of_removed_file = locked(str(path), "by an uninstallation")
    holder_of_removed_file.__enter__()

    def removed_while_waiting(_seconds):
        path.unlink()
        holder_of_removed_file.__exit__(None, None, None)

    monkeypatch.setattr(files.time, "sleep", removed_while_waiting)
    with locked(str(path), "by a deploy", wait=60):
        assert holder(str(path)).startswith("by a deploy")


def test_removal_does_not_follow_a_link_that_replaces_a_directory(tmp_path, monkeypatch):
    """Otherwise, the owner of the parent directory could replace an entry during the removal, and root would empty another directory."""
    outside, slot = tmp_path / "outside", tmp_path / "counters/trial"
    (outside / "data").mkdir(parents=True)
    slot.mkdir(parents=True)

    def replaced(_directory):
        slot.rmdir()
        slot.symlink_to(outside)
        return False

    monkeypatch.setattr(files, "_is_mount_point", replaced)
    with pytest.raises(OSError):
        files.remove(str(slot))
    assert (outside / "data").exists()


def test_a_mount_point_is_emptied_by_its_open_directory(tmp_path, monkeypatch):
    mount, moved, outside = tmp_path / "mount", tmp_path / "moved", tmp_path / "outside"
    (mount / "directory").mkdir(parents=True)
    (mount / "file").write_text("")
    (outside / "data").mkdir(parents=True)
    opened_first = []

    def is_mount_point(opened):
        if opened_first:
            return False
        opened_first.append(opened)
        mount.rename(moved)
        mount.symlink_to(outside)
        return True

    monkeypatch.setattr(files, "_is_mount_point", is_mount_point)
    assert files.remove(str(mount))
    assert list(moved.iterdir()) == []
    assert (outside / "data").exists()
