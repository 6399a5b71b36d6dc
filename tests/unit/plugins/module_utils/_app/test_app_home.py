"""The directories of an app: complete and removable releases, and the holder of the build lock."""

from __future__ import annotations

import fcntl
import json
import os
import re
import stat
import subprocess
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from ansible_collections.asgi.deploy.plugins.module_utils._app import app_home
from ansible_collections.asgi.deploy.plugins.module_utils._host import interpreter
from ansible_collections.asgi.deploy.plugins.module_utils._host.files import Locked
from app_homes import INCOMPLETE, NEW, OLD, add, set_python, use_in_process


def test_a_release_is_complete_once_it_is_recorded(home):
    add(home, OLD)
    add(home, INCOMPLETE, built_at=None)
    assert home.is_complete(OLD)
    assert not home.is_complete(INCOMPLETE)
    assert not home.is_complete(NEW)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"id": "another"}'])
def test_a_release_with_a_damaged_record_is_not_complete(home, text):
    add(home, OLD)
    (home.releases / OLD / "release.json").write_text(text)
    assert not home.is_complete(OLD)


def test_a_release_without_a_working_python_is_not_complete(home):
    add(home, OLD)
    python = home.releases / OLD / ".venv/bin/python"
    python.chmod(0o644)
    assert not home.is_complete(OLD)
    python.unlink()
    python.symlink_to("/usr/bin/python9.9")
    assert not home.is_complete(OLD)


def test_a_release_for_another_python_is_not_complete(home):
    add(home, OLD)
    set_python(home, OLD, "3.13")
    assert not home.is_complete(OLD)


def test_root_does_not_run_the_interpreter_of_a_release(home, tmp_path, monkeypatch):
    """A package may have replaced the interpreter, or changed the files that the host's interpreter reads."""
    monkeypatch.setattr(interpreter, "RELEASES", re.compile(re.escape(f"{tmp_path}/releases/")))
    add(home, OLD)
    assert home.is_complete(OLD)
    ran = tmp_path / "ran"
    python = home.releases / OLD / ".venv/bin/python"
    python.unlink()
    python.write_text(f"#!/bin/sh\ntouch {ran}\nprintf 3.11\n")
    python.chmod(0o755)
    assert not home.is_complete(OLD)
    evil = home.releases / OLD / "code/python3"
    evil.parent.mkdir()
    python.rename(evil)
    python.symlink_to(evil)
    assert not home.is_complete(OLD)
    assert not ran.exists()


def test_used_releases_are_not_removed(home, tmp_path):
    for number in range(6):
        add(home, f"r{number}-000000000{number}", f"2026-01-0{number + 1}T00:00:00Z")
    (tmp_path / "slots/blue").mkdir(parents=True)
    (tmp_path / "slots/blue/release").symlink_to("../../releases/r0-0000000000")
    (tmp_path / "current").symlink_to("releases/r1-0000000001")
    log = [{"release": "r2-0000000002", "config": "c", "slot": "blue", "result": "live"}]
    (tmp_path / "releases.json").write_text(json.dumps(log))
    (tmp_path / "releases/notes").mkdir()
    assert home.prunable("r5-0000000005", keep=1) == ["r3-0000000003", "r4-0000000004"]


def test_the_working_directory_of_a_process_is_not_removed(home):
    add(home, OLD)
    use_in_process(home, OLD)
    assert home.prunable(NEW, keep=1) == []


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("cmdline", "{0}/.venv/bin/python\0-m\0worker\0"),
        ("cmdline", "python\0{0}"),
        ("environ", "LANG=C\0PYTHONPATH={0}/code:/srv/lib\0"),
        ("environ", "PYTHONPATH={0}:/srv/lib\0"),
        ("maps", "7f00-7f01 r-xp 00000000 08:01 42 {0}/.venv/lib/python3.11/site-packages/orjson/orjson.so\n"),
    ],
)
def test_a_release_that_a_process_with_another_working_directory_uses_is_not_removed(home, name, text):
    """The hooks of an app with asgi_server_working_directory, and the processes that they start."""
    add(home, OLD)
    process = app_home.PROCESSES / "4711"
    process.mkdir(parents=True)
    (process / "cwd").symlink_to(home.app["shared"])
    assert home.prunable(NEW, keep=1) == [OLD]
    (process / name).write_text(text.format(home.releases / OLD))
    assert home.prunable(NEW, keep=1) == []


def test_a_release_in_the_trial_slot_is_not_removed(home):
    add(home, OLD)
    link = Path(home.app["trial"]["release"])
    link.parent.mkdir(parents=True)
    link.symlink_to(f"../../releases/{OLD}")
    assert home.prunable(NEW, keep=1) == []


