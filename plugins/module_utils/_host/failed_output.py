# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The output of a failed program, shortened for an error message without losing the cause.

Long stacks are shortened in the middle. The last line of a traceback is always kept, also that of each chained exception and of each
exception in a group. Repeated output, for instance of several workers, appears once with its count.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import NamedTuple

FIRST_LINES, LAST_LINES = 30, 30
# frames to keep at the start of a stack and at the end, where the exception was raised
FIRST_FRAMES, LAST_FRAMES = 2, 4
# lines to keep of one exception's message, such as that of a validation error that lists fields
MESSAGE_LINES = 30
MOST_CAUSES = 6
LONGEST_LINE = 1000

_HEADER = "Traceback (most recent call last):"
_CRASH = "Fatal Python error: "
_CRASHES = (_CRASH, "Current thread 0x", "Thread 0x")
_CHAINED = (
    "During handling of the above exception, another exception occurred:",
    "The above exception was the direct cause of the following exception:",
)
# the margin of an exception group
_MARGIN = re.compile(r"^ *(?:[|] ?|[+](?= Exception Group)[ ]?)")
_SEPARATOR = re.compile(r"^ *[+][-+]+( \d+ -+| \.\.\. -+)?$")
_FRAME = re.compile(r'^ *File "')
_EXCEPTION = re.compile(r"^(?:[A-Za-z_]\w*\.)*[A-Za-z_]\w*(?:: .*)?$")
_NAMED_EXCEPTION = re.compile(r"^(?:\w+\.)*\w*(?:Error|Exception|Exit|Interrupt|ExceptionGroup)(?:: .*)?$")
# The first line of a log entry. It ends the message of a preceding exception.
_ENTRY = re.compile(
    r"^\[|^\d{4}-\d\d-\d\d|^(?:DEBUG|INFO|WARNING|ERROR|CRITICAL)\b|^\S+\.(?:service|socket|slice|scope): "
)
_TELLING = re.compile(
    r"\[(?:error|critical)\]|\[(?:ERROR|CRITICAL)\]|^(?:ERROR|CRITICAL)\b|was sent SIG|exited with code|failed to boot"
    r"|App failed to load|[Oo]ut of memory|oom-kill|OOM killer|[Ss]egmentation fault|Main process exited|Failed with result"
    r"|timed out|Killed|dumped core|status=\d+/|WORKER TIMEOUT"
)
# Parts that differ between otherwise equal texts of several workers.
_VARIES = re.compile(r"0x[0-9a-f]{6,}|\bpid[:= ]+\d+|\[\d+\]|\[?\d{4}-\d\d-\d\d[T ][\d:.,+ -]+(?:Z\b)?\]?")


class Entry(NamedTuple):
    """The lines of one log entry or traceback, or a single line."""

    lines: tuple
    telling: bool
    """Whether the entry may contain the cause."""


def condense(text: str, first: int = FIRST_LINES, last: int = LAST_LINES) -> str:
    """Return *text*, the output of a program or of the journal, reduced to the entries that may contain the cause of a failure.

    *first* and *last* are the numbers of other lines to keep at the start and at the end.
    """
    counts: dict[str, int] = {}
    entries = []
    for entry in _entries(text):
        key = _VARIES.sub("", "\n".join(entry.lines))
        counts[key] = counts.get(key, 0) + 1
        if counts[key] == 1:
            entries.append((key, entry))
    found = [Entry(_counted(_shortened(entry.lines), counts[key]), entry.telling) for key, entry in entries]
    return "\n".join(_within(found, first, last))


def causes(text: str) -> list:
    """Return the last line of each traceback in *text*, or, without tracebacks, the lines that report a crash. Duplicates are omitted."""
    found = []
    telling = []
    for entry in _entries(text):
        found += [line for line, kind in _classified(entry.lines) if kind == "exception" or line.startswith(_CRASH)]
        telling += filter(_TELLING.search, entry.lines)
    found = [_cut(line, 300) for line in dict.fromkeys(found or telling)]
    if len(found) > MOST_CAUSES:
        half = MOST_CAUSES // 2
        found = [*found[:half], *found[-half:]]
    return found


