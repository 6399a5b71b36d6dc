"""The page: well-formed, complete in itself, and nothing that a host says becomes markup."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest
from ansible_collections.asgi.deploy.plugins.plugin_utils.status import NO_ANSWER, report, rows
from ansible_collections.asgi.deploy.plugins.plugin_utils.status_page import as_page

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
    """Keeps what is where: the classes around each text. Fails where a tag is not closed by its like."""

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
def test_every_page_is_whole_and_needs_nothing_else(name):
    text = page(*PAGES[name])
    reader = read(text)
    assert AT in [said for said, _classes in reader.texts]
    assert not {"script", "link", "img", "iframe"} & {tag for tag, _attributes in reader.tags}
    assert not [key for _tag, attributes in reader.tags for key in attributes if key in ("src", "href")]
    assert not re.search(r"url\(|@import|https?://", text)
    assert "prefers-color-scheme: dark" in text


def test_what_differs_is_marked_on_its_host():
    texts = read(page(*PAGES["differing"])).texts
    marked = {said for said, classes in texts if "differs" in classes and "host" in classes}
    assert marked == {"src-2", "2"}
    assert ("3 hosts: shop differs in release, workers", ["verdict", "odd"]) in texts


def test_what_a_host_does_not_have_is_told_as_in_the_table_of_what_differs():
    texts = read(page(app(), app(python=None, packages={}), app())).texts
    assert {said for said, classes in texts if "differs" in classes and "host" in classes} == {"none"}


def test_trouble_comes_with_its_host():
    texts = read(page(*PAGES["troubled"])).texts
    assert [said for said, classes in texts if "fault" in classes] == ["did not answer", "is failed"]
    assert [classes for said, classes in texts if said.startswith("3 hosts")][-1] == ["verdict", "bad"]


def test_agreement_is_good():
    assert ("2 hosts, all agree", ["verdict", "good"]) in read(page(*PAGES["agreeing"])).texts


def test_nothing_of_a_host_becomes_markup():
    hostile = '"><script>alert(1)</script>'
    said = dict.fromkeys(("name", "slot", "release", "config", "state", "python", "previous", "plan", "since"), hostile)
    text = page(app(**said, packages={"fastapi": hostile}), app(**{**said, "config": "c2"}))
    assert "<script" not in text
    read(text)


def test_the_host_that_does_not_answer_is_no_app():
    assert NO_ANSWER in page(None)
    assert "None" not in page(None)
