# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The access of nginx to directories of an app, on a real file system."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import pytest
from ansible_collections.asgi.deploy.plugins.module_utils._app import served_directories
from ansible_collections.asgi.deploy.plugins.module_utils._app.served_directories import (
    ENTER,
    LIST,
    ServedDirectories,
    Unservable,
)
from ansible_collections.asgi.deploy.plugins.module_utils._host import acl

NGINX = 54321


@pytest.fixture(autouse=True)
def umask():
    """Create files under the umask of the app's unit."""
    before = os.umask(0o027)
    yield
    os.umask(before)


@pytest.fixture
def shared(tmp_path, monkeypatch):
    """Return the shared directory of an app; the account that runs the tests owns it."""
    accounts = {
        "www-data": SimpleNamespace(pw_uid=NGINX, pw_gid=NGINX),
        "shop": SimpleNamespace(pw_uid=os.getuid(), pw_gid=os.getgid()),
    }
    monkeypatch.setattr(served_directories.pwd, "getpwnam", accounts.__getitem__)
    path = tmp_path / "shared"
    path.mkdir(mode=0o750)
    if access(path, grant=acl.READ) is None:
        pytest.skip("the file system has no access control lists")
    access(path, grant=0)
    return path


def access(path, kind=acl.ACCESS, grant=None):
    """Return nginx's permissions for *path*; None if the file system has no lists."""
    opened = os.open(path, os.O_RDONLY)
    try:
        if grant is not None:
            acl.grant(opened, NGINX, grant, kind)
        return acl.permissions_of(acl.read(opened, kind), NGINX)
    except OSError:
        return None
    finally:
        os.close(opened)


def apply(shared, *names, dry=False):
    changed = ServedDirectories({"shared": str(shared), "user": "shop"}, names, dry).apply()
    return [str(Path(path).relative_to(shared)) for path in changed]


def put(path, mode=0o640):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    path.chmod(mode)
    return path


def test_nginx_reads_the_listed_directory_and_nothing_else(shared):
    photo, private, database = (put(shared / name) for name in ("media/2026/a.jpg", "private/b", "db.sqlite3"))
    apply(shared, "media/")
    assert [access(each) for each in (shared, photo.parents[1], photo.parent, photo)] == [ENTER, LIST, LIST, acl.READ]
    assert [access(each) for each in (private.parent, private, database)] == [0, 0, 0]
    # No account but nginx's got access.
    for path in (shared, *shared.rglob("*")):
        assert path.stat().st_mode & 0o007 == 0, path


def test_nginx_reads_files_that_the_app_creates_later(shared):
    apply(shared, "media")
    (shared / "media/2027").mkdir()
    photo = shared / "media/2027/b.jpg"
    photo.write_text("b")
    assert (access(photo.parent), access(photo)) == (LIST, acl.READ)
    # the same mode bits as without an ACL, given the umask of the unit
    assert (photo.parent.stat().st_mode & 0o777, photo.stat().st_mode & 0o777) == (0o750, 0o640)
    # Frameworks such as Django set these modes.
    photo.chmod(0o644)
    photo.parent.chmod(0o755)
    assert (access(photo.parent), access(photo)) == (LIST, acl.READ)


def test_a_second_run_changes_nothing(shared):
    assert apply(shared, "media", "files/public") == [
        ".",
        "files",
        "files",
        "files/public",
        "files/public",
        "media",
        "media",
    ]
    assert apply(shared, "media", "files/public") == []
    assert access(shared / "files") == ENTER


def test_a_dry_run_reports_the_changes(shared):
    assert apply(shared, "media", dry=True) == [".", "media"]
    assert list(shared.iterdir()) == []
    assert access(shared) == 0


def test_a_directory_in_another_served_directory_keeps_its_access(shared):
    put(shared / "media/private/a")
    apply(shared, "media", "media/private")
    assert access(shared / "media") == LIST
    assert apply(shared, "media", "media/private") == []


def test_access_ends_with_the_last_listed_directory(shared):
    put(shared / "media/a")
    apply(shared, "media")
    assert apply(shared, dry=True) == ["."]
    assert apply(shared) == ["."]
    assert access(shared) == 0
    assert apply(shared) == []


def test_a_directory_that_is_not_listed_any_more_is_closed(shared):
    put(shared / "media/a")
    apply(shared, "media")
    assert "media" in apply(shared, "files")
    assert access(shared / "media") == 0


def test_access_to_a_wider_directory_ends_when_only_a_part_of_it_is_listed(shared):
    public, inner, other = (put(shared / "files" / name) for name in ("public/a", "public/sub/b", "other/c"))
    private = put(shared / "files/d")
    apply(shared, "files")
    assert [access(each) for each in (private, other.parent, inner)] == [acl.READ, LIST, acl.READ]
    changes = {"files", "files/d", "files/other"}
    assert set(apply(shared, "files/public", dry=True)) == changes

    assert set(apply(shared, "files/public")) == changes

    assert access(shared / "files") == ENTER
    assert [access(each) for each in (private, other.parent)] == [0, 0]
    assert [access(each) for each in (public.parent, public, inner.parent, inner)] == [LIST, acl.READ, LIST, acl.READ]
    assert access(put(shared / "files/e")) == 0
    assert apply(shared, "files/public") == []
    # and wide again
    apply(shared, "files")
    assert [access(each) for each in (private, other.parent)] == [acl.READ, LIST]


