"""Jobs during deploys, rollbacks and reloads: none is lost or executed twice, and there is never more than one scheduler."""

from __future__ import annotations

import os

import pytest
from processes.counting import overlaps

# A session may be split into several shorter ones.
ACTIVATIONS = int(os.environ.get("PROCESSES_ACTIVATIONS", "50"))
JOBS = int(os.environ.get("PROCESSES_JOBS", "100000"))


def check(ours, stock):
    total = ours.total
    assert (total.lost, total.repeated, total.interrupted) == ([], [], [])
    assert ours.overlaps == []
    assert ours.queues["beat"].sent > ours.seconds / 2
    assert ours.sweeps > 0
    assert (ours.interrupted_sweeps, ours.alarms) == (0, 0)
    assert len(stock.total.lost) + len(stock.total.repeated) > 0, (
        "the control lost nothing, so this test detects nothing"
    )


@pytest.mark.smoke
def test_few_activations(measured):
    check(*measured(activations=2, jobs=0, restarts=3))


@pytest.mark.long
def test_many_activations(measured):
    ours, stock = measured(activations=ACTIVATIONS, jobs=JOBS, restarts=ACTIVATIONS)
    check(ours, stock)
    assert ours.activations >= ACTIVATIONS
    assert ours.total.sent >= JOBS


@pytest.mark.smoke
def test_units_of_the_live_slot_run(host):
    assert host.settled() == []


def test_two_schedulers_are_detected(host):
    """The control of the test above: it must detect a second scheduler beside that of the live slot."""
    since = float(host.machine.sh("date +%s.%N"))
    second = "celery --app queues beat --loglevel WARNING --schedule /var/tmp/second-beat"
    host.machine.sh(
        f"systemd-run --quiet --wait --uid={host.app} --property=RuntimeMaxSec=6 --property=SuccessExitStatus=SIGTERM "
        f"--working-directory=/srv/{host.app}/current/code --setenv=ASGI_SHARED={host.shared} "
        f"/srv/{host.app}/current/.venv/bin/{second} || true"
    )
    assert overlaps(host.events(since))
