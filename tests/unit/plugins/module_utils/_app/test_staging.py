"""Staging a release: builds, check mode, and the items that the host lacks."""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path

import pytest
from ansible_collections.asgi.deploy.plugins.module_utils._app import staging
from ansible_collections.asgi.deploy.plugins.module_utils._app.build_python import Python
from ansible_collections.asgi.deploy.plugins.module_utils._app.build_recipe import BuildError
from ansible_collections.asgi.deploy.plugins.module_utils._app.claim import Claim
from ansible_collections.asgi.deploy.plugins.module_utils._app.release_protocol import Missing
from app_homes import (
    NEW,
    OLD,
    RECIPE,
    add,
    damage,
    set_python,
    use_as_current,
    use_in_process,
    use_in_slot,
)

NOTHING = Missing().as_result()
ARCHIVE = Missing(archive=True).as_result()
OLD_RECIPE, NEW_RECIPE = (RECIPE._replace(release=release) for release in (OLD, NEW))


@pytest.fixture
def builds(home, monkeypatch):
    """Replace builds with fakes that succeed immediately; return the built releases in order."""
    built = []

    def make(build):
        built.append(build.recipe.release)
        build.code.mkdir(parents=True)
        add(home, build.recipe.release)

    monkeypatch.setattr(staging.Build, "make", make)
    return built


def fail(build):
    build.code.mkdir(parents=True)
    raise BuildError("the index is unreachable")


def test_the_live_release_is_reported(home, tmp_path):
    add(home, OLD)
    home.app["live_socket"] = str(tmp_path / "run" / "live.sock")
    home.app["tmpfiles"] = str(tmp_path / "tmpfiles.conf")
    assert staging.stage(home, OLD_RECIPE, keep=1, change=True)["serving"] is None

    for link, target in (
        (home.app["live_socket"], "green.sock"),
        (home.app["slots"]["green"]["release"], f"../../releases/{OLD}"),
        (home.app["slots"]["green"]["config"], "../../configs/c1"),
    ):
        Path(link).parent.mkdir(parents=True, exist_ok=True)
        Path(link).symlink_to(target)

    assert staging.stage(home, OLD_RECIPE, keep=1, change=True)["serving"] == {"release": OLD, "config": "c1"}


def test_check_mode_reports_and_changes_nothing(home):
    add(home, OLD)
    home.stage(OLD)
    result = staging.stage(home, NEW_RECIPE._replace(archive=None), keep=1, change=False)
    assert result["changed"] is result["built"] is True
    assert result["staged_before"] == OLD
    assert result["pruned"] == [OLD]
    assert "".join(diff["after"] for diff in result["diff"]).splitlines()[-1] == f"releases/{NEW}"
    assert home.staged() == OLD
    assert [path.name for path in home.releases.iterdir()] == [OLD]


def test_check_mode_lists_the_files_that_change(home, tmp_path):
    add(home, OLD)
    (home.releases / OLD / "code").mkdir()
    (home.releases / OLD / "code/main.py").touch()
    home.app["live_socket"] = str(tmp_path / "live.sock")
    home.app["slots"]["green"]["config"] = str(tmp_path / "config")
    os.symlink("green.sock", home.app["live_socket"])
    os.symlink("c1", tmp_path / "config")
    link = Path(home.app["slots"]["green"]["release"])
    link.parent.mkdir(parents=True)
    link.symlink_to(f"../../releases/{OLD}")
    recipe = NEW_RECIPE._replace(archive=None, files={"new.py": "0"})
    diffs = staging.stage(home, recipe, keep=1, change=False)["diff"]
    assert "removed main.py\nadded new.py\n" in [diff["after"] for diff in diffs]


def test_a_run_without_other_changes_removes_no_release(home):
    """The next deploy removes the superfluous release, so that a run directly after a deploy reports no change."""
    for release in (OLD, NEW):
        add(home, release)
    home.stage(NEW)
    result = staging.stage(home, NEW_RECIPE, keep=1, change=True)
    assert (result["changed"], result["pruned"]) == (False, [])


