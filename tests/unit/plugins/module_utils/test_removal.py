"""What goes when an app goes: with a file system of the test's own, interrupted everywhere, and refused where it must be."""

from __future__ import annotations

import itertools
import json
import os
from pathlib import Path
from types import SimpleNamespace

import pytest
from ansible_collections.asgi.deploy.plugins.module_utils import files, removal, slots
from ansible_collections.asgi.deploy.plugins.module_utils.layout import layout
from ansible_collections.asgi.deploy.plugins.module_utils.removal import Refused
from ansible_collections.asgi.deploy.plugins.module_utils.systemd import Unit

UNITS = {f"hello@{slot}.{kind}" for slot in ("blue", "green") for kind in ("service", "socket")}


class FakeSystemd:
    """Blue runs and starts at boot."""

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
    """One host with the app hello, everything that the roles put there, and things of others beside it."""

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
        """Do what the playbook does, account included; return what changed."""
        if not removal.is_ours(self.paths):
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


def test_all_that_is_left_with_the_data_is_what_belongs_to_others(host):
    changes = host.remove(data=True)

    assert host.everything() == host.others
    assert not os.path.exists(host.paths["home"])
    assert not list(host.root.rglob("hello@*"))
    assert host.systemd.active == host.systemd.enabled == set()
    assert changes[-1] == host.paths["home"]
    assert host.remove(data=True) == []


def test_data_stays_closed_to_the_next_account_of_that_number(host):
    host.remove()

    assert host.everything() == host.others | {host.picture, host.paths["kept"]}
    assert os.stat(host.paths["home"]).st_mode & 0o777 == 0o700
    assert json.loads(Path(host.paths["kept"]).read_text()) == {"uid": os.getuid(), "gid": os.getgid()}
    assert host.remove() == []


def test_data_that_stayed_can_go_later(host):
    host.remove()
    assert host.remove(data=True) == [host.paths["shared"], host.paths["home"]]
    assert host.everything() == host.others


def test_an_empty_directory_is_no_data(host):
    files.remove(f"{host.paths['shared']}/uploads")
    host.remove()
    assert host.everything() == host.others


def test_the_new_account_gets_what_the_former_one_had(host, monkeypatch):
    host.remove()
    given, theirs = {}, f"{host.paths['shared']}/theirs"
    os.symlink("/etc", theirs)
    lstat = os.lstat

    def of_somebody_else(path):
        found = lstat(path)
        return os.stat_result([*found[:4], 4711, *found[5:10]]) if path == theirs else found

    monkeypatch.setattr(removal.os, "lstat", of_somebody_else)
    monkeypatch.setattr(removal.os, "lchown", lambda path, uid, gid: given.update({path: (uid, gid)}))

    removal.give_back(host.paths, 901, 902)

    shared = host.paths["shared"]
    assert given == {**dict.fromkeys([shared, f"{shared}/uploads", host.picture], (901, 902)), theirs: (4711, 902)}
    assert not os.path.exists(host.paths["kept"])


def test_what_somebody_else_put_there_stays(host):
    note = host.put(f"{host.paths['home']}/note")
    drop_in = host.put(os.path.join(os.path.dirname(host.paths["slots"]["blue"]["drop_in"]), "override.conf"))
    assert host.paths["home"] not in host.remove(data=True)
    assert host.everything() == host.others | {note, drop_in}
    assert host.remove(data=True) == []


def test_a_mount_point_is_emptied_and_stays(host, monkeypatch):
    monkeypatch.setattr(os.path, "ismount", lambda path: path == host.paths["shared"])
    assert host.paths["home"] not in host.remove(data=True)
    assert host.everything() == host.others
    assert os.path.isdir(host.paths["shared"])
    assert host.remove(data=True) == []


@pytest.mark.parametrize("data", [False, True])
def test_check_mode_tells_the_same_and_changes_nothing(host, data):
    before = host.everything()
    told = host.remove(data=data, dry=True)
    assert host.everything() == before
    assert host.systemd.calls == []
    assert told == host.remove(data=data)


@pytest.mark.parametrize("data", [False, True])
def test_whatever_interrupts_it_the_next_run_finishes(tmp_path, monkeypatch, data):
    """Every removal of a file and every call of systemd fails once, in a host of its own."""
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
                break  # there was no such step
        host.remove(data=data)
        assert host.everything() == host.others | (set() if data else {host.picture, host.paths["kept"]})
        assert host.systemd.active == host.systemd.enabled == set()
        assert host.systemd.calls[-1] == ("daemon-reload",)
        assert host.remove(data=data) == []
    assert step > 15


def test_the_account_of_somebody_else(host):
    before = host.everything()
    host.account.pw_dir = "/home/hello"
    with pytest.raises(Refused, match="not this app's"):
        host.remove(data=True)
    assert host.everything() == before


def test_directories_of_somebody_else_without_an_account(host):
    """Releases, shared and current are names that other tools use below /srv as well."""
    host.account = None
    for path in (host.paths["slots_directory"], host.paths["lock"], host.paths["build_lock"]):
        files.remove(path)
    before = host.everything()
    assert host.remove(data=True) == []
    assert host.everything() == before


@pytest.mark.parametrize(("lock", "said"), [("lock", "by anna, who deploys"), ("build_lock", "is being built")])
def test_while_somebody_deploys(host, lock, said):
    before = host.everything()
    with files.locked(host.paths[lock], "by anna, who deploys", 0):
        for dry in (True, False):
            with pytest.raises(Refused, match=said):
                host.remove(dry=dry)
        with pytest.raises(Refused, match="is still there|is being changed"):
            removal.unstage(host.paths, data=True)
    assert host.everything() == before
    assert host.systemd.calls == []
