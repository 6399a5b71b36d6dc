"""The releases of an app on a host: which are whole, which go, what check mode says."""

from __future__ import annotations

import fcntl
import json
import stat
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from ansible_collections.asgi.deploy.plugins.module_utils.claim import Claim
from ansible_collections.asgi.deploy.plugins.module_utils.layout import layout
from ansible_collections.asgi.deploy.plugins.module_utils.release_build import BuildError, Recipe
from ansible_collections.asgi.deploy.plugins.modules import release as module

RECIPE = Recipe(
    release="src-0123456789",
    app="hello",
    user="hello",
    module="main:app",
    source={"kind": "path", "label": "src", "digest": "0"},
    dependencies={"by": "requirements"},
    archive="/tmp/source.tar.gz",
    python="python3",
    installer="uv",
    requirements=[],
    server_requirements=["gunicorn"],
    uv_version="0.13.8",
    uv_path=None,
    index_url=None,
    ca_bundle="/etc/ssl/certs/ca-certificates.crt",
    environment={},
    build_environment={},
)
OLD, NEW, HALF = "old-0000000001", "new-0000000002", "half-0000000003"


@pytest.fixture
def home(tmp_path, monkeypatch):
    def below_tmp_path(name):
        text = json.dumps(layout(name)).replace(f"/srv/{name}", str(tmp_path))
        return json.loads(text)

    monkeypatch.setattr(module, "layout", below_tmp_path)
    monkeypatch.setattr(module, "PROCESSES", tmp_path / "proc")
    return module.Home("hello")


def add(home, release, built_at="2026-01-01T00:00:00Z"):
    set_python(home, release, "3.11")
    if built_at:
        manifest = {"id": release, "built_at": built_at, "python": "3.11.2"}
        (home.releases / release / "release.json").write_text(json.dumps(manifest))


def set_python(home, release, version):
    """Give *release* an interpreter that is of this *version*, as an upgrade of the distribution does."""
    python = home.releases / release / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True, exist_ok=True)
    python.write_text(f"#!/bin/sh\nprintf {version}\n")
    python.chmod(0o755)


def damage(home, release):
    (home.releases / release / "release.json").unlink()


@pytest.fixture
def builds(home, monkeypatch):
    """Builds that succeed at once; what was built, in order."""
    made = []

    def make(build):
        made.append(build.recipe.release)
        build.code.mkdir(parents=True)
        add(home, build.recipe.release)

    monkeypatch.setattr(module.Build, "make", make)
    return made


def test_a_release_is_whole_once_it_is_recorded(home):
    add(home, OLD)
    add(home, HALF, built_at=None)
    assert home.is_whole(OLD)
    assert not home.is_whole(HALF)
    assert not home.is_whole(NEW)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"id": "another"}'])
def test_a_damaged_record_is_none(home, text):
    add(home, OLD)
    (home.releases / OLD / "release.json").write_text(text)
    assert not home.is_whole(OLD)


def test_a_release_whose_python_is_gone_is_not_whole(home):
    add(home, OLD)
    (home.releases / OLD / ".venv/bin/python").unlink()
    (home.releases / OLD / ".venv/bin/python").symlink_to("/usr/bin/python9.9")
    assert not home.is_whole(OLD)


def test_what_is_used_is_not_removed(home, tmp_path):
    for number in range(6):
        add(home, f"r{number}-000000000{number}", f"2026-01-0{number + 1}T00:00:00Z")
    (tmp_path / "slots/blue").mkdir(parents=True)
    (tmp_path / "slots/blue/release").symlink_to("../../releases/r0-0000000000")
    (tmp_path / "current").symlink_to("releases/r1-0000000001")
    log = [{"release": "r2-0000000002", "config": "c", "result": "live"}]
    (tmp_path / "releases.json").write_text(json.dumps(log))
    (tmp_path / "releases/notes").mkdir()
    assert home.prunable("r5-0000000005", keep=1) == ["r3-0000000003", "r4-0000000004"]


def test_a_release_that_is_yet_to_be_built_counts(home):
    add(home, OLD)
    assert home.prunable(NEW, keep=1) == [OLD]
    assert home.prunable(NEW, keep=2) == []


@pytest.mark.parametrize("text", ["{", '{"a": 1}', '[{"release": "x"}]', "[1]"])
def test_nothing_is_removed_by_a_log_that_cannot_be_understood(home, tmp_path, text):
    add(home, OLD)
    (tmp_path / "releases.json").write_text(text)
    with pytest.raises(BuildError, match="cannot be understood"):
        home.prunable(NEW, keep=1)


def test_remove(home):
    add(home, OLD)
    home.remove(OLD)
    home.remove(OLD)
    assert list(home.releases.iterdir()) == []


def test_the_lock_is_exclusive_and_bounded(home, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "LOCK_SECONDS", 0)
    with (tmp_path / ".build.lock").open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(BuildError, match="another build"), home.locked():
            pass
    with home.locked() as descriptor:
        assert descriptor > 2


