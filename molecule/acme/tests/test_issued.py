"""The state after the first run: each site has its own certificate of the ACME server, and renewal is enabled."""

from __future__ import annotations

import http.client
import re

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa


@pytest.mark.smoke
def test_sites_have_certificates_of_the_acme_server(site):
    assert "Pebble" in site.issuer()
    assert site.ask("/health").status == 200


@pytest.mark.smoke
def test_each_app_has_its_own_certificate(shop, tiles):
    assert shop.names() == {shop.name}
    assert tiles.names() == {tiles.name, f"mail.{tiles.debian}.test"}
    assert isinstance(shop.certificate().public_key(), ec.EllipticCurvePublicKey)
    assert isinstance(tiles.certificate().public_key(), rsa.RSAPublicKey)


@pytest.mark.smoke
def test_only_plain_http_answers_the_challenge(site):
    directory = f"/var/lib/asgi/{site.app}/acme/.well-known/acme-challenge"
    site.host.check_output("mkdir -p %s && echo proof >%s/token", directory, directory)
    path = "/.well-known/acme-challenge/token"
    answer = site.ask(path, tls=False)
    assert (answer.status, answer.text) == (200, "proof\n")
    assert "proof" not in site.ask(path).text
    site.host.check_output("rm %s/token", directory)


def test_extra_name_answers_only_challenges(tiles):
    name = f"mail.{tiles.debian}.test"
    assert tiles.ask("/.well-known/acme-challenge/none", name=name, tls=False).status == 404
    with pytest.raises((http.client.HTTPException, OSError)):
        tiles.ask("/", name=name, tls=False)


def test_redirect_follows_its_variable(shop, tiles):
    assert shop.ask("/", tls=False).status == 308
    with pytest.raises((http.client.HTTPException, OSError)):
        tiles.ask("/", tls=False)


@pytest.mark.smoke
def test_no_key_is_readable_by_other_accounts(shop):
    # certbot stores account keys as JSON, with the private exponent in "d".
    listing = shop.host.check_output(
        """grep -rlE 'PRIVATE KEY-----|"d":' /etc/asgi /etc/letsencrypt /var/lib/asgi /var/log /run /tmp 2>/dev/null """
        "| xargs stat --dereference --format='%a %n'"
    )
    modes = dict(reversed(line.split(" ", 1)) for line in listing.splitlines())
    assert {f"/etc/asgi/{app}/tls/live.pem" for app in ("shop", "tiles")} < set(modes)
    assert any("/accounts/" in path for path in modes)
    assert {path: mode for path, mode in modes.items() if mode[-2:] != "00"} == {}


def test_key_of_the_account_binding_is_not_stored(tiles):
    assert tiles.host.run("grep -rl zWNDZM6eQGHWpSRT /etc /var /run /tmp /root").stdout == ""
    assert "zWNDZM6eQGHWpSRT" not in tiles.host.check_output("journalctl --sync && journalctl --no-pager")


def test_timer_of_the_distribution_is_enabled(shop):
    assert shop.host.service("certbot.timer").is_running
    assert shop.host.service("certbot.timer").is_enabled


def test_certbot_service_is_at_least_as_sandboxed_as_packaged(shop):
    shop.host.check_output("cp /lib/systemd/system/certbot.service /run/systemd/system/certbot-as-packaged.service")
    shop.host.check_output("systemctl daemon-reload")
    ours, theirs = (
        float(
            re.search(
                r"exposure level for \S+: ([\d.]+)",
                shop.host.check_output("systemd-analyze security --no-pager %s | tail -n 1", unit),
            )[1]
        )
        for unit in ("certbot.service", "certbot-as-packaged.service")
    )
    print(f"\nsystemd-analyze security on {shop.debian}: certbot.service {ours}, as packaged {theirs}")
    assert "asgi-shop.conf" in shop.host.check_output("systemctl show --property=DropInPaths certbot.service")
    assert ours <= theirs


@pytest.mark.smoke
def test_nginx_was_never_stopped(shop):
    log = shop.host.check_output("journalctl --unit=nginx.service --output=cat")
    assert "Stopping" not in log
    assert log.count("Started") == 1


def test_second_run_sends_no_request_to_the_acme_server(playbook, pebble):
    before = pebble.requests()
    output = playbook.succeeds("site")
    assert re.findall(r"changed=(\d+)", output) == ["0"] * 5, output
    assert pebble.requests() == before
