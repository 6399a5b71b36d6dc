"""The Python of a release: the choice on the host, and the CPythons that apps share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from ansible_collections.asgi.deploy.plugins.module_utils._app import build_python
from ansible_collections.asgi.deploy.plugins.module_utils._app.build_ownership import HandoverError
from ansible_collections.asgi.deploy.plugins.module_utils._app.build_python import Python, adopt, choose, in_use, prune
from ansible_collections.asgi.deploy.plugins.module_utils._app.build_recipe import BuildError
from ansible_collections.asgi.deploy.plugins.module_utils._app.python_versions import PythonRequest
from app_homes import RECIPE

FIND = build_python.find_python
KEY = f"cpython-3.12.9-linux-{os.uname().machine}-gnu"


@pytest.fixture(autouse=True)
def store(tmp_path, monkeypatch):
    """Use a store below *tmp_path*, and a distribution with Python 3.11.2."""
    found = tmp_path / "opt/python"
    monkeypatch.setattr(build_python, "STORE", found)
    monkeypatch.setattr(build_python, "HOMES", tmp_path / "srv")
    monkeypatch.setattr(build_python, "_version", lambda _python: "3.11.2")
    monkeypatch.setattr(build_python, "find_python", lambda wanted: f"found {wanted}")
    return found


def python(store):
    return Python(str(store / KEY / "bin/python3.12"), "3.12.9")


def install(directory, mode=0o777):
    """Create the files that uv installs."""
    program = directory / KEY / "bin/python3.12"
    program.parent.mkdir(parents=True)
    program.write_text("")
    program.chmod(mode)
    (program.parent / "python3").symlink_to("python3.12")
    (directory / "cpython-3.12-linux").symlink_to(f"/opt/asgi/python/{KEY}")
    (directory / ".lock").touch()
    return directory


def test_a_missing_python_is_reported():
    with pytest.raises(BuildError, match="asgi_app_python is 'python9.9'"):
        FIND("python9.9")


def test_a_python_that_others_can_modify_is_rejected(tmp_path):
    python = tmp_path / "python3"
    python.write_text("")
    python.chmod(0o777)
    with pytest.raises(BuildError, match=f"asgi_app_python is '{python}', which root runs, but .* can modify {python}"):
        FIND(str(python))


def request(accepts, managed="", **changes):
    return RECIPE._replace(
        python="auto", python_request=PythonRequest([accepts], managed, "requires-python = '>=3'"), **changes
    )


def test_a_program_of_the_operator_is_used():
    assert choose(RECIPE._replace(python="python3.12")) == Python("found python3.12")


@pytest.mark.parametrize("accepts", ["", ">=3.9", ">=3.11.2", "==3.11.*"])
def test_the_python3_of_the_host_is_used_if_it_matches(accepts):
    assert choose(request(accepts, "3.12.9")) == Python("found python3")


def test_uv_installs_another_python_otherwise(store):
    found = choose(request(">=3.12", "3.12.9"))
    assert found == python(store)
    assert (found.key, found.is_missing) == (KEY, True)
    install(store)
    assert not found.is_missing
    assert choose(request(">=3.12", "3.12.9")) == Python(f"found {found.path}", "3.12.9")


@pytest.mark.parametrize(
    ("managed", "installer", "message"),
    [
        (
            "",
            "pip",
            "asgi_app_python is 'auto', the app accepts requires-python .* is Python 3.11.2: .*_installer to uv",
        ),
        ("", "uv", "set asgi_app_python to a version such as '3.13'"),
    ],
)
def test_a_host_without_a_matching_python_is_reported(managed, installer, message):
    with pytest.raises(BuildError, match=message):
        choose(request(">=3.12", managed, installer=installer))


def test_a_machine_without_builds_is_reported(monkeypatch):
    monkeypatch.setattr(build_python.os, "uname", lambda: os.uname_result(("Linux", "x", "x", "x", "mips")))
    with pytest.raises(BuildError, match="uv has no CPython for mips: set asgi_app_python"):
        choose(request(">=3.12", "3.12.9"))


def test_an_installed_python_belongs_to_root(store, tmp_path):
    with in_use():
        adopt(install(tmp_path / "scratch"), python(store))
    assert [path.name for path in store.iterdir() if path.is_dir()] == [KEY]
    assert (store / KEY / "bin/python3.12").stat().st_mode & 0o777 == 0o755
    assert os.readlink(store / KEY / "bin/python3") == "python3.12"


def test_a_python_that_another_build_has_installed_meanwhile_remains(store, tmp_path):
    install(store, 0o755)
    (store / KEY / "first").touch()
    adopt(install(tmp_path / "scratch"), python(store))
    assert (store / KEY / "first").exists()
    assert sorted(path.name for path in store.iterdir() if path.is_dir() and not path.is_symlink()) == [KEY]


def test_a_symlink_out_of_the_python_is_rejected(store, tmp_path):
    scratch = install(tmp_path / "scratch")
    (scratch / KEY / "lib").symlink_to("/home")
    with pytest.raises(HandoverError, match="is a symlink to /home"):
        adopt(scratch, python(store))
    assert not (store / KEY).exists()


def test_a_python_in_place_of_the_wanted_one_is_rejected(store, tmp_path):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    (scratch / KEY).symlink_to("/usr")
    with pytest.raises(BuildError, match="uv did not install cpython-3.12.9"):
        adopt(scratch, python(store))


def release(tmp_path, name, program):
    link = Path(tmp_path) / "srv/hello/releases" / name / ".venv/bin/python"
    link.parent.mkdir(parents=True)
    link.symlink_to(program)


def test_pythons_that_no_release_uses_are_removed(store, tmp_path):
    install(store)
    for name in ("cpython-3.13.0-linux-x86_64-gnu", ".cpython-3.13.1-linux-x86_64-gnu.99"):
        (store / name / "bin").mkdir(parents=True)
    release(tmp_path, "one", store / KEY / "bin/python3.12")
    release(tmp_path, "two", "/usr/bin/python3")
    release(tmp_path, "three", store / "gone/bin/python3")
    assert prune() == [".cpython-3.13.1-linux-x86_64-gnu.99", "cpython-3.13.0-linux-x86_64-gnu"]
    assert (store / KEY).is_dir()


def test_a_host_without_managed_pythons_gets_no_directory(store):
    assert prune() == []
    assert not store.exists()


def test_nothing_is_removed_during_a_build(store):
    (store / "unused").mkdir(parents=True)
    with in_use():
        assert prune() == []
    assert prune() == ["unused"]
