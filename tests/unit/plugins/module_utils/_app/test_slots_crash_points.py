"""Every crash point of every operation on an app.

Each operation runs once on the machine of crash_points.py, which yields the state before each of its effects. From each of these states, also
after pending jobs have finished and after a reboot, the tests run the operation again, another release, a rollback and an uninstallation.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from crash_points import Abandon, Deploy, Machine, Outcome, Snapshot, reload_workers, roll_back, uninstall

Operation = Callable[[Machine], bool]
R1, R2, R3 = Deploy("r1"), Deploy("r2"), Deploy("r3", conf="workers = 3")
R2_AGAIN = R2._replace(conf="workers = 4")
NEXT = Deploy("r9")


def edited(name: str, text: str | None) -> Operation:
    """Return an operation that replaces the content of the file *name*, or removes the file if *text* is None."""

    def edit(machine: Machine) -> bool:
        path = machine.paths["slots"]["blue"]["socket"] if name == "socket" else machine.paths[name]
        os.unlink(path)
        if text is not None:
            Path(path).write_text(text)
        return True

    return edit


class Scenario(NamedTuple):
    """An *operation* on a machine after the operations *before*.

    *live* is the live release after a complete run, also if the run *fails*. *back* maps a live release to the one that a rollback activates;
    a rollback keeps other releases, and fails or changes nothing. *unverified* is a release that stays live if the crash happened before
    its site was checked: the check of the next run reports that the site fails, as it did before that run.
    """

    before: tuple[Operation, ...]
    operation: Operation
    live: str | None
    fails: bool = False
    back: dict[str, str] = {"r2": "r1", "r3": "r2", "r4": "r3"}  # noqa: RUF012 - nobody changes it
    unverified: str = ""


SCENARIOS = {
    "first release": Scenario((), R1, "r1"),
    "first release that fails": Scenario((), Deploy("r1-broken"), None, fails=True),
    "deploy": Scenario((R1, R2, R3), Deploy("r4", conf="workers = 4"), "r4"),
    "deploy of an earlier release": Scenario((R1, R2, R3), R2, "r2", back={"r3": "r2", "r2": "r3"}),
    "failed boot": Scenario((R1, R2), Deploy("r3-broken"), "r2", fails=True),
    "failed probe": Scenario((R1, R2), Deploy("r3-unhealthy"), "r2", fails=True),
    "failed site": Scenario(
        (R1, R2), Deploy("r3-bad-site"), "r2", True, {"r2": "r1", "r3-bad-site": "r2"}, unverified="r3-bad-site"
    ),
    "config change": Scenario((R1, R2, R2_AGAIN), R2._replace(conf="workers = 5"), "r2", back={}),
    "unit change": Scenario((R1, R2, R2_AGAIN), R2._replace(unit="# changed\n"), "r2", back={}),
    "hook": Scenario((R1, R2), R3._replace(hook="passes"), "r3"),
    "failed hook before the switch": Scenario((R1, R2), R3._replace(hook="fails"), "r2", fails=True),
    "failed hook after the switch": Scenario((R1, R2, R3), Abandon("blue"), "r2", back={"r3": "r2"}),
    "rollback": Scenario((R1, R2), roll_back, "r1"),
    "reload": Scenario((R1, R2), reload_workers, "r2"),
    "reload of a single process": Scenario((R1, R2._replace(reloads=False)), reload_workers, "r2"),
    "uninstallation": Scenario((R1, R2), uninstall, None),
    "damaged log": Scenario((R1, R2, edited("log", "[")), R3, "r3", back={"r3": "r2"}),
    "missing socket": Scenario((R1, edited("socket", None)), R1, "r1"),
    "missing links": Scenario((R1, edited("live_socket", None), edited("current", None)), R1, "r1"),
}

# Scenarios with few states after a second crash.
QUICK = ("rollback", "failed hook after the switch", "missing socket", "missing links")


class Explorer:
    """Runs operations on a machine, and collects violations of the invariants. Equal states are checked once."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.empty = machine.snapshot()
        self.faults: dict[str, list] = {}
        self.done: dict = {}
        self.states: set[frozenset] = set()

    def fault(self, what: str, *where: object) -> None:
        self.faults.setdefault(what, []).append(where)

    def once(self, *key: object) -> bool:
        """Return True at the first call with *key*."""
        return self.done.setdefault(key, len(self.done)) == len(self.done) - 1

    def prepare(self, operations: tuple[Operation, ...]) -> Snapshot:
        """Return the state after *operations* on an empty machine."""
        self.machine.restore(self.empty)
        for operation in operations:
            assert not self.machine.run(operation).error
        return self.machine.snapshot()

    def run(self, state: Snapshot, operation: Operation) -> tuple[Outcome, Snapshot, list[Snapshot]]:
        """Run *operation* from *state*; return its outcome, the state after it, and the different states on the way."""
        machine, seen = self.machine, {}
        boots = self.after_boot(state)[1] and operation is not uninstall
        machine.restore(state)
        serves = machine.served() and operation is not uninstall

        def visit() -> None:
            now = machine.snapshot()
            key = now.key()
            if key not in seen:
                seen[key] = now
                if serves and not machine.served():
                    self.fault("the live socket leads to no slot that serves", operation)
                for path in machine.in_use():
                    if not machine.real(path):
                        self.fault("a release or configuration in use was removed", operation, path)

        machine.visit = visit
        try:
            outcome = machine.run(operation)
            visit()
        finally:
            machine.visit = None
        after = machine.snapshot()
        for each in seen.values():
            if boots and not self.after_boot(each)[1]:
                self.fault("after a reboot, the live socket leads to no slot that serves", operation)
        self.states.update(seen)
        return outcome, after, list(seen.values())

    def after_boot(self, state: Snapshot) -> tuple:
        """Return the live slot and what it serves after a reboot in *state*."""
        key = (state.key(), "boot")
        if key not in self.done:
            self.machine.restore(state)
            self.machine.boot()
            self.done[key] = self.machine.live, self.machine.served()
        return self.done[key]

    def later(self, state: Snapshot) -> Iterator[Snapshot]:
        """Yield *state*, and the states after pending jobs have finished and after a reboot."""
        yield state
        for event in (self.machine.time_passes, self.machine.boot):
            self.machine.restore(state)
            event()
            yield self.machine.snapshot()

    def follow(self, state: Snapshot, operation: Operation) -> tuple[Outcome, Snapshot, list[Snapshot]]:
        """Run *operation* from *state*, and check everything that does not depend on the scenario."""
        key = (state.key(), operation)
        if key in self.done:
            return self.done[key]
        machine = self.machine
        machine.restore(state)
        predicted = machine.run(operation, check_mode=True)
        if machine.snapshot() != state:
            self.fault("check mode changes something", operation, difference(state, machine.snapshot()))
        outcome, after, seen = self.done[key] = self.run(state, operation)
        if outcome.error:
            return outcome, after, seen
        if predicted.error or predicted.changed != outcome.changed:
            self.fault("check mode is wrong", operation, predicted, outcome)
        if operation is not reload_workers and outcome.changed != (state.key() != after.key()):
            self.fault("the result 'changed' is wrong", operation, outcome, difference(state, after))
        if operation is not uninstall:
            self.converged(after, operation)
        if (
            not isinstance(operation, Abandon)
            and operation is not reload_workers
            and self.once(after.key(), operation, "again")
        ):
            again, same, _seen = self.run(after, operation)
            if again.error or again.changed or same.key() != after.key():
                self.fault("the second run changes something", operation, again, difference(after, same))
        return outcome, after, seen

    def converged(self, state: Snapshot, operation: Operation) -> None:
        """Check that exactly the live slot serves, now and after a reboot, and that the log and the links agree."""
        if not self.once(state.key(), "converged"):
            return
        machine = self.machine
        machine.restore(state)
        live, served, units = (
            machine.live,
            machine.served(),
            {f"hello@{machine.live}.{kind}" for kind in ("service", "socket")},
        )
        logged = [
            (entry["release"], entry["config"], entry["slot"]) for entry in machine.log() if entry["result"] == "live"
        ]
        for what, actual, expected in (
            ("log", logged, [(*served, live)]),
            ("enabled units", machine.enabled(), units),
            ("running units", {name for name, unit in machine.systemd.units.items() if unit.up}, units),
            ("stale units", [name for name in units if machine.systemd.needs_daemon_reload(name)], []),
            ("current", machine.entry("current")[1], f"releases/{''.join(served[:1])}"),
            ("temporary configurations", [path for path in state.files if "/configs/." in path], []),
            ("reboot", self.after_boot(state), (live, served)),
        ):
            if actual != expected:
                self.fault(f"not converged: {what}", operation, actual, expected)

    def check(self, scenario: Scenario, crashed: Snapshot) -> list[Snapshot]:
        """Check what follows a crash in the state *crashed*; return the states on the way."""
        on_the_way = []
        for state in self.later(crashed):
            self.machine.restore(state)
            live = "".join(self.machine.served()[:1]) or None
            expected = {
                scenario.operation: live if live == scenario.unverified else scenario.live,
                NEXT: "r9",
                roll_back: "r1" if scenario.operation is roll_back else scenario.back.get(live, live),
            }
            for operation, release in expected.items():
                outcome, after, seen = self.follow(state, operation)
                on_the_way += seen if operation in (scenario.operation, roll_back) else []
                self.machine.restore(after)
                served = "".join(self.machine.served()[:1]) or None
                fails = scenario.fails and operation is scenario.operation and live != scenario.unverified
                refused = operation is roll_back and served == live
                if scenario.operation is uninstall and operation is roll_back:
                    continue
                if served != release or (bool(outcome.error) != fails and not refused):
                    self.fault("wrong result", operation, outcome, live, served, release)
                if outcome.error and served and fails:
                    self.converged(after, operation)
            outcome, after, _seen = self.follow(state, uninstall)
            left = [path for path in after.files if "hello" in path]
            if outcome.error or left or after.units:
                self.fault("an uninstallation leaves something", outcome, left, after.units)
        return on_the_way

    def report(self) -> str:
        """Return the violations since the last report."""
        lines = [f"{what} ({len(where)}), first: {where[0]}" for what, where in self.faults.items()]
        self.faults = {}
        return "\n".join(lines)


