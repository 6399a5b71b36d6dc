"""Names change, and the ACME server does not always give a certificate: what works stays, and the next run goes on."""

from __future__ import annotations

import re


def names(first, *others):
    """Return the server names of a shop, to be templated for each machine."""
    return [f"{label}.{{{{ asgi_machine }}}}.test" for label in (first, *others)]


def failures(said):
    return re.findall(r"^fatal: \[(\S+?)\]", said, re.MULTILINE)


def test_a_server_that_is_down_and_the_next_run(expose, shops, pebble):
    before = {shop: shop.fingerprint() for shop in shops}
    pebble.close()
    try:
        status, said = expose(asgi_proxy_server_names=names("shop", "www"))
    finally:
        pebble.open()

    assert status != 0
    assert sorted(failures(said)) == ["debian12-shop", "debian13-shop"], said
    assert "https://pebble.test:14000/dir gave no certificate for shop.debian12.test, www.debian12.test" in said
    assert "Connection refused" in said
    assert re.search(r"nginx goes on serving the certificate of \S.*Pebble.* that is valid until 20\d\d", said), said
    assert {shop: shop.fingerprint() for shop in shops} == before
    assert all(shop.ask("/health").status == 200 for shop in shops)

    status, said = expose(asgi_proxy_server_names=names("shop", "www"))
    assert status == 0, said
    for shop in shops:
        assert shop.names() == {shop.name, f"www.{shop.debian}.test"}
        assert shop.ask("/health", name=f"www.{shop.debian}.test").status == 200


def test_a_challenge_that_fails(expose, shops):
    # a name that does not lead here: for the ACME server it leads to itself
    before = {shop: shop.fingerprint() for shop in shops}

    status, said = expose(asgi_proxy_server_names=names("shop", "lost"))

    assert status != 0
    assert sorted(failures(said)) == ["debian12-shop", "debian13-shop"], said
    assert re.search(r"Domain: lost\.debian13\.test", said), said
    assert "Domain: shop.debian13.test" not in said
    assert "goes on serving the certificate of" in said
    assert {shop: shop.fingerprint() for shop in shops} == before


def test_a_name_that_is_taken_out_is_taken_out_of_the_certificate(expose, shops):
    status, said = expose()
    assert status == 0, said
    assert [shop.names() for shop in shops] == [{shop.name} for shop in shops]