def summary(text: str, count: int = 3) -> list:
    """Return the first *count* non-empty lines of an error message, followed by the causes in its remaining lines."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    head = [_cut(line, 300) for line in lines[:count]]
    return [*head, *(cause for cause in causes(text) if not any(cause in line for line in head))]


# ---- entries


def _entries(text: str) -> Iterable[Entry]:
    plain: list = []
    for line in text.splitlines():
        unfolded = _unfolded(line)
        if unfolded is None:
            plain.append(line.rstrip())
            continue
        yield from _plain_entries(plain)
        plain = []
        yield Entry(tuple(unfolded), _is_telling(unfolded))
    yield from _plain_entries(plain)


def _unfolded(line: str) -> list | None:
    """Return the lines of text in *line* if it is a JSON log entry of asgi_deploy_logging, None for any other line."""
    if not line.startswith("{"):
        return None
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    if not isinstance(entry, dict) or "message" not in entry:
        return None
    lines = f"[{entry.get('level', '')}] {entry.get('logger', '')}: {entry['message']}".splitlines()
    return lines + str(entry.get("exception", "")).splitlines()


def _plain_entries(lines: list) -> Iterable[Entry]:
    if _is_interleaved(lines):
        lines = list(dict.fromkeys(lines))
    block: list = []
    for line, kind in _classified(lines, bare=False):
        if kind == "other":
            yield from _block(block)
            block = []
            if line:
                yield Entry((line,), _is_telling([line]))
        else:
            if kind == "header" and block and not _continues(block, line):
                yield from _block(block)
                block = []
            block.append(line)
    yield from _block(block)


def _block(lines: list) -> Iterable[Entry]:
    while lines and not lines[-1]:
        lines = lines[:-1]
    if lines:
        yield Entry(tuple(lines), True)


def _continues(block: list, header: str) -> bool:
    """Return whether the stack with this *header* belongs to *block*: a chained exception, a group member or another thread."""
    if header.startswith(_CRASHES[1:]):
        return True
    lines = [line for line in block if line.strip()]
    return bool(lines) and (_without_margin(lines[-1]) in _CHAINED or bool(_SEPARATOR.match(lines[-1])))


def _is_interleaved(lines: list) -> bool:
    """Return whether the tracebacks of several processes are interleaved: one traceback begins before the end of another."""
    open_headers = 0
    for line in lines:
        bare = _without_margin(line)
        if bare.endswith(_HEADER):
            open_headers += 1
            if open_headers > 1:
                return True
        elif open_headers and bare and not bare[0].isspace() and _EXCEPTION.match(bare):
            open_headers = 0
    return False


def _is_telling(lines: Iterable[str]) -> bool:
    return any(
        _HEADER in line or line.startswith(_CRASH) or _TELLING.search(line) or _NAMED_EXCEPTION.match(line)
        for line in lines
    )


# ---- the lines of a traceback


def _without_margin(line: str) -> str:
    return _MARGIN.sub("", line, count=1)


def _classified(lines: Iterable[str], bare: bool = True) -> Iterable[tuple]:
    """Yield each line with its kind (header, frame, exception, message, between or other). *bare* removes the margin of exception groups."""
    inside = after = crash = False
    message = 0
    for line in lines:
        text = _without_margin(line)
        kind = "other"
        if text.rstrip().endswith(_HEADER) or text.startswith(_CRASHES):
            kind, inside, after = "header", True, False
            crash = text.startswith(_CRASHES)
        elif _SEPARATOR.match(line) or text in _CHAINED:
            kind, inside, after = "between", True, False
        elif inside and not text.strip():
            kind = "between"
        elif inside and (text[0].isspace() or text.startswith("... ")):
            kind = "frame"
        elif inside and not crash and not text.startswith("["):
            kind, inside, after, message = "exception", False, True, 0
        elif after and not text.strip():
            kind = "between"
        elif after and message < MESSAGE_LINES and not _ENTRY.match(text):
            kind, message = "message", message + 1
        elif _FRAME.match(text):  # the location line of a SyntaxError, which may have no traceback header
            kind, inside = "frame", True
        elif _NAMED_EXCEPTION.match(text):
            kind, after, message = "exception", True, 0
        else:
            inside = after = False
        yield (text if bare else line), kind


def _shortened(lines: Iterable[str]) -> list:
    """Return the lines of an entry without the middle of its stacks."""
    shortened: list = []
    stack: list = []
    last_first = False
    for line, kind in [*_classified(lines, bare=False), ("", "end")]:
        if kind == "frame":
            stack.append(line)
            continue
        shortened += _shortened_stack(stack, last_first)
        stack = []
        if kind == "header":
            last_first = "(most recent call first)" in line
        if kind != "end":
            shortened.append(line)
    return [_cut(line, LONGEST_LINE) for line in shortened]


def _shortened_stack(lines: list, last_first: bool) -> list:
    begins = [number for number, line in enumerate(lines) if _FRAME.match(_without_margin(line))]
    first, last = (LAST_FRAMES, FIRST_FRAMES) if last_first else (FIRST_FRAMES, LAST_FRAMES)
    left_out = len(begins) - first - last
    if left_out <= 1:
        return lines
    return [*lines[: begins[first]], f"  ... {left_out} frames ...", *lines[begins[-last] :]]


def _cut(line: str, most: int) -> str:
    if len(line) <= most:
        return line
    return f"{line[: most * 2 // 3]} ... {line[-most // 4 :]}"


def _counted(lines: list, count: int) -> tuple:
    if count == 1:
        return tuple(lines)
    if len(lines) == 1:
        return (f"{lines[0]} ({count} times)",)
    return (*lines, f"({count} times)")


def _within(entries: list, first: int, last: int) -> list:
    """Return the lines of *entries*: the *first* and *last* entries that may contain the cause, and as many lines of the other entries."""
    kept: set = set()
    for telling in (True, False):
        numbers = [
            (number, line)
            for number, entry in enumerate(entries)
            if entry.telling is telling
            for line in range(1 if telling else len(entry.lines))
        ]
        kept.update(number for number, _line in [*numbers[:first], *(numbers[-last:] if last else [])])
    lines: list = []
    left_out = 0
    for number, entry in enumerate(entries):
        if number not in kept:
            left_out += len(entry.lines)
            continue
        if left_out:
            lines.append(f"... {left_out} lines ...")
            left_out = 0
        lines += entry.lines
    return [*lines, f"... {left_out} lines ..."] if left_out else lines
