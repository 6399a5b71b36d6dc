"""The address of a submodule is the one that git uses, or is rejected."""

from __future__ import annotations

import pytest
from ansible_collections.asgi.deploy.plugins.plugin_utils._release.submodules import Refused, is_local, submodule_url


@pytest.mark.parametrize(
    ("parent", "url", "expected"),
    [
        ("https://git.test/org/app.git", "../lib.git", "https://git.test/org/lib.git"),
        ("https://git.test/org/app.git/", "../lib.git", "https://git.test/org/lib.git"),
        ("https://git.test/org/app.git", "../../other/lib.git", "https://git.test/other/lib.git"),
        ("https://git.test/org/app.git", "./lib.git", "https://git.test/org/app.git/lib.git"),
        ("ssh://git@git.test:22/org/app.git", "../lib.git", "ssh://git@git.test:22/org/lib.git"),
        ("git@git.test:org/app.git", "../lib.git", "git@git.test:org/lib.git"),
        ("git@git.test:app.git", "../lib.git", "git@git.test:lib.git"),
        ("git@git.test:/srv/app.git", "../lib.git", "git@git.test:/srv/lib.git"),
        ("/srv/app", "../lib", "/srv/lib"),
        ("file:///srv/app", "../lib", "file:///srv/lib"),
        ("https://git.test/app.git", "https://other.test/lib.git", "https://other.test/lib.git"),
        ("https://git.test/app.git", "git@other.test:lib.git", "git@other.test:lib.git"),
        ("/srv/app", "/srv/lib", "/srv/lib"),
        ("/srv/app", "https://git.test/lib.git", "https://git.test/lib.git"),
        # Credentials are used on the same server only.
        ("https://u:p@git.test/org/app.git", "../lib.git", "https://u:p@git.test/org/lib.git"),
        ("https://u:p@git.test/app.git", "https://git.test/lib.git", "https://u:p@git.test/lib.git"),
        ("https://u:p@s@git.test/app.git", "https://GIT.test/lib.git", "https://u:p@s@GIT.test/lib.git"),
        ("https://u:p@git.test/app.git", "https://me@git.test/lib.git", "https://me@git.test/lib.git"),
        ("https://u:p@git.test/app.git", "https://git.test:8443/lib.git", "https://git.test:8443/lib.git"),
        ("https://u:p@git.test/app.git", "http://git.test/lib.git", "http://git.test/lib.git"),
        ("https://u:p@git.test/app.git", "https://git.test.evil.test/lib", "https://git.test.evil.test/lib"),
        ("https://u:p@git.test/app.git", "https://evil.test/@git.test/lib", "https://evil.test/@git.test/lib"),
    ],
)
def test_address_of_a_submodule(parent, url, expected):
    assert submodule_url(parent, url) == expected


@pytest.mark.parametrize(
    ("parent", "url"),
    [
        ("https://git.test/app.git", None),
        ("https://git.test/app.git", "../../../lib.git"),
        ("https://git.test/app.git", "../"),
        ("git@git.test:app.git", "../../lib.git"),
        ("/srv/app", "../../../x"),
        ("https://git.test/app.git", "/srv/secret"),
        ("https://git.test/app.git", "file:///srv/secret"),
        ("https://git.test/app.git", "FILE:///srv/secret"),
        ("git@git.test:app.git", "/srv/secret"),
        ("https://git.test/app.git", "secret"),
        ("/srv/app", "ext::sh -c true"),
        ("/srv/app", "-x"),
        ("/srv/app", "ssh://-oProxyCommand=x/y"),
        ("https://git.test/app.git", "../a\nb"),
    ],
)
def test_unsafe_address_of_a_submodule_is_rejected(parent, url):
    with pytest.raises(Refused):
        submodule_url(parent, url)


@pytest.mark.parametrize(
    ("url", "expected"),
    [("/srv/x", True), ("file:///x", True), ("x", True), ("git@h:x", False), ("https://h/x", False)],
)
def test_is_local(url, expected):
    assert is_local(url) is expected
