"""Disturb a site while clients use it, and report what each disturbance cost."""

from __future__ import annotations

import fileinput
import json
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

from traffic import load
from traffic.counting import QUIET, WARM_UP, Events, Figures, Window, count
from traffic.load import Shape
from traffic.sites import Site

# until all clients are there
WARM_UP_SECONDS = 2
# a client may wait as long for the last answer
STOP_SECONDS = load.ANSWER_SECONDS + 10


@dataclass(frozen=True)
class Disturbance:
    """Something that is done to a site under load; what *action* returns, if anything, is what its user was told.

    *replaces* says whether something else serves afterwards, *visits* whether something else serves for a moment only.
    """

    name: str
    action: Callable[[], str | None]
    replaces: bool = False
    visits: bool = False


@dataclass
class Result:
    """One line of the results: a disturbance, its figures, and what went wrong with the action itself, if anything."""

    site: str
    name: str
    seconds: float
    figures: Figures
    askers: int
    trouble: str = ""
    said: str = ""
    before: str = ""
    after: str = ""
    at: float = field(default_factory=time.time)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Result:
        figures = Figures(**values["figures"])
        # JSON knows texts only as keys
        figures.latencies = {int(number): count for number, count in figures.latencies.items()}
        return cls(**{**values, "figures": figures})


class Outcome(NamedTuple):
    """What became of a disturbance, before its requests are counted."""

    window: Window
    trouble: str
    said: str

    def result(self, site: Site, shape: Shape, figures: Figures) -> Result:
        window = self.window
        return Result(
            site=site.label,
            name=window.name,
            seconds=round(window.done - window.began, 1),
            figures=figures,
            askers=shape.askers,
            trouble=self.trouble,
            said=self.said,
            before=window.before,
            after=window.after,
        )


def run(
    site: Site,
    disturbances: Iterable[Disturbance],
    *,
    shape: Shape = Shape(),  # noqa: B008 - it cannot change
    quiet_seconds: float = 8,
    rest_seconds: float = 1,
    deadline: float = float("inf"),
    results: Path | None = None,
) -> list[Result]:
    """Do the *disturbances* one after the other while clients use *site*; return a result for each.

    It begins with some seconds of warming up, and both begins and ends with *quiet_seconds* to compare with. It rests
    *rest_seconds* after each disturbance, for the effects that come late. None begins after *deadline* (of the monotonic
    clock). The results are appended to the file *results*, a line of JSON each.
    """
    site.forget_executed()
    outcomes: list[Outcome] = []
    quiet = nothing(QUIET, quiet_seconds)
    with tempfile.TemporaryDirectory() as directory:
        journals = [Path(directory) / kind for kind in ("askers", "long-lived")]
        # programs of their own: when a drain ends, all that is long-lived connects again at once, and in the same
        # program those handshakes would be measured as the answers' time
        with clients(site, shape.of_askers, journals[0]), clients(site, shape.of_long_lived, journals[1]):
            for disturbance in chain([nothing(WARM_UP, WARM_UP_SECONDS), quiet], disturbances, [quiet]):
                if time.monotonic() > deadline:
                    break
                outcome = perform(disturbance, site, rest_seconds)
                outcomes.append(outcome)
                say(site, outcome)
        with fileinput.FileInput(journals, encoding="utf-8") as lines:
            events = Events.of(json.loads(line) for line in lines)

    figures = count([outcome.window for outcome in outcomes], events, site.executed())
    found = [outcome.result(site, shape, each) for outcome, each in zip(outcomes, figures, strict=True)]
    if results is not None:
        append(results, found)
    return found


def nothing(name: str, seconds: float) -> Disturbance:
    """Return the disturbance that is none."""
    return Disturbance(name, lambda: time.sleep(seconds))


def perform(disturbance: Disturbance, site: Site, rest_seconds: float) -> Outcome:
    """Do it, and return when it was, what its user was told and what did not go as it should."""
    trouble, said = "", None
    began, before = time.monotonic(), site.serving()
    try:
        said = disturbance.action()
    except (AssertionError, RuntimeError, OSError, subprocess.SubprocessError) as exc:
        trouble = f"{type(exc).__name__}: {exc}"
    done, after = time.monotonic(), site.serving()
    if not trouble and disturbance.replaces != (after != before):
        trouble = f"{before} served before, {after} serves now"
    time.sleep(rest_seconds)
    window = Window(disturbance.name, began, done, time.monotonic(), before, after, disturbance.visits)
    return Outcome(window, trouble, said or "")


@contextmanager
def clients(site: Site, shape: Shape, journal: Path) -> Iterator[None]:
    """Let clients use *site*; *journal* is complete when this is over."""
    address = site.address
    command = [sys.executable, "-m", "traffic.load", str(address.port), address.name, str(journal)]
    options = ["--host", address.host, "--run-id", uuid.uuid4().hex[:6], "--shape", json.dumps(asdict(shape))]
    with subprocess.Popen([*command, *options], cwd=Path(load.__file__).parents[1]) as process:
        try:
            yield
        finally:
            process.terminate()
            status = process.wait(STOP_SECONDS)
    if status != 0:
        raise RuntimeError(f"the clients ended with {status}")


def append(path: Path, results: Iterable[Result]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.writelines(json.dumps(result.as_dict()) + "\n" for result in results)


def read(path: Path) -> list[Result]:
    return [Result.from_dict(json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()]


def say(site: Site, outcome: Outcome) -> None:
    """Tell whoever waits how far it is."""
    window = outcome.window
    print(f"{site.label}: {window.name}, {window.done - window.began:.1f} s {outcome.trouble}".rstrip(), flush=True)
