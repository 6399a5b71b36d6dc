"""The names of the files that nginx's sites include."""

from __future__ import annotations

import re

from ansible_collections.asgi.deploy.plugins.plugin_utils._render.include_names import include_names


def test_a_name_depends_on_the_text():
    old, new = (
        include_names({"tls": text, "app": "same"}) for text in ("ssl_protocols TLSv1.2;", "ssl_protocols TLSv1.3;")
    )
    assert old["tls"] != new["tls"]
    assert old["app"] == new["app"]
    assert all(re.fullmatch(r"asgi-00-(tls|app)-[0-9a-f]{8}\.inc", name) for name in (*old.values(), *new.values()))
