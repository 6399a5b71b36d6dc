"""The action plugin release: the files and options that it sends to hosts, and those that remain on the controller."""

from __future__ import annotations

import base64
from pathlib import Path
from unittest.mock import Mock

import pytest
from ansible.errors import AnsibleActionFail
from ansible_collections.asgi.deploy.plugins.action import release as action
from ansible_collections.asgi.deploy.plugins.module_utils._app.release_protocol import Missing, MissingWheels
from ansible_collections.asgi.deploy.plugins.plugin_utils._release.audit import Audit, Finding
from ansible_collections.asgi.deploy.plugins.plugin_utils._release.source import Resolved
from ansible_collections.asgi.deploy.plugins.plugin_utils._release.source_error import SourceError

TARGET = {
    "python": "3.11.2",
    "implementation": "cpython",
    "abiflags": "",
    "bits": 64,
    "machine": "x86_64",
    "libc": "glibc",
    "libc_version": "2.36",
}
WHEELS = {"release": [{"sha256": "aa"}, {"sha256": "bb"}], "tools": [{"sha256": "cc"}]}
SECRETS = {
    "index_url": "https://user:secret@index.example/simple",
    "build_environment": '{"TOKEN": "secret"}',
    "requirements": ["x @ https://user:secret@files.example/x.whl"],
}


@pytest.fixture
def run(monkeypatch, tmp_path):
    """Return a function that runs the action against a host that returns *results* in turn."""
    monkeypatch.setattr("ansible.constants.DEFAULT_LOCAL_TMP", str(tmp_path))
    monkeypatch.setattr("ansible.plugins.action.ActionBase.run", lambda *_arguments: {})
    source = tmp_path / "source"
    source.write_bytes(b"more than one byte")
    monkeypatch.setattr(action, "SMALL_BYTES", 1)
    monkeypatch.setattr(
        action, "resolve", lambda *_arguments: Resolved("path", "src", "d", str(source), {"by": "nothing"})
    )
    provided, packed = [], []

    def provide_wheels(_source, settings, _resolution, target, with_uv, _directory):
        provided.append((settings, target, with_uv))
        return WHEELS

    def pack_wheels(wheels, _directory):
        packed.append([wheel["sha256"] for wheel in wheels])
        return "/wheels"

    monkeypatch.setattr(action, "provide_python", lambda *_arguments: {"archive": "/cache/x.tar.gz", "sha256": "aa"})
    monkeypatch.setattr(action, "resolve_wheels", lambda *_arguments: {"key": "k", "digest": "resolved", "parts": []})
    monkeypatch.setattr(action, "provide_wheels", provide_wheels)
    monkeypatch.setattr(action, "pack_wheels", pack_wheels)

    def of(*results, **arguments):
        given = {
            "name": "hello",
            "module": "main:app",
            "source": {"path": "/x"},
            "uv_version": "0.13.8",
            "server_requirements": ["gunicorn"],
            **arguments,
        }
        module = action.ActionModule(
            Mock(args=given, async_val=0, check_mode=of.check_mode, diff=of.check_mode),
            Mock(),
            Mock(),
            Mock(),
            Mock(),
            None,
        )
        calls, remaining = [], list(results)

        def call(arguments, _task_vars):
            calls.append({**arguments, "resolved": dict(arguments["resolved"])})
            return dict(remaining.pop(0))

        module._call = call
        module._send = lambda archive, name: f"/remote/{name} with {Path(archive).name}"
        result = module.run(task_vars={})
        return result, calls

    of.provided, of.packed, of.check_mode = provided, packed, False
    return of


MISSING_WHEELS = MissingWheels(TARGET, stored=["bb"], uv=True)


def lacks(**missing):
    return {"changed": False, "missing": Missing(**missing).as_result()}


EVERYTHING = lacks(archive=True, wheels=MISSING_WHEELS)
ONLY_WHEELS = lacks(wheels=MISSING_WHEELS)
DONE = {"changed": True, "release": "x"}


def test_a_host_that_has_the_release_is_called_once(run):
    result, calls = run({"changed": False}, wheelhouse=True)
    assert result == {"changed": False}
    assert len(calls) == 1
    assert run.provided == []


