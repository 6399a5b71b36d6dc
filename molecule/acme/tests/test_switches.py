"""From one provider to another and back: each time the right certificate, and no renewal that nobody wants."""

from __future__ import annotations

import pytest
from pairs import Pair, written


@pytest.fixture(scope="module")
def provided(tmp_path_factory):
    """A certificate of the user's, for the shops of both machines."""
    pair = Pair(names=("shop.debian12.test", "shop.debian13.test"), subject="given by the user")
    return written(tmp_path_factory.mktemp("provided"), pair.certificate, pair.key)


def test_acme_to_provided_to_selfsigned_to_acme(expose, shops, pebble, provided):
    before, issued = {shop: shop.fingerprint() for shop in shops}, pebble.issued()

    status, said = expose(asgi_proxy_tls_provider="provided", **provided)
    assert status == 0, said
    assert ["given by the user" in shop.certificate().subject.rfc4514_string() for shop in shops] == [True, True]

    # however due it is: nobody renews it, so nothing replaces what was given
    for shop in shops:
        shop.make_due()
        shop.host.check_output("systemctl start certbot.service")
        shop.make_due(False)
    assert ["given by the user" in shop.certificate().subject.rfc4514_string() for shop in shops] == [True, True]

    status, said = expose(asgi_proxy_tls_provider="selfsigned")
    assert status == 0, said
    assert [shop.issuer() for shop in shops] == [f"CN={shop.name}" for shop in shops]
    assert [shop.host.file("/etc/asgi/shop/acme_deploy.py").exists for shop in shops] == [False, False]

    status, said = expose("--check", "--limit=debian13-shop")
    assert status == 0, said
    assert said.count("changed=0") == 0
    assert [shop.issuer() for shop in shops] == [f"CN={shop.name}" for shop in shops]

    status, said = expose()
    assert status == 0, said
    # what certbot had was still good
    assert {shop: shop.fingerprint() for shop in shops} == before
    assert pebble.issued() == issued
    for shop in shops:
        assert "autorenew" not in shop.host.file("/etc/letsencrypt/renewal/asgi-shop.conf").content_string
        assert shop.host.file("/etc/asgi/shop/acme_deploy.py").exists


def test_the_other_app_noticed_nothing(tiles):
    assert "Pebble" in tiles.issuer()
    assert tiles.ask("/health").status == 200
