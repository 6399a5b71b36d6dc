"""The audit reports vulnerabilities, and never treats a missing response as a result without vulnerabilities."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from ansible_collections.asgi.deploy.plugins.plugin_utils._release.audit import (
    Audit,
    Finding,
    Unavailable,
    audit,
    findings,
)

PACKAGES = {"Jinja2": "2.4.1", "six": "1.17.0"}
RECORD = {
    "id": "GHSA-462w-v97r-4m45",
    "aliases": ["CVE-2019-10906", "PYSEC-2019-217"],
    "affected": [
        {
            "package": {"ecosystem": "PyPI", "name": "jinja2"},
            "ranges": [
                {"type": "GIT", "events": [{"fixed": "0000"}]},
                {"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "2.10.1"}]},
            ],
        },
        {
            "package": {"ecosystem": "Debian", "name": "jinja2"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"fixed": "9"}]}],
        },
    ],
}
SAME = {"id": "PYSEC-2019-217", "aliases": ["CVE-2019-10906"], "affected": RECORD["affected"]}
RECORDS = {record["id"]: record for record in (RECORD, SAME, {"id": "GONE-1", "withdrawn": "2020-01-01T00:00:00Z"})}
FOUND = Finding("jinja2", "2.4.1", ["GHSA-462w-v97r-4m45", "CVE-2019-10906", "PYSEC-2019-217"], ["2.10.1"])


class Database(BaseHTTPRequestHandler):
    """A fake OSV database, which returns the vulnerabilities of jinja2 2.4.1 on two pages."""

    requests: list

    def do_POST(self):
        queries = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["queries"]
        self.server.requests.append(queries)
        self.respond(self.server.batch(queries))

    def do_GET(self):
        record = RECORDS.get(self.path.rpartition("/")[2])
        self.respond(record) if record else self.send_error(404)

    def respond(self, content):
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments):
        pass


def batch(queries):
    results = []
    for query in queries:
        if query["package"] != {"name": "jinja2", "ecosystem": "PyPI"}:
            results.append({})
        elif "page_token" in query:
            results.append({"vulns": [{"id": "PYSEC-2019-217"}, {"id": "GONE-1"}]})
        else:
            results.append({"vulns": [{"id": RECORD["id"]}], "next_page_token": "more"})
    return {"results": results}


@pytest.fixture
def database():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Database)
    server.requests, server.batch = [], batch
    server.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def test_a_vulnerability_is_reported_once_with_its_fix(database, tmp_path):
    for _host in range(3):
        found = audit(PACKAGES, database.url, tmp_path)
        assert found == Audit(database.url, [FOUND])
    assert len(database.requests) == 2, "two pages, once per run"
    [text] = found.report("src-1")
    assert "release src-1 has 1 known vulnerability" in text
    assert f"jinja2 2.4.1: {RECORD['id']} (CVE-2019-10906, PYSEC-2019-217), fixed in 2.10.1" in text
    assert found.report("src-1", ["CVE-2019-10906"]) == []
    assert found.report("src-1", ["CVE-0"]) == [text]


def test_no_vulnerabilities_cause_no_message(database, tmp_path):
    assert audit({"six": "1.17.0"}, database.url, tmp_path).report("src-1") == []


INVALID = {
    "no result for a package": {"results": [{}]},
    "no results": {},
    "a list": [],
    "not JSON": b"<html>the proxy wants a password</html>",
    "no identifier": {"results": [{"vulns": [{}]}, {}]},
    "an identifier with an escape": {"results": [{"vulns": [{"id": "X\x1b[2J"}]}, {}]},
    "a text for a list": {"results": [{"vulns": "x"}, {}]},
    "pages without an end": {"results": [{"next_page_token": "x"}] * 2},
}


@pytest.mark.parametrize("response", INVALID.values(), ids=INVALID)
def test_an_invalid_response_is_unavailable(database, tmp_path, response):
    database.batch = lambda queries: (
        {"results": [{"next_page_token": "x"}] * len(queries)} if response is ENDLESS else response
    )
    found = audit(PACKAGES, database.url, tmp_path)
    assert found.unavailable
    [text] = found.report("src-1")
    assert text.startswith(f"the packages of release src-1 were not audited: {database.url} ")
    assert text.isprintable()


ENDLESS = INVALID["pages without an end"]


def test_an_unreachable_database(tmp_path, database):
    database.shutdown()
    database.server_close()
    found = audit(PACKAGES, database.url, tmp_path)
    assert "did not respond" in found.unavailable
    assert found.findings == []


def test_credentials_of_the_database_are_not_shown(tmp_path):
    found = audit(PACKAGES, "https://user:secret@127.0.0.1:1", tmp_path)
    assert found.unavailable
    assert "secret" not in str(found)


@pytest.mark.parametrize("packages", [{}, {"../x": "1"}, {"six": "1 \x1b[2J"}, {"six": {}}, {"a b": "1"}])
def test_invalid_packages_from_the_host_are_rejected(packages):
    def fetch(_path, _content):
        raise AssertionError("the database was queried")

    with pytest.raises(Unavailable):
        findings(packages, fetch)


def test_a_vulnerability_without_a_record_is_reported():
    def fetch(path, content):
        if content is None:
            raise Unavailable("404")
        return {"results": [{"vulns": [{"id": "X-1"}]}]}

    [found] = findings({"six": "1"}, fetch)
    assert str(found) == "six 1: X-1, no fix known"
