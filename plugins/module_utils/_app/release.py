# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ids and retention of releases, and probable causes of build failures."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from itertools import chain, count
from typing import NamedTuple

from ansible_collections.asgi.deploy.plugins.module_utils._app.release_log import pair_of

# Part of every id. Increase it when the same input must result in a different release.
RECIPE = 1

LABEL_LIMIT = 40
# Maximum length of a line of an installer's output.
LINE_LIMIT = 1000
# The optional suffix is the number of a copy, see place_of().
ID_PATTERN = re.compile(r"([A-Za-z0-9._]{1,40}-[0-9a-f]{10})(?:\.[1-9][0-9]*)?")


def release_id(
    label: str,
    source_digest: str,
    python: str,
    installer: str,
    module: str,
    requirements: Iterable[str],
    server_requirements: Iterable[str],
    wheels: str | None = None,
    selection: Mapping[str, object] | None = None,
) -> str:
    """Return the id of the release that is built from this input: a human-readable label, and a digest of the input.

    The digest excludes secrets, and values that differ between hosts, such as Python's patch version. *wheels* is the digest of the
    resolution, if the controller resolved the requirements for all hosts. *selection* determines which dependencies of the source are
    installed.
    """
    everything = {
        "recipe": RECIPE,
        "source": source_digest,
        "python": python,
        "installer": installer,
        "module": module,
        "requirements": sorted(requirements),
        "server_requirements": sorted(server_requirements),
    }
    if wheels is not None:
        everything["wheels"] = wheels
    if selection:
        everything["selection"] = selection
    digest = hashlib.sha256(json.dumps(everything, sort_keys=True).encode("utf-8")).hexdigest()
    return f"{safe_label(label)}-{digest[:10]}"


def safe_label(text: str) -> str:
    """Return *text* as a valid label: truncated, and with invalid characters replaced."""
    return re.sub(r"[^A-Za-z0-9._]+", "_", text)[:LABEL_LIMIT].strip("._") or "src"


def copy_number(found: str, release: str) -> int:
    """Return 1 if the id *found* is *release*, N if it is ``<release>.N``, and 0 if it is another release."""
    match = re.fullmatch(rf"{re.escape(release)}(?:\.([1-9][0-9]*))?", found)
    return int(match.group(1) or 1) if match else 0


def without_copy_number(found: str) -> str:
    """Return the id *found* without the number of a copy."""
    match = ID_PATTERN.fullmatch(found)
    return match[1] if match else found


def place_of(release: str, complete: Iterable[str], used: Iterable[str]) -> str:
    """Return the id under which *release* exists on a host or must be built.

    A damaged release that is *used* is not replaced, because running processes need its files and the build may fail. The build creates a
    copy instead, named ``<release>.2`` and so on.
    """
    existing = [found for found in complete if copy_number(found, release)]
    if existing:
        # The newest copy was built because the earlier ones were damaged.
        return max(existing, key=lambda found: copy_number(found, release))
    used = set(used)
    ids = chain([release], (f"{release}.{number}" for number in count(2)))
    return next(each for each in ids if each not in used)


def same_python(recorded: object, found: str) -> bool:
    """Return whether the Python *found* can import packages that were installed for the Python *recorded*."""
    return isinstance(recorded, str) and recorded.split(".")[:2] == found.split(".")[:2]


class Kept(NamedTuple):
    """A release directory and the time when its build finished, None for an unfinished build."""

    release: str
    built_at: str | None


def to_prune(found: Iterable[Kept], keep: int, protected: Iterable[str]) -> list[str]:
    """Return the releases to remove: incomplete ones, and complete ones except the newest *keep*. *protected* ones always stay."""
    complete = sorted((r for r in found if r.built_at is not None), key=lambda r: (r.built_at, r.release), reverse=True)
    incomplete = [r for r in found if r.built_at is None]
    protected = set(protected)
    return sorted(r.release for r in [*complete[max(keep, 1) :], *incomplete] if r.release not in protected)


def needed_by_log(log: Iterable[Mapping]) -> set[str]:
    """Return the releases that are live or may be the target of a rollback, according to the release log.

    The last activation of a pair of release and configuration determines whether the pair is good.
    """
    last = {}
    for entry in log:
        last.pop(pair_of(entry), None)
        last[pair_of(entry)] = entry
    good = [entry["release"] for entry in last.values() if entry["result"] != "bad"]
    newest_first = list(dict.fromkeys(reversed(good)))
    live = {entry["release"] for entry in last.values() if entry["result"] == "live"}
    return live | set(newest_first[:2])


# Match up to the last "@" before the path, because a password may contain "@" and quotes.
_CREDENTIALS = re.compile(r"(\b[A-Za-z][A-Za-z0-9+.-]*://)[^/\s]+@")


def mask_urls(text: str) -> str:
    """Return *text* with the credentials in its URLs masked."""
    return _CREDENTIALS.sub(r"\1********@", text)


def without_credentials(text: str) -> str:
    """Return *text* without the credentials in its URLs."""
    return _CREDENTIALS.sub(r"\1", text)


def last_lines(text: str, count: int = 15) -> str:
    """Return the last *count* non-empty lines of *text*, each truncated to LINE_LIMIT."""
    return "\n".join([line.rstrip()[:LINE_LIMIT] for line in text.splitlines() if line.strip()][-count:])


_CAUSES = (
    (
        r"invalid peer certificate|UnknownIssuer|CERTIFICATE_VERIFY_FAILED",
        "asgi_app_ca_bundle does not contain the certificate authority of the index",
    ),
    (
        r"\b40[13]\b (?i:client error|unauthorized|forbidden)|status client error \(40[13]",
        "the index rejects the credentials in asgi_app_index_url",
    ),
    (
        r"error sending request|dns error|timed out|Connection refused|is unreachable|name resolution|Name or service",
        "the host cannot reach the index; see asgi_app_index_url, and asgi_app_build_env for a proxy",
    ),
    (
        r"[Rr]equires-[Pp]ython|requires a different Python|does not satisfy Python|Python requirement",
        "asgi_app_python selects another Python, such as '3.13'",
    ),
    (
        r"setuptools-scm was unable to detect version|find the version from SCM|Unable to detect version control system",
        "the project's version comes from git tags; deploy from a repository, or set the version in asgi_app_build_env",
    ),
    (
        r"\bgcc\b|\bcc\b.*failed|\bPython\.h\b|\brustc\b|\bcargo\b|pkg-config|pg_config",
        "a package is compiled on the host; add its libraries to asgi_app_packages, or set asgi_app_python if it does not support this Python",
    ),
)


def cause(output: str) -> str:
    """Return the probable cause of a failure from the *output* of the installer, an empty string if it is unknown."""
    for pattern, meaning in _CAUSES:
        if re.search(pattern, output):
            return meaning
    return ""


def describe_release(facts: Mapping[str, object]) -> str:
    """Return *facts* as the lines of a diff."""
    lines = []
    for key, value in facts.items():
        if isinstance(value, (list, tuple)):
            lines += [f"{key}:", *(f"  - {item}" for item in value)] if value else [f"{key}: []"]
        else:
            lines.append(f"{key}: {value}")
    return "\n".join(lines) + "\n"
