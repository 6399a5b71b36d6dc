# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible_collections.asgi.deploy.plugins.plugin_utils.checks.acme import acme_problems
from ansible_collections.asgi.deploy.plugins.plugin_utils.problems import Context

GOOD = {
    "agree_tos": True,
    "directory": "https://acme-v02.api.letsencrypt.org/directory",
    "names": ["shop.test", "www.shop.test"],
}


@pytest.fixture(params=["asgi_proxy", "asgi_balancer"])
def problems(request, tmp_path):
    """The objections to options, which are given and told without the beginning of their names."""

    def run(**options):
        prefix = f"{request.param}_acme_"
        given = {f"{prefix}{name}": value for name, value in {**GOOD, **options}.items()}
        context = Context(options=given, find=lambda path: tmp_path / path)
        return [
            problem._replace(variable=problem.variable.removeprefix(prefix))
            for problem in acme_problems(context, request.param, [f"{prefix}names"])
        ]

    return run


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"directory": "https://ca.intranet:14000/acme/acme/directory"},
        {"mail": "admin+acme@example.org"},
        {"eab_kid": "kid-1", "eab_hmac_key": "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG4"},
    ],
)
def test_good(problems, options):
    assert problems(**options) == []


@pytest.mark.parametrize(
    ("option", "value", "variable", "fault"),
    [
        ("agree_tos", False, "agree_tos", "is false"),
        ("directory", "http://ca.test/dir", "directory", "is 'http://ca.test/dir'"),
        ("directory", "letsencrypt", "directory", "is 'letsencrypt'"),
        ("directory", "https://me:secret@ca.test/dir", "directory", "is 'https://me:secret@ca.test/dir'"),
        ("directory", "https://ca.test/dir --dry-run", "directory", "--dry-run"),
        ("mail", "admin", "mail", "is 'admin'"),
        ("mail", "a@b.test,c@d.test", "mail", "is 'a@b.test,c@d.test'"),
        ("eab_kid", "kid", "eab_hmac_key", "acme_eab_kid is"),
        ("eab_hmac_key", "abc", "eab_kid", "acme_eab_hmac_key is"),
        ("ca_bundle", "none", "ca_bundle", "No such file"),
        ("ca_bundle", "vault", "ca_bundle", "ansible-vault encrypted"),
        ("ca_bundle", "text", "ca_bundle", "no readable PEM certificate"),
        # by http-01 nobody can prove these
        ("names", ["shop.test", "*.shop.test"], "names", "'*.shop.test', and no ACME server gives"),
    ],
)
def test_refused(problems, tmp_path, option, value, variable, fault):
    (tmp_path / "vault").write_text("$ANSIBLE_VAULT;1.1;AES256\n00")
    (tmp_path / "text").write_text("authority")
    assert [(each.variable, fault in each.fault) for each in problems(**{option: value})] == [(variable, True)]


@pytest.mark.parametrize(
    ("kid", "key", "variable"),
    [("kid\nserver = x", "abc", "eab_kid"), ("[kid", "abc", "eab_kid"), ("kid", "a b\n", "eab_hmac_key")],
)
def test_an_account_binding_that_is_none(problems, kid, key, variable):
    found = problems(eab_kid=kid, eab_hmac_key=key)
    assert [each.variable for each in found] == [variable]
    assert key not in str(found)
