"""The metrics for Prometheus: content, access, and no effect on an app without metrics."""

from __future__ import annotations

import re

import pytest

EXAMPLE = "127.0.0.1:9464"


def test_metrics_listen_on_the_loopback_address_only(hello):
    listening = hello.host.check_output("cat /proc/net/tcp /proc/net/tcp6")
    port = f":{9464:04X} "
    sockets = {line.split()[1] for line in listening.splitlines() if f"{port}00000000:0000 0A" in line}
    assert sockets == {f"0100007F{port.strip()}"}


def test_exporter_has_minimal_permissions(hello):
    assert "asgi_workers{" in hello.metrics()
    pid = hello.property_of("hello-metrics.service", "MainPID")
    assert hello.host.process.get(pid=pid).user == "hello"
    for path in hello.host.check_output("ls -d /run/hello/counters /run/hello/counters/*").splitlines():
        directory = hello.host.file(path)
        assert (directory.user, directory.group, directory.mode) == ("hello", "hello", 0o750)
    report = hello.host.check_output("systemd-analyze security --no-pager hello-metrics.service")
    exposure = re.search(r"Overall exposure level for \S+: ([\d.]+)", report)
    assert exposure, report
    assert float(exposure[1]) <= 2.5, report


def test_counters_are_on_a_file_system_with_a_size_limit(hello):
    mount = hello.host.mount_point("/run/hello/counters")
    assert mount.filesystem == "tmpfs"
    assert {"size=65536k", "nr_inodes=4096", "nosuid", "nodev", "noexec"} <= set(mount.options)
    assert not hello.host.file("/run/hello/metrics").exists


def test_metrics_contain_the_listen_queue_of_the_live_slot(hello):
    text = hello.metrics()
    assert f'asgi_listen_queue{{slot="{hello.live}"}} ' in text
    assert f'asgi_listen_queue_limit{{slot="{hello.live}"}} 2048' in text
    assert re.search(rf'^asgi_slot_live{{slot="{hello.live}",release="[^"]+",config="[^"]+"}} 1$', text, re.MULTILINE)


def test_request_restarts_a_killed_exporter(hello):
    hello.metrics()
    hello.host.check_output("systemctl kill --signal=KILL hello-metrics.service")
    assert "asgi_workers{" in hello.metrics()
    with pytest.raises(AssertionError, match="404"):
        hello.metrics("/etc/passwd")


def test_app_without_metrics_has_no_files_for_them(titiler):
    assert not titiler.host.file("/etc/systemd/system/titiler-metrics.socket").exists
    assert not titiler.host.file("/run/titiler/counters").exists
    assert not titiler.host.file("/srv/titiler/metrics_exporter.py").exists
    assert not titiler.host.check_output("find /srv/titiler/releases -maxdepth 5 -name 'prometheus_client'")
    config = titiler.host.check_output(f"ls /srv/titiler/slots/{titiler.live}/config/")
    assert "asgi_deploy_metrics.py" not in config.split()


@pytest.mark.parametrize(
    ("listen", "expected"),
    [
        (EXAMPLE, ["the metrics of the app hello on this host", "choose another asgi_server_metrics_listen"]),
        ("127.0.0.1:443", ["asgi_proxy_https_port is 443", "port-duplicate"]),
    ],
)
def test_metrics_address_in_use_fails(one_hello, playbook, listen, expected):
    machine = one_hello.machine.removeprefix("asgi-default-")
    before = one_hello.fingerprint()

    output = playbook.fails(
        "deploy",
        *("--check", "--limit", f"{machine}-titiler"),
        asgi_server_metrics=True,
        asgi_server_metrics_listen=listen,
    )

    assert [words for words in expected if words not in output] == [], output
    assert one_hello.fingerprint() == before


def test_log_namespace_separates_the_journal(titiler):
    unit = titiler.service(titiler.live)
    journal = titiler.host.check_output(f"journalctl --namespace=tiles-log --unit={unit} --output=cat --no-pager")
    assert "Application startup complete" in journal
    assert "Application startup complete" not in titiler.journal(f"--unit={unit}")
    assert titiler.property_of(unit, "LogRateLimitBurst") == "5000"