def test_an_existing_release_is_staged_without_a_build(home):
    add(home, OLD)
    result = staging.stage(home, OLD_RECIPE, keep=1, change=True)
    assert (result["changed"], result["built"], home.staged()) == (True, False, OLD)
    result = staging.stage(home, OLD_RECIPE, keep=1, change=True)
    assert (result["changed"], result["diff"]) == (False, [])


def test_a_build_without_its_source_reports_the_archive_as_missing(home):
    result = staging.stage(home, NEW_RECIPE._replace(archive=None), keep=1, change=True)
    assert result == {"changed": False, "missing": ARCHIVE}
    assert not home.releases.exists()


@pytest.mark.parametrize(
    ("changes", "uv_exists", "archive", "uv"),
    [
        ({}, False, True, True),
        ({}, True, True, False),
        ({"uv_path": "/opt/asgi/bin/uv"}, False, True, False),
        ({"installer": "pip"}, False, True, False),
        ({"source": {"kind": "package"}}, True, False, False),
    ],
)
def test_missing_wheels_are_reported_with_the_target(home, monkeypatch, tmp_path, changes, uv_exists, archive, uv):
    monkeypatch.setattr(staging, "CACHE", tmp_path)
    (tmp_path / "wheels" / ("a" * 64)).mkdir(parents=True)
    (tmp_path / "wheels" / "unpacking").mkdir()
    monkeypatch.setattr(staging, "uv_of", lambda version: tmp_path if uv_exists else tmp_path / "no")
    monkeypatch.setattr(staging, "choose", lambda _recipe: Python(sys.executable))
    recipe = NEW_RECIPE._replace(archive=None, wheelhouse=True, **changes)

    missing = staging.stage(home, recipe, keep=1, change=True)["missing"]

    wheels = missing.pop("wheels")
    assert missing == {"account": False, "packages": [], "command": False, "archive": archive, "python": None}
    assert wheels["target"]["implementation"] == "cpython"
    assert wheels["stored"] == ["a" * 64]
    assert wheels["uv"] is uv
    assert not home.releases.exists()


MANAGED = Python("/opt/asgi/python/cpython-3.12.9-linux-x86_64-gnu/bin/python3.12", "3.12.9")


@pytest.mark.parametrize(
    ("changes", "python"),
    [
        ({"wheelhouse": True}, {"version": "3.12.9", "machine": os.uname().machine}),
        ({"wheelhouse": True, "python_archive": {"path": "/tmp/python.tar.gz", "sha256": "aa"}}, None),
        ({}, None),
    ],
)
def test_a_missing_python_is_requested_from_the_controller_with_the_wheelhouse(home, monkeypatch, changes, python):
    monkeypatch.setattr(staging, "choose", lambda _recipe: MANAGED)
    monkeypatch.setattr(staging, "SYSTEM_PYTHON", sys.executable)

    missing = staging.missing_files(home, NEW_RECIPE._replace(archive=None, **changes), builds=True)

    assert missing.python == python
    if changes:
        assert (missing.wheels.target["python"], missing.wheels.target["bits"]) == ("3.12.9", 64)


def test_a_host_that_cannot_have_the_python_is_reported_before_the_role_changes_it(home, monkeypatch):
    def refuse(_recipe):
        raise BuildError("asgi_app_python is 'auto'")

    monkeypatch.setattr(staging, "choose", refuse)
    monkeypatch.setattr(staging, "missing_prerequisites", lambda *_arguments: Missing(account=True))
    with pytest.raises(BuildError, match="asgi_app_python"):
        staging.check(home, NEW_RECIPE, 1, [], check_mode=False)


def test_unused_pythons_are_removed_only_by_a_run_that_changes_something(home, monkeypatch, builds):
    pruned = []
    monkeypatch.setattr(staging, "prune", lambda: pruned.append(True))
    staging.stage(home, NEW_RECIPE, keep=1, change=False)
    assert pruned == []
    staging.stage(home, NEW_RECIPE, keep=1, change=True)
    assert pruned == [True]
    staging.stage(home, NEW_RECIPE, keep=1, change=True)
    assert pruned == [True]


