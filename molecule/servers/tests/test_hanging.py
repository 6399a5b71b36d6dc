"""Hanging processes under load: their replacement, the journal and the lost requests."""

from __future__ import annotations

import contextlib
import threading
import time

import pytest
from probe import ask
from servers.sites import MACHINE, SITES
from traffic import session
from traffic.load import Shape
from traffic.playbooks import wait_for
from traffic.report import table
from traffic.session import Disturbance

SHAPE = Shape(clients=8, think=0.05, slow=0, websockets=0, streams=0)
# asgi_server_timeout and asgi_server_watchdog of this scenario
TIMEOUT, WATCHDOG = 6, 12
# With threads, the timeout is 5 s more than asgi_proxy_read_timeout.
PATIENCE = 14


def hang(site):
    """Send a request that never returns, and ignore the answer. nginx does not repeat it, because it is a POST."""

    def send():
        with contextlib.suppress(OSError):
            ask(site.server_name, MACHINE.port(443), "/hang", method="POST", body=b"", timeout=60)

    threading.Thread(target=send, daemon=True).start()


def under_load(site, action):
    [*_before, result, _after] = results = session.run(
        site, [Disturbance("hang", action)], shape=SHAPE, quiet_seconds=1, rest_seconds=2
    )
    print(f"\n{site.label}\n{table(results)}\n{result.figures.faults}")
    assert result.failure == ""
    return result


def journal(site, began):
    return MACHINE.sh(f"journalctl --no-pager --output=cat --since=@{began:.0f} --unit={site.service}")


def restarts(site):
    return int(MACHINE.sh(f"systemctl show --value --property=NRestarts {site.service}"))


def test_worker_with_a_blocked_event_loop_is_replaced(results):
    """The other worker continues, and only the requests of the hanging worker are lost.

    Its child process ends with it and keeps no connection open.
    """
    site = SITES["djangoasgi"]
    before, restarted, began = site.workers(), restarts(site), time.time()

    def action():
        hang(site)
        wait_for(lambda: len(before - site.workers()) == 1 and len(site.workers()) == 2, "a new worker", 20)

    result = under_load(site, action)

    figures = result.figures
    # Each client has at most one request in flight.
    assert figures.lost <= result.concurrency
    assert set(figures.faults) <= {"HTTP 502"}
    # nginx repeats a GET that was executed but not answered, possibly on another connection to the same worker.
    assert figures.answered_but_not_executed == 0
    assert figures.duplicates <= result.concurrency
    # The clients of the other worker continued all the time.
    assert figures.requests > 10 * result.concurrency
    assert restarts(site) == restarted
    running = set(MACHINE.sh(f"pgrep -u {site.app}").split())
    assert running == {str(pid) for pid in (site.master(), *site.workers())}
    log = journal(site, began)
    assert "WORKER TIMEOUT" in log
    assert "views.py" in log and "in hang" in log, "the journal has no traceback of the hanging code"


def test_requests_are_answered_after_all_workers_hang(results):
    """Requests in the queue of the socket are answered after nginx has timed out all earlier ones."""
    site = SITES["flask"]
    before, began = site.workers(), time.time()

    def action():
        for _thread in range(2 * 4):
            hang(site)
        # One replaced worker suffices for all requests. The other one may only be slow, so it is kept.
        wait_for(lambda: before - site.workers() and len(site.workers()) == 2, "a new worker", PATIENCE + 40)

    result = under_load(site, action)

    assert result.figures.lost <= 2 * result.concurrency
    assert result.figures.requests > 10 * result.concurrency
    assert set(result.figures.faults) <= {"HTTP 502", "HTTP 504"}
    assert "main.py" in journal(site, began)


def test_hanging_master_is_restarted(results):
    """systemd restarts the service, because gunicorn cannot replace its own master."""
    site = SITES["djangowsgi"]
    master, restarted, began = site.master(), restarts(site), time.time()
    MACHINE.sh(f"kill -STOP {master}")

    wait_for(lambda: site.master() not in (0, master) and site.workers(), "a new master", WATCHDOG + PATIENCE + 20)

    assert restarts(site) == restarted + 1
    assert "Watchdog timeout" in journal(site, began)
    assert ask(site.server_name, MACHINE.port(443), "/health").status == 200


def test_hanging_single_process_is_restarted(results):
    site = SITES["uvicorn"]
    if not MACHINE.sh(f"grep -c WatchdogSec=6 /etc/systemd/system/{site.app}@{site.live}.service.d/slot.conf"):
        pytest.fail("the watchdog of the only process is not asgi_server_timeout")
    process, began = site.master(), time.time()

    MACHINE.sh(f"kill -STOP {process}")
    wait_for(lambda: site.master() not in (0, process), "a new process", TIMEOUT + 20)

    assert "Watchdog timeout" in journal(site, began)
    assert ask(site.server_name, MACHINE.port(443), "/health").status == 200
