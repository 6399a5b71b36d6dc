"""The machines of the scenario `processes`: the units of the app, its ledger, and producers of jobs."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from traffic.sites import OurSite

from processes.counting import Event, unfinished

APP = "jobs"
# the services and timers of the inventory; `report` belongs to the first host only
SERVICES = ("early.1", "early.2", "late.1", "arq.1", "beat.1")
TIMERS = ("sweep",)
FIRST_HOST_TIMERS = ("report",)
RUNNING = {"active", "activating", "reloading", "deactivating"}
DRAIN_SECONDS = 90


@dataclass(frozen=True)
class JobsHost(OurSite):
    """The app on a machine."""

    first: bool = False

    # ---- units

    def states(self) -> dict[str, str]:
        """Return the state of each unit of both slots that systemd has loaded."""
        units = self.machine.sh(
            f"systemctl list-units --all --full --plain --no-legend '{self.app}@*' '{self.app}.*@*' | awk '{{print $1, $3}}'"
        )
        return dict(line.split() for line in units.splitlines())

    def running(self) -> set[str]:
        """Return the units that run, without the services that a timer starts and those that finish their last jobs."""
        started = [f"{self.app}.{name}{end}" for name in (*TIMERS, *FIRST_HOST_TIMERS) for end in "@."]
        return {
            unit
            for unit, state in self.states().items()
            if state in RUNNING and not (unit.endswith(".service") and unit.startswith(tuple(started)))
        }

    def expected(self, slot: str, processes: Iterable[str] = ()) -> set[str]:
        """Return the units that run if *slot* is live, with *processes* besides those of the inventory."""
        timers = TIMERS + (FIRST_HOST_TIMERS if self.first else ())
        return {
            *(f"{self.app}@{slot}.{kind}" for kind in ("socket", "service", "target")),
            *(f"{self.app}.{name}@{slot}.service" for name in (*SERVICES, *processes)),
            *(f"{self.app}.{name}@{slot}.timer" for name in timers),
        }

    def enabled_targets(self) -> list[str]:
        """Return the slots whose processes start at boot."""
        script = (
            f"for slot in blue green; do ! systemctl is-enabled --quiet {self.app}@$slot.target || echo $slot; done"
        )
        return self.machine.sh(script).split()

    def units_of_processes(self) -> set[str]:
        """Return the units that the processes of the app's account belong to."""
        script = f"for pid in $(pgrep -u {self.app}); do grep -o '[^/]*[.]service$' /proc/$pid/cgroup || true; done"
        return {unit for unit in self.machine.sh(script).split() if unit.startswith((f"{self.app}@", f"{self.app}."))}

    def faults(self, processes: Iterable[str] = ()) -> list[str]:
        """Return the differences from a host on which exactly the units of the live slot run."""
        live = self.live
        running, expected = self.running(), self.expected(live, processes)
        faults = [f"{unit} does not run" for unit in sorted(expected - running)]
        faults += [f"{unit} runs" for unit in sorted(running - expected)]
        faults += [f"{unit} has a process" for unit in sorted(self.units_of_processes()) if f"@{live}." not in unit]
        if self.enabled_targets() != [live]:
            faults.append(f"enabled at boot: {self.enabled_targets()}, live: {live}")
        return faults

    def settled(self, seconds: float = 60, processes: Iterable[str] = ()) -> list[str]:
        """Return the faults that remain after *seconds*, in which the former slot finishes its last jobs."""
        end = time.monotonic() + seconds
        while (faults := self.faults(processes)) and time.monotonic() < end:
            time.sleep(0.5)
        return faults

    def journal(self, unit: str, lines: int = 30) -> str:
        return self.machine.sh(f"journalctl --sync; journalctl --no-pager --output=cat --lines={lines} --unit={unit}")

    # ---- jobs

    def events(self, since: float = 0) -> list[Event]:
        """Return the events of the ledger after *since*."""
        lines = self.machine.sh(f"cat {self.shared}/ledger/events 2>/dev/null || true").splitlines()
        return [event for event in map(Event.parse, lines) if event.at >= since]

    @contextmanager
    def producer(self, run: str, rate: float, *options: str, redis: int = 0) -> Iterator[None]:
        """Enqueue *rate* jobs per second with ids that begin with *run*. At exit, all jobs have been sent."""
        stop, unit = f"/var/tmp/{run}.stop", f"producer-{run}.service"
        release = self.machine.sh(f"readlink --canonicalize /srv/{self.app}/current")
        settings = {"ASGI_SHARED": self.shared, "REDIS_URL": f"redis://127.0.0.1:6379/{redis}"}
        environment = " ".join(f"--setenv={name}={value}" for name, value in settings.items())
        command = f"{release}/.venv/bin/python -B produce.py {run} --rate {rate} --until {stop} {' '.join(options)}"
        self.machine.sh(
            f"systemd-run --quiet --unit={unit} --uid={self.app} --gid={self.app} --working-directory={release}/code "
            f"{environment} {command}"
        )
        try:
            yield
        finally:
            self.machine.sh(f"touch {stop}; while systemctl is-active --quiet {unit}; do sleep 0.2; done")
        if self.machine.sh(f"systemctl is-failed {unit} || true") == "failed":
            raise RuntimeError(f"the producer failed: {self.journal(unit)}")

    def drained(self, since: float, seconds: float = DRAIN_SECONDS) -> list[Event]:
        """Return the events when all jobs have ended, or after *seconds*."""
        end = time.monotonic() + seconds
        while True:
            events = self.events(since)
            # The scheduler continues, so its last job may be in progress.
            last = max(event.at for event in events) - 2
            events = [event for event in events if event.kind != "sent" or event.at < last]
            if not unfinished(events) or time.monotonic() > end:
                return events
            time.sleep(1)
