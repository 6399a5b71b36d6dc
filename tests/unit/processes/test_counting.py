"""Lost and repeated jobs, and schedulers that run at the same time."""

from __future__ import annotations

import pytest
from processes.counting import Event, Figures, count, longest_pause, overlaps, table


def ledger(text):
    """Return the events of *text*: kind, subject and process id of each line, one second after the other."""
    lines = [line.split() for line in text.strip().splitlines()]
    return [Event(kind, subject, "r1", "blue", int(pid), at) for at, (kind, subject, pid) in enumerate(lines)]


def test_parse():
    assert Event.parse("begin r:early:7 20261201-abc blue 42 1796109056.110\n") == (
        "begin",
        "r:early:7",
        "20261201-abc",
        "blue",
        42,
        1796109056.11,
    )


def test_count():
    """The order of the lines does not matter, because a job may end before its sender records it."""
    events = ledger("""
        begin r:early:1 1
        end r:early:1 1
        sent r:early:1 9
        sent r:early:2 9
        sent r:late:3 9
        begin r:late:3 1
        begin r:late:3 2
        end r:late:3 2
        sent r:late:4 9
        begin r:late:4 1
        end r:late:4 1
        begin r:late:4 2
        end r:late:4 2
        sent 0b4f-tick 5
        begin 0b4f-tick 1
        begin r:early:of-another-sender 1
    """)

    figures = count(events)

    assert figures == {
        "early": Figures(sent=2, lost=["r:early:2"]),
        "late": Figures(sent=2, repeated=["r:late:3", "r:late:4"], interrupted=["r:late:3"]),
        "beat": Figures(sent=1, lost=["0b4f-tick"], interrupted=["0b4f-tick"]),
    }
    assert table(figures).splitlines()[2].split() == ["early", "2", "1", "0", "0", "0"]


@pytest.mark.parametrize(
    ("shutdown", "slot", "returned"),
    [(694.37, "green", True), (694.37, "blue", False), (690.0, "green", False), (696.0, "green", False)],
)
def test_only_a_worker_that_shuts_down_returns_a_job_that_it_executes(shutdown, slot, returned):
    events = [
        Event("sent", "r:early:1", "r1", "-", 9, 694.33),
        Event("shutdown", "worker", "r1", slot, 1, shutdown),
        Event("begin", "r:early:1", "r1", "green", 2, 694.45 if shutdown != 690.0 else 696.0),
        Event("end", "r:early:1", "r1", "green", 2, 694.49),
        Event("begin", "r:early:1", "r2", "blue", 3, 696.61),
        Event("end", "r:early:1", "r2", "blue", 3, 696.62),
    ]

    figures = count(events)["early"]

    assert (bool(figures.returned), bool(figures.repeated)) == (returned, not returned)


def test_a_handover_of_the_scheduler_is_no_overlap():
    events = ledger("sent a 5\nsent b 5\nsent r:early:1 9\nsent c 6\nsent d 6\nsent e 7")

    assert overlaps(events) == []
    assert longest_pause(events) == 2


def test_schedulers_in_turn_overlap():
    assert overlaps(ledger("sent a 5\nsent b 6\nsent c 5")) == ["5 continued after 6"]


def test_a_held_lock_is_an_overlap():
    assert overlaps(ledger("sent a 5\noverlap beat 6")) == ["6 found the lock of another scheduler"]
