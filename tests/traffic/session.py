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
from typing import Any

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
    """Something that is done to a site under load. *replaces* says whether something else serves afterwards."""

    name: str
    action: Callable[[], Any]
    replaces: bool = False


@dataclass
class Result:
    """One line of the results: a disturbance, its figures, and what went wrong with the action itself, if anything."""

    site: str
    name: str
    seconds: float
    figures: Figures
    askers: int
    trouble: str = ""
    at: float = field(default_factory=time.time)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Result:
        return cls(**{**values, "figures": Figures(**values["figures"])})


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

    It begins with some seconds of warming up and *quiet_seconds* to compare with, and rests *rest_seconds* after each
    disturbance, for the effects that come late. None begins after *deadline* (of the monotonic clock). The results are
    appended to the file *results*, a line of JSON each.
    """
    site.forget_executed()
    windows: list[Window] = []
    troubles: list[str] = []
    before = [nothing(WARM_UP, WARM_UP_SECONDS), nothing(QUIET, quiet_seconds)]
    with tempfile.TemporaryDirectory() as directory:
        journals = [Path(directory) / kind for kind in ("askers", "long-lived")]
        # programs of their own: when a drain ends, all that is long-lived connects again at once, and in the same
        # program those handshakes would be measured as the answers' time
        with clients(site, shape.of_askers, journals[0]), clients(site, shape.of_long_lived, journals[1]):
            for disturbance in chain(before, disturbances):
                if time.monotonic() > deadline:
                    break
                window, trouble = perform(disturbance, site, rest_seconds)
                windows.append(window)
                troubles.append(trouble)
                say(site, window, trouble)
        with fileinput.input(journals, encoding="utf-8") as lines:
            events = Events.of(json.loads(line) for line in lines)

    found = [
        Result(site.label, window.name, round(window.done - window.began, 1), figures, shape.askers, trouble)
        for window, figures, trouble in zip(windows, count(windows, events, site.executed()), troubles, strict=True)
    ]
    if results is not None:
        append(results, found)
    return found


def nothing(name: str, seconds: float) -> Disturbance:
    """Return the disturbance that is none."""
    return Disturbance(name, lambda: time.sleep(seconds))


def perform(disturbance: Disturbance, site: Site, rest_seconds: float) -> tuple[Window, str]:
    """Do it, and return when it was and what did not go as it should."""
    trouble = ""
    began, before = time.monotonic(), site.serving()
    try:
        disturbance.action()
    except (AssertionError, RuntimeError, OSError, subprocess.SubprocessError) as exc:
        trouble = f"{type(exc).__name__}: {exc}"
    done, after = time.monotonic(), site.serving()
    if not trouble and disturbance.replaces != (after != before):
        trouble = f"{before} served before, {after} serves now"
    time.sleep(rest_seconds)
    return Window(disturbance.name, began, done, time.monotonic(), before, after), trouble


@contextmanager
def clients(site: Site, shape: Shape, journal: Path) -> Iterator[None]:
    """Let clients use *site*; *journal* is complete when this is over."""
    address = site.address
    command = [sys.executable, "-m", "traffic.load", str(address.port), address.name, str(journal)]
    options = ["--run-id", uuid.uuid4().hex[:6], "--shape", json.dumps(asdict(shape))]
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


def say(site: Site, window: Window, trouble: str) -> None:
    """Tell whoever waits how far it is."""
    print(f"{site.label}: {window.name}, {window.done - window.began:.1f} s {trouble}".rstrip(), flush=True)
