"""Removal of an app in a temporary file system, with an interruption at each step, and the conditions that prevent the removal."""

from __future__ import annotations

import itertools
import json
import os
from pathlib import Path
from types import SimpleNamespace

import pytest
from ansible_collections.asgi.deploy.plugins.module_utils._app import removal, slots
from ansible_collections.asgi.deploy.plugins.module_utils._app.removal import Refused
from ansible_collections.asgi.deploy.plugins.module_utils._host import files
from ansible_collections.asgi.deploy.plugins.module_utils._host.layout import layout
from ansible_collections.asgi.deploy.plugins.module_utils._host.systemd import Unit

UNITS = {f"hello@{slot}.{kind}" for slot in ("blue", "green") for kind in ("service", "socket")}


class FakeSystemd:
    """A fake systemd in which the blue slot runs and is enabled."""

    def __init__(self):
        self.active = {"hello@blue.service", "hello@blue.socket"}
        self.enabled = set(self.active)
        self.calls = []

    def show(self, *units):
        return {
            unit: Unit(unit, "active" if unit in self.active else "inactive", "", unit in self.enabled, False, 0, "")
            for unit in units
        }

    def stop(self, *units):
        self.calls.append(("stop", *units))
        self.active -= set(units)

    def disable(self, *units):
        self.calls.append(("disable", *units))
        self.enabled -= set(units)

    def daemon_reload(self):
        self.calls.append(("daemon-reload",))


def rooted(value, root):
    if isinstance(value, dict):
        return {key: rooted(item, root) for key, item in value.items()}
    return f"{root}{value}" if value.startswith("/") else value


class Host:
    """A host with the app hello, all files of the roles, and files of other programs."""

    def __init__(self, root, monkeypatch):
        self.root = root
        self.paths = rooted(layout("hello"), root)
        self.systemd = FakeSystemd()
        self.account = SimpleNamespace(pw_dir=self.paths["home"], pw_uid=os.getuid(), pw_gid=os.getgid())
        monkeypatch.setattr(removal.pwd, "getpwnam", self._getpwnam)
        paths = self.paths
        for slot in paths["slots"].values():
            self.put(slot["drop_in"])
            Path(slot["directory"]).mkdir(parents=True)
            os.symlink("../../releases/r1", slot["release"])
        for path in (
            *(paths[name] for name in ("service_template", "socket_template", "tmpfiles", "lock", "build_lock", "log")),
            f"{paths['releases']}/r1/code/main.py",
            f"{paths['configs']}/c1/env",
            f"{paths['shared']}/uploads/picture",
            f"{paths['cache']}/huggingface/model",
            f"{paths['build_cache']}/uv/archive",
            *paths["command"].values(),
        ):
            self.put(path)
        for path, target in (("staged", "releases/r1"), ("current", "releases/r1"), ("live_socket", "blue.sock")):
            Path(paths[path]).parent.mkdir(parents=True, exist_ok=True)
            os.symlink(target, paths[path])
        self.others = {self.put(f"{root}{path}") for path in ("/srv/hello-2/shared/x", "/etc/systemd/system/x.service")}

    @staticmethod
    def put(path):
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text("")
        return path

    def _getpwnam(self, name):
        if name != "hello" or self.account is None:
            raise KeyError(name)
        return self.account

    def remove(self, data=False, dry=False):
        """Remove the app and its account, as the playbook does; return the changes."""
        if not removal.is_present(self.paths):
            return []
        removal.refuse_while_changed(self.paths)
        app = slots.App(self.paths, self.systemd, dry=dry)
        with app.lock(why="uninstalls it"):
            app.remove()
        changes = app.changes + removal.unstage(self.paths, data, dry=dry)
        if not dry:
            self.account = None
        return changes

    def everything(self):
        return {str(path) for path in self.root.rglob("*") if path.is_symlink() or path.is_file()}

    @property
    def picture(self):
        return f"{self.paths['shared']}/uploads/picture"


@pytest.fixture
def host(tmp_path, monkeypatch):
    return Host(tmp_path, monkeypatch)


def test_a_removal_with_data_leaves_only_files_of_other_programs(host):
    changes = host.remove(data=True)

    assert host.everything() == host.others
    assert not os.path.exists(host.paths["home"])
    assert not list(host.root.rglob("hello@*"))
    assert host.systemd.active == host.systemd.enabled == set()
    assert changes[-1] == host.paths["home"]
    assert host.remove(data=True) == []


def test_kept_data_is_inaccessible_to_the_next_account_with_the_uid(host):
    host.remove()

    assert host.everything() == host.others | {host.picture, host.paths["kept"]}
    assert os.stat(host.paths["home"]).st_mode & 0o777 == 0o700
    assert json.loads(Path(host.paths["kept"]).read_text()) == {"uid": os.getuid(), "gid": os.getgid()}
    assert host.remove() == []


def test_kept_data_can_be_removed_later(host):
    host.remove()
    assert host.remove(data=True) == [host.paths["shared"], host.paths["home"]]
    assert host.everything() == host.others


def test_an_empty_data_directory_is_removed(host):
    files.remove(f"{host.paths['shared']}/uploads")
    host.remove()
    assert host.everything() == host.others


def test_the_new_account_gets_the_data_of_the_former_one(host, monkeypatch):
    host.remove()
    given, foreign = {}, f"{host.paths['shared']}/foreign"
    os.symlink("/etc", foreign)
    stat = os.stat

    def of_another_account(name, **where):
        found = stat(name, **where)
        return os.stat_result([*found[:4], 4711, *found[5:10]]) if name == os.path.basename(foreign) else found

    monkeypatch.setattr(removal.os, "stat", of_another_account)
    monkeypatch.setattr(removal.os, "chown", lambda *change, **where: given.update([changed(*change, **where)]))

    removal.give_back(host.paths, 901, 902)

    shared = host.paths["shared"]
    assert given == {**dict.fromkeys([shared, f"{shared}/uploads", host.picture], (901, 902)), foreign: (4711, 902)}
    assert not os.path.exists(host.paths["kept"])


