"""Changes of the certificate's provider: each provider's certificate is served, and only acme is renewed."""

from __future__ import annotations

import pytest
from pairs import Pair, write_pair


@pytest.fixture(scope="module")
def provided(tmp_path_factory):
    """A certificate that the user provides, for the shops of both machines."""
    pair = Pair(names=("shop.debian12.test", "shop.debian13.test"), subject="given by the user")
    return write_pair(tmp_path_factory.mktemp("provided"), pair.certificate, pair.key)


def test_acme_to_provided_to_selfsigned_to_acme(playbook, shops, pebble, provided):
    before, issued = {shop: shop.fingerprint() for shop in shops}, pebble.issued()

    playbook.succeeds("expose.yml", asgi_proxy_tls_provider="provided", **provided)
    assert ["given by the user" in shop.certificate().subject.rfc4514_string() for shop in shops] == [True, True]

    # Renewal is disabled, so nothing replaces the provided certificate, even if it is due.
    for shop in shops:
        shop.make_due()
        shop.host.check_output("systemctl start certbot.service")
        shop.make_due(False)
    assert ["given by the user" in shop.certificate().subject.rfc4514_string() for shop in shops] == [True, True]

    playbook.succeeds("expose.yml", asgi_proxy_tls_provider="selfsigned")
    assert [shop.issuer() for shop in shops] == [f"CN={shop.name}" for shop in shops]
    assert [shop.host.file("/etc/asgi/shop/acme_deploy.py").exists for shop in shops] == [False, False]

    output = playbook.succeeds("expose.yml", "--check", "--limit=debian13-shop")
    assert output.count("changed=0") == 0
    assert [shop.issuer() for shop in shops] == [f"CN={shop.name}" for shop in shops]

    playbook.succeeds("expose.yml")
    # The previous certificate was still valid.
    assert {shop: shop.fingerprint() for shop in shops} == before
    assert pebble.issued() == issued
    for shop in shops:
        assert "autorenew" not in shop.host.file("/etc/letsencrypt/renewal/asgi-shop.conf").content_string
        assert shop.host.file("/etc/asgi/shop/acme_deploy.py").exists


def test_other_app_is_not_affected(tiles):
    assert "Pebble" in tiles.issuer()
    assert tiles.ask("/health").status == 200