def test_what_serves_is_told(home, tmp_path):
    add(home, OLD)
    home.app["live_socket"] = str(tmp_path / "run" / "live.sock")
    home.app["tmpfiles"] = str(tmp_path / "tmpfiles.conf")
    recipe = RECIPE._replace(release=OLD)
    assert module._proceed(home, recipe, keep=1, lock=3)["serving"] is None

    for link, target in (
        (home.app["live_socket"], "green.sock"),
        (home.app["slots"]["green"]["release"], f"../../releases/{OLD}"),
        (home.app["slots"]["green"]["config"], "../../configs/c1"),
    ):
        Path(link).parent.mkdir(parents=True, exist_ok=True)
        Path(link).symlink_to(target)

    assert module._proceed(home, recipe, keep=1, lock=3)["serving"] == {"release": OLD, "config": "c1"}


def test_check_mode_tells_and_changes_nothing(home):
    add(home, OLD)
    home.stage(OLD)
    recipe = RECIPE._replace(release=NEW, archive=None)
    result = module._proceed(home, recipe, keep=1, lock=None)
    assert result["changed"] is result["built"] is True
    assert result["staged_before"] == OLD
    assert result["pruned"] == [OLD]
    assert "".join(diff["after"] for diff in result["diff"]).splitlines()[-1] == f"releases/{NEW}"
    assert home.staged() == OLD
    assert [path.name for path in home.releases.iterdir()] == [OLD]


def test_nothing_goes_in_a_run_that_changes_nothing(home):
    """What the last deploy has replaced goes with the next one: a run after a deploy changes nothing."""
    for release in (OLD, NEW):
        add(home, release)
    home.stage(NEW)
    result = module._proceed(home, RECIPE._replace(release=NEW), keep=1, lock=3)
    assert (result["changed"], result["pruned"]) == (False, [])


def test_what_is_there_is_only_staged(home):
    add(home, OLD)
    result = module._proceed(home, RECIPE._replace(release=OLD), keep=1, lock=3)
    assert (result["changed"], result["built"], home.staged()) == (True, False, OLD)
    result = module._proceed(home, RECIPE._replace(release=OLD), keep=1, lock=3)
    assert (result["changed"], result["diff"]) == (False, [])


def test_the_source_is_asked_for_only_where_it_is_needed(home):
    recipe = RECIPE._replace(release=NEW, archive=None)
    assert module._proceed(home, recipe, keep=1, lock=3) == {"changed": False, "archive_wanted": True}
    assert not home.releases.exists()


@pytest.mark.parametrize(
    ("ready", "packages", "lacking"),
    [
        (True, [], {}),
        (False, [], {"account": True, "packages": []}),
        (True, ["python3-venv"], {"account": False, "packages": ["python3-venv"]}),
    ],
)
def test_what_the_host_lacks_is_told(home, monkeypatch, ready, packages, lacking):
    monkeypatch.setattr(module, "look_up", lambda app: Claim(ready))
    monkeypatch.setattr(module, "missing", lambda wanted: packages)
    assert module._lacking(home.app, ["python3", "python3-venv"]) == lacking


def test_a_name_that_is_somebody_elses_is_refused(home, monkeypatch):
    monkeypatch.setattr(module, "look_up", lambda app: Claim(False, "the host has an account of that name"))
    with pytest.raises(BuildError, match="asgi_name is 'hello', but the host has an account of that name"):
        module._lacking(home.app, [])


@pytest.mark.parametrize(
    ("changes", "uv_is_there", "archive_wanted", "uv_wanted"),
    [
        ({}, False, True, True),
        ({}, True, True, False),
        ({"uv_path": "/opt/asgi/bin/uv"}, False, True, False),
        ({"installer": "pip"}, False, True, False),
        ({"source": {"kind": "package"}}, True, False, False),
    ],
)
def test_wheels_are_asked_for_with_what_they_are_for(
    home, monkeypatch, tmp_path, changes, uv_is_there, archive_wanted, uv_wanted
):
    monkeypatch.setattr(module, "CACHE", tmp_path)
    (tmp_path / "wheels" / ("a" * 64)).mkdir(parents=True)
    (tmp_path / "wheels" / "unpacking").mkdir()
    monkeypatch.setattr(module, "uv_of", lambda version: tmp_path if uv_is_there else tmp_path / "no")
    monkeypatch.setattr(module, "find_python", lambda _wanted: sys.executable)
    recipe = RECIPE._replace(release=NEW, archive=None, wheelhouse=True, **changes)

    answer = module._proceed(home, recipe, keep=1, lock=3)

    wanted = answer.pop("wheels_wanted")
    assert answer == {"changed": False, **({"archive_wanted": True} if archive_wanted else {})}
    assert wanted["target"]["implementation"] == "cpython"
    assert wanted["stored"] == ["a" * 64]
    assert wanted["uv"] is uv_wanted
    assert not home.releases.exists()


