"""What Prometheus reads, who may read it, and that it costs nothing where it is not wanted."""

from __future__ import annotations

import re

import pytest

EXAMPLE = "127.0.0.1:9464"


def test_they_are_served_to_the_machine_only(hello):
    listening = hello.host.check_output("cat /proc/net/tcp /proc/net/tcp6")
    port = f":{9464:04X} "
    found = {line.split()[1] for line in listening.splitlines() if f"{port}00000000:0000 0A" in line}
    assert found == {f"0100007F{port.strip()}"}


def test_what_counts_has_no_more_rights_than_it_needs(hello):
    assert "asgi_workers{" in hello.metrics()
    pid = hello.property_of("hello-metrics.service", "MainPID")
    assert hello.host.process.get(pid=pid).user == "hello"
    for slot_directory in hello.host.check_output("ls -d /run/hello/metrics/*").splitlines():
        directory = hello.host.file(slot_directory)
        assert (directory.user, directory.group, directory.mode) == ("hello", "hello", 0o750)
    report = hello.host.check_output("systemd-analyze security --no-pager hello-metrics.service")
    exposure = re.search(r"Overall exposure level for \S+: ([\d.]+)", report)
    assert exposure, report
    assert float(exposure[1]) <= 2.5, report


def test_the_queue_of_the_live_slot_is_told(hello):
    text = hello.metrics()
    assert f'asgi_listen_queue{{slot="{hello.live}"}} ' in text
    assert f'asgi_listen_queue_limit{{slot="{hello.live}"}} 2048' in text
    assert re.search(rf'^asgi_slot_live{{slot="{hello.live}",release="[^"]+",config="[^"]+"}} 1$', text, re.MULTILINE)


def test_it_is_started_again_by_whoever_asks(hello):
    hello.metrics()
    hello.host.check_output("systemctl kill --signal=KILL hello-metrics.service")
    assert "asgi_workers{" in hello.metrics()
    with pytest.raises(AssertionError, match="404"):
        hello.metrics("/etc/passwd")


def test_an_app_without_metrics_has_nothing_of_them(titiler):
    assert not titiler.host.file("/etc/systemd/system/titiler-metrics.socket").exists
    assert not titiler.host.file("/run/titiler/metrics").exists
    assert not titiler.host.file("/srv/titiler/metrics_exporter.py").exists
    assert not titiler.host.check_output("find /srv/titiler/releases -maxdepth 5 -name 'prometheus_client'")
    config = titiler.host.check_output(f"ls /srv/titiler/slots/{titiler.live}/config/")
    assert "asgi_deploy_metrics.py" not in config.split()


@pytest.mark.parametrize("listen", [EXAMPLE, "127.0.0.1:443"])
def test_an_address_that_is_taken_is_refused(one_hello, playbook, listen):
    machine = one_hello.machine.removeprefix("asgi-default-")
    before = one_hello.fingerprint()

    status, said = playbook(
        "deploy",
        *("--check", "--limit", f"{machine}-titiler"),
        asgi_server_metrics=True,
        asgi_server_metrics_listen=listen,
    )

    assert status != 0
    taken = "the metrics of the app hello on this host" if listen == EXAMPLE else "another process of this host listens"
    assert taken in said
    assert "choose another asgi_server_metrics_listen" in said
    assert one_hello.fingerprint() == before


def test_a_journal_of_its_own(titiler):
    unit = titiler.service(titiler.live)
    own = titiler.host.check_output(f"journalctl --namespace=tiles-log --unit={unit} --output=cat --no-pager")
    assert "Application startup complete" in own
    assert "Application startup complete" not in titiler.journal(f"--unit={unit}")
    assert titiler.property_of(unit, "LogRateLimitBurst") == "5000"
