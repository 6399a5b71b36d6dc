# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible_collections.asgi.deploy.plugins.module_utils._tls import acme as decide

DAY = 24 * 60 * 60
DIRECTORY = "https://ca.test/dir"
HOOK = "/etc/asgi/a/hook.py"
WANTED = decide.Wanted(
    lineage="asgi-a",
    names=("a.test", "b.test"),
    directory=DIRECTORY,
    key_type="ecdsa",
    challenge=decide.challenge_by_files("/var/lib/asgi/a/acme"),
    hook=decide.hook_command(HOOK, "nginx"),
)
BALANCED = WANTED._replace(challenge=decide.challenge_by_certbot(8402), hook=decide.hook_command(HOOK, "haproxy"))

# the format of certbot 4.0
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
FOUND = decide.Issued(frozenset(WANTED.names), 0, 90 * DAY, decide.parse_renewal(RENEWAL))


def renewal(**changes):
    return FOUND._replace(renewal={**FOUND.renewal, **changes})


def test_parse_renewal():
    found = decide.parse_renewal(RENEWAL)
    assert found["server"] == DIRECTORY
    assert found["renew_hook"] == "/usr/bin/python3 -I /etc/asgi/a/hook.py"
    assert "version" not in found
    assert decide.parse_renewal("") == {}


def test_renewal_is_disabled_and_enabled():
    off = decide.with_renewal(RENEWAL, False)
    assert (decide.renews(decide.parse_renewal(RENEWAL)), decide.renews(decide.parse_renewal(off))) == (True, False)
    assert decide.with_renewal(off, False) == off
    assert decide.with_renewal(off, True) == RENEWAL
    assert decide.with_renewal(RENEWAL, True) == RENEWAL


@pytest.mark.parametrize(
    ("found", "now", "expected"),
    [
        (FOUND, 0, ""),
        (FOUND._replace(names=frozenset({"b.test", "a.test"})), 60 * DAY, ""),
        # certbot's timer renews the certificate in this period
        (FOUND, 71 * DAY, ""),
        (FOUND, 73 * DAY, "was not renewed in time"),
        (FOUND, 100 * DAY, "was not renewed in time"),
        # a private ACME server may issue certificates that are valid for one day
        (FOUND._replace(expires=DAY), 0.7 * DAY, ""),
        (FOUND._replace(expires=DAY), 0.9 * DAY, "was not renewed in time"),
        (None, 0, "there is none"),
        (FOUND._replace(names=frozenset({"a.test"})), 0, "lacks b.test"),
        (FOUND._replace(names=frozenset({"a.test", "b.test", "c.test"})), 0, "includes c.test"),
        (FOUND._replace(names=frozenset({"a.test", "c.test"})), 0, "lacks b.test and includes c.test"),
        (renewal(server="https://staging.test/dir"), 0, "is from https://staging.test/dir"),
        (renewal(key_type="rsa"), 0, "key of type rsa"),
        (renewal(authenticator="standalone"), 0, "renewal settings have changed"),
        (renewal(renew_hook="/bin/true"), 0, "renewal settings have changed"),
        # disabled renewal is no reason to issue a certificate
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
        ({"http01_port": "8403"}, "renewal settings have changed"),
        ({"authenticator": "webroot"}, "renewal settings have changed"),
        ({"renew_hook": WANTED.hook}, "renewal settings have changed"),
    ],
)
def test_why_issue_on_a_balancer(changes, expected):
    # the format of certbot 4.0
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


def test_arguments_contain_the_mail_address_but_no_secrets():
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
        ("", "certbot printed no reason; see /var/log/letsencrypt/letsencrypt.log"),
    ],
)
def test_error_lines(output, expected):
    assert decide.error_lines(output) == expected
