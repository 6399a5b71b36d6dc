"""Broken workers and timers: the result of the deploy, and the processes that run afterwards."""

from __future__ import annotations

import time

import pytest
import yaml
from processes.hosts import APP
from traffic.playbooks import ERROR, wait_for

pytestmark = pytest.mark.long


@pytest.fixture(scope="module", autouse=True)
def restored(operator):
    yield
    operator.start_over()


@pytest.fixture
def inventory(operator):
    """The processes and timers of the inventory."""
    settings = yaml.safe_load((operator.inventory / "group_vars/asgi.yml").read_text())
    return {name: settings[name] for name in ("asgi_server_processes", "asgi_server_timers")}


def with_idler(inventory, **options):
    """Return the variables of *inventory* with a further process, `idler`."""
    idler = {"command": ["python", "idler.py"], "stop_timeout": 3, **options}
    return {**inventory, "asgi_server_processes": {**inventory["asgi_server_processes"], "idler": idler}}


def fail_to_deploy(operator, fault, **variables):
    """Deploy a release with *fault*, which must fail, and return the error of the first host, with the journal of the process."""
    variables = {**operator.variables, **variables, "asgi_app_source": operator.source(fault=fault)}
    status, output = operator.start("deploy", variables)()
    assert status != 0, output
    error = ERROR.findall(output)[0]
    print(f"\n{error}\n")
    return error


def releases(hosts):
    return [host.machine.sh(f"readlink /srv/{APP}/current") for host in hosts]


def settled(hosts, *processes):
    """Return the faults of all hosts if *processes* run besides those of the inventory."""
    return [fault for host in hosts for fault in host.settled(processes=processes)]


def test_worker_that_does_not_start(operator, hosts, inventory):
    before = releases(hosts)

    error = fail_to_deploy(operator, "worker does not start", **inventory)

    assert f"{APP}.late.1@" in error
    assert "this release has no settings for its worker" in error
    assert releases(hosts) == before
    assert settled(hosts) == []


def test_worker_that_dies_before_it_is_ready(operator, hosts, inventory):
    before = releases(hosts)

    error = fail_to_deploy(operator, "worker dies in a loop", **with_idler(inventory, ready={"seconds": 3}))

    assert f"{APP}.idler.1@" in error
    assert "lost its connection" in error
    assert releases(hosts) == before
    assert settled(hosts) == []


def test_worker_that_dies_in_a_loop_later(operator, hosts, inventory):
    """The deploy cannot detect this fault, so systemd restarts the worker, and the doctor reports it."""
    source = operator.source(fault="worker dies in a loop", dies_after=4)
    operator.play("deploy", asgi_app_source=source, **with_idler(inventory, ready={"seconds": 1}))
    unit = f"{APP}.idler.1@{hosts[0].live}.service"

    def restarts():
        return int(hosts[0].machine.sh(f"systemctl show --value --property=NRestarts {unit}"))

    wait_for(lambda: restarts() > 3, "four restarts")
    status, output = operator.start("doctor", operator.variables)()

    print(f"\n{output[-3000:]}\n")
    assert status != 0
    assert unit in output


def test_worker_that_ignores_sigterm(operator, hosts, inventory):
    """The worker does not delay the deploy, and systemd kills it after its stop_timeout."""
    settings = with_idler(inventory)
    operator.play("deploy", asgi_app_source=operator.source(fault="worker ignores SIGTERM"), **settings)
    former = [host.live for host in hosts]
    began = time.monotonic()

    operator.play("deploy", asgi_app_source=operator.source(), **settings)

    print(f"\nthe next deploy took {time.monotonic() - began:.1f} s\n")
    assert [host.live for host in hosts] != former
    assert settled(hosts, "idler.1") == []
    for host, slot in zip(hosts, former, strict=True):
        journal = host.journal(f"{APP}.idler.1@{slot}.service")
        print(f"\n{journal}\n")
        assert "Killing process" in journal


def test_timer_that_hangs(operator, hosts, inventory):
    since = [float(host.machine.sh("date +%s.%N")) for host in hosts]
    # long enough between two runs for the doctor to read the result of the last one
    inventory["asgi_server_timers"]["sweep"].update(schedule="*:*:0/20", timeout=2)
    operator.play("deploy", asgi_app_source=operator.source(fault="timer hangs"), **inventory)

    def alarms():
        return [
            sum(event.kind == "alarm" for event in host.events(each)) for host, each in zip(hosts, since, strict=True)
        ]

    wait_for(lambda: min(alarms()) >= 1, "the alarm of the timer")
    _status, output = operator.start("doctor", operator.variables)()
    print(f"\n{hosts[0].journal(f'{APP}.sweep@{hosts[0].live}.service')}\n{output[-3000:]}\n")
    assert f"the last run of the timer {APP}.sweep" in output or "the last run of the timer sweep" in output
    # A hanging run does not delay the next release.
    began = time.monotonic()
    operator.deploy()
    print(f"\nthe next deploy took {time.monotonic() - began:.1f} s\n")
    assert settled(hosts) == []
