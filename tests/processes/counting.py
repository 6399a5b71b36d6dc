"""Count lost and repeated jobs, and schedulers that ran at the same time, from the ledgers of the machines."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, NamedTuple

# the queue of the scheduler's jobs, whose ids have no prefix
BEAT = "beat"


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
    """The jobs of a queue. *interrupted* jobs began more often than they ended."""

    sent: int = 0
    lost: list[str] = field(default_factory=list)
    repeated: list[str] = field(default_factory=list)
    interrupted: list[str] = field(default_factory=list)

    def add(self, other: Figures) -> None:
        self.sent += other.sent
        self.lost += other.lost
        self.repeated += other.repeated
        self.interrupted += other.interrupted

    def as_dict(self) -> dict[str, Any]:
        return {"sent": self.sent, "lost": self.lost, "repeated": self.repeated, "interrupted": self.interrupted}


def queue_of(job: str) -> str:
    """Return the queue of a job: `run:queue:number`, or the id of a job of the scheduler."""
    return job.split(":")[1] if ":" in job else BEAT


def count(events: Iterable[Event]) -> dict[str, Figures]:
    """Return the figures of each queue. Jobs whose sender did not record them are left out."""
    by_kind: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for event in events:
        by_kind[event.kind][event.subject] += 1
    begun, ended = by_kind["begin"], by_kind["end"]
    queues: defaultdict[str, Figures] = defaultdict(Figures)
    for job in by_kind["sent"]:
        figures = queues[queue_of(job)]
        figures.sent += 1
        if ended[job] == 0:
            figures.lost.append(job)
        if begun[job] > 1:
            figures.repeated.append(job)
        if begun[job] > ended[job]:
            figures.interrupted.append(job)
    return dict(queues)


def unfinished(events: Iterable[Event]) -> int:
    """Return the number of jobs that were sent and have not ended."""
    return sum(len(figures.lost) for figures in count(events).values())


def overlaps(events: Iterable[Event]) -> list[str]:
    """Return the evidence that two schedulers ran at the same time: a lock held by the other one, or alternating jobs."""
    events = sorted(events, key=lambda event: event.at)
    found = [f"{event.pid} found the lock of another scheduler" for event in events if event.kind == "overlap"]
    # every change of the process id is a handover, so a process that reappears ran at the same time as another one
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
    lines = [f"{'queue':<12}{'jobs':>8}{'lost':>8}{'twice':>8}{'interrupted':>13}"]
    for name, figures in sorted(queues.items()):
        numbers = [len(each) for each in (figures.lost, figures.repeated, figures.interrupted)]
        lines.append(f"{name:<12}{figures.sent:>8}{numbers[0]:>8}{numbers[1]:>8}{numbers[2]:>13}")
    return "\n".join(lines)
