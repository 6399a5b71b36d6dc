# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be decided about a release without looking at a host: its id, what may be removed, what an error means."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from itertools import chain, count
from typing import NamedTuple

from ansible_collections.asgi.deploy.plugins.module_utils.releaselog import pair_of

# Part of every id: raise it when the same input is to be built in another way.
RECIPE = 1

LABEL_LIMIT = 40
# The number is that of a copy; see where_to_be()
ID_PATTERN = re.compile(r"([A-Za-z0-9._]{1,40}-[0-9a-f]{10})(?:\.[1-9][0-9]*)?")

# What the action and the module of the name `release` both take.
ARGUMENTS = {
    "name": {"type": "str", "required": True},
    "module": {"type": "str", "required": True},
    "source": {
        "type": "dict",
        "required": True,
        "options": {
            "path": {"type": "str"},
            "git": {"type": "str"},
            "ref": {"type": "str"},
            "package": {"type": "str"},
        },
        "mutually_exclusive": [["path", "git", "package"]],
        "required_one_of": [["path", "git", "package"]],
        "required_together": [["git", "ref"]],
    },
    "exclude": {"type": "list", "elements": "str", "default": []},
    "python": {"type": "str", "default": "python3"},
    "requirements": {"type": "list", "elements": "str", "default": []},
    "server_requirements": {"type": "list", "elements": "str", "default": []},
    "installer": {"type": "str", "choices": ["uv", "pip"], "default": "uv"},
    "uv_version": {"type": "str"},
    "uv_path": {"type": "path"},
    "index_url": {"type": "str", "no_log": True},
    # text, not dictionaries: Ansible would hide every value in them, "1" and "true" too, wherever the result has it
    "build_environment": {"type": "json", "no_log": True},
    "environment": {"type": "json", "no_log": True},
    "ca_bundle": {"type": "path", "default": "/etc/ssl/certs/ca-certificates.crt"},
    "keep": {"type": "int", "default": 5},
    "wheelhouse": {"type": "bool", "default": False},
    "packages": {"type": "list", "elements": "str"},
}


def release_id(
    label: str,
    source_digest: str,
    python: str,
    installer: str,
    module: str,
    requirements: Iterable[str],
    server_requirements: Iterable[str],
    wheels: str | None = None,
) -> str:
    """Return the id of the release that this input gives: a label for people, a digest of all of it.

    What differs between hosts (their Python's patch level, the time) and what is secret is no part of it. *wheels* is
    the digest of what the requirements were resolved to, if that was done for all hosts at once.
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
    digest = hashlib.sha256(json.dumps(everything, sort_keys=True).encode("utf-8")).hexdigest()
    return f"{safe_label(label)}-{digest[:10]}"


def safe_label(text: str) -> str:
    """Return *text* as it may stand in a file name and in front of the digest."""
    return re.sub(r"[^A-Za-z0-9._]+", "_", text)[:LABEL_LIMIT].strip("._") or "src"


def copy_number(found: str, release: str) -> int:
    """Return 1 if the id *found* is *release*, N if it is ``<release>.N``, and 0 if it is another release's."""
    match = re.fullmatch(rf"{re.escape(release)}(?:\.([1-9][0-9]*))?", found)
    return int(match.group(1) or 1) if match else 0


def without_copy_number(found: str) -> str:
    """Return the id of the release that *found* is, or is a copy of."""
    match = ID_PATTERN.fullmatch(found)
    return match[1] if match else found


def where_to_be(release: str, whole: Iterable[str], used: Iterable[str]) -> str:
    """Return under which id *release* is on a host, or is to be built there.

    *whole* are the releases that are fit to run, *used* those that something runs from or is about to. One that is used
    is never built anew in its place, be it damaged: what runs needs its files, and the build may fail.
    """
    there = [found for found in whole if copy_number(found, release)]
    if there:
        # the newest was built because the earlier ones were not whole
        return max(there, key=lambda found: copy_number(found, release))
    used = set(used)
    ids = chain([release], (f"{release}.{number}" for number in count(2)))
    return next(each for each in ids if each not in used)


def same_python(recorded: object, found: str) -> bool:
    """Return whether packages that were installed for the Python *recorded* are seen by the Python *found*."""
    return isinstance(recorded, str) and recorded.split(".")[:2] == found.split(".")[:2]


class Kept(NamedTuple):
    """A directory among the releases: when it was completed, None if it never was."""

    release: str
    built_at: str | None


def to_prune(found: Iterable[Kept], keep: int, protected: Iterable[str]) -> list[str]:
    """Return which of the releases *found* go: the half-built ones, and the whole ones beyond the newest *keep*.

    The *protected* ones stay, whatever their age and state.
    """
    whole = sorted((r for r in found if r.built_at is not None), key=lambda r: (r.built_at, r.release), reverse=True)
    half = [r for r in found if r.built_at is None]
    protected = set(protected)
    return sorted(r.release for r in [*whole[max(keep, 1) :], *half] if r.release not in protected)


def needed_by_log(log: Iterable[Mapping]) -> set[str]:
    """Return the releases that the log of activations says are live or what a rollback would go to.

    A pair of release and configuration is as good as its last activation.
    """
    last = {}
    for entry in log:
        last.pop(pair_of(entry), None)
        last[pair_of(entry)] = entry
    good = [entry["release"] for entry in last.values() if entry["result"] != "bad"]
    newest_first = list(dict.fromkeys(reversed(good)))
    live = {entry["release"] for entry in last.values() if entry["result"] == "live"}
    return live | set(newest_first[:2])


# To the last "@" before the path: a password may hold one, and quotes too.
_CREDENTIALS = re.compile(r"(\b[A-Za-z][A-Za-z0-9+.-]*://)[^/\s]+@")


def mask_urls(text: str) -> str:
    """Return *text* with the credentials of the URLs in it hidden."""
    return _CREDENTIALS.sub(r"\1********@", text)


def without_credentials(text: str) -> str:
    """Return *text* with the credentials of the URLs in it taken out."""
    return _CREDENTIALS.sub(r"\1", text)


def last_lines(text: str, count: int = 15) -> str:
    """Return the last *count* lines of *text* that say something."""
    return "\n".join([line.rstrip() for line in text.splitlines() if line.strip()][-count:])


_CAUSES = (
    (
        r"invalid peer certificate|UnknownIssuer|CERTIFICATE_VERIFY_FAILED",
        "the index's certificate is not trusted by asgi_app_ca_bundle on the host",
    ),
    (
        r"\b40[13]\b (?i:client error|unauthorized|forbidden)|status client error \(40[13]",
        "the index refuses the credentials in asgi_app_index_url",
    ),
    (
        r"error sending request|dns error|timed out|Connection refused|is unreachable|name resolution|Name or service",
        "the host does not reach the index; see asgi_app_index_url, and asgi_app_build_env for a proxy",
    ),
    (
        r"[Rr]equires-[Pp]ython|requires a different Python|does not satisfy Python|Python requirement",
        "asgi_app_python picks another Python that is on the host",
    ),
    (
        r"\bgcc\b|\bcc\b.*failed|\bPython\.h\b|\brustc\b|\bcargo\b|pkg-config|pg_config",
        "a package is compiled on the host; asgi_app_packages takes the Debian packages that needs",
    ),
)


def cause(output: str) -> str:
    """Return what the *output* of a failed installer points at, an empty string if that is not clear."""
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