def test_check_mode_needs_no_files(home):
    result = staging.stage(home, NEW_RECIPE._replace(archive=None, wheelhouse=True), keep=1, change=False)
    assert (result["changed"], result["built"]) == (True, True)


def test_a_failed_build_leaves_no_files(home, monkeypatch):
    monkeypatch.setattr(staging.Build, "make", fail)
    with pytest.raises(BuildError):
        staging.stage(home, NEW_RECIPE, keep=1, change=True)
    assert list(home.releases.iterdir()) == []
    assert home.staged() is None


def test_credentials_are_not_in_the_diff():
    recipe = RECIPE._replace(requirements=["x @ https://user:secret@files.example/x.whl"])
    assert "secret" not in staging._planned(recipe)


# -- checks before staging ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ready", "packages", "missing"),
    [
        (True, [], Missing(packages=[])),
        (False, [], Missing(account=True, packages=[])),
        (True, ["python3-venv"], Missing(packages=["python3-venv"])),
    ],
)
def test_missing_accounts_and_packages_are_reported(home, monkeypatch, ready, packages, missing):
    monkeypatch.setattr(staging, "check_claim", lambda app: Claim(ready))
    monkeypatch.setattr(staging, "missing", lambda wanted: packages)
    assert staging.missing_prerequisites(home.app, ["python3", "python3-venv"]) == missing


@pytest.mark.parametrize(("exists", "wanted"), [(True, ["python3"]), (False, ["python3", "dbus"])])
def test_dbus_is_required_if_there_is_no_system_bus(home, monkeypatch, tmp_path, exists, wanted):
    monkeypatch.setattr(staging, "SYSTEM_BUS", str(tmp_path if exists else tmp_path / "none"))
    monkeypatch.setattr(staging, "check_claim", lambda app: Claim(True))
    monkeypatch.setattr(staging, "missing", list)
    assert staging.missing_prerequisites(home.app, ["python3"]) == Missing(packages=wanted)


def test_the_account_of_another_program_is_rejected(home, monkeypatch):
    monkeypatch.setattr(staging, "check_claim", lambda app: Claim(False, "the host has an account of that name"))
    with pytest.raises(BuildError, match="asgi_name is 'hello', but the host has an account of that name"):
        staging.missing_prerequisites(home.app, [])


@pytest.fixture
def ready(home, monkeypatch):
    """A host with the account, the packages and the directories of the app."""
    monkeypatch.setattr(staging, "check_claim", lambda app: Claim(True))
    monkeypatch.setattr(staging, "missing", lambda wanted: [])
    monkeypatch.setattr(home, "lay_out", lambda change: False)
    return home


@pytest.mark.parametrize(
    ("changes", "check_mode", "missing"),
    [({}, False, ARCHIVE), ({"source": {"kind": "package"}}, False, NOTHING), ({}, True, NOTHING)],
)
def test_a_check_reports_missing_files_and_changes_nothing(ready, changes, check_mode, missing):
    recipe = NEW_RECIPE._replace(archive=None, **changes)
    assert staging.check(ready, recipe, 5, ["python3"], check_mode) == {"changed": False, "missing": missing}
    assert not ready.releases.exists()


def test_a_check_of_a_complete_release_does_not_stage_it(ready):
    add(ready, NEW)
    assert staging.check(ready, NEW_RECIPE, 5, [], False) == {"changed": False, "missing": NOTHING}
    assert ready.staged() is None


def test_a_check_of_a_staged_release_returns_its_result(ready):
    add(ready, NEW)
    ready.stage(NEW)
    result = staging.check(ready, NEW_RECIPE, 5, [], False)
    assert (result["changed"], result["release"]) == (False, NEW)
    assert "missing" not in result


def test_directories_that_differ_must_be_staged_again(ready, monkeypatch):
    add(ready, NEW)
    ready.stage(NEW)
    monkeypatch.setattr(ready, "lay_out", lambda change: True)
    assert staging.check(ready, NEW_RECIPE, 5, [], False) == {"changed": False, "missing": NOTHING}


