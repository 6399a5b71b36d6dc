# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.asgi.deploy.plugins.filter.nginx_quote import FilterModule
from ansible_collections.asgi.deploy.plugins.plugin_utils._render.nginx import quote


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("nosniff", '"nosniff"'),
        ("", '""'),
        ("a; b {}", '"a; b {}"'),
        ('say "x"', r'"say \"x\""'),
        ("back\\slash", r'"back\\slash"'),
        ("default-src 'self'", "\"default-src 'self'\""),
        (0, '"0"'),
    ],
)
def test_quote(text, expected):
    assert quote(text) == expected


@pytest.mark.parametrize("text", ["$host", "a\nb", "a\x00b", "a\tb", "a\x7f"])
def test_values_that_nginx_cannot_represent_are_rejected(text):
    with pytest.raises(ValueError, match="contains"):
        quote(text)
    with pytest.raises(AnsibleFilterError, match="nginx_quote"):
        FilterModule().filters()["nginx_quote"](text)
