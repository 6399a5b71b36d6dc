"""tests/permissions.py detects new paths in any directory, and a wrong owner, group or mode."""

from __future__ import annotations

import permissions
import pytest

TABLE = {
    "/srv/{app}": "d root:root 755",
    "/srv/{app}/shared": "d {app}:{app} 750",
    "/etc/asgi/{app}/tls": "d root:root 700",
}
# A machine that matches the table and the packages.
GOOD = {
    "/etc": "d root:root 755",
    "/etc/passwd": "f root:root 644",
    "/etc/nginx/nginx.conf": "f root:root 644",
    "/srv/shop": "d root:root 755",
    "/srv/shop/shared": "d shop:shop 750",
    "/etc/asgi/shop/tls": "d root:root 700",
    **{f"/var/lib/packaged/{number}": "f root:root 644" for number in range(200)},
}
UNITS = {"/run/systemd/system/trial.service": "f root:root 644"}


def faults(changes, units=None):
    def run(command):
        if command.startswith("cat"):
            return "/etc/nginx/nginx.conf\n" + "".join(f"/var/lib/packaged/{number}\n" for number in range(200))
        shown = {**GOOD, **changes} if "prune" in command else {**UNITS, **(units or {})}
        return "".join(f"{seen} {path}\n" for path, seen in shown.items())

    return permissions.faults(run, TABLE, ["shop", "hello"], r"/var/tmp/known")


def test_matching_machine_has_no_faults():
    assert faults({"/var/tmp/known": "f root:root 644"}) == []


@pytest.mark.parametrize(
    "path",
    [
        "/etc/asgi/shop/new",
        "/etc/letsencrypt/new",
        "/etc/nginx/conf.d/new.conf",
        "/run/new",
        "/run/shop/new",
        "/var/cache/asgi/new",
        "/var/lib/asgi/new",
        "/var/log/nginx/new.log",
        "/var/tmp/new",
        "/tmp/new",
        "/root/new",
        "/usr/local/bin/new",
        "/etc/systemd/system/new.service",
        "/etc/systemd/system/multi-user.target.wants/new.service",
        # An app that is not in the table.
        "/srv/other",
    ],
)
def test_new_path_is_detected_in_any_directory(path):
    assert faults({path: "f root:root 600"}) == [f"{path} is f root:root 600, and the table does not describe it"]


@pytest.mark.parametrize(
    ("path", "seen"),
    [
        ("/etc/asgi/shop/tls", "d root:root 755"),
        ("/srv/shop", "d shop:root 755"),
        ("/srv/shop/shared", "d hello:hello 750"),
        ("/srv/shop/shared", "l shop:shop 750"),
    ],
)
def test_wrong_owner_group_mode_or_type_is_detected(path, seen):
    assert faults({path: seen}) == [f"{path} is {seen}, not {permissions.expected(path, TABLE, ['shop', 'hello'])}"]


def test_writable_unit_is_detected():
    assert faults({}, {"/run/systemd/transient/run-1.service": "f shop:shop 644"}) == [
        "/run/systemd/transient/run-1.service is shop:shop 644, so accounts other than root can change units"
    ]