# -- damaged releases --------------------------------------------------------------------------------------------------

USES = [use_in_slot, use_as_current, use_in_process]


@pytest.mark.parametrize("use", USES)
def test_a_damaged_release_in_use_is_built_under_another_id(home, builds, use):
    add(home, OLD)
    use(home, OLD)
    set_python(home, OLD, "3.13")

    result = staging.stage(home, OLD_RECIPE, keep=5, change=True)

    assert (result["release"], result["changed"], result["built"]) == (f"{OLD}.2", True, True)
    assert result["directory"] == str(home.releases / f"{OLD}.2")
    assert home.staged() == f"{OLD}.2"
    assert (home.releases / OLD / "release.json").exists()
    assert staging.stage(home, OLD_RECIPE, keep=5, change=True)["changed"] is False
    assert builds == [f"{OLD}.2"]


@pytest.mark.parametrize("use", USES)
def test_a_failed_build_leaves_the_release_in_use(home, monkeypatch, use):
    add(home, OLD)
    use(home, OLD)
    damage(home, OLD)
    before = sorted(home.releases.rglob("*"))
    monkeypatch.setattr(staging.Build, "make", fail)
    with pytest.raises(BuildError, match="unreachable"):
        staging.stage(home, OLD_RECIPE, keep=1, change=True)
    assert sorted(home.releases.rglob("*")) == before


def test_a_slot_whose_release_is_missing_gets_another_id(home, builds):
    use_in_slot(home, OLD)
    assert staging.stage(home, OLD_RECIPE, keep=5, change=True)["release"] == f"{OLD}.2"


def test_a_damaged_release_that_is_not_in_use_is_built_again(home, builds):
    add(home, OLD)
    damage(home, OLD)
    assert staging.stage(home, OLD_RECIPE, keep=5, change=True)["release"] == OLD
    assert builds == [OLD]


def test_check_mode_reports_the_other_id(home):
    add(home, OLD)
    use_in_slot(home, OLD)
    damage(home, OLD)
    result = staging.stage(home, OLD_RECIPE._replace(archive=None), keep=5, change=False)
    assert (result["release"], result["built"]) == (f"{OLD}.2", True)
    assert [path.name for path in home.releases.iterdir()] == [OLD]


@pytest.fixture
def program(home, tmp_path):
    """Return the sent program of the host command, with its digest; it is installed below *tmp_path*."""
    home.app["command"] = {name: str(tmp_path / "command" / name) for name in home.app["command"]}
    path = tmp_path / "sent.pyz"
    path.write_bytes(b"program")
    return {"path": str(path), "digest": hashlib.sha256(b"program").hexdigest()}


def test_the_host_command_is_requested_and_installed(home, program):
    add(home, OLD)
    home.stage(OLD)
    unsent = OLD_RECIPE._replace(command={"digest": program["digest"]})
    assert staging.stage(home, unsent, keep=1, change=True)["missing"] == Missing(command=True).as_result()
    assert staging.stage(home, unsent, keep=1, change=False)["command"], "check mode reports the installation"

    result = staging.stage(home, OLD_RECIPE._replace(command=program), keep=1, change=True)

    assert (result["changed"], result["command"], result["built"]) == (True, True, False)
    result = staging.stage(home, unsent, keep=1, change=True)
    assert (result["changed"], result["command"]) == (False, False)


@pytest.mark.parametrize("check_mode", [False, True])
def test_a_check_reports_the_missing_host_command(ready, program, monkeypatch, check_mode):
    add(ready, OLD)
    ready.stage(OLD)
    recipe = OLD_RECIPE._replace(command={"digest": program["digest"]})
    expected = Missing(command=not check_mode)
    assert staging.check(ready, recipe, 5, [], check_mode) == {"changed": False, "missing": expected.as_result()}
    # It is known before the accounts exist, and then needs no further request.
    monkeypatch.setattr(staging, "check_claim", lambda app: Claim(False))
    missing = staging.check(ready, recipe, 5, [], check_mode)["missing"]
    assert missing == expected._replace(account=True).as_result()
