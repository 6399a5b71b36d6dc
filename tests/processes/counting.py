"""Count lost and repeated jobs, and schedulers that ran at the same time, from the ledgers of the machines."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

# the queue of the scheduler's jobs, whose ids have no prefix
BEAT = "beat"
# From the SIGTERM on, a worker of Celery does not process the acknowledgements of the jobs that it has handed to its processes. It returns
# these jobs to the queue, although it executes them (celery/celery#3802).
UNACKNOWLEDGED_SECONDS = 1
# A process of the worker begins its last jobs within this time.
SHUTDOWN_SECONDS = 5


class Event(NamedTuple):
    """A line of a ledger; molecule/processes/app/ledger.py writes it."""

    kind: str
    subject: str
    release: str
    slot: str
    pid: int
    at: float

    @classmethod
    def parse(cls, line: str) -> Event:
        kind, subject, release, slot, pid, at = line.split()
        return cls(kind, subject, release, slot, int(pid), float(at))


@dataclass
class Figures:
    """The jobs of a queue. *interrupted* jobs began more often than they ended.

    *returned* jobs were executed twice, because Celery itself returned them to the queue during its shutdown; *repeated* ones for other reasons.
    """

    sent: int = 0
    lost: list[str] = field(default_factory=list)
    repeated: list[str] = field(default_factory=list)
    interrupted: list[str] = field(default_factory=list)
    returned: list[str] = field(default_factory=list)

    def add(self, other: Figures) -> None:
        self.sent += other.sent
        self.lost += other.lost
        self.repeated += other.repeated
        self.interrupted += other.interrupted
        self.returned += other.returned


def queue_of(job: str) -> str:
    """Return the queue of a job: `run:queue:number`, or the id of a job of the scheduler."""
    return job.split(":")[1] if ":" in job else BEAT


def count(events: Iterable[Event]) -> dict[str, Figures]:
    """Return the figures of each queue. Jobs whose sender did not record them are left out."""
    by_kind: defaultdict[str, Counter[str]] = defaultdict(Counter)
    begins: defaultdict[str, list[Event]] = defaultdict(list)
    shutdowns: defaultdict[str, list[float]] = defaultdict(list)
    for event in events:
        by_kind[event.kind][event.subject] += 1
        if event.kind == "begin":
            begins[event.subject].append(event)
        elif event.kind == "shutdown":
            shutdowns[event.slot].append(event.at)
    begun, ended = by_kind["begin"], by_kind["end"]
    queues: defaultdict[str, Figures] = defaultdict(Figures)
    for job in by_kind["sent"]:
        figures = queues[queue_of(job)]
        figures.sent += 1
        if ended[job] == 0:
            figures.lost.append(job)
        if begun[job] > 1:
            (figures.returned if is_returned(begins[job], shutdowns) else figures.repeated).append(job)
        if begun[job] > ended[job]:
            figures.interrupted.append(job)
    return dict(queues)


def is_returned(executions: list[Event], shutdowns: dict[str, list[float]]) -> bool:
    """Return whether a job was executed by a worker that shut down, and once more by another process afterwards."""
    if len(executions) != 2:
        return False
    first, second = sorted(executions, key=lambda event: event.at)
    return first.pid != second.pid and any(
        shutdown - UNACKNOWLEDGED_SECONDS <= first.at < shutdown + SHUTDOWN_SECONDS and shutdown < second.at
        for shutdown in shutdowns.get(first.slot, ())
    )


def unfinished(events: Iterable[Event]) -> int:
    """Return the number of jobs that were sent and have not ended."""
    return sum(len(figures.lost) for figures in count(events).values())


def overlaps(events: Iterable[Event]) -> list[str]:
    """Return the evidence that two schedulers ran at the same time: the lock of the other one, or jobs in turn."""
    events = sorted(events, key=lambda event: event.at)
    found = [f"{event.pid} found the lock of another scheduler" for event in events if event.kind == "overlap"]
    # every turn of process ids is a handover, so a process that comes back ran beside another one
    former: set[int] = set()
    for earlier, later in pairwise(event.pid for event in events if is_tick(event)):
        if later != earlier:
            former.add(earlier)
        if later in former:
            found.append(f"{later} continued after {earlier}")
    return found


def longest_pause(events: Iterable[Event]) -> float:
    """Return the longest time between two jobs of the scheduler in seconds."""
    times = sorted(event.at for event in events if is_tick(event))
    return max((later - earlier for earlier, later in pairwise(times)), default=0.0)


def is_tick(event: Event) -> bool:
    return event.kind == "sent" and queue_of(event.subject) == BEAT


def table(queues: dict[str, Figures]) -> str:
    """Return the figures as a table."""
    lines = [f"{'queue':<12}{'jobs':>8}{'lost':>8}{'twice':>8}{'interrupted':>13}{'twice by Celery':>17}"]
    for name, figures in sorted(queues.items()):
        each = (figures.lost, figures.repeated, figures.interrupted, figures.returned)
        lost, repeated, interrupted, returned = map(len, each)
        lines.append(f"{name:<12}{figures.sent:>8}{lost:>8}{repeated:>8}{interrupted:>13}{returned:>17}")
    return "\n".join(lines)
