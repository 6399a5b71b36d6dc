"""Whether an app may have its name, by what a host has of that name."""

from __future__ import annotations

import grp
import pwd

import pytest
from ansible_collections.asgi.deploy.plugins.module_utils.claim import Claim, claim
from ansible_collections.asgi.deploy.plugins.module_utils.layout import layout


def user(home="/srv/shop", shell="/usr/sbin/nologin", gid=990):
    return pwd.struct_passwd(("shop", "x", 990, gid, "", home, shell))


GROUP = grp.struct_group(("shop", "x", 990, []))
ACCOUNT = "the host has an account of that name which is not this app's -> choose another asgi_name"


@pytest.mark.parametrize(
    ("found", "group", "there", "expected"),
    [
        pytest.param(user(), GROUP, ["/srv/shop", "/run/shop"], Claim(True), id="as it should be"),
        pytest.param(user(), GROUP, [], Claim(True), id="its home is to come"),
        pytest.param(user(shell="/bin/bash"), GROUP, ["/srv/shop"], Claim(False), id="somebody may log in"),
        pytest.param(user(gid=4), GROUP, ["/srv/shop"], Claim(False), id="another group"),
        pytest.param(user(), None, ["/srv/shop"], Claim(False), id="its group is gone"),
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
                "the host has /usr/lib/systemd/system/shop@.service and /run/shop, which is not this app's "
                "-> choose another asgi_name, or remove what is left over",
            ),
            id="another daemon",
        ),
    ],
)
def test_claim(found, group, there, expected):
    assert claim(layout("shop"), found, group, there.__contains__) == expected
