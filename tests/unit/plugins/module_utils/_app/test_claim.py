"""Existing accounts and paths with an app's name either belong to the app or make the name unusable."""

from __future__ import annotations

import grp
import pwd

import pytest
from ansible_collections.asgi.deploy.plugins.module_utils._app import claim as claim_module
from ansible_collections.asgi.deploy.plugins.module_utils._app.claim import Claim, build_claim, claim
from ansible_collections.asgi.deploy.plugins.module_utils._host.layout import layout


def user(home="/srv/shop", shell="/usr/sbin/nologin", gid=990):
    return pwd.struct_passwd(("shop", "x", 990, gid, "", home, shell))


GROUP = grp.struct_group(("shop", "x", 990, []))
ACCOUNT = "the host has an account of that name, which does not belong to this app -> choose another asgi_name"


@pytest.mark.parametrize(
    ("found", "group", "there", "expected"),
    [
        pytest.param(user(), GROUP, ["/srv/shop", "/run/shop"], Claim(True), id="as it should be"),
        pytest.param(user(), GROUP, [], Claim(True), id="its home is to come"),
        pytest.param(user(shell="/bin/bash"), GROUP, ["/srv/shop"], Claim(False), id="login shell"),
        pytest.param(user(gid=4), GROUP, ["/srv/shop"], Claim(False), id="another group"),
        pytest.param(user(), None, ["/srv/shop"], Claim(False), id="no group"),
        pytest.param(user(home="/home/shop"), GROUP, ["/srv/shop"], Claim(False, ACCOUNT), id="a person's account"),
        pytest.param(
            None, GROUP, ["/srv/shop"], Claim(False, ACCOUNT.replace("an account", "a group")), id="a person's group"
        ),
        pytest.param(None, None, [], Claim(False), id="an empty host"),
        pytest.param(None, None, ["/srv/shop", "/run/shop"], Claim(False), id="an app whose account was removed"),
        pytest.param(
            None,
            None,
            ["/usr/lib/systemd/system/shop@.service", "/run/shop"],
            Claim(
                False,
                "the host has /usr/lib/systemd/system/shop@.service and /run/shop, which does not belong to this app "
                "-> choose another asgi_name, or remove it",
            ),
            id="another daemon",
        ),
    ],
)
def test_accounts_and_paths_of_other_programs_are_objections(found, group, there, expected):
    assert claim(layout("shop"), found, group, there.__contains__) == expected


def builder(comment="builds releases of the app shop", home="/nonexistent", shell="/usr/sbin/nologin", gid=991):
    return pwd.struct_passwd(("_shop", "x", 991, gid, comment, home, shell))


BUILD_GROUP = grp.struct_group(("_shop", "x", 991, []))
BUILD_ACCOUNT = (
    "the host has an account _shop, the name of this app's build account, which another program created "
    "-> choose another asgi_name"
)


@pytest.mark.parametrize(
    ("found", "group", "expected"),
    [
        pytest.param(builder(), BUILD_GROUP, Claim(True), id="correct"),
        pytest.param(None, None, Claim(False), id="a host of an earlier version"),
        pytest.param(builder(shell="/bin/sh"), BUILD_GROUP, Claim(False), id="login shell"),
        pytest.param(builder(gid=4), BUILD_GROUP, Claim(False), id="another group"),
        pytest.param(builder(comment=""), BUILD_GROUP, Claim(False, BUILD_ACCOUNT), id="another program's account"),
        pytest.param(builder(home="/run/shop"), BUILD_GROUP, Claim(False, BUILD_ACCOUNT), id="with a home"),
        pytest.param(
            None,
            BUILD_GROUP,
            Claim(False, BUILD_ACCOUNT.replace("an account", "a group")),
            id="another program's group",
        ),
    ],
)
def test_build_accounts_of_other_programs_are_objections(found, group, expected):
    assert build_claim(layout("shop"), found, group) == expected


@pytest.mark.parametrize(("build_user", "ready"), [(builder(), True), (None, False)])
def test_an_app_needs_both_accounts(monkeypatch, build_user, ready):
    users, groups = {"shop": user(), "_shop": build_user}, {"shop": GROUP, "_shop": build_user and BUILD_GROUP}
    monkeypatch.setattr(claim_module, "_entry", lambda look, name: (users if look is pwd.getpwnam else groups)[name])
    assert claim_module.check_claim(layout("shop")) == Claim(ready)
