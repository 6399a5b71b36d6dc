"""TLS versions, HTTP versions, HSTS and redirects between names."""

from __future__ import annotations

import socket
import ssl

import pytest

pytestmark = pytest.mark.smoke

BALANCER = b"PROXY TCP4 198.51.100.7 198.51.100.1 4711 443\r\n"


def connect(site, inside=443, first=b"", highest=ssl.TLSVersion.TLSv1_3):
    """Return the negotiated TLS version and protocol."""
    context = ssl.create_default_context(cafile=site.ca)
    context.set_alpn_protocols(["h2", "http/1.1"])
    context.minimum_version, context.maximum_version = ssl.TLSVersion.TLSv1_2, highest
    with socket.create_connection(("127.0.0.1", site.port(inside)), 15) as plain:
        plain.sendall(first)
        with context.wrap_socket(plain, server_hostname=site.server_name) as connection:
            return connection.version(), connection.selected_alpn_protocol()


def test_certificate_is_trusted_and_the_app_answers(hello):
    assert hello.ask("/health").status == 200


def test_http_2_over_tls_1_2_and_1_3(hello):
    assert connect(hello) == ("TLSv1.3", "h2")
    assert connect(hello, highest=ssl.TLSVersion.TLSv1_2) == ("TLSv1.2", "h2")


def test_modern_profile_rejects_tls_1_2(behind):
    assert connect(behind, 8443, BALANCER) == ("TLSv1.3", "h2")
    with pytest.raises(ssl.SSLError):
        connect(behind, 8443, BALANCER, highest=ssl.TLSVersion.TLSv1_2)


def test_http_3_if_nginx_supports_it(features):
    header = features.ask("/").headers["Alt-Svc"]
    if features.machine.endswith("12"):
        assert header is None
        return
    assert header == 'h3=":443"; ma=86400'
    # curl of Debian 13 supports HTTP/3, and that of this computer may not.
    request = "curl --silent --insecure --http3-only --resolve features.test:443:127.0.0.1 --write-out '%{http_version} %{http_code}'"
    assert features.host.check_output(f"{request} --output /dev/null https://features.test/noted") == "3 200"
    # A name without a site gets no answer.
    stranger = features.host.run(request.replace("features.test", "stranger.test") + " https://stranger.test/")
    assert stranger.stdout.endswith("0 000")


def test_http_3_fails_if_nginx_does_not_support_it(playbook):
    output = playbook.fails("site", "--check", "--limit", "debian12-features", asgi_proxy_http3=True)
    assert "asgi_proxy_http3 is true, and nginx 1.22.1, which this host has, has no HTTP/3" in output


def test_hsts_header(hello, features):
    assert hello.ask("/").headers["Strict-Transport-Security"] == "max-age=31536000"
    header = features.ask("/").headers["Strict-Transport-Security"]
    assert header == "max-age=31536000; includeSubDomains; preload"


def test_redirect_names_lead_to_the_first_server_name(features):
    assert features.ask("/", name="also.hello.test").status == 200
    answer = features.ask("/a%20b?c=d", name="old.test")
    assert (answer.status, answer.headers["Location"]) == (308, "https://features.test/a%20b?c=d")
    # The HSTS preload list requires a redirect to the same name with HTTPS first.
    answer = features.ask("/a?c=d", name="www.features.test", tls=False)
    assert (answer.status, answer.headers["Location"]) == (308, "https://www.features.test/a?c=d")
