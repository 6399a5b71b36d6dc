"""The status report: rows, differences, problems and formats."""

from __future__ import annotations

import json

import pytest
from ansible_collections.asgi.deploy.plugins.plugin_utils._fleet.status import (
    as_json,
    as_table,
    certificate_text,
    differences,
    problem_hosts,
    report,
    rows,
    troubles,
    verdict,
)

APP = {
    "name": "hello",
    "slot": "green",
    "release": "src-1",
    "config": "c1",
    "state": "active",
    "workers": 3,
    "connections": {"used": 12, "limit": 8704},
    "plan": "3 = 2 CPUs + 1; memory would allow 14",
    "previous": None,
    "python": "3.13.5",
    "packages": {"fastapi": "0.163.2", "uvicorn": "0.53.0", "gunicorn": "25.3.0", "anyio": "4.1"},
    "certificate_days": 364,
    "certificate": {"days": 364, "fingerprint": "AA", "shared": True},
    "since": "Sat 2026-11-21 00:46:28 UTC",
}


def fleet(*apps):
    """Return the report on hosts web1, web2, ... that have one app each; None is a host without a result."""
    answers = [{"unreachable": True} if app is None else {"apps": [app]} for app in apps]
    return report(rows([f"web{number}" for number in range(1, len(apps) + 1)], answers))


def test_one_row_per_app_and_host():
    found = rows(["web1", "web2", "web3"], [{"apps": [APP, {**APP, "name": "shop"}]}, {"apps": []}, {"apps": [APP]}])

    assert [(row["host"], row["name"]) for row in found] == [("web1", "hello"), ("web1", "shop"), ("web3", "hello")]


def test_machine_with_two_names_reports_each_app_once():
    both = {"apps": [APP, {**APP, "name": "shop"}]}
    machines = {"web1-hello": "192.0.2.1", "web1-shop": "192.0.2.1", "web2": "192.0.2.2"}

    found = rows(list(machines), [both, both, both], machines)

    assert [(row["host"], row["machine"], row["name"]) for row in found] == [
        ("web1-hello", "web1-hello", "hello"),
        ("web1-hello", "web1-hello", "shop"),
        ("web2", "web2", "hello"),
        ("web2", "web2", "shop"),
    ]
    assert verdict(report(found)) == "2 hosts, all agree"


def test_problem_hosts():
    """The result contains only hosts that differ from the majority or have a problem."""
    assert problem_hosts(fleet(APP, APP, APP)) == []
    assert problem_hosts(fleet(APP, {**APP, "release": "src-2", "workers": 2}, APP)) == ["web2"]
    assert problem_hosts(fleet(APP, APP, None, {**APP, "state": "failed"})) == ["web4", "web3"]
    assert problem_hosts(fleet(APP, {**APP, "release": "src-2"})) == ["web1", "web2"], (
        "without a majority, all hosts differ"
    )


def test_identical_hosts_agree():
    found = fleet(APP, {**APP, "slot": "blue", "since": "Sun 2026-11-22 00:46:28 UTC"}, APP)

    assert found["agree"] is True
    assert verdict(found) == "3 hosts, all agree"
    assert json.loads(as_json(found))["apps"][0]["release"] == "src-1"


def test_table_shows_connections():
    heading, first, second = as_table(fleet(APP, {**APP, "connections": None})).splitlines()[:3]
    place = heading.index("connections")
    assert first[place:].startswith("12 of 8704 ")
    assert second[place:].startswith("- ")


@pytest.mark.parametrize(
    ("aspect", "other"),
    [
        ("release", {"release": "src-2"}),
        ("release", {"release": None}),
        ("config", {"config": "c2"}),
        ("workers", {"workers": 2}),
        ("python", {"python": "3.11.2"}),
        ("fastapi", {"packages": {**APP["packages"], "fastapi": "0.1"}}),
        ("gunicorn", {"packages": {**APP["packages"], "gunicorn": "23.0"}}),
        ("certificate", {"certificate": {"days": 364, "fingerprint": "BB", "shared": True}}),
    ],
)
def test_difference(aspect, other):
    found = fleet(APP, {**APP, **other}, APP)

    assert found["agree"] is False
    [difference] = found["differences"]
    assert (difference["app"], difference["aspect"], difference["odd"]) == ("hello", aspect, ["web2"])
    assert verdict(found) == f"3 hosts: hello differs in {aspect}"
    assert report(found["apps"], ignore=[aspect])["agree"] is True


