"""The distribution's timer starts certbot.service: the new certificates are served, and nobody was turned away."""

from __future__ import annotations

from dataclasses import replace

from visitors import Visitors


def test_a_renewal_is_served_and_turns_nobody_away(shop):
    # two apps, two servers, one run of certbot
    sites, host = (shop, replace(shop, app="tiles")), shop.host
    before = {site: site.fingerprint() for site in sites}
    master = host.check_output("systemctl show --value --property=MainPID nginx.service")
    for site in sites:
        site.make_due()

    with Visitors(shop) as visitors:
        host.check_output("systemctl start certbot.service")

    journal = host.check_output("journalctl --unit=certbot.service --output=cat")
    assert all(site.fingerprint() != before[site] for site in sites), journal
    assert all("Pebble" in site.issuer() for site in sites)
    print(f"\n{shop.debian}: {len(visitors.answers)} visits during the renewal, {len(visitors.refused)} refused")
    assert visitors.refused == []
    assert set(visitors.answers) == {200}
    assert len(visitors.answers) > 20
    assert host.check_output("systemctl show --value --property=MainPID nginx.service") == master
    for site in sites:
        site.make_due(False)


def test_a_renewal_that_is_not_due_changes_nothing(shop, pebble):
    before, requests = shop.fingerprint(), pebble.requests()
    shop.host.check_output("systemctl start certbot.service")
    assert shop.fingerprint() == before
    assert pebble.requests() == requests


def test_a_renewal_that_fails_leaves_what_works(shop, pebble):
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


def test_the_role_has_nothing_to_add_to_a_renewal(expose, pebble):
    # nginx has loaded what the hook swapped in, and the role knows it
    requests = pebble.requests()
    status, said = expose()
    assert status == 0, said
    assert said.count("changed=0") == 2, said
    assert pebble.requests() == requests
