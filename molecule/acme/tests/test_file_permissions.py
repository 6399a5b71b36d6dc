"""Permissions of the files that certbot and nginx create. test_balancers.py checks the key of a balancer."""

from __future__ import annotations

import re

import permissions

# Certificates, settings and programs are public. Keys, accounts (with external account bindings) and logs are secret.
PUBLIC = (
    r"/etc/letsencrypt/(cli\.ini|csr/\d+_csr-certbot\.pem|\.updated-.*|options-.*|ssl-dhparams\.pem|renewal/asgi-\w+\.conf|live/README)"
    r"|/etc/asgi/\w+/(acme_deploy\.py|acme-ca\.pem|maintenance\.html)"
    r"|/var/lib/letsencrypt/.*"
)


def readable(host):
    """Return the certbot and certificate files that an unprivileged account can read."""
    roots = "/etc/letsencrypt /var/log/letsencrypt /var/lib/letsencrypt /etc/asgi"
    paths = host.run(f"runuser -u nobody -- find {roots} -type f -readable -print 2>/dev/null").stdout.split()
    return [path for path in paths if not re.fullmatch(PUBLIC, path)]


def test_every_path_has_the_permissions_of_the_table(shop):
    table = {**permissions.ACME, **permissions.TLS, r"/etc/asgi/{app}/maintenance\.html": "f root:root 644"}
    roots = "/etc/letsencrypt /etc/asgi /etc/systemd/system/certbot.service.d /var/lib/asgi /var/lib/letsencrypt /var/log/letsencrypt"
    apps = ["shop", "tiles", "plaza"]
    assert permissions.faults(shop.host.check_output, table, apps, prune=permissions.ACME_PRUNED, roots=roots) == []


def test_unprivileged_accounts_cannot_read_keys_accounts_and_logs(shop):
    assert shop.host.check_output("find /etc/letsencrypt/archive -name 'privkey*.pem'") != "", "no key exists"
    assert readable(shop.host) == []


def test_unprivileged_accounts_cannot_read_the_logs_of_nginx(shop):
    assert shop.host.run("runuser -u nobody -- find /var/log/nginx -type f -readable -print").stdout == ""
