"""Processes that hang for ever, under load: who replaces them, what the journal tells, and what is lost."""

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
# with threads both are later, so that the timeout is 5 s more than asgi_proxy_read_timeout
PATIENCE = 14


def hang(site):
    """Ask for what never returns, and forget about the answer. A POST, which nginx does not repeat."""

    def asked():
        with contextlib.suppress(OSError):
            ask(site.server_name, MACHINE.port(443), "/hang", method="POST", body=b"", timeout=60)

    threading.Thread(target=asked, daemon=True).start()


def under_load(site, action):
    [*_before, result, _after] = found = session.run(
        site, [Disturbance("hang", action)], shape=SHAPE, quiet_seconds=1, rest_seconds=2
    )
    print(f"\n{site.label}\n{table(found)}\n{result.figures.faults}")
    assert result.trouble == ""
    return result


def journal(site, began):
    return MACHINE.sh(f"journalctl --no-pager --output=cat --since=@{began:.0f} --unit={site.service}")


def restarts(site):
    return int(MACHINE.sh(f"systemctl show --value --property=NRestarts {site.service}"))


def test_a_worker_whose_event_loop_is_blocked(results):
    """It is replaced; the other one answers meanwhile, and only what it had on its connections is lost."""
    site = SITES["djangoasgi"]
    before, restarted, began = site.workers(), restarts(site), time.time()

    def action():
        hang(site)
        wait_for(lambda: len(before - site.workers()) == 1 and len(site.workers()) == 2, "another worker", 20)

    result = under_load(site, action)

    figures = result.figures
    # each client has one request under way at most, and what hung is known by its end
    assert figures.lost <= result.askers
    assert set(figures.faults) <= {"HTTP 502"}
    # A GET that it had executed and not answered nginx sends once more, over a connection that may have been its own, too.
    assert figures.answered_but_not_executed == 0
    assert figures.duplicates <= result.askers
    # the clients of the other one went on all the time
    assert figures.requests > 10 * result.askers
    assert restarts(site) == restarted
    said = journal(site, began)
    assert "WORKER TIMEOUT" in said
    assert "views.py" in said and "in hang" in said, "the journal does not tell where it hung"


def test_all_workers_hang(results):
    """Whoever waits in the socket's queue is answered, but only after nginx has given up once on all that waited before."""
    site = SITES["flask"]
    before, began = site.workers(), time.time()

    def action():
        for _thread in range(2 * 4):
            hang(site)
        # one is enough for all that wait; the other is left alone then, as its threads may only be slow
        wait_for(lambda: before - site.workers() and len(site.workers()) == 2, "another worker", PATIENCE + 40)

    result = under_load(site, action)

    assert result.figures.lost <= 2 * result.askers
    assert result.figures.requests > 10 * result.askers
    assert set(result.figures.faults) <= {"HTTP 502", "HTTP 504"}
    assert "main.py" in journal(site, began)


def test_a_master_that_hangs(results):
    """systemd restarts the service, which gunicorn cannot."""
    site = SITES["djangowsgi"]
    master, restarted, began = site.master(), restarts(site), time.time()
    MACHINE.sh(f"kill -STOP {master}")

    wait_for(lambda: site.master() not in (0, master) and site.workers(), "another master", WATCHDOG + PATIENCE + 20)

    assert restarts(site) == restarted + 1
    assert "Watchdog timeout" in journal(site, began)
    assert ask(site.server_name, MACHINE.port(443), "/health").status == 200


def test_the_only_process_hangs(results):
    site = SITES["uvicorn"]
    if not MACHINE.sh(f"grep -c WatchdogSec=6 /etc/systemd/system/{site.app}@{site.live}.service.d/slot.conf"):
        pytest.fail("the watchdog of the only process is not asgi_server_timeout")
    process, began = site.master(), time.time()

    MACHINE.sh(f"kill -STOP {process}")
    wait_for(lambda: site.master() not in (0, process), "another process", TIMEOUT + 20)

    assert "Watchdog timeout" in journal(site, began)
    assert ask(site.server_name, MACHINE.port(443), "/health").status == 200
