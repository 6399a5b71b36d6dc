"""Changes of names while the ACME server fails: the site keeps its certificate, and the next run succeeds."""

from __future__ import annotations

import re


def names(first, *others):
    """Return the server names of a shop, as templates for each machine."""
    return [f"{label}.{{{{ machine }}}}.test" for label in (first, *others)]


def failed_hosts(output):
    return re.findall(r"^fatal: \[(\S+?)\]", output, re.MULTILINE)


def test_unreachable_acme_server_keeps_the_certificate(playbook, shops, pebble):
    before = {shop: shop.fingerprint() for shop in shops}
    pebble.close()
    try:
        status, output = playbook("expose.yml", asgi_proxy_server_names=names("shop", "www"))
    finally:
        pebble.open()

    assert status != 0
    assert sorted(failed_hosts(output)) == ["debian12-shop", "debian13-shop"], output
    assert "https://pebble.test:14000/dir issued no certificate for shop.debian12.test, www.debian12.test" in output
    assert "Connection refused" in output
    assert re.search(r"nginx still serves the certificate of \S.*Pebble.*, valid until 20\d\d", output), output
    assert {shop: shop.fingerprint() for shop in shops} == before
    assert all(shop.ask("/health").status == 200 for shop in shops)

    playbook.succeeds("expose.yml", asgi_proxy_server_names=names("shop", "www"))
    for shop in shops:
        assert shop.names() == {shop.name, f"www.{shop.debian}.test"}
        assert shop.ask("/health", name=f"www.{shop.debian}.test").status == 200


def test_failed_challenge_keeps_the_certificate(playbook, shops):
    # The ACME server resolves this name to itself.
    before = {shop: shop.fingerprint() for shop in shops}

    output = playbook.fails("expose.yml", asgi_proxy_server_names=names("shop", "lost"))

    assert sorted(failed_hosts(output)) == ["debian12-shop", "debian13-shop"], output
    assert re.search(r"Domain: lost\.debian13\.test", output), output
    assert "Domain: shop.debian13.test" not in output
    assert "still serves the certificate of" in output
    assert {shop: shop.fingerprint() for shop in shops} == before


def test_removed_name_is_removed_from_the_certificate(playbook, shops):
    playbook.succeeds("expose.yml")
    assert [shop.names() for shop in shops] == [{shop.name} for shop in shops]
