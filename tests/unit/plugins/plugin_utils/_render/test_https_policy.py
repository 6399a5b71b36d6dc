"""The settings of HTTPS that nginx and HAProxy share."""

from __future__ import annotations

import pytest
from ansible_collections.asgi.deploy.plugins.plugin_utils._render.https_policy import https_policy


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("acme", 31536000), "max-age=31536000"),
        (("provided", 60, True), "max-age=60; includeSubDomains"),
        (("provided", 60, False, True), "max-age=60; preload"),
        (("acme", 60, True, True), "max-age=60; includeSubDomains; preload"),
        (("acme", 0, True, True), ""),
        # Browsers that have received the header reject a self-signed certificate.
        (("selfsigned", 31536000), ""),
    ],
)
def test_hsts(arguments, expected):
    assert https_policy("intermediate", *arguments)["hsts"] == expected


def test_ciphers():
    assert https_policy("modern", "acme", 1)["ciphers"] == ""
    suites = https_policy("intermediate", "acme", 1)["ciphers"].split(":")
    assert len(suites) == 6
    assert all(suite.startswith("ECDHE-") and ("GCM" in suite or "POLY1305" in suite) for suite in suites)
