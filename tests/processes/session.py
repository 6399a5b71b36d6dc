"""Activate releases while producers enqueue jobs, and count the jobs."""

from __future__ import annotations

import itertools
import json
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from traffic.playbooks import Operator
from traffic.sites import StockSite

from processes.counting import Event, Figures, count, longest_pause, overlaps, table
from processes.hosts import JobsHost

# jobs per second on each host
RATE = 50
STOCK_RATE = 20
STOCK_PAUSE = 2
STOCK_QUEUES = "--queues early late"
# lost jobs never end, so the wait for them is short
STOCK_DRAIN_SECONDS = 10


@dataclass
class Result:
    """The jobs of all hosts in a session."""

    seconds: float
    activations: int
    reloads: int
    queues: dict[str, Figures]
    overlaps: list[str] = field(default_factory=list)
    longest_pause: float = 0
    sweeps: int = 0
    # runs of a timer that a stop has interrupted
    interrupted_sweeps: int = 0
    alarms: int = 0

    @property
    def total(self) -> Figures:
        total = Figures()
        for figures in self.queues.values():
            total.add(figures)
        return total

    def __str__(self) -> str:
        return (
            f"{self.activations} activations and rollbacks, {self.reloads} reloads in {self.seconds:.0f} s\n"
            f"{table({**self.queues, 'total': self.total})}\n"
            f"schedulers at the same time: {len(self.overlaps)}, longest pause between its jobs: {self.longest_pause:.1f} s\n"
            f"runs of the timer: {self.sweeps}, interrupted: {self.interrupted_sweeps}, alarms: {self.alarms}"
        )

    def append_to(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(self)) + "\n")


@contextmanager
def producing(hosts: Sequence[JobsHost], rate: float = RATE) -> Iterator[list[list[Event]]]:
    """Enqueue jobs on *hosts*. At exit, the list contains the ledger of each host, after all jobs have ended."""
    name, since, ledgers = f"r{uuid.uuid4().hex[:6]}", {}, []
    with ExitStack() as producers:
        for host in hosts:
            since[host] = float(host.machine.sh("date +%s.%N"))
            producers.enter_context(host.producer(name, rate))
        yield ledgers
    ledgers += [host.drained(since[host]) for host in hosts]


def run(operator: Operator, hosts: Sequence[JobsHost], activations: int, jobs: int, rate: float = RATE) -> Result:
    """Activate at least this number of releases while the producers enqueue at least this number of jobs."""
    began = time.monotonic()
    done = reloads = 0
    with producing(hosts, rate) as ledgers:
        for action in itertools.cycle(("deploy", "rollback", "setting", "reload", "rollback")):
            if done >= activations and (time.monotonic() - began) * rate * len(hosts) >= jobs:
                break
            perform(operator, action, done)
            done, reloads = done + (action != "reload"), reloads + (action == "reload")
    return result(time.monotonic() - began, done, reloads, ledgers)


def perform(operator: Operator, action: str, number: int) -> None:
    if action == "deploy":
        operator.deploy()
    elif action == "rollback":
        operator.roll_back()
    elif action == "setting":
        operator.play("deploy", asgi_env={"SETTING": str(number)})
    else:
        operator.play("reload")


def result(seconds: float, activations: int, reloads: int, ledgers: Sequence[list[Event]]) -> Result:
    queues: dict[str, Figures] = {}
    for events in ledgers:
        for queue, figures in count(events).items():
            queues.setdefault(queue, Figures()).add(figures)
    sweeps = [event for events in ledgers for event in events if event.subject == "sweep"]
    by_kind = {kind: sum(event.kind == kind for event in sweeps) for kind in ("begin", "end", "alarm")}
    return Result(
        seconds=seconds,
        activations=activations,
        reloads=reloads,
        queues=queues,
        overlaps=[each for events in ledgers for each in overlaps(events)],
        longest_pause=max(longest_pause(events) for events in ledgers),
        sweeps=by_kind["begin"],
        interrupted_sweeps=by_kind["begin"] - by_kind["end"],
        alarms=by_kind["alarm"],
    )


def run_stock(host: JobsHost, stock: StockSite, restarts: int) -> Result:
    """Restart the control while a producer enqueues jobs."""
    machine, began = host.machine, time.monotonic()
    ledger = JobsHost(stock.label, machine, "", stock.shared, app=host.app)
    machine.sh(f"systemctl start {stock.unit}")
    since = float(machine.sh("date +%s.%N"))
    with ledger.producer(f"s{uuid.uuid4().hex[:6]}", STOCK_RATE, STOCK_QUEUES, redis=1):
        for _number in range(restarts):
            time.sleep(STOCK_PAUSE)
            machine.sh(f"systemctl restart {stock.unit}")
    events = ledger.drained(since, STOCK_DRAIN_SECONDS)
    machine.sh(f"systemctl stop {stock.unit}")
    return result(time.monotonic() - began, restarts, 0, [events])
