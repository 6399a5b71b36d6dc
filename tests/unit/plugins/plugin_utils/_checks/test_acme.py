# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from dataclasses import replace

import pytest
from ansible_collections.asgi.deploy.plugins.plugin_utils._checks.acme import acme_problems
from ansible_collections.asgi.deploy.plugins.plugin_utils._values.problems import Context

GOOD = {
    "agree_tos": True,
    "directory": "https://acme-v02.api.letsencrypt.org/directory",
    "names": ["shop.test", "www.shop.test"],
}


@pytest.fixture(params=["asgi_proxy", "asgi_balancer"])
def problems(request, tmp_path):
    """Return a function that checks *options*. Names of options lack the prefix of the role, here and in the returned problems."""

    def run(**options):
        prefix = f"{request.param}_acme_"
        given = {f"{prefix}{name}": value for name, value in {**GOOD, **options}.items()}
        context = Context(options=given, find=lambda path: tmp_path / path)
        return [
            replace(problem, variable=problem.variable.removeprefix(prefix))
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
def test_valid_values_are_accepted(problems, options):
    assert problems(**options) == []


@pytest.mark.parametrize(
    ("option", "value", "variable", "code"),
    [
        ("agree_tos", False, "agree_tos", "acme-terms-not-accepted"),
        ("directory", "http://ca.test/dir", "directory", "acme-directory-invalid"),
        ("directory", "letsencrypt", "directory", "acme-directory-invalid"),
        ("directory", "https://me:secret@ca.test/dir", "directory", "acme-directory-invalid"),
        ("directory", "https://ca.test/dir --dry-run", "directory", "acme-directory-invalid"),
        ("mail", "admin", "mail", "acme-mail-invalid"),
        ("mail", "--server=https://evil@example.org", "mail", "acme-mail-invalid"),
        ("mail", "a\0@example.org", "mail", "acme-mail-invalid"),
        ("mail", "a@b.test,c@d.test", "mail", "acme-mail-invalid"),
        ("eab_kid", "kid", "eab_hmac_key", "acme-eab-incomplete"),
        ("eab_hmac_key", "abc", "eab_kid", "acme-eab-incomplete"),
        ("ca_bundle", "none", "ca_bundle", "file-unreadable"),
        ("ca_bundle", "vault", "ca_bundle", "file-encrypted"),
        ("ca_bundle", "text", "ca_bundle", "certificate-not-pem"),
        ("names", ["shop.test", "*.shop.test"], "names", "acme-wildcard"),
    ],
)
def test_invalid_values_are_rejected(problems, tmp_path, option, value, variable, code):
    (tmp_path / "vault").write_text("$ANSIBLE_VAULT;1.1;AES256\n00")
    (tmp_path / "text").write_text("authority")
    assert [(each.variable, each.code) for each in problems(**{option: value})] == [(variable, code)]


@pytest.mark.parametrize(
    ("kid", "key", "variable"),
    [("kid\nserver = x", "abc", "eab_kid"), ("[kid", "abc", "eab_kid"), ("kid", "a b\n", "eab_hmac_key")],
)
def test_invalid_account_bindings_are_rejected(problems, kid, key, variable):
    found = problems(eab_kid=kid, eab_hmac_key=key)
    assert [(each.variable, each.code) for each in found] == [(variable, "acme-eab-invalid")]
    assert key not in str(found)