def test_a_directory_beside_a_listed_one_is_closed(shared):
    put(shared / "files/other/a")
    apply(shared, "files/public", "files/other")
    assert apply(shared, "files/public") == ["files/other"]
    assert access(shared / "files/other") == 0


def test_an_interrupted_withdrawal_is_repeated(shared, monkeypatch):
    private = put(shared / "files/d")
    apply(shared, "files")
    with monkeypatch.context() as interrupted:
        interrupted.setattr(ServedDirectories, "_withdraw", lambda *_arguments: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            apply(shared, "files/public")
    apply(shared, "files/public")
    assert access(private) == 0


def test_symlinks_of_the_app_are_not_followed(shared, tmp_path):
    secret = put(tmp_path / "other/secret", 0o600)
    (shared / "media").mkdir()
    (shared / "media/file").symlink_to(secret)
    (shared / "media/directory").symlink_to(secret.parent)
    apply(shared, "media")
    assert (access(secret), access(secret.parent)) == (0, 0)
    (shared / "files").symlink_to(secret.parent)
    with pytest.raises(Unservable, match="files is not a directory"):
        apply(shared, "files")
    with pytest.raises(Unservable, match="files is not a directory"):
        apply(shared, "files/below")
    assert (access(secret), access(secret.parent)) == (0, 0)


def test_the_shared_directory_can_be_on_another_disk(shared, tmp_path):
    photo = put(shared / "media/a.jpg")
    link = tmp_path / "link"
    link.symlink_to(shared)
    paths = {"shared": str(link), "user": "shop"}
    assert ServedDirectories(paths, [], dry=True).apply() == []
    ServedDirectories(paths, ["media"]).apply()
    assert access(photo) == acl.READ


def test_pipes_are_skipped(shared):
    (shared / "media").mkdir()
    os.mkfifo(shared / "media/pipe")
    apply(shared, "media")
    assert access(shared / "media") == LIST


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give files away")
def test_files_of_other_accounts_stay_closed(shared):
    own, other = put(shared / "media/own"), put(shared / "media/other")
    os.chown(other, 4711, 4711)
    apply(shared, "media")
    assert (access(own), access(other)) == (acl.READ, 0)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give files away")
class TestDirectoriesOfRoot:
    """The app can rename a directory of root below the shared directory, so that it has a listed name."""

    @pytest.fixture(autouse=True)
    def app(self, shared, monkeypatch):
        app = SimpleNamespace(pw_uid=4711, pw_gid=4711)
        accounts = {"www-data": SimpleNamespace(pw_uid=NGINX), "shop": app}
        monkeypatch.setattr(served_directories.pwd, "getpwnam", accounts.__getitem__)
        os.chown(shared, app.pw_uid, app.pw_gid)
        return app

    def test_an_empty_one_of_an_interrupted_run_is_given_to_the_app(self, shared, app):
        (shared / "files").mkdir(mode=0o700)
        assert "files" in apply(shared, "files", dry=True)
        apply(shared, "files")
        assert (shared / "files").stat().st_uid == app.pw_uid

    @pytest.mark.parametrize("name", ["media", "media/public"])
    @pytest.mark.parametrize("dry", [True, False])
    def test_one_that_the_app_cannot_read_is_refused(self, shared, name, dry):
        (shared / "media").mkdir(mode=0o700)
        dump = put(shared / "media/dump", 0o644)
        with pytest.raises(Unservable, match="media does not belong to shop, which cannot read it"):
            apply(shared, name, dry=dry)
        assert (access(shared / "media"), access(dump), dump.stat().st_uid) == (0, 0, 0)

    @pytest.mark.parametrize(("mode", "group"), [(0o755, 0), (0o750, 4711)])
    def test_one_that_the_app_can_read_is_served(self, shared, mode, group):
        """A file system that root has mounted there."""
        (shared / "media").mkdir()
        os.chown(shared / "media", 0, group)
        (shared / "media").chmod(mode)
        apply(shared, "media")
        assert access(shared / "media") == LIST


def test_without_the_app_there_is_an_error_unless_the_run_is_dry(shared):
    shared.rmdir()
    assert apply(shared) == []
    assert apply(shared, "media", dry=True) == ["media"]
    with pytest.raises(Unservable, match="deploy the app first"):
        apply(shared, "media")


def test_a_file_system_without_lists_is_an_error(shared, monkeypatch):
    def refuse(*_arguments):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(acl.os, "setxattr", refuse)
    with pytest.raises(Unservable, match="has no access control lists"):
        apply(shared, "media")
