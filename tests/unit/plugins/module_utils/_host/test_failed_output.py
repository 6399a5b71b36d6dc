"""The shortened output of a failed program contains all causes, each once."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from ansible_collections.asgi.deploy.plugins.module_utils._host.failed_output import causes, condense, summary

DEEP = """
import sqlite3

def connect(depth):
    return pool(depth - 1) if depth else sqlite3.connect("/nowhere/at/all.db")

def pool(depth):
    try:
        return connect(depth)
    except Exception as exc:
        if depth == 20:
            raise RuntimeError("the pool gave up") from exc
        raise

connect(40)
"""
GROUP = """
try:
    raise ExceptionGroup("checks", [ValueError("no DSN"), ExceptionGroup("nested", [TypeError("no port")])])
except* ValueError as exc:
    raise KeyError("setting") from exc
"""
CAUSE = "sqlite3.OperationalError: unable to open database file"
NOISE = [f"[debug] app: loaded plugin {number}" for number in range(10_000)]


def traceback_of(program):
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False).stderr


def logged(**fields):
    return json.dumps({"level": "error", "logger": "uvicorn.error", **fields})


def stack(error, frames=3, header="Traceback (most recent call last):"):
    lines = [header]
    for number in range(frames):
        lines += [f'  File "/srv/app/code/m{number}.py", line {number}, in f', f"    f{number}()", "    ^^^^"]
    return [*lines, error]


@pytest.fixture(scope="module")
def deep():
    return traceback_of(DEEP)


def test_short_output_is_unchanged():
    text = "Starting\n\n  indented\nModuleNotFoundError: No module named 'x'"

    assert condense(text) == "Starting\n  indented\nModuleNotFoundError: No module named 'x'"
    assert condense("") == ""


def test_deep_chained_stacks_lose_their_middle(deep):
    lines = condense(deep).splitlines()

    # Python 3.13 also prints the source lines of code given with -c, which doubles the number of lines
    assert len(lines) <= 45 < len(deep.splitlines())
    assert CAUSE in lines
    assert "The above exception was the direct cause of the following exception:" in lines
    assert lines[-1] == "RuntimeError: the pool gave up"
    assert sum("frames ..." in line for line in lines) == 2
    assert causes(deep) == [CAUSE, "RuntimeError: the pool gave up"]


@pytest.mark.parametrize("mark", ["  ... 1157 lines ...", "... 1157 lines ..."])
def test_already_shortened_stack_keeps_its_cause(mark):
    lines = stack(CAUSE, frames=20)
    text = "\n".join([*lines[:20], mark, *lines[40:]])

    assert causes(text) == [CAUSE]
    assert CAUSE in condense(text).splitlines()


def test_repeated_output_is_printed_once_with_its_count(deep):
    """Every worker logs the same failed lifespan, with its own process id and addresses."""
    text = "\n".join(
        line
        for pid in (7, 8, 9)
        for line in (
            f"[{pid}] [INFO] Booting",
            logged(message=deep, pid=pid),
            logged(message="This worker failed", exception=f"SystemExit: <obj at 0x7f00000{pid}>", pid=pid),
        )
    )

    found = condense(text)

    assert found.count(CAUSE) == 1
    assert found.count("(3 times)") == 3
    assert len(found.splitlines()) < 50


def test_interleaved_output_of_several_workers():
    """Three processes write the same traceback to one pipe at the same time."""
    lines = stack("ModuleNotFoundError: No module named 'settings'")
    text = "\n".join(line for each in lines for line in [each] * 3)

    found = condense(text)

    assert found.splitlines() == list(dict.fromkeys(lines))
    assert causes(text) == lines[-1:]


def test_different_causes_of_several_workers_are_kept():
    first, second = stack("KeyError: 'DSN'"), stack("ValueError: no port", frames=4)
    turns = [line for pair in zip(first, second) for line in pair]
    text = "\n".join([*turns, *second[len(first) :]])

    assert "KeyError: 'DSN'" in condense(text)
    assert "ValueError: no port" in condense(text)


@pytest.mark.skipif(sys.version_info < (3, 11), reason="Python 3.11 added exception groups")
def test_an_exception_group_keeps_each_of_its_parts():
    text = traceback_of(GROUP)

    assert condense(text).count("sub-exception") == text.count("sub-exception")
    assert set(causes(text)) >= {"ValueError: no DSN", "KeyError: 'setting'", "TypeError: no port"}


def test_an_exception_during_another_one():
    text = traceback_of("try:\n    {}['DSN']\nexcept KeyError:\n    import nothing_there\n")

    assert condense(text) == text.strip()
    assert causes(text) == ["KeyError: 'DSN'", "ModuleNotFoundError: No module named 'nothing_there'"]


def test_a_syntax_error_keeps_its_place():
    text = traceback_of("exec('def f(:\\n  pass')")

    assert condense(text) == text.strip()
    assert "^" in condense(text)
    [cause] = causes(text)
    assert cause.startswith("SyntaxError: invalid syntax")


def test_message_with_many_lines_is_kept():
    message = [
        "pydantic_core._pydantic_core.ValidationError: 2 validation errors for Settings",
        "dsn",
        "  Field required [type=missing, input_value={}, input_type=dict]",
        "    For further information visit https://errors.pydantic.dev/2.11/v/missing",
        "port",
        "  Field required [type=missing, input_value={}, input_type=dict]",
        "    For further information visit https://errors.pydantic.dev/2.11/v/missing",
    ]
    text = "\n".join(
        [*stack(message[0], frames=40), *message[1:], "[2026-11-30 10:00:00 +0000] [7] [INFO] Worker exiting", *NOISE]
    )

    lines = condense(text).splitlines()

    begin = lines.index(message[0])
    assert lines[begin : begin + 7] == message
    assert "  ... 34 frames ..." in lines
    assert causes(text) == message[:1]


def test_cause_is_found_in_long_output(deep):
    text = "\n".join(
        [*NOISE[:5000], logged(message=deep), *NOISE[5000:], "hello@blue.service: Failed with result 'exit-code'."]
    )

    lines = condense(text).splitlines()

    assert CAUSE in lines
    assert lines[0] == NOISE[0]
    assert lines[-1] == "hello@blue.service: Failed with result 'exit-code'."
    assert len(lines) < 130


def test_a_thousand_different_errors_are_not_all_printed():
    text = "\n".join(line for number in range(1000) for line in stack(f"ValueError: {number}"))

    lines = condense(text).splitlines()

    assert "ValueError: 0" in lines
    assert "ValueError: 999" in lines
    assert len(lines) < 1000
    assert causes(text) == [f"ValueError: {number}" for number in (0, 1, 2, 997, 998, 999)]


CRASH = [
    "Fatal Python error: Segmentation fault",
    "",
    "Current thread 0x00007f9c1dab7b80 (most recent call first):",
    *(f'  File "/srv/app/code/m.py", line {number} in f{number}' for number in range(60)),
    "",
    "Extension modules: numpy.core (total: 1)",
    "[7] [WARNING] Worker (pid:9) was sent SIGSEGV!",
]


def test_fatal_error_keeps_its_stack():
    """The stack of a fatal error lists the crashed call first."""
    lines = condense("\n".join(CRASH)).splitlines()

    assert lines[0] == CRASH[0]
    assert [line for line in lines if "in f0" in line or "in f3" in line or "in f59" in line] == [
        CRASH[3],
        CRASH[6],
        CRASH[62],
    ]
    assert "  ... 54 frames ..." in lines
    assert causes("\n".join(CRASH))[0] == CRASH[0]


@pytest.mark.parametrize(
    "line",
    [
        "hello@green.service: A process of this unit has been killed by the OOM killer.",
        "[7] [ERROR] Worker (pid:9) was sent SIGKILL! Perhaps out of memory?",
        "[7] [ERROR] Reason: Worker failed to boot.",
        "[error] gunicorn.error: Worker (pid:9) exited with code 5.",
        "hello@green.service: Main process exited, code=exited, status=3/NOTIMPLEMENTED",
        "ImportError: cannot import name 'app' from 'main'",
    ],
)
def test_failure_without_traceback_is_found(line):
    text = "\n".join([*NOISE[:5000], line, *NOISE[5000:]])

    assert line in condense(text).splitlines()
    assert causes(text) == [line]


def test_overlong_lines_are_cut():
    found = condense(logged(message="x" * 100_000))

    assert len(found) < 1200
    assert found.endswith("x")


def test_foreign_json_is_kept():
    text = '{"event": "boot"}\n[1, 2]\n{"message": broken'

    assert condense(text) == text


def test_summary_of_an_error_contains_its_causes(deep):
    text = f"release a-1 was not activated: hello@green.service did not start\nrelease a-0 keeps serving\n{deep}"

    assert summary(text) == [
        "release a-1 was not activated: hello@green.service did not start",
        "release a-0 keeps serving",
        "Traceback (most recent call last):",
        CAUSE,
        "RuntimeError: the pool gave up",
    ]
    assert summary("") == []
    assert summary("a\nKeyError: 1") == ["a", "KeyError: 1"]
