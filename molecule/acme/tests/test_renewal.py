"""Renewal through certbot.service, which the timer of the distribution starts."""

from __future__ import annotations

from dataclasses import replace


def test_renewed_certificate_is_served_and_no_connection_refused(shop):
    # Two apps, two ACME servers, one run of certbot.
    sites, host = (shop, replace(shop, app="tiles")), shop.host
    before = {site: site.fingerprint() for site in sites}
    master = host.check_output("systemctl show --value --property=MainPID nginx.service")
    for site in sites:
        site.make_due()

    with shop.visited() as visitors:
        host.check_output("systemctl start certbot.service")

    journal = host.check_output("journalctl --unit=certbot.service --output=cat")
    assert all(site.fingerprint() != before[site] for site in sites), journal
    assert all("Pebble" in site.issuer() for site in sites)
    print(f"\n{shop.debian}: {len(visitors.statuses)} visits during the renewal, {len(visitors.errors)} refused")
    assert visitors.errors == []
    assert set(visitors.statuses) == {200}
    assert len(visitors.statuses) > 20
    assert host.check_output("systemctl show --value --property=MainPID nginx.service") == master
    for site in sites:
        site.make_due(False)


def test_certificate_that_is_not_due_stays(shop, pebble):
    before, requests = shop.fingerprint(), pebble.requests()
    shop.host.check_output("systemctl start certbot.service")
    assert shop.fingerprint() == before
    assert pebble.requests() == requests


def test_failed_renewal_keeps_the_certificate(shop, pebble):
    before = shop.fingerprint()
    shop.make_due()
    pebble.close()
    try:
        assert shop.host.run("systemctl start certbot.service").rc != 0
    finally:
        pebble.open()
    journal = shop.host.check_output("journalctl --sync && journalctl --unit=certbot.service --output=cat")
    assert "Connection refused" in journal
    assert shop.fingerprint() == before
    shop.make_due(False)
    shop.host.check_output("systemctl reset-failed certbot.service")


def test_role_changes_nothing_after_a_renewal(playbook, pebble):
    # The role detects that nginx has loaded the new certificate.
    requests = pebble.requests()
    output = playbook.succeeds("expose.yml")
    assert output.count("changed=0") == 2, output
    assert pebble.requests() == requests