def test_missing_files_are_sent(run):
    result, calls = run(EVERYTHING, DONE, wheelhouse=True)
    assert result == DONE
    assert run.packed == [["aa", "cc"]]
    [(_settings, target, with_uv)] = run.provided
    assert target._asdict() == TARGET
    assert with_uv
    resolved = calls[1]["resolved"]
    assert resolved["wheels"] == WHEELS
    assert resolved["wheels_archive"] == "/remote/wheels.tar with wheels"
    assert resolved["archive"] == "/remote/source.tar.gz with source"
    assert "archive" not in calls[0]


@pytest.mark.parametrize("wheelhouse", [False, True])
def test_a_small_source_is_sent_with_each_call(run, monkeypatch, wheelhouse):
    monkeypatch.setattr(action, "SMALL_BYTES", 18)

    result, calls = run(*([ONLY_WHEELS] if wheelhouse else []), DONE, wheelhouse=wheelhouse)

    assert result == DONE
    assert [base64.b64decode(each["archive"]) for each in calls] == [b"more than one byte"] * (1 + wheelhouse)
    assert "archive" not in calls[-1]["resolved"]


def test_a_missing_python_is_sent(run):
    needed = lacks(archive=True, python={"version": "3.12.9", "machine": "x86_64"})
    _result, calls = run(needed, DONE, wheelhouse=True, python="3.12", python_mirror="https://mirror.example")
    assert calls[1]["resolved"]["python_archive"] == {"path": "/remote/python.tar.gz with x.tar.gz", "sha256": "aa"}
    assert not any("python_mirror" in each for each in calls), "may contain credentials"


@pytest.mark.parametrize(
    ("python", "same"), [("auto", True), ("python3", True), ("3", True), ("3.13", False), ("python3.13", False)]
)
def test_a_request_that_every_distribution_meets_does_not_change_the_id(run, python, same):
    ids = [run(DONE, python=each)[1][0]["resolved"]["id"] for each in ("python3", python)]
    assert (ids[0] == ids[1]) is same


def test_a_host_gets_the_versions_that_the_app_accepts(run):
    [call] = run(DONE, python="3.13.1")[1]
    accepts, managed, _origin = call["resolved"]["python"].values()
    assert (accepts, managed) == (("==3.13.1",), "3.13.1")
    assert run(DONE, python="python3.13")[1][0]["resolved"]["python"] is None


def test_a_host_that_has_all_wheels_gets_no_archive(run):
    stored = lacks(archive=True, wheels=MISSING_WHEELS._replace(stored=["aa", "bb", "cc"]))
    _result, calls = run(stored, DONE, wheelhouse=True)
    assert run.packed == []
    assert "wheels_archive" not in calls[1]["resolved"]


def test_a_check_sends_no_files_and_returns_what_is_missing(run, monkeypatch):
    monkeypatch.setattr(action, "SMALL_BYTES", 18)
    result, calls = run(EVERYTHING, packages=["python3"], claims={"app": "hello"})
    assert result == EVERYTHING
    [only] = calls
    assert "archive" not in only
    assert only["claims"] == {"app": "hello"}


@pytest.mark.parametrize("small", [False, True])
def test_known_missing_files_are_sent_without_a_query(run, monkeypatch, small):
    monkeypatch.setattr(action, "SMALL_BYTES", 18 if small else 0)
    result, calls = run(DONE, wheelhouse=True, missing=EVERYTHING["missing"])
    assert result == DONE
    [only] = calls
    assert "missing" not in only
    assert only["resolved"]["wheels"] == WHEELS
    assert ("archive" in only) is small
    assert ("archive" in only["resolved"]) is not small


def test_a_small_source_alone_is_sent_without_a_query(run, monkeypatch):
    monkeypatch.setattr(action, "SMALL_BYTES", 18)
    result, calls = run(DONE, missing=lacks(archive=True)["missing"])
    assert result == DONE
    [only] = calls
    assert "archive" in only
    assert "archive" not in only["resolved"]


def test_without_missing_files_the_host_is_queried(run):
    result, calls = run(lacks(archive=True), DONE, missing=lacks()["missing"])
    assert result == DONE
    assert ["archive" in each["resolved"] for each in calls] == [False, True]


