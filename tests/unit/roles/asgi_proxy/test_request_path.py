# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The request targets that a site rejects: the site's expression and locations, tested with a table of spellings.

molecule/edge sends the same table to nginx.
"""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from urllib.parse import unquote

import jinja2
import pytest
import yaml
from ansible_collections.asgi.deploy.plugins.plugin_utils._render.site_plan import site_plan

REPOSITORY = Path(__file__).resolve().parents[4]
TEMPLATES = REPOSITORY / "roles/asgi_proxy/templates/etc/nginx/conf.d"
TABLE = json.loads((REPOSITORY / "molecule/edge/request_paths.json").read_text())
SITE = yaml.safe_load((REPOSITORY / "molecule/edge/inventory/group_vars/features.yml").read_text())
MAP = jinja2.Environment(trim_blocks=True).from_string((TEMPLATES / "site/path.conf.j2").read_text()).render()
ACCEPTED = re.compile(re.search(r'"~\*(\^.*)" "";', MAP)[1], re.IGNORECASE)
PLAN = site_plan(
    SITE["asgi_proxy_locations"],
    SITE["asgi_proxy_static"],
    SITE["asgi_proxy_health_url"],
    SITE["asgi_proxy_snippet_server"],
)


def accepted(target: str, uri: str | None = None) -> bool:
    """Return whether the map accepts *target*, which nginx has normalised to *uri*."""
    path = target.partition("?")[0]
    return bool(ACCEPTED.search(f"{target} {unquote(path) if uri is None else uri}"))


def location(path: str) -> str | None:
    """Return the location that nginx chooses for *path*, or None if nginx rejects the request."""
    exact = {each["match"].removeprefix("= "): each["match"] for each in PLAN["locations"] if each["match"][0] == "="}
    static = [each["url"] for each in PLAN["static"] if path.startswith(each["url"])]
    if path in exact:
        return exact[path]
    if static:
        return max(static, key=len)
    for each in PLAN["locations"]:
        if each["match"].startswith("~ ") and re.search(each["match"][2:], path):
            return each["match"]
        if each["doubled"] and re.search(each["doubled"][2:], path):
            return None
    return "/"


def test_the_table_is_long_enough():
    assert len(TABLE["passed"]) + len(TABLE["closed"]) >= 60
    assert len(TABLE["refused"]) >= 60


@pytest.mark.parametrize(("target", "path"), TABLE["passed"].items())
def test_passed(target, path):
    assert accepted(target)
    assert unquote(target.partition("?")[0]) == path
    assert location(path) is not None


@pytest.mark.parametrize("target", TABLE["closed"])
def test_closed(target):
    path = unquote(target.partition("?")[0])
    assert accepted(target)
    assert location(path) not in (None, "/")


@pytest.mark.parametrize("target", TABLE["refused"])
def test_refused(target):
    assert not (accepted(target) and location(unquote(target.partition("?")[0])))


@pytest.mark.parametrize(
    ("target", "uri", "passes"),
    [
        ("/a//b", "/a//b", True),
        ("/a//b", "/a/b", False),
        ("/a%2F/b", "/a/b", False),
        ("/a%2f%2Fb?x=//", "/a/b", False),
        ("/a/b?x=//", "/a/b", True),
    ],
)
def test_merged_slashes_of_a_foreign_site_are_rejected(target, uri, passes):
    assert accepted(target, uri) is passes


@pytest.mark.parametrize(
    "part", ["a", "/", "a//", "%2f", "%2fa", "/.a", "%25", "2525", "%252", ".", "..a", ";", "#", "%"]
)
@pytest.mark.parametrize("uri", [None, "/x"])
def test_matching_takes_linear_time(part, uri):
    def seconds(length):
        target = "/%" + part * (length // len(part))
        began = time.process_time()
        accepted(target, uri)
        return time.process_time() - began

    # for 16 times the length, a quadratic expression would take 256 times as long
    assert min(seconds(64000) for _turn in range(3)) < 64 * max(min(seconds(4000) for _turn in range(3)), 0.0001)


def test_accepted_paths_are_unambiguous():
    """No accepted path contains dot segments, even if it is decoded twice. The test tries all short paths of relevant characters."""
    alphabet = ["/", "a", ".", "%2e", "%2f", "%5c", ";", "%252e", "%0a"]
    paths = [""]
    for _length in range(4):
        paths += [f"{start}{part}" for start in paths for part in alphabet]
    passed = [f"/{path}" for path in set(paths) if accepted(f"/{path}")]
    assert len(passed) > 500
    for target in passed:
        decoded = unquote(target)
        segments = re.split(r"[/\\]", unquote(decoded))
        assert not {".", ".."} & {segment.partition(";")[0] for segment in segments}, target
        assert "\n" not in decoded
