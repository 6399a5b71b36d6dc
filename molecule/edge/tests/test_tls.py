"""What a client gets before its first request, and what it is told about later ones."""

from __future__ import annotations

import os
import socket
import ssl
from pathlib import Path

import pytest

CA = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]) / "ca.crt"
BALANCER = b"PROXY TCP4 198.51.100.7 198.51.100.1 4711 443\r\n"


def connect(site, inside=443, first=b"", highest=ssl.TLSVersion.TLSv1_3):
    """Return the version of TLS and the protocol that a client gets."""
    context = ssl.create_default_context(cafile=CA)
    context.set_alpn_protocols(["h2", "http/1.1"])
    context.minimum_version, context.maximum_version = ssl.TLSVersion.TLSv1_2, highest
    with socket.create_connection(("127.0.0.1", site.port(inside)), 15) as plain:
        plain.sendall(first)
        with context.wrap_socket(plain, server_hostname=site.server_name) as connection:
            return connection.version(), connection.selected_alpn_protocol()


def test_the_certificate_is_trusted_and_the_app_answers(hello):
    assert hello.ask("/health").status == 200


def test_http_2_and_both_versions_of_tls(hello):
    assert connect(hello) == ("TLSv1.3", "h2")
    assert connect(hello, highest=ssl.TLSVersion.TLSv1_2) == ("TLSv1.2", "h2")


def test_the_modern_profile_takes_no_old_client(behind):
    assert connect(behind, 8443, BALANCER) == ("TLSv1.3", "h2")
    with pytest.raises(ssl.SSLError):
        connect(behind, 8443, BALANCER, highest=ssl.TLSVersion.TLSv1_2)


def test_http_3_where_nginx_has_it(features):
    told = features.ask("/").headers["Alt-Svc"]
    if features.machine.endswith("12"):
        assert told is None
        return
    assert told == 'h3=":443"; ma=86400'
    # the curl of Debian 13 knows it, and this computer's may not
    ask = "curl --silent --insecure --http3-only --resolve features.test:443:127.0.0.1 --write-out '%{http_version} %{http_code}'"
    assert features.host.check_output(f"{ask} --output /dev/null https://features.test/noted") == "3 200"
    # and a name that has no site gets nothing
    stranger = features.host.run(ask.replace("features.test", "stranger.test") + " https://stranger.test/")
    assert stranger.stdout.endswith("0 000")


def test_http_3_is_refused_where_nginx_has_none(playbook):
    status, said = playbook("site", "--check", "--limit", "debian12-features", asgi_proxy_http3=True)
    assert status != 0
    assert "asgi_proxy_http3 is true, and nginx of Debian 12 has no HTTP/3" in said


def test_browsers_are_told_to_stay_with_https(hello, features):
    assert hello.ask("/").headers["Strict-Transport-Security"] == "max-age=31536000"
    told = features.ask("/").headers["Strict-Transport-Security"]
    assert told == "max-age=31536000; includeSubDomains; preload"


def test_other_names_lead_to_the_first(features):
    assert features.ask("/", name="also.hello.test").status == 200
    answer = features.ask("/a%20b?c=d", name="old.test")
    assert (answer.status, answer.headers["Location"]) == (308, "https://features.test/a%20b?c=d")
    # as those want it who keep the list that browsers come with: first the same name with HTTPS
    answer = features.ask("/a?c=d", name="www.features.test", tls=False)
    assert (answer.status, answer.headers["Location"]) == (308, "https://www.features.test/a?c=d")