def difference(before: Snapshot, after: Snapshot) -> list[str]:
    return sorted(map(str, before.key() ^ after.key()))


@pytest.fixture(scope="module")
def explorer(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        yield Explorer(Machine(tmp_path_factory.mktemp("machine"), patch))


def crash_points(explorer: Explorer, scenario: Scenario) -> dict[frozenset, Snapshot]:
    """Return the states before each effect of a complete run."""
    outcome, after, crashed = explorer.run(explorer.prepare(scenario.before), scenario.operation)
    explorer.machine.restore(after)
    assert bool(outcome.error) == scenario.fails, outcome
    assert ("".join(explorer.machine.served()[:1]) or None) == scenario.live
    return {state.key(): state for state in crashed}


@pytest.mark.parametrize("name", SCENARIOS)
def test_next_run_continues_after_a_crash(explorer, name):
    scenario = SCENARIOS[name]
    crashed = crash_points(explorer, scenario)
    for state in crashed.values():
        explorer.check(scenario, state)
    print(f"{name}: {len(crashed)} crash points; {len(explorer.states)} states checked so far")
    assert not explorer.report()


@pytest.mark.parametrize(
    "name",
    [name if name in QUICK else pytest.param(name, marks=pytest.mark.long) for name in SCENARIOS if name != "reload"],
)
def test_next_run_continues_after_a_second_crash(explorer, name):
    """The second crash interrupts the run that continues after the first one, or a rollback."""
    scenario = SCENARIOS[name]
    crashed = crash_points(explorer, scenario)
    second = {each.key(): each for state in crashed.values() for each in explorer.check(scenario, state)}
    for key in second.keys() - crashed.keys():
        explorer.check(scenario, second[key])
    print(f"{name}: {len(second)} points of a second crash; {len(explorer.states)} states checked so far")
    assert not explorer.report()