def test_a_package_needs_no_source(run):
    _result, calls = run(ONLY_WHEELS, DONE, wheelhouse=True)
    assert "archive" not in calls[1]["resolved"]


def test_with_a_wheelhouse_hosts_get_no_credentials_of_the_index(run):
    _result, calls = run(EVERYTHING, DONE, wheelhouse=True, **SECRETS)
    assert "secret" not in str(calls)
    [(settings, _target, _uv)] = run.provided
    assert settings.index_url == SECRETS["index_url"]
    assert settings.build_environment == {"TOKEN": "secret"}
    assert settings.requirements == SECRETS["requirements"]


def test_without_a_wheelhouse_hosts_get_the_credentials_of_the_index(run):
    _result, calls = run(DONE, **SECRETS)
    assert calls[0]["index_url"] == SECRETS["index_url"]
    assert calls[0]["requirements"] == SECRETS["requirements"]


def test_the_resolution_is_part_of_the_release_id(run, monkeypatch):
    ids = []
    for digest in ("one", "one", "two"):
        monkeypatch.setattr(action, "resolve_wheels", lambda *_arguments, digest=digest: {"digest": digest})
        ids.append(run(DONE, wheelhouse=True)[1][0]["resolved"]["id"])
    ids.append(run(DONE)[1][0]["resolved"]["id"])
    assert ids[0] == ids[1]
    assert len(set(ids)) == 3


def test_errors_of_the_source_fail_the_task(run, monkeypatch):
    def refuse(*_arguments):
        raise SourceError("wheel-missing", "asgi_app_wheelhouse", "is true, but", "do this")

    monkeypatch.setattr(action, "provide_wheels", refuse)
    with pytest.raises(AnsibleActionFail, match=r"asgi_app_wheelhouse is true, but -> do this \[wheel-missing\]"):
        run(EVERYTHING, wheelhouse=True)
    with pytest.raises(AnsibleActionFail, match="uv_version is not set"):
        run(EVERYTHING, wheelhouse=True, uv_version=None)


def test_the_controller_runs_no_tools_from_an_insecure_index(run, monkeypatch):
    def export(*_arguments):
        raise AssertionError("the controller has contacted the index")

    monkeypatch.setattr(action, "with_export", export)
    with pytest.raises(AnsibleActionFail, match="asgi_app_index_url is at http://index.example"):
        run(DONE, index_url="http://index.example/simple")


def test_hosts_get_no_credentials_of_the_source(run):
    source = {"archive": "https://me:secret@files.example/shop.tar.gz?token=secret", "checksum": "sha256:00"}
    _result, [call] = run(DONE, source=source)
    assert call["source"] == {"archive": "https://files.example/shop.tar.gz", "checksum": "sha256:00"}


# -- the packages ------------------------------------------------------------------------------------------------------


def test_packages_that_need_an_exception_from_the_sandbox_are_warned_about(run, monkeypatch):
    staged = {"changed": True, "release": "src-1", "installed": {"numba": "1.0"}}

    result, _calls = run(dict(staged))
    assert [text.split(":")[0] for text in result["warnings"]] == ["hello"]
    assert 'numba ("cannot allocate executable memory")' in result["warnings"][0]

    monkeypatch.setattr(action, "sandbox_of", lambda *_: {"unit_settings": {"MemoryDenyWriteExecute": False}})
    assert run(dict(staged))[0] == DONE | {"release": "src-1"}


# -- the audit ---------------------------------------------------------------------------------------------------------

STAGED = {"changed": True, "release": "src-1", "installed": {"six": "1.0"}}


@pytest.fixture
def database(monkeypatch):
    """Return a function that sets the response of the vulnerability database."""

    def set_response(**response):
        monkeypatch.setattr(action, "audit", lambda *_arguments: Audit("https://osv.example", **response))

    return set_response