def test_only_whole_ids_in_the_data_of_a_process_count(home):
    add(home, OLD)
    process = app_home.PROCESSES / "4711"
    process.mkdir(parents=True)
    (process / "cmdline").write_text(f"tail\0{home.releases / OLD}9/log\0/elsewhere/releases/{OLD}/code\0")
    assert home.prunable(NEW, keep=1) == [OLD]


def test_a_release_that_is_not_built_yet_counts_as_kept(home):
    add(home, OLD)
    assert home.prunable(NEW, keep=1) == [OLD]
    assert home.prunable(NEW, keep=2) == []


@pytest.mark.parametrize("text", ["", "{", '{"a": 1}', '[{"release": "x"}]', "[1]"])
def test_a_damaged_release_log_prevents_removal(home, tmp_path, text):
    add(home, OLD)
    (tmp_path / "releases.json").write_text(text)
    assert home.prunable(NEW, keep=1) == []


def test_remove_is_idempotent(home):
    add(home, OLD)
    home.remove(OLD)
    home.remove(OLD)
    assert list(home.releases.iterdir()) == []


@pytest.mark.parametrize("mode", [0o700, 0o750])
def test_directories_of_slots_that_the_app_cannot_enter_are_opened(home, tmp_path, mode):
    closed = [tmp_path / "configs", tmp_path / "slots", tmp_path / "slots/blue"]
    for path in closed:
        path.mkdir()
    for path in reversed(closed):
        path.chmod(mode)
    assert home._open_slots(change=False) is True
    assert [stat.S_IMODE(path.stat().st_mode) for path in closed] == [mode] * 3

    assert home._open_slots(change=True) is True
    assert [stat.S_IMODE(path.stat().st_mode) for path in closed] == [0o755] * 3
    assert home._open_slots(change=True) is False


def test_the_build_lock_is_exclusive_and_bounded(home, tmp_path, monkeypatch):
    monkeypatch.setattr(app_home, "LOCK_SECONDS", 0)
    with (tmp_path / ".build.lock").open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(Locked, match="another build"), home.locked():
            pass
    with home.locked(), pytest.raises(Locked, match="another build"), home.locked():
        pass


def test_the_build_unit_of_a_killed_module_is_stopped(home, transient_units):
    pid = transient_units / "asgi-build-hello.pid"
    left = subprocess.Popen(["systemd-run", "--unit=asgi-build-hello.service", "--", "/bin/sleep", "60"])
    deadline = time.monotonic() + 10
    while not pid.exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    with home.locked():
        assert not pid.exists()
    left.wait(10)


def test_shared_caches_are_removed(home, tmp_path, monkeypatch):
    shared = tmp_path / "asgi/uv"
    monkeypatch.setattr(app_home, "SHARED_CACHES", (str(shared), str(tmp_path / "asgi/pip")))
    assert home._remove_shared_caches(change=True) is False
    (shared / "wheels").mkdir(parents=True)
    assert home._remove_shared_caches(change=False) is True
    assert shared.exists()
    assert home._remove_shared_caches(change=True) is True
    assert not shared.exists()


def test_shared_caches_may_be_removed_concurrently(home, tmp_path, monkeypatch):
    monkeypatch.setattr(app_home, "SHARED_CACHES", (str(tmp_path / "asgi/uv"),))
    monkeypatch.setattr(app_home.os.path, "lexists", lambda path: True)
    assert home._remove_shared_caches(change=True) is True


def test_a_removed_cache_is_created_again(home, tmp_path, monkeypatch):
    own = SimpleNamespace(pw_uid=os.getuid(), pw_gid=os.getgid())
    monkeypatch.setattr(app_home.pwd, "getpwnam", lambda _name: own)
    monkeypatch.setattr(app_home.os, "chown", lambda *_arguments: None)
    home.lay_out(change=True)
    cache = tmp_path / "cache"
    cache.rmdir()

    assert home.lay_out(change=False) is True
    assert not cache.exists()
    assert home.lay_out(change=True) is True
    assert stat.S_IMODE(cache.stat().st_mode) == 0o750


def test_data_of_an_uninstalled_app_is_given_back_before_its_home_is_opened(home, tmp_path, monkeypatch):
    account = SimpleNamespace(pw_uid=901, pw_gid=902)
    (tmp_path / ".kept").write_text('{"uid": 997, "gid": 997}')
    tmp_path.chmod(0o700)
    seen = []
    monkeypatch.setattr(app_home.pwd, "getpwnam", lambda _name: account)
    monkeypatch.setattr(app_home.os, "chown", lambda *_arguments: None)
    monkeypatch.setattr(
        app_home, "give_back", lambda *given: seen.append((*given, stat.S_IMODE(tmp_path.stat().st_mode)))
    )

    assert home.lay_out(change=False) is True
    assert seen == []
    assert home.lay_out(change=True) is True
    assert seen == [(home.app, 901, 902, 0o700)]
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755
