"""Disturb a site while clients use it, and count the effects of each disturbance."""

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

# until all clients are connected
WARM_UP_SECONDS = 2
# a client may wait for the last answer until its timeout
STOP_SECONDS = load.ANSWER_SECONDS + 10


@dataclass(frozen=True)
class Disturbance:
    """An action on a site under load. *action* returns the message for the user, if any.

    *replaces* is true if another release serves afterwards, *visits* if another release serves only for a moment.
    """

    name: str
    action: Callable[[], str | None]
    replaces: bool = False
    visits: bool = False


@dataclass
class Result:
    """The result of a disturbance: its figures, and the *failure* of its action, if any."""

    site: str
    name: str
    seconds: float
    figures: Figures
    concurrency: int
    failure: str = ""
    output: str = ""
    before: str = ""
    after: str = ""
    at: float = field(default_factory=time.time)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Result:
        figures = Figures(**values["figures"])
        # The keys of JSON objects are strings.
        figures.latencies = {int(number): count for number, count in figures.latencies.items()}
        return cls(**{**values, "figures": figures})


class Outcome(NamedTuple):
    """The outcome of a disturbance, before its requests are counted."""

    window: Window
    failure: str
    output: str

    def result(self, site: Site, shape: Shape, figures: Figures) -> Result:
        window = self.window
        return Result(
            site=site.label,
            name=window.name,
            seconds=round(window.done - window.began, 1),
            figures=figures,
            concurrency=shape.concurrency,
            failure=self.failure,
            output=self.output,
            before=window.before,
            after=window.after,
        )


def run(
    site: Site,
    disturbances: Iterable[Disturbance],
    *,
    shape: Shape = Shape(),  # noqa: B008 - a Shape is immutable
    quiet_seconds: float = 8,
    rest_seconds: float = 1,
    deadline: float = float("inf"),
    results: Path | None = None,
) -> list[Result]:
    """Run the *disturbances* one after the other while clients use *site*, and return their results.

    A session starts with a warm-up, and has *quiet_seconds* for comparison before and after the disturbances. The late effects of a
    disturbance count for *rest_seconds* after it. No disturbance starts after *deadline* (of the monotonic clock). The results are appended
    to the file *results* as lines of JSON.
    """
    site.clear_executed()
    outcomes: list[Outcome] = []
    quiet = nothing(QUIET, quiet_seconds)
    with tempfile.TemporaryDirectory() as directory:
        journals = [Path(directory) / kind for kind in ("requests", "long-lived")]
        # Separate processes: when a drain ends, all long-lived clients reconnect, and in the same process their handshakes would delay
        # the other answers.
        with clients(site, shape.requests_only, journals[0]), clients(site, shape.long_lived_only, journals[1]):
            for disturbance in chain([nothing(WARM_UP, WARM_UP_SECONDS), quiet], disturbances, [quiet]):
                if time.monotonic() > deadline:
                    break
                outcome = perform(disturbance, site, rest_seconds)
                outcomes.append(outcome)
                print_outcome(site, outcome)
        with fileinput.FileInput(journals, encoding="utf-8") as lines:
            events = Events.of(json.loads(line) for line in lines)

    figures = count([outcome.window for outcome in outcomes], events, site.executed())
    session_results = [outcome.result(site, shape, each) for outcome, each in zip(outcomes, figures, strict=True)]
    if results is not None:
        append(results, session_results)
    return session_results


def nothing(name: str, seconds: float) -> Disturbance:
    """Return a disturbance that does nothing for *seconds*."""
    return Disturbance(name, lambda: time.sleep(seconds))


def perform(disturbance: Disturbance, site: Site, rest_seconds: float) -> Outcome:
    """Run a disturbance, and return its times, the message for the user and its failure."""
    failure, output = "", None
    began, before = time.monotonic(), site.serving()
    try:
        output = disturbance.action()
    except (AssertionError, RuntimeError, OSError, subprocess.SubprocessError) as exc:
        failure = f"{type(exc).__name__}: {exc}"
    done, after = time.monotonic(), site.serving()
    if not failure and disturbance.replaces != (after != before):
        failure = f"{before} served before, {after} serves now"
    time.sleep(rest_seconds)
    window = Window(disturbance.name, began, done, time.monotonic(), before, after, disturbance.visits)
    return Outcome(window, failure, output or "")


@contextmanager
def clients(site: Site, shape: Shape, journal: Path) -> Iterator[None]:
    """Run clients that use *site*. *journal* is complete at exit."""
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


def print_outcome(site: Site, outcome: Outcome) -> None:
    """Print the progress."""
    window = outcome.window
    print(f"{site.label}: {window.name}, {window.done - window.began:.1f} s {outcome.failure}".rstrip(), flush=True)
