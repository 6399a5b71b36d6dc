"""The log files that sites name, and their permissions."""

from __future__ import annotations

import os
import stat

import pytest
from ansible_collections.asgi.deploy.plugins.module_utils._proxy import nginx_logs

SITE = """
# access_log /var/log/nginx/commented.log;
server {
    access_log /var/log/nginx/shop.access.log asgi buffer=32k flush=1s;
    error_log /var/log/nginx/shop.error.log warn;
    location /a { access_log off; }
    location /b {
        access_log /var/log/shop/b.log;
        access_log syslog:server=unix:/dev/log;
        error_log /dev/stderr;
        access_log /var/log/nginx/$host.log;
        access_log /var/log/nginx/shop.access.log asgi;
    }
}
"""


def test_log_files():
    assert nginx_logs.log_files([SITE, "events {}"]) == [
        "/var/log/nginx/shop.access.log",
        "/var/log/nginx/shop.error.log",
        "/var/log/shop/b.log",
    ]


@pytest.mark.parametrize(
    ("text", "account"),
    [
        ("user www-data;\nworker_processes auto;\n", "www-data"),
        ("  user  nginx nginx;", "nginx"),
        ("# user nobody;\nuser 'web';", "web"),
        ("worker_processes auto;", "www-data"),
        (None, "www-data"),
    ],
)
def test_worker_account(text, account):
    assert nginx_logs.worker_account(text) == account


@pytest.mark.parametrize(
    ("mode", "gid", "exposed"),
    [
        (0o640, 4, False),
        (0o600, 4, False),
        (0o660, 1000, False),
        (0o644, 4, True),
        (0o641, 4, True),
        (0o642, 4, True),
        # nginx created the log with umask 027; its group is root, so adm has no access
        (0o640, 0, True),
    ],
)
def test_is_exposed(mode, gid, exposed):
    assert nginx_logs.is_exposed(stat.S_IFREG | mode, gid) is exposed


@pytest.fixture
def accounts(monkeypatch):
    """Use the account and group of this process as those of nginx and adm."""
    monkeypatch.setattr(nginx_logs, "_uid", lambda _account: os.getuid())
    monkeypatch.setattr(nginx_logs, "_gid", lambda _group: os.getgid())
    monkeypatch.setattr(nginx_logs, "is_exposed", lambda mode, _gid: bool(mode & 0o007))


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_log_files_are_created_and_repaired(tmp_path, accounts, umask):
    new, old, good = (str(tmp_path / name) for name in ("new.log", "old.log", "good.log"))
    rotated, dated, other = (tmp_path / name for name in ("old.log.1", "old.log-20261130.gz", "old.logs"))
    for path in (old, good, rotated, dated, other):
        with open(path, "w") as file:
            file.write("GET /?token=1\n")
        os.chmod(path, 0o600 if path == good else 0o644)
    (tmp_path / "link.log").symlink_to(other)
    paths = [new, old, good, str(tmp_path / "link.log"), str(tmp_path / "nowhere/x.log")]

    exposed = nginx_logs.exposed(paths)
    before = os.umask(umask)
    try:
        nginx_logs.protect(exposed, "www-data")
    finally:
        os.umask(before)

    assert exposed == [new, old, str(dated), str(rotated)]
    assert [stat.S_IMODE(os.stat(path).st_mode) for path in exposed] == [0o640] * 4
    assert rotated.read_text() == "GET /?token=1\n"
    assert stat.S_IMODE(other.stat().st_mode) == 0o644
    assert nginx_logs.exposed(paths) == []


def test_a_symlink_instead_of_a_log_is_not_followed(tmp_path, accounts):
    target = tmp_path / "shadow"
    target.write_text("")
    target.chmod(0o600)
    (tmp_path / "a.log").symlink_to(target)
    with pytest.raises(OSError, match="symbolic link"):
        nginx_logs.protect([str(tmp_path / "a.log")], "www-data")
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
