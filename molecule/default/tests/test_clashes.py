"""An app that conflicts with another app of its machine is rejected before staging on any machine."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

SCENARIO = Path(__file__).parents[1]
SITE = "/etc/nginx/sites-enabled/foreign"
FOREIGN = "server {{ # foreign\n listen {listen}; server_name x.test\n   {names}; ssl_certificate {pem}; ssl_certificate_key {pem}; }}\n"
PEM = "/etc/asgi/hello/tls/live.pem"
LISTEN = "python3 -c 'import socket, time; s = socket.create_server((\"127.0.0.1\", {port})); time.sleep(600)'"

# variables of the second app -> words of the message
CASES = {
    "name of an app": (
        {"asgi_proxy_server_names": ["second.test", "hello.test"]},
        ["hello.test on port 443 is served by /etc/nginx/conf.d/asgi-hello.conf already", "hello.test on port 80"],
    ),
    "redirected name": (
        {"asgi_proxy_redirect_names": ["titiler.test"]},
        ["titiler.test on port 443 is served by /etc/nginx/conf.d/asgi-titiler.conf already"],
    ),
    "address of metrics": (
        {"asgi_server_metrics": True, "asgi_server_metrics_listen": "127.0.0.1:9464"},
        ["the metrics of the app hello on this host are served at 127.0.0.1:9464", "asgi_server_metrics_listen"],
    ),
    "port of metrics": (
        {"asgi_proxy_https_port": 9464},
        ["port 9464 of this host is held by systemd", "choose another asgi_proxy_https_port"],
    ),
    "settings of a port": (
        {"asgi_proxy_tls_profile": "modern"},
        ["tls_profile is intermediate and not modern", "asgi-hello.conf", "asgi_proxy_change_port"],
    ),
}


@pytest.fixture
def second(hellos, tmp_path):
    """Return a function that writes an inventory with a second app on every machine. *only_last* are variables of the last one."""

    def write(only_last=None, **variables):
        app = {
            "asgi_name": "second",
            "asgi_module": "main:app",
            "asgi_app_source": {"path": str(SCENARIO.parents[1] / "examples/hello")},
            "asgi_proxy_server_names": ["second.test"],
            "ansible_connection": "community.docker.docker",
            **variables,
        }
        hosts = {each.machine: {"ansible_host": each.machine} for each in hellos}
        hosts[hellos[-1].machine] |= only_last or {}
        path = tmp_path / "hosts.yml"
        path.write_text(yaml.safe_dump({"asgi": {"hosts": hosts, "vars": app}}))
        return path

    return write


@pytest.fixture
def untouched(hellos):
    """Assert at the end that no machine has files of the second app, and that the other apps are unchanged."""
    before = [each.fingerprint() for each in hellos]
    yield
    for each, was in zip(hellos, before, strict=True):
        assert not each.host.file("/srv/second").exists
        assert not each.host.user("second").exists
        assert each.fingerprint() == was


@pytest.mark.parametrize(("variables", "expected"), CASES.values(), ids=CASES)
@pytest.mark.parametrize("options", [(), ("--check",)], ids=["site", "check mode"])
def test_conflict_with_another_app_fails(second, untouched, playbook, variables, expected, options):
    output = playbook.fails("site", *options, inventory=second(**variables))

    assert [words for words in expected if words not in output] == [], output
    assert "nothing has been changed" in output


def test_conflict_on_one_machine_stops_all_machines_before_staging(hellos, second, untouched, playbook):
    # Only the last machine has the conflict.
    output = playbook.fails("site", inventory=second({"asgi_proxy_redirect_names": ["hello.test"]}))

    assert f"fatal: [{hellos[-1].machine}]" in output
    assert f"fatal: [{hellos[0].machine}]" not in output


@pytest.mark.parametrize(
    ("listen", "names"),
    [("443 ssl", "second.test"), ("[::]:443 ssl", "Second.TEST"), ("127.0.0.1:443 ssl", ".second.test")],
)
def test_server_name_of_a_foreign_site_fails(one_hello, second, playbook, listen, names):
    site = FOREIGN.format(listen=listen, names=names, pem=PEM)
    one_hello.host.check_output(f"printf %s > {SITE} && nginx -t && nginx -s reload", site)
    try:
        status, output = playbook("site", "--limit", one_hello.machine, inventory=second())
    finally:
        one_hello.host.check_output(f"rm {SITE} && nginx -s reload")

    assert status != 0, output
    assert f"second.test on port 443 is served by {SITE} already" in output
    assert not one_hello.host.file("/srv/second").exists


def test_port_of_another_program_fails(one_hello, second, playbook):
    one_hello.host.check_output(f"systemd-run --unit=squatter {LISTEN.format(port=8443)}")
    try:
        status, output = playbook("site", "--limit", one_hello.machine, inventory=second(asgi_proxy_https_port=8443))
    finally:
        one_hello.host.check_output("systemctl stop squatter")

    assert status != 0, output
    assert "port 8443 of this host is held by python3" in output
    assert not one_hello.host.file("/srv/second").exists


def test_two_inventory_names_of_one_machine_conflict(one_hello, second, untouched, playbook):
    inventory = second()
    hosts = yaml.safe_load(inventory.read_text())
    hosts["asgi"]["hosts"] = {
        name: {"ansible_host": one_hello.machine, "asgi_name": app}
        for name, app in {"a": "second", "b": "third"}.items()
    }
    inventory.write_text(yaml.safe_dump(hosts))

    output = playbook.fails("site", inventory=inventory)

    assert "a and b are names of one machine, and both serve second.test on port 443" in " ".join(output.split())