@pytest.mark.parametrize(
    ("response", "message"),
    [
        ({"findings": [Finding("six", "1.0", ["CVE-1"], ["1.1"])]}, "six 1.0: CVE-1, fixed in 1.1"),
        ({"unavailable": "did not respond"}, "src-1 were not audited: https://osv.example did not respond"),
    ],
)
def test_audit_findings_are_warnings_or_errors(run, database, response, message):
    database(**response)
    result, _calls = run(STAGED, audit=True)
    [warning] = result["warnings"]
    assert warning.startswith("hello: ")
    assert message in warning
    assert result["audit"]["unavailable"] == response.get("unavailable", "")
    assert "installed" not in result
    with pytest.raises(AnsibleActionFail, match=message.replace(".", r"\.")):
        run(STAGED, audit=True, audit_strict=True)


def test_the_database_is_not_queried_by_default(run, monkeypatch):
    def audit(*_arguments):
        raise AssertionError("the database was queried")

    monkeypatch.setattr(action, "audit", audit)
    result, [call] = run(DONE)
    assert result == DONE
    assert call["audit"] is False


def test_an_ignored_vulnerability_does_not_fail_the_task(run, database):
    database(findings=[Finding("six", "1.0", ["GHSA-1", "CVE-1"], [])])
    result, _calls = run(STAGED, audit=True, audit_strict=True, audit_ignore=["CVE-1"])
    assert result["warnings"] == []
    assert len(result["audit"]["findings"]) == 1


@pytest.mark.parametrize(("python", "warns"), [("auto", True), ("3.12", False)])
def test_a_python_that_the_user_has_not_asked_for_causes_a_warning(run, python, warns):
    installed = {"version": "3.12.9", "origin": "3.12.4 in .python-version"}
    result, _calls = run({"changed": True, "built": True, "installed_python": installed}, python=python)
    expected = (
        "hello: uv installed CPython 3.12.9 on this host, because the source declares 3.12.4 in .python-version, which python3 does not "
        "match -> "
    )
    assert [each.startswith(expected) for each in result["warnings"]] == [True] * warns


@pytest.mark.parametrize("wheelhouse", [False, True])
def test_an_overridden_pin_causes_a_warning(run, monkeypatch, wheelhouse):
    overridden = [{"package": "uvicorn", "pinned": "0.25.0", "installed": "0.54.0"}]
    resolution = {"key": "k", "digest": "resolved", "parts": [], "overridden": overridden}
    monkeypatch.setattr(action, "resolve_wheels", lambda *_arguments: resolution)
    built = {"changed": True, "built": True, **({} if wheelhouse else {"overridden": overridden})}
    result, _calls = run(built, wheelhouse=wheelhouse)
    [warning] = result["warnings"]
    assert warning.startswith("hello: the source pins uvicorn 0.25.0, and the release has 0.54.0")
    assert result["overridden"] == overridden
    assert "warnings" not in run({"changed": False, "built": False}, wheelhouse=wheelhouse)[0]


def test_the_host_command_is_sent_if_it_is_missing(run):
    _result, calls = run(lacks(command=True), DONE)
    assert set(calls[0]["resolved"]["command"]) == {"digest"}
    assert calls[1]["resolved"]["command"] == {
        "digest": calls[0]["resolved"]["command"]["digest"],
        "path": "/remote/asgi.pyz with asgi.pyz",
    }


def test_the_host_command_is_sent_with_the_first_query_of_a_new_host(run):
    result, calls = run(lacks(archive=True), DONE, missing=lacks(account=True, command=True)["missing"])
    assert result == DONE
    assert "path" in calls[0]["resolved"]["command"]
    assert "archive" not in calls[0]["resolved"]
    assert "archive" in calls[1]["resolved"]


def test_a_check_does_not_send_the_host_command(run):
    _result, [only] = run(lacks(command=True), packages=["python3"])
    assert set(only["resolved"]["command"]) == {"digest"}


def test_check_mode_with_diff_sends_the_digests_of_the_files(run, monkeypatch):
    monkeypatch.setattr(action, "archived_files", lambda archive: {"main.py": Path(archive).name})
    assert "files" not in run(DONE)[1][0]["resolved"]
    run.check_mode = True
    assert run(DONE)[1][0]["resolved"]["files"] == {"main.py": "source"}
    monkeypatch.setattr(action, "MOST_FILES", 0)
    assert run(DONE)[1][0]["resolved"]["files"] is None
