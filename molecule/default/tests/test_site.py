"""The site from the outside."""

from __future__ import annotations

import ssl

import probe
import pytest
from cryptography import x509


def test_app_answers_over_https(app):
    assert app.ask(app.probe_path).status == 200


def test_app_answers_on_the_machine_itself(app):
    # The server name selects the site during the TLS handshake, so it must resolve to the machine.
    app.host.check_output("grep -q %s /etc/hosts || echo 127.0.0.1 %s >>/etc/hosts", app.server_name, app.server_name)
    url = f"https://{app.server_name}{app.probe_path}"
    script = (
        f"import ssl, urllib.request as u; print(u.urlopen('{url}', context=ssl._create_unverified_context()).status)"
    )
    assert app.host.check_output("python3 -c %s", script) == "200"


def test_each_server_name_serves_its_app(hello, titiler):
    assert hello.json("/")["message"] == "Good day from FastAPI"
    assert titiler.json("/api")["info"]["title"] == "Tiles by Molecule"


def test_each_site_has_the_certificate_of_its_provider(hello, titiler):
    def names(app):
        with probe.open_socket(app.server_name, app.port(443)) as connection:
            certificate = x509.load_der_x509_certificate(connection.getpeercert(binary_form=True))
        alternatives = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        return certificate.subject.rfc4514_string(), alternatives.get_values_for_type(x509.DNSName)

    subject, alternatives = names(titiler)
    assert "O=given by the user" in subject
    assert alternatives == ["titiler.test"]
    assert names(hello)[1] == ["hello.test"]


def test_http_redirects_to_https(app):
    answer = app.ask("/some/path?with=query", tls=False)
    assert answer.status in (301, 308)
    assert answer.headers["Location"] == f"https://{app.server_name}/some/path?with=query"


def test_unknown_server_name_is_rejected(hello):
    with pytest.raises((ssl.SSLError, OSError)):
        probe.ask("stranger.test", hello.port(443))


def test_app_receives_the_client_address_and_scheme(hello):
    received = hello.json("/whoami", headers={"X-Forwarded-For": "192.0.2.1", "X-Forwarded-Proto": "http"})
    gateway = hello.host.check_output("ip route show default").split()[2]
    assert received == {"client": gateway, "scheme": "https", "host": "hello.test"}


def test_websocket(hello):
    assert probe.websocket_echo("hello.test", hello.port(443), "/ws", "over the socket") == "over the socket"


def test_server_sent_events(hello):
    answer = hello.ask("/events?count=2&interval=0.1")
    assert answer.headers.get_content_type() == "text/event-stream"
    assert answer.text == "id: 1\ndata: event 1\n\nid: 2\ndata: event 2\n\n"


def test_nginx_serves_cacheable_static_files(hello):
    answer = hello.ask("/static/hello.html")
    assert answer.status == 200
    assert "nginx served this page" in answer.text
    assert "max-age=3600" in answer.headers["Cache-Control"]


@pytest.mark.parametrize(
    "path", ["/static../main.py", "/static/../main.py", "/static/..%2fmain.py", "/static/%2e%2e/main.py"]
)
def test_static_path_does_not_escape_its_directory(hello, path):
    answer = hello.ask(path)
    assert answer.status in (400, 403, 404)
    assert "FastAPI" not in answer.text
