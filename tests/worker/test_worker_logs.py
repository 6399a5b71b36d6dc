"""The log of a service does not depend on the app's configuration of logging."""

from __future__ import annotations

import asyncio
import json

import pytest
from websockets.asyncio.client import unix_connect

from worker.clients import Connection
from worker.matrix import NEWEST
from worker.service import wait_for

LOGGING = """
from asgi_deploy_logging import set_up_logging, logging_config
set_up_logging()
logconfig_dict = logging_config(level="info", access_log=False)
"""

IDS = [f"{number:032x}" for number in range(8)]


@pytest.fixture
def chatty(start):
    """Return a function that starts the app with one worker; *configures* selects how the app configures logging."""
    return lambda configures="nothing": start(
        more=LOGGING, workers=1, wsgi_app="chatty:app", raw_env=[f"CONFIGURES={configures}"]
    )


def ask(service, *targets, **headers):
    async def send():
        connection = await Connection.open(service.address)
        return [(await connection.ask(target, **headers)).status for target in targets]

    return asyncio.run(send())


def entries(service):
    """Return the entries of the log. Every line must be JSON."""
    return [json.loads(line) for line in service.log().splitlines()]


def matching(service, message, **fields):
    """Return the entries whose message starts with *message*, with these *fields*."""
    return [
        entry for entry in entries(service) if entry["message"].startswith(message) and fields.items() <= entry.items()
    ]


def test_each_line_has_the_id_of_its_request(chatty):
    service = chatty()

    async def scenario():
        connections = [await Connection.open(service.address) for _id in IDS]
        await asyncio.gather(
            *(connection.ask(f"/{id}", **{"X-Request-ID": id}) for connection, id in zip(connections, IDS, strict=True))
        )
        # a later request on the same connection, without an id
        await connections[0].ask("/nameless")

    asyncio.run(scenario())

    for id in IDS:
        assert [entry["request_id"] for entry in matching(service, "begins", request_id=id)] == [id]
        assert matching(service, f"begins /{id}", request_id=id)
        assert matching(service, f"ends /{id}", request_id=id), "the thread of the request has no id"
    [nameless] = matching(service, "begins /nameless")
    assert "request_id" not in nameless
    assert matching(service, "in detail") == []


def test_invalid_request_ids_are_ignored(chatty):
    service = chatty()
    ids = ['12345678", "level": "forged', "short", "x" * 129, "with spaces in it", "ümläute-sind-keine"]

    for id in ids:
        assert ask(service, "/", **{"X-Request-ID": id}) == [200]

    begins = matching(service, "begins /")
    assert len(begins) == len(ids)
    assert not [entry for entry in begins if "request_id" in entry]


def test_websocket_has_an_id_and_its_query_is_not_logged(chatty):
    service = chatty()

    async def scenario():
        headers = {"X-Request-ID": IDS[7]}
        async with unix_connect(service.address, "ws://test/ws?token=hush", additional_headers=headers):
            pass

    asyncio.run(scenario())

    assert matching(service, "a WebSocket", request_id=IDS[7])
    wait_for("the line of the server", lambda: service.logged("[accepted]"))
    assert not service.logged("hush")


def test_uncaught_exception_is_one_line(chatty):
    service = chatty()

    assert ask(service, "/boom", **{"X-Request-ID": IDS[1]}) == [500]
    assert ask(service, "/thread", "/warn", **{"X-Request-ID": IDS[2]}) == [200, 200]

    wait_for("the thread's exception", lambda: service.logged("ZeroDivisionError"))
    [boom] = matching(service, "Exception in ASGI application")
    assert boom["exception"].endswith("LookupError: no such thing")
    assert (boom["level"], boom["request_id"]) == ("error", IDS[1])
    [thread] = matching(service, "Uncaught exception in thread")
    assert thread["exception"].endswith("ZeroDivisionError: division by zero")
    assert [entry["logger"] for entry in entries(service) if "mind the gap" in entry["message"]] == ["py.warnings"]


def test_oversized_and_invalid_entries_are_fixed(chatty):
    service = chatty()

    assert ask(service, "/odd") == [200]

    [apples] = matching(service, "%d apples")
    assert "three" in apples["message"]
    assert "no text" in apples["basket"]
    [long] = matching(service, "xxx")
    assert "84000 characters" in long["message"]
    assert max(map(len, service.log().splitlines())) < 48 * 1024


@pytest.mark.parametrize("corner", [NEWEST], ids=["newest"], indirect=True)
def test_log_level_of_the_app_changes_only_the_level(chatty):
    service = chatty("level")

    ask(service, "/x")

    assert matching(service, "in detail", level="debug")
    assert matching(service, "begins /x", level="info")


@pytest.mark.parametrize("corner", [NEWEST], ids=["newest"], indirect=True)
@pytest.mark.parametrize(
    "configures",
    [
        "basicConfig",
        "basicConfig with force",
        "dictConfig",
        "dictConfig that disables",
        "late basicConfig",
        "late dictConfig that disables",
    ],
)
def test_logging_configuration_of_the_app_does_not_affect_the_server(chatty, configures):
    service = chatty(configures)

    ask(service, "/x", "/boom", **{"X-Request-ID": IDS[3]})
    service.reload()

    lines = service.log().splitlines()
    for line in (f"mine INFO {IDS[3]} begins /x", f"mine DEBUG {IDS[3]} in detail", f"mine INFO {IDS[3]} ends /x"):
        assert lines.count(line) == 1
    assert not [line for line in lines if '"chatty"' in line], "the app's lines are duplicated"
    servers = [json.loads(line) for line in lines if line.startswith("{")]
    [boom] = [entry for entry in servers if entry["message"].startswith("Exception in ASGI application")]
    assert boom["exception"].endswith("LookupError: no such thing")
    assert [entry["logger"] for entry in servers if entry["message"] == "This worker drains"] == ["gunicorn.error"]