def changed(name, uid, gid, dir_fd, follow_symlinks):
    """Return the path and the owner that a call of chown sets."""
    assert not follow_symlinks
    return os.path.normpath(os.path.join(os.readlink(f"/proc/self/fd/{dir_fd}"), name)), (uid, gid)


def test_data_is_given_back_without_following_a_directory_that_becomes_a_symlink(host, monkeypatch, tmp_path):
    """A remaining process of the previous account could replace a directory with a symlink while root traverses the tree."""
    kept = {"uid": os.getuid(), "gid": os.getgid()}
    Path(host.paths["kept"]).write_text(json.dumps(kept))
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / os.path.basename(host.picture)).touch()
    given = []
    stat = os.stat

    def swapping(name, **where):
        uploads = Path(host.picture).parent
        if name == os.path.basename(host.picture) and not uploads.is_symlink():
            uploads.rename(f"{uploads}.moved")
            uploads.symlink_to(outside)
        return stat(name, **where)

    monkeypatch.setattr(removal.os, "stat", swapping)
    monkeypatch.setattr(removal.os, "chown", lambda *change, **where: given.append(changed(*change, **where)[0]))
    removal.give_back(host.paths, 901, 902)
    assert f"{host.paths['shared']}/uploads.moved/{os.path.basename(host.picture)}" in given
    assert not [path for path in given if path.startswith(str(outside))]


def test_files_of_other_programs_are_kept(host):
    note = host.put(f"{host.paths['home']}/note")
    drop_in = host.put(os.path.join(os.path.dirname(host.paths["slots"]["blue"]["drop_in"]), "override.conf"))
    assert host.paths["home"] not in host.remove(data=True)
    assert host.everything() == host.others | {note, drop_in}
    assert host.remove(data=True) == []


def test_a_mount_point_is_emptied_and_kept(host, monkeypatch):
    shared = os.stat(host.paths["shared"])
    monkeypatch.setattr(os.path, "ismount", lambda path: path == host.paths["shared"])
    monkeypatch.setattr(files, "_is_mount_point", lambda opened: os.path.samestat(os.fstat(opened), shared))
    assert host.paths["home"] not in host.remove(data=True)
    assert host.everything() == host.others
    assert os.path.isdir(host.paths["shared"])
    assert host.remove(data=True) == []


@pytest.mark.parametrize("data", [False, True])
def test_check_mode_returns_the_same_paths_and_changes_nothing(host, data):
    before = host.everything()
    found = host.remove(data=data, dry=True)
    assert host.everything() == before
    assert host.systemd.calls == []
    assert found == host.remove(data=data)


@pytest.mark.parametrize("data", [False, True])
def test_the_next_run_completes_an_interrupted_removal(tmp_path, monkeypatch, data):
    """For each removal of a file and each systemd call, interrupt the removal there on a new host, and repeat it."""
    for step in itertools.count():
        host = Host(tmp_path / str(step), monkeypatch)
        countdown = itertools.count(-step)

        def or_fail(action, countdown=countdown):
            def act(*arguments, **options):
                if next(countdown) == 0:
                    raise KeyboardInterrupt
                return action(*arguments, **options)

            return act

        with monkeypatch.context() as patched:
            for owner, name in (
                (slots, "remove"),
                (removal, "remove"),
                (removal, "write_text"),
                *((host.systemd, name) for name in ("stop", "disable", "daemon_reload")),
            ):
                patched.setattr(owner, name, or_fail(getattr(owner, name)))
            try:
                host.remove(data=data)
            except KeyboardInterrupt:
                pass
            else:
                break  # the removal has fewer steps
        host.remove(data=data)
        assert host.everything() == host.others | (set() if data else {host.picture, host.paths["kept"]})
        assert host.systemd.active == host.systemd.enabled == set()
        assert host.systemd.calls[-1] == ("daemon-reload",)
        assert host.remove(data=data) == []
    assert step > 15


def test_the_account_of_another_program_prevents_the_removal(host):
    before = host.everything()
    host.account.pw_dir = "/home/hello"
    with pytest.raises(Refused, match="does not belong to this app"):
        host.remove(data=True)
    assert host.everything() == before


def test_directories_of_other_programs_are_kept_without_an_account(host):
    """Other tools also use the names releases, shared and current below /srv."""
    host.account = None
    for path in (host.paths["slots_directory"], host.paths["lock"], host.paths["build_lock"]):
        files.remove(path)
    before = host.everything()
    assert host.remove(data=True) == []
    assert host.everything() == before


def test_the_build_unit_of_a_killed_module_is_stopped(host, monkeypatch):
    stopped = []
    monkeypatch.setattr(
        removal.TransientUnit, "stop", lambda unit: stopped.append((unit.name, os.path.exists(releases)))
    )
    releases = host.paths["releases"]
    host.remove(dry=True)
    assert stopped == []
    host.remove()
    assert stopped == [("asgi-build-hello.service", True)]


@pytest.mark.parametrize(("lock", "message"), [("lock", "by anna"), ("build_lock", "is being built")])
def test_a_running_deploy_or_build_prevents_the_removal(host, lock, message):
    before = host.everything()
    with files.locked(host.paths[lock], "by anna", 0):
        for dry in (True, False):
            with pytest.raises(Refused, match=message):
                host.remove(dry=dry)
        with pytest.raises(Refused, match="still exists|is being changed"):
            removal.unstage(host.paths, data=True)
    assert host.everything() == before
    assert host.systemd.calls == []
