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
from ansible_collections.asgi.deploy.plugins.module_utils._app import app_home, slots
from ansible_collections.asgi.deploy.plugins.module_utils._app.slots import App
from ansible_collections.asgi.deploy.plugins.module_utils._host import files
from ansible_collections.asgi.deploy.plugins.module_utils._host.files import holder, remove
from ansible_collections.asgi.deploy.plugins.module_utils._host.systemd import Systemd
from crash_points import Abandon, Deploy, Machine, Outcome, Snapshot, reload_workers, roll_back, uninstall
from systemd_model import settings

Operation = Callable[[Machine], bool]
R1, R2, R3 = Deploy("r1", conf="workers = 1"), Deploy("r2"), Deploy("r3", conf="workers = 3")
R2_AGAIN = R2._replace(conf="workers = 4")
NEXT = Deploy("r9")
WITH_PROCESSES = R2._replace(processes=True)
BAD_WORKER = Deploy("r3-broken.hello.worker.1", processes=True)
# The result of a second controller whose error names the first one.
BUSY = True


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

    *live* is the live release after a complete run, even if the run *fails*. *back* maps a live release to the one that a rollback
    activates; a rollback keeps other releases, and fails or changes nothing. *unverified* is a release that stays live if the crash
    happened before its site was checked: the check of the next run reports that the site fails, as it did before that run.
    """

    before: tuple[Operation, ...]
    operation: Operation
    live: str | None
    fails: bool = False
    back: dict[str, str] = {"r2": "r1", "r3": "r2", "r4": "r3"}  # noqa: RUF012 - never changed
    unverified: str = ""


SCENARIOS = {
    "first release": Scenario((), R1, "r1"),
    "first release that fails": Scenario((), Deploy("r1-broken"), None, fails=True),
    "deploy": Scenario((R1, R2, R3), Deploy("r4", conf="workers = 4"), "r4"),
    "deploy of an earlier release": Scenario((R1, R2, R3), R2, "r2", back={"r3": "r2", "r2": "r3"}),
    "deploy of the live release after a failed one": Scenario((R1, R2, Deploy("r3-broken")), R2, "r2"),
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
    "processes": Scenario((R1, WITH_PROCESSES), R3._replace(processes=True), "r3"),
    "first processes": Scenario((R1,), WITH_PROCESSES, "r2"),
    "no more processes": Scenario((R1, WITH_PROCESSES), R3, "r3"),
    "rollback of processes": Scenario((R1, WITH_PROCESSES), roll_back, "r1"),
    "failed process": Scenario((R1, WITH_PROCESSES), BAD_WORKER, "r2", True, {"r2": "r1", BAD_WORKER.release: "r2"}),
    "uninstallation of processes": Scenario((R1, WITH_PROCESSES), uninstall, None),
    "uninstallation": Scenario((R1, R2), uninstall, None),
    "damaged log": Scenario((R1, R2, edited("log", "[")), R3, "r3", back={"r3": "r2"}),
    "missing socket": Scenario((R1, edited("socket", None)), R1, "r1"),
    "missing links": Scenario((R1, edited("live_socket", None), edited("current", None)), R1, "r1"),
}

# Scenarios whose steps are part of other scenarios.
SLOW = ("first processes", "no more processes", "uninstallation of processes", "config change", "hook", "failed probe")
# The files that determine what serves after a reboot.
BOOT = ("/etc", "/srv/hello/slots", "/srv/hello/releases/", "/srv/hello/configs")


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
            self.machine.run(operation)
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
                if sum(unit.up for name, unit in machine.systemd.units.items() if name.startswith("hello.beat.1@")) > 1:
                    self.fault("an exclusive process runs twice", operation)
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
        # The state of the units, the log and the files in /run make no difference.
        key = ("boot", frozenset(item for item in state.files.items() if item[0].startswith(BOOT)))
        if key not in self.done:
            self.machine.restore(state)
            self.machine.boot()
            self.done[key] = self.machine.live, self.machine.served(), self.machine.running()
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
        target = f"hello@{live}.target"
        processes = settings(machine.systemd.text(target)).get("Wants", [])
        at_boot = {*units, target} if processes else units
        logged = [
            (entry["release"], entry["config"], entry["slot"]) for entry in machine.log() if entry["result"] == "live"
        ]
        for what, actual, expected in (
            ("log", logged, [(*served, live)]),
            ("enabled units", machine.enabled(), at_boot),
            ("running units", machine.running(), {*at_boot, *processes}),
            ("stale units", [name for name in units if machine.systemd.needs_daemon_reload(name)], []),
            ("current", machine.entry("current")[1], f"releases/{''.join(served[:1])}"),
            ("temporary configurations", [path for path in state.files if "/configs/." in path], []),
            ("reboot", self.after_boot(state), (live, served, {*at_boot, *processes})),
        ):
            if actual != expected:
                self.fault(f"not converged: {what}", operation, actual, expected)

    def check(self, scenario: Scenario, crashed: Snapshot) -> list[Snapshot]:
        """Check what follows a crash in the state *crashed*; return the states on the way."""
        on_the_way = []
        for state in self.later(crashed):
            self.machine.restore(state)
            live = self.machine.release
            expected = {
                scenario.operation: live if live == scenario.unverified else scenario.live,
                NEXT: "r9",
                roll_back: "r1" if scenario.operation is roll_back else scenario.back.get(live, live),
            }
            for operation, release in expected.items():
                outcome, after, seen = self.follow(state, operation)
                on_the_way += seen if operation in (scenario.operation, roll_back) else []
                self.machine.restore(after)
                served = self.machine.release
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
        lines = [f"{what} ({len(where)}), first: {str(where[0])[:900]}" for what, where in self.faults.items()]
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
    assert explorer.machine.release == scenario.live
    return {state.key(): state for state in crashed}


@pytest.mark.parametrize(
    ("name", "crashes"),
    [
        *((name, 1) for name in SCENARIOS if name not in SLOW),
        *(pytest.param(name, 2, marks=pytest.mark.long) for name in SCENARIOS if name != "reload"),
    ],
)
def test_next_run_continues_after_a_crash(explorer, name, crashes):
    """A second crash interrupts the run that continues after the first one, or a rollback."""
    scenario = SCENARIOS[name]
    points = crash_points(explorer, scenario)
    second = {each.key(): each for state in points.values() for each in explorer.check(scenario, state)}
    for key in second.keys() - points.keys() if crashes > 1 else ():
        points[key] = second[key]
        explorer.check(scenario, second[key])
    print(f"{name}: {len(points)} crash points; {len(explorer.states)} states checked so far")
    found = explorer.report()
    assert not found, found


@pytest.mark.parametrize(
    "name", ["deploy", *(pytest.param(name, marks=pytest.mark.long) for name in SCENARIOS if name != "deploy")]
)
def test_next_run_continues_after_an_error(explorer, name):
    """Each effect fails once: a write, as on a full file system, or a call of systemctl."""
    scenario = SCENARIOS[name]
    before = explorer.prepare(scenario.before)
    crashed = crash_points(explorer, scenario)
    effects = explorer.machine.effects
    for number in range(1, effects + 1):
        explorer.machine.fails_at = number
        try:
            outcome, after, _seen = explorer.run(before, scenario.operation)
        finally:
            explorer.machine.fails_at = 0
        # A release that systemd does not start counts as a bad one.
        if after.key() not in crashed and "did not start" not in outcome.error:
            crashed[after.key()] = after
            explorer.check(scenario, after)
    print(f"{name}: {effects} errors; {len(explorer.states)} states checked so far")
    found = explorer.report()
    assert not found, found


class Waiting(Exception):
    """A module waits for a lock."""


@pytest.mark.parametrize("first", [R3._replace(conf="workers = 6"), roll_back, uninstall])
@pytest.mark.parametrize(
    ("second", "error"),
    [
        (R2._replace(stages=False), BUSY),
        (roll_back, BUSY),
        (reload_workers, BUSY),
        (uninstall, BUSY),
        (Abandon("blue"), "waits"),
    ],
)
def test_second_controller_reports_the_first_one_or_waits(explorer, monkeypatch, first, second, error):
    """The second one starts at each step of the first one, and changes nothing while the first one holds the lock."""
    machine, results, seen = explorer.machine, [], set()
    machine.restore(explorer.prepare((R1, R2, R3)))

    def sleep(_seconds):
        raise Waiting

    def start_second():
        state = machine.snapshot()
        held = holder(machine.paths["lock"])
        if held is None and state.key() in seen:
            return
        seen.add(state.key())
        machine.visit = None
        try:
            found = machine.run(second).error
        except Waiting:
            found = "waits"
        if held:
            results.append((held in found or found, difference(state, machine.snapshot())))
        machine.restore(state)
        machine.visit = start_second

    monkeypatch.setattr(files.time, "sleep", sleep)
    machine.visit = start_second
    try:
        assert not machine.run(first).error
    finally:
        machine.visit = None
    assert len(results) > 10
    assert all(result == (error, []) for result in results), results


def next_boot_first(patch):
    real = App._switch_to

    def switch(app, slot, state):
        slots.write_text(app.paths["tmpfiles"], slots.tmpfiles_text(app.paths, slot))
        real(app, slot, state)

    patch.setattr(App, "_switch_to", switch)


def stop_first(patch):
    real = App._switch_to

    def switch(app, slot, state):
        idle = app.paths["slots"][slots.other(slot)]
        app.systemd.stop(idle["socket_unit"], idle["service_unit"])
        real(app, slot, state)

    patch.setattr(App, "_switch_to", switch)


def no_tmpfiles(patch):
    real = slots.write_text
    patch.setattr(
        slots, "write_text", lambda path, *text, **options: "tmpfiles.d" in path or real(path, *text, **options)
    )


def switch_in_two_steps(patch):
    def replace(path, target):
        slots.remove(path)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        os.symlink(target, path)

    patch.setattr(slots, "replace_link", replace)


def nothing(*_arguments, **_options):
    return ""


def no_names(*_arguments):
    return set()


# Mutations of the code, each with a scenario that must detect it.
MUTATIONS = {
    "configure the next boot before the new slot is enabled": (next_boot_first, "rollback"),
    "stop the old slot before the switch": (stop_first, "rollback"),
    "do not write the configuration for the next boot": (no_tmpfiles, "rollback"),
    "remove the link before it is replaced": (switch_in_two_steps, "rollback"),
    "leave the old slot enabled": (lambda patch: patch.setattr(Systemd, "disable", nothing), "rollback"),
    "leave the old slot running": (lambda patch: patch.setattr(Systemd, "stop", nothing), "rollback"),
    "do not reload unit files": (lambda patch: patch.setattr(Systemd, "daemon_reload", nothing), "unit change"),
    "do not record what is rolled back": (lambda patch: patch.setattr(slots, "withdrawn", list), "rollback"),
    "do not complete the log": (lambda patch: patch.setattr(App, "_complete", nothing), "first release"),
    "do not take back a failed release": (lambda patch: patch.setattr(App, "_stop_failed", nothing), "failed site"),
    "prune configurations of rollbacks": (
        lambda patch: patch.setattr(slots, "needed_configs", no_names),
        "deploy of the live release after a failed one",
    ),
    "prune releases of rollbacks": (
        lambda patch: patch.setattr(app_home, "needed_by_log", no_names),
        "deploy of the live release after a failed one",
    ),
    "prune releases in use": (lambda patch: patch.setattr(app_home.AppHome, "used", no_names), "hook"),
    "remove configurations file by file": (
        lambda patch: patch.setattr(slots, "remove_at_once", remove),
        "uninstallation",
    ),
    "keep temporary files": (lambda patch: patch.setattr(slots, "leftovers", nothing), "unit change"),
    "change something in check mode": (
        lambda patch: patch.setattr(App, "_do", lambda _app, _what, do: do()),
        "missing links",
    ),
}


@pytest.mark.parametrize("name", MUTATIONS)
def test_mutation_is_noticed(explorer, monkeypatch, name):
    mutate, scenario = MUTATIONS[name]
    mutated = Explorer(explorer.machine)
    mutated.empty = explorer.empty
    before = explorer.prepare(SCENARIOS[scenario].before)
    mutate(monkeypatch)
    crashed = mutated.run(before, SCENARIOS[scenario].operation)[2]
    while crashed and not mutated.faults:
        mutated.check(SCENARIOS[scenario], crashed.pop())
    assert mutated.faults
    print(f"{name}: {', '.join(mutated.faults)}")
