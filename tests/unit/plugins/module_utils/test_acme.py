# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible_collections.asgi.deploy.plugins.module_utils import acme as decide

DAY = 24 * 60 * 60
DIRECTORY = "https://ca.test/dir"
HOOK = "/etc/asgi/a/hook.py"
WANTED = decide.Wanted(
    lineage="asgi-a",
    names=("a.test", "b.test"),
    directory=DIRECTORY,
    key_type="ecdsa",
    proof=decide.proved_by_files("/var/lib/asgi/a/acme"),
    hook=decide.hook_command(HOOK, "nginx"),
)
BALANCED = WANTED._replace(proof=decide.proved_by_certbot(8402), hook=decide.hook_command(HOOK, "haproxy"))

# as certbot 4.0 writes it
RENEWAL = """\
# renew_before_expiry = 30 days
version = 4.0.0
archive_dir = /etc/letsencrypt/archive/asgi-a
fullchain = /etc/letsencrypt/live/asgi-a/fullchain.pem

# Options used in the renewal process
[renewalparams]
account = fd672644f88dc38aa6dee1260966301e
key_type = ecdsa
renew_hook = /usr/bin/python3 -I /etc/asgi/a/hook.py
server = https://ca.test/dir
authenticator = webroot
webroot_path = /var/lib/asgi/a/acme,
[[webroot_map]]
server = not.this.test
"""
FOUND = decide.Found(frozenset(WANTED.names), 0, 90 * DAY, decide.parse_renewal(RENEWAL))


def renewal(**changes):
    return FOUND._replace(renewal={**FOUND.renewal, **changes})


def test_parse_renewal():
    found = decide.parse_renewal(RENEWAL)
    assert found["server"] == DIRECTORY
    assert found["renew_hook"] == "/usr/bin/python3 -I /etc/asgi/a/hook.py"
    assert "version" not in found
    assert decide.parse_renewal("") == {}


def test_a_renewal_is_switched_off_and_on():
    off = decide.with_renewal(RENEWAL, False)
    assert (decide.renews(decide.parse_renewal(RENEWAL)), decide.renews(decide.parse_renewal(off))) == (True, False)
    assert decide.with_renewal(off, False) == off
    assert decide.with_renewal(off, True) == RENEWAL
    assert decide.with_renewal(RENEWAL, True) == RENEWAL


def test_parse_dates():
    found = decide.parse_dates("notBefore=Jan  1 00:00:00 1970 GMT\nnotAfter=Jan  2 00:00:01 1970 GMT\n")
    assert found == (0, DAY + 1)


@pytest.mark.parametrize(
    ("found", "now", "expected"),
    [
        (FOUND, 0, ""),
        (FOUND._replace(names=frozenset({"b.test", "a.test"})), 60 * DAY, ""),
        # the timer's own time to renew is no matter of the role
        (FOUND, 71 * DAY, ""),
        (FOUND, 73 * DAY, "has not been renewed in time"),
        (FOUND, 100 * DAY, "has not been renewed in time"),
        # a server of one's own may give certificates for a day
        (FOUND._replace(expires=DAY), 0.7 * DAY, ""),
        (FOUND._replace(expires=DAY), 0.9 * DAY, "has not been renewed in time"),
        (None, 0, "there is none"),
        (FOUND._replace(names=frozenset({"a.test"})), 0, "without b.test"),
        (FOUND._replace(names=frozenset({"a.test", "b.test", "c.test"})), 0, "with c.test"),
        (FOUND._replace(names=frozenset({"a.test", "c.test"})), 0, "without b.test and with c.test"),
        (renewal(server="https://staging.test/dir"), 0, "came from https://staging.test/dir"),
        (renewal(key_type="rsa"), 0, "key of type rsa"),
        (renewal(authenticator="standalone"), 0, "renewed in another way"),
        (renewal(renew_hook="/bin/true"), 0, "renewed in another way"),
        # certbot need not be asked for a certificate because its renewal is switched off
        (renewal(autorenew="False"), 0, ""),
    ],
)
def test_why_issue(found, now, expected):
    reason = decide.why_issue(WANTED, found, now)
    assert expected in reason
    assert bool(reason) is bool(expected)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, ""),
        ({"http01_port": "8403"}, "renewed in another way"),
        ({"authenticator": "webroot"}, "renewed in another way"),
        ({"renew_hook": WANTED.hook}, "renewed in another way"),
    ],
)
def test_why_issue_on_a_balancer(changes, expected):
    # as certbot 4.0 writes it
    settings = {
        "authenticator": "standalone",
        "http01_port": "8402",
        "renew_hook": f"/usr/bin/python3 -I {HOOK} haproxy",
    }
    reason = decide.why_issue(BALANCED, renewal(**{**settings, **changes}), 0)
    assert expected in reason
    assert bool(reason) is bool(expected)


def test_arguments():
    found = " ".join(decide.arguments(WANTED, None, None))
    assert "--domain a.test --domain b.test" in found
    assert "--cert-name asgi-a " in found
    assert f"--server {DIRECTORY} " in found
    assert "--register-unsafely-without-email" in found
    assert "--config" not in found
    assert f" --webroot --webroot-path /var/lib/asgi/a/acme --deploy-hook /usr/bin/python3 -I {HOOK} --" in found
    balanced = " ".join(decide.arguments(BALANCED, None, None))
    assert f" --standalone --http-01-port 8402 --deploy-hook /usr/bin/python3 -I {HOOK} haproxy --" in balanced
    assert "webroot" not in balanced


def test_the_mail_is_given_and_secrets_are_not():
    found = decide.arguments(WANTED, "a@example.org", "/tmp/account.ini")
    assert found[found.index("--email") + 1] == "a@example.org"
    assert "--register-unsafely-without-email" not in found
    assert found[-2:] == ["--config", "/tmp/account.ini"]
    assert decide.account_settings("kid", "key") == "eab-kid = kid\neab-hmac-key = key\n"


CHALLENGE = """\
Saving debug log to /var/log/letsencrypt/letsencrypt.log
Requesting a certificate for a.test

Certbot failed to authenticate some domains (authenticator: webroot). The Certificate Authority reported these problems:
  Domain: a.test
  Type:   unauthorized
  Detail: Non-200 status code from HTTP: http://a.test:80/.well-known/acme-challenge/Rh returned 404

Hint: The Certificate Authority failed to download the temporary challenge files created by Certbot.

Some challenges have failed.
Ask for help or search for solutions at https://community.letsencrypt.org. See the logfile /var/log/letsencrypt/l.log.
"""
REFUSED = """\
Saving debug log to /var/log/letsencrypt/letsencrypt.log
An unexpected error occurred:
ValueError: Requesting ca.test/dir: Connection refused
Ask for help or search for solutions at https://community.letsencrypt.org.
"""


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        (
            CHALLENGE,
            "\n".join(
                [
                    CHALLENGE.splitlines()[3],
                    "Domain: a.test",
                    "Type:   unauthorized",
                    "Detail: Non-200 status code from HTTP: http://a.test:80/.well-known/acme-challenge/Rh returned 404",
                ]
            ),
        ),
        (REFUSED, "An unexpected error occurred:\nValueError: Requesting ca.test/dir: Connection refused"),
        ("", "certbot did not say why; /var/log/letsencrypt/letsencrypt.log may"),
    ],
)
def test_readable(output, expected):
    assert decide.readable(output) == expected