@pytest.mark.parametrize(
    "other",
    [
        {"packages": {**APP["packages"], "anyio": "4.2"}},
        {"certificate": {"days": 9, "fingerprint": "BB", "shared": False}},  # self-signed
        {"certificate": None, "certificate_days": None},
        {"previous": "src-0"},
        {"plan": "3 as asgi_server_workers says"},
    ],
)
def test_accepted_differences(other):
    assert fleet(APP, {**APP, **other})["agree"] is True


def test_all_hosts_differ_without_a_majority():
    [found] = differences(fleet(APP, {**APP, "release": "src-2"})["apps"])
    assert found["odd"] == ["web1", "web2"]
    assert found["values"] == {"src-1": ["web1"], "src-2": ["web2"]}


def test_apps_are_not_compared_with_each_other():
    other = {**APP, "name": "shop", "release": "src-9"}
    assert report(rows(["web1", "web2"], [{"apps": [APP, other]}, {"apps": [APP, other]}]))["agree"] is True


@pytest.mark.parametrize(
    ("app", "fault"),
    [
        (None, "did not answer"),
        ({**APP, "state": "failed"}, "is failed"),
        ({**APP, "state": "not deployed", "release": None}, "is not deployed"),
        ({**APP, "certificate_days": 13}, "has a certificate that expires in 13 days"),
        ({**APP, "certificate_days": 1}, "has a certificate that expires in 1 day"),
        ({**APP, "certificate_days": -1}, "has a certificate that has expired"),
        ({**APP, "log_fault": "x.json is damaged"}, "cannot be rolled back: x.json is damaged"),
        ({**APP, "state": "failed", "log_fault": "x"}, "is failed; cannot be rolled back: x"),
    ],
)
def test_problems_of_a_host(app, fault):
    found = fleet(app)
    assert found["agree"] is False
    assert [each["fault"] for each in troubles(found["apps"])] == [fault]
    assert verdict(found) == "1 host: problems on web1"
    assert f"web1 {fault}" in as_table(found)


@pytest.mark.parametrize("days", [14, None])
def test_host_without_problems(days):
    assert verdict(fleet({**APP, "certificate_days": days})) == "no problems found"


def test_table_is_aligned_and_marks_differences():
    lines = as_table(fleet(APP, {**APP, "release": "src-22", "workers": 2}, APP)).splitlines()

    assert lines[0].index("slot") == lines[1].index("green") == lines[2].index("green")
    assert "src-22*  active  2* " in lines[2]
    assert "*" not in lines[1]
    assert lines[1].endswith("3 = 2 CPUs + 1; memory would allow 14")
    assert lines[4:] == [
        "* hello release: src-1 on web1, web3; src-22 on web2",
        "* hello workers: 3 on web1, web3; 2 on web2",
        "",
        "3 hosts: hello differs in release, workers",
    ]


@pytest.mark.parametrize(("days", "text"), [(None, "-"), (-1, "expired"), (0, "0 days"), (1, "1 day"), (90, "90 days")])
def test_certificate_text(days, text):
    assert certificate_text({"certificate_days": days}) == text


def test_many_hosts_are_a_number():
    assert "* hello workers: 3 on 9 hosts; 2 on web10" in as_table(fleet(*[APP] * 9, {**APP, "workers": 2}))


def test_unknown_values_are_dashes():
    empty = {"name": "hello", "slot": None, "release": None, "state": "not deployed", "workers": 0}
    assert as_table(fleet(empty)).splitlines()[1].split() == [
        "web1",
        "hello",
        "-",
        "-",
        "not",
        "deployed",
        "0",
        *"-" * 10,
    ]


def test_no_app_is_deployed():
    assert as_table(report([])) == "no app is deployed on these hosts"
