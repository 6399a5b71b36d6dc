"""The status page is well-formed and self-contained, and escapes values from hosts."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest
from ansible_collections.asgi.deploy.plugins.plugin_utils._fleet.status import NO_ANSWER, report, rows
from ansible_collections.asgi.deploy.plugins.plugin_utils._fleet.status_page import as_page

VOID = {"meta"}
AT = "2026-11-21 04:50 UTC"


def app(**changes):
    usual = {
        "name": "shop",
        "slot": "blue",
        "release": "src-1",
        "config": "c1",
        "state": "active",
        "workers": 3,
        "since": "Sat 2026-11-21 00:46:28 UTC",
        "python": "3.13.5",
        "packages": {"fastapi": "0.1"},
        "certificate_days": 60,
    }
    return {**usual, **changes}


def page(*apps):
    answers = [{} if each is None else {"apps": [each]} for each in apps]
    return as_page(report(rows([f"web{number}" for number in range(1, len(apps) + 1)], answers)), AT)


class Reader(HTMLParser):
    """Collects each text with the classes of its enclosing tags. Fails if a tag is not closed."""

    def __init__(self):
        super().__init__()
        self.open, self.texts, self.tags = [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append((tag, dict(attrs).get("class", "")))

    def handle_endtag(self, tag):
        assert self.open.pop()[0] == tag

    def handle_data(self, data):
        if data.strip():
            self.texts.append((data.strip(), " ".join(classes for _tag, classes in self.open).split()))


def read(text):
    reader = Reader()
    reader.feed(text)
    assert reader.open == []
    return reader


PAGES = {
    "agreeing": [app(), app()],
    "differing": [app(), app(release="src-2", workers=2), app()],
    "troubled": [app(state="failed"), None, app()],
    "alone": [app()],
    "empty": [app(slot=None, release=None, state="not deployed", packages={}, python=None, since="", workers=0)],
    "nothing": [],
}


@pytest.mark.parametrize("name", PAGES)
def test_page_is_well_formed_and_self_contained(name):
    text = page(*PAGES[name])
    reader = read(text)
    assert AT in [shown for shown, _classes in reader.texts]
    assert not {"script", "link", "img", "iframe"} & {tag for tag, _attributes in reader.tags}
    assert not [key for _tag, attributes in reader.tags for key in attributes if key in ("src", "href")]
    assert not re.search(r"url\(|@import|https?://", text)
    assert "prefers-color-scheme: dark" in text


def shares(text):
    """Return the shares in the release bars."""
    return [attributes["style"] for tag, attributes in read(text).tags if tag == "i"]


def test_hosts_without_a_release_are_not_in_the_bar():
    nothing = app(slot=None, release=None, state="not deployed")

    assert '<div class="bar">' not in page(nothing)
    assert [share.rpartition("flex: ")[2] for share in shares(page(app(), nothing, app(), app(release="src-2")))] == [
        "2",
        "1",
    ]
    assert ("nothing", ["legend", "none"]) in read(page(app(), nothing)).texts
    assert shares(page(app(), nothing)) == ["--c: var(--r0); flex: 1"], (
        "a release has the first colour, even where few have one"
    )


def test_machines_are_counted_instead_of_inventory_names():
    """web1 and web2 each have two inventory names, one per app; web2 does not answer."""
    answers = [{"apps": [app()]}, {"apps": [app(name="tiles")]}, {"unreachable": True}, {"unreachable": True}]
    names = ["web1-shop", "web1-tiles", "web2-shop", "web2-tiles"]
    machines = {name: name[:4] for name in names}

    texts = read(as_page(report(rows(names, answers, machines)), AT)).texts

    assert "2 hosts: problems on web2-shop, web2-tiles" in [text for text, _classes in texts]
    assert [text for text, classes in texts if "small" not in classes and text.endswith(("1 host", "2 hosts"))] == [
        "1 host"
    ] * 5
    assert [text for text, classes in texts if "fault" in classes] == ["did not answer"]


def test_differences_are_marked_on_the_host():
    texts = read(page(*PAGES["differing"])).texts
    marked = {text for text, classes in texts if "differs" in classes and "host" in classes}
    assert marked == {"src-2", "2"}
    assert ("3 hosts: shop differs in release, workers", ["verdict", "odd"]) in texts


def test_missing_value_is_none():
    texts = read(page(app(), app(python=None, packages={}), app())).texts
    assert {text for text, classes in texts if "differs" in classes and "host" in classes} == {"none"}


def test_problems_are_shown_on_the_host():
    texts = read(page(*PAGES["troubled"])).texts
    assert [text for text, classes in texts if "fault" in classes] == ["did not answer", "is failed"]
    assert [classes for text, classes in texts if text.startswith("3 hosts")][-1] == ["verdict", "bad"]


def test_identical_hosts_are_good():
    assert ("2 hosts, all agree", ["verdict", "good"]) in read(page(*PAGES["agreeing"])).texts


def test_values_of_hosts_are_escaped():
    hostile = '"><script>alert(1)</script>'
    values = dict.fromkeys(
        ("name", "slot", "release", "config", "state", "python", "previous", "plan", "since"), hostile
    )
    text = page(app(**values, packages={"fastapi": hostile}), app(**{**values, "config": "c2"}))
    assert "<script" not in text
    read(text)


def test_host_without_a_result_has_no_app():
    assert NO_ANSWER in page(None)
    assert "None" not in page(None)