def test_check_mode_asks_for_no_wheels(home):
    result = module._proceed(home, RECIPE._replace(release=NEW, archive=None, wheelhouse=True), keep=1, lock=None)
    assert (result["changed"], result["built"]) == (True, True)


def test_a_build_that_fails_leaves_nothing(home, monkeypatch):
    def fail(build):
        build.code.mkdir(parents=True)
        raise BuildError("no")

    monkeypatch.setattr(module.Build, "make", fail)
    with pytest.raises(BuildError):
        module._proceed(home, RECIPE._replace(release=NEW), keep=1, lock=3)
    assert list(home.releases.iterdir()) == []
    assert home.staged() is None


def test_a_secret_requirement_is_not_in_the_diff():
    recipe = RECIPE._replace(requirements=["x @ https://user:secret@files.example/x.whl"])
    assert "secret" not in module._planned(recipe)


# -- a release that is damaged while it is used ----------------------------------------------------------------------


def use_in_slot(home, release):
    link = home.app["slots"]["blue"]["release"]
    Path(link).parent.mkdir(parents=True)
    Path(link).symlink_to(f"../../releases/{release}")


def use_as_current(home, release):
    Path(home.app["current"]).symlink_to(f"releases/{release}")


def use_in_a_process(home, release):
    process = module.PROCESSES / "4711"
    process.mkdir(parents=True)
    (process / "cwd").symlink_to(home.releases / release / "code")


USES = [use_in_slot, use_as_current, use_in_a_process]


def test_a_release_for_another_python_is_not_whole(home):
    add(home, OLD)
    set_python(home, OLD, "3.13")
    assert not home.is_whole(OLD)


def test_a_python_that_does_not_run_is_none(home):
    add(home, OLD)
    (home.releases / OLD / ".venv/bin/python").chmod(0o644)
    assert not home.is_whole(OLD)


@pytest.mark.parametrize("use", USES)
def test_what_is_used_is_built_beside(home, builds, use):
    add(home, OLD)
    use(home, OLD)
    set_python(home, OLD, "3.13")
    recipe = RECIPE._replace(release=OLD)

    result = module._proceed(home, recipe, keep=5, lock=3)

    assert (result["release"], result["changed"], result["built"]) == (f"{OLD}.2", True, True)
    assert result["directory"] == str(home.releases / f"{OLD}.2")
    assert home.staged() == f"{OLD}.2"
    assert (home.releases / OLD / "release.json").exists()
    assert module._proceed(home, recipe, keep=5, lock=3)["changed"] is False
    assert builds == [f"{OLD}.2"]


@pytest.mark.parametrize("use", USES)
def test_a_build_that_fails_leaves_what_is_used(home, monkeypatch, use):
    add(home, OLD)
    use(home, OLD)
    damage(home, OLD)
    before = sorted(home.releases.rglob("*"))

    def fail(build):
        build.code.mkdir(parents=True)
        raise BuildError("the index is unreachable")

    monkeypatch.setattr(module.Build, "make", fail)
    with pytest.raises(BuildError, match="unreachable"):
        module._proceed(home, RECIPE._replace(release=OLD), keep=1, lock=3)
    assert sorted(home.releases.rglob("*")) == before


def test_a_slot_whose_release_is_gone_is_given_a_copy(home, builds):
    use_in_slot(home, OLD)
    assert module._proceed(home, RECIPE._replace(release=OLD), keep=5, lock=3)["release"] == f"{OLD}.2"


def test_what_is_not_used_is_built_again_in_its_place(home, builds):
    add(home, OLD)
    damage(home, OLD)
    assert module._proceed(home, RECIPE._replace(release=OLD), keep=5, lock=3)["release"] == OLD
    assert builds == [OLD]


def test_check_mode_names_the_copy(home):
    add(home, OLD)
    use_in_slot(home, OLD)
    damage(home, OLD)
    result = module._proceed(home, RECIPE._replace(release=OLD, archive=None), keep=5, lock=None)
    assert (result["release"], result["built"]) == (f"{OLD}.2", True)
    assert [path.name for path in home.releases.iterdir()] == [OLD]


def test_what_a_process_runs_in_is_not_removed(home):
    add(home, OLD)
    use_in_a_process(home, OLD)
    assert home.prunable(NEW, keep=1) == []


def test_data_that_an_uninstallation_left_is_given_back_before_its_home_is_opened(home, tmp_path, monkeypatch):
    account = SimpleNamespace(pw_uid=901, pw_gid=902)
    (tmp_path / ".kept").write_text('{"uid": 997, "gid": 997}')
    tmp_path.chmod(0o700)
    seen = []
    monkeypatch.setattr(module.pwd, "getpwnam", lambda _name: account)
    monkeypatch.setattr(module.os, "chown", lambda *_arguments: None)
    monkeypatch.setattr(
        module, "give_back", lambda *given: seen.append((*given, stat.S_IMODE(tmp_path.stat().st_mode)))
    )

    assert home.lay_out(change=False) is True
    assert seen == []
    assert home.lay_out(change=True) is True
    assert seen == [(home.app, 901, 902, 0o700)]
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755
