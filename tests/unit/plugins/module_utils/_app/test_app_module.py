# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The base class of the modules that work on one app."""

from __future__ import annotations

import contextlib
import json

import pytest
from ansible_collections.asgi.deploy.plugins.module_utils._app.app_module import AppModule
from ansible_collections.asgi.deploy.plugins.module_utils._app.slots import ActivationError
from ansible_collections.asgi.deploy.plugins.module_utils._host.errors import Reported
from ansible_core import patch_module_args

SPEC = {"name": {"type": "str", "required": True}, "by": {"type": "str", "default": ""}}


@contextlib.contextmanager
def app_module(read_only=False, **params):
    with patch_module_args({"name": "shop", **params}):
        yield AppModule(argument_spec=SPEC, read_only=read_only)


@pytest.mark.parametrize(
    ("params", "read_only", "dry"),
    [({"by": "anna"}, False, False), ({"_ansible_check_mode": True}, False, True), ({}, True, True)],
)
def test_app_is_dry_in_check_mode_and_if_read_only(params, read_only, dry):
    with app_module(read_only, **params) as module:
        assert (module.app.dry, module.app.by) == (dry, params.get("by", ""))
        assert module.app.paths == module.paths
        assert module.paths["home"] == "/srv/shop"


def test_bad_name_fails(capsys):
    with pytest.raises(SystemExit), app_module(name="x y"):
        pass
    assert "'x y' is not a valid app name" in json.loads(capsys.readouterr().out)["msg"]


def test_app_without_directory_was_never_deployed(capsys):
    with pytest.raises(SystemExit), app_module() as module:
        module.require_deployed()
    message = "shop has never been deployed on this host: there is no /srv/shop"
    assert json.loads(capsys.readouterr().out)["msg"] == message


@pytest.mark.parametrize(
    ("error", "report_serving", "expected"),
    [
        (
            ActivationError("timed out", "KeyError", "app-not-healthy"),
            True,
            "r1 was not activated: timed out [app-not-healthy]\nr0 serves\nKeyError",
        ),
        (
            ActivationError("timed out", "KeyError", "app-not-healthy"),
            False,
            "r1 was not activated: timed out [app-not-healthy]\nKeyError",
        ),
        (
            ActivationError("timed out", code="app-not-started"),
            False,
            "r1 was not activated: timed out [app-not-started]",
        ),
        (Reported("the app is locked"), True, "the app is locked"),
    ],
)
def test_activation_error_is_reported_with_journal(capsys, monkeypatch, error, report_serving, expected):
    with pytest.raises(SystemExit), app_module() as module:
        monkeypatch.setattr(module.app, "serving", lambda: "r0 serves")
        with module.reporting_activation("r1 was not activated", report_serving, release="r1"):
            raise error
    result = json.loads(capsys.readouterr().out)
    assert "\n".join([result["msg"], *result.get("details", [])]) == expected
    assert result["release"] == "r1"
    assert result.get("serving") == ("r0 serves" if report_serving and isinstance(error, ActivationError) else None)


@pytest.mark.parametrize(
    ("made", "params", "expected"),
    [(True, {}, True), (False, {}, False), (True, {"_ansible_check_mode": True}, False)],
    ids=["changed", "unchanged", "check mode"],
)
def test_a_change_writes_a_marker(capsys, journald, made, params, expected):
    with pytest.raises(SystemExit), app_module(by="anna", **params) as module:
        module.begin("deploy").made = made
        module.exit_json(changed=made)

    result = json.loads(capsys.readouterr().out)
    assert ("marker" in result) is expected
    if expected:
        assert result["marker"]["by"] == "anna"
        assert json.dumps(result["marker"]).encode() in journald.recv(10_000)
    journald.setblocking(False)
    with pytest.raises(BlockingIOError):
        journald.recv(1)


def test_a_failed_change_writes_a_marker_with_the_first_line_of_the_masked_message(capsys, journald):
    with pytest.raises(SystemExit), app_module() as module:
        module.no_log_values.add("s3cret")
        module.begin("deploy").made = False
        with module.reporting_activation("r1 was not activated"):
            raise ActivationError("s3cret is wrong", "KeyError")

    result = json.loads(capsys.readouterr().out)
    assert result["marker"]["reason"] == "r1 was not activated: ******** is wrong [process-not-started]"
    assert result["marker"]["result"] == "failed"
    assert b"s3cret" not in journald.recv(10_000)


@pytest.mark.parametrize("end", ["exit_json", "fail_json"])
def test_warnings_of_the_app_are_passed_on(monkeypatch, end):
    warnings = []
    with pytest.raises(SystemExit), app_module() as module:
        monkeypatch.setattr(module, "warn", warnings.append)
        module.app.warnings.append("shop.beat.1@blue.service does not stay up")
        getattr(module, end)(msg="r1 was not activated")

    assert warnings == ["shop.beat.1@blue.service does not stay up"]


def test_a_failure_before_the_change_writes_no_marker(capsys, journald):
    with pytest.raises(SystemExit), app_module() as module:
        module.fail_json("the app is locked")

    assert "marker" not in json.loads(capsys.readouterr().out)
