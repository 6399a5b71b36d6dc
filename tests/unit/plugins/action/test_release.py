"""What the action of the release sends to a host, and what it keeps to the controller."""

from __future__ import annotations

import base64
from pathlib import Path
from unittest.mock import Mock

import pytest
from ansible.errors import AnsibleActionFail
from ansible_collections.asgi.deploy.plugins.action import release as action
from ansible_collections.asgi.deploy.plugins.plugin_utils.source import Resolved, SourceError

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
    """Run the action with a host that answers with each of *answers*; return the result and what the host was asked."""
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

    monkeypatch.setattr(action, "resolve_wheels", lambda *_arguments: {"key": "k", "digest": "resolved", "parts": []})
    monkeypatch.setattr(action, "provide_wheels", provide_wheels)
    monkeypatch.setattr(action, "pack_wheels", pack_wheels)

    def of(*answers, **arguments):
        given = {
            "name": "hello",
            "module": "main:app",
            "source": {"path": "/x"},
            "uv_version": "0.13.8",
            "server_requirements": ["gunicorn"],
            **arguments,
        }
        module = action.ActionModule(Mock(args=given, async_val=0), Mock(), Mock(), Mock(), Mock(), None)
        asked, remaining = [], list(answers)

        def ask(arguments, _task_vars):
            asked.append({**arguments, "resolved": dict(arguments["resolved"])})
            return dict(remaining.pop(0))

        module._ask = ask
        module._send = lambda archive, name: f"/remote/{name} with {Path(archive).name}"
        result = module.run(task_vars={})
        return result, asked

    of.provided, of.packed = provided, packed
    return of


WANTED = {"changed": False, "archive_wanted": True, "wheels_wanted": {"target": TARGET, "stored": ["bb"], "uv": True}}
DONE = {"changed": True, "release": "x"}


def test_a_host_that_has_the_release_is_asked_once(run):
    result, asked = run({"changed": False}, wheelhouse=True)
    assert result == {"changed": False}
    assert len(asked) == 1
    assert run.provided == []


def test_a_host_gets_what_it_lacks(run):
    result, asked = run(WANTED, DONE, wheelhouse=True)
    assert result == DONE
    assert run.packed == [["aa", "cc"]]
    [(_settings, target, with_uv)] = run.provided
    assert target._asdict() == TARGET
    assert with_uv
    resolved = asked[1]["resolved"]
    assert resolved["wheels"] == WHEELS
    assert resolved["wheels_archive"] == "/remote/wheels.tar with wheels"
    assert resolved["archive"] == "/remote/source.tar.gz with source"
    assert "archive" not in asked[0]


@pytest.mark.parametrize("wheelhouse", [False, True])
def test_a_small_source_goes_with_every_question(run, monkeypatch, wheelhouse):
    monkeypatch.setattr(action, "SMALL_BYTES", 18)
    answers = [{key: WANTED[key] for key in ("changed", "wheels_wanted")}] if wheelhouse else []

    result, asked = run(*answers, DONE, wheelhouse=wheelhouse)

    assert result == DONE
    assert [base64.b64decode(each["archive"]) for each in asked] == [b"more than one byte"] * (1 + wheelhouse)
    assert "archive" not in asked[-1]["resolved"]


def test_a_host_that_has_all_wheels_gets_no_archive(run):
    stored = {**WANTED, "wheels_wanted": {"target": TARGET, "stored": ["aa", "bb", "cc"], "uv": True}}
    _result, asked = run(stored, DONE, wheelhouse=True)
    assert run.packed == []
    assert "wheels_archive" not in asked[1]["resolved"]


def test_a_package_needs_no_source(run):
    _result, asked = run({key: WANTED[key] for key in ("changed", "wheels_wanted")}, DONE, wheelhouse=True)
    assert "archive" not in asked[1]["resolved"]


def test_no_host_sees_what_wheels_are_fetched_with(run):
    _result, asked = run(WANTED, DONE, wheelhouse=True, **SECRETS)
    assert "secret" not in str(asked)
    [(settings, _target, _uv)] = run.provided
    assert settings.index_url == SECRETS["index_url"]
    assert settings.build_environment == {"TOKEN": "secret"}
    assert settings.requirements == SECRETS["requirements"]


def test_without_a_wheelhouse_the_host_needs_it(run):
    _result, asked = run(DONE, **SECRETS)
    assert asked[0]["index_url"] == SECRETS["index_url"]
    assert asked[0]["requirements"] == SECRETS["requirements"]


def test_the_release_s_id_is_of_what_was_resolved(run, monkeypatch):
    ids = []
    for digest in ("one", "one", "two"):
        monkeypatch.setattr(action, "resolve_wheels", lambda *_arguments, digest=digest: {"digest": digest})
        ids.append(run(DONE, wheelhouse=True)[1][0]["resolved"]["id"])
    ids.append(run(DONE)[1][0]["resolved"]["id"])
    assert ids[0] == ids[1]
    assert len(set(ids)) == 3


def test_an_error_is_the_task_s(run, monkeypatch):
    def refuse(*_arguments):
        raise SourceError("asgi_app_wheelhouse", "is true, but", "do this")

    monkeypatch.setattr(action, "provide_wheels", refuse)
    with pytest.raises(AnsibleActionFail, match="asgi_app_wheelhouse is true, but -> do this"):
        run(WANTED, wheelhouse=True)
    with pytest.raises(AnsibleActionFail, match="uv_version is not set"):
        run(WANTED, wheelhouse=True, uv_version=None)
