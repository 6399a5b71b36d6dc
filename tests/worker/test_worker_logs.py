"""What a service logs, line by line as the journal gets it, whatever the app does with logging."""

from __future__ import annotations

import asyncio
import json

import pytest
from websockets.asyncio.client import unix_connect

from worker.clients import Connection
from worker.matrix import NEWEST
from worker.service import wait_for

LOGGING = """
from asgi_deploy_logging import attend, logging_config
attend()
logconfig_dict = logging_config(level="info", access_log=False)
"""

IDS = [f"{number:032x}" for number in range(8)]


@pytest.fixture
def chatty(start):
    """Start the app that logs, with one worker, as it configures logging."""
    return lambda configures="nothing": start(
        more=LOGGING, workers=1, wsgi_app="chatty:app", raw_env=[f"CONFIGURES={configures}"]
    )


def ask(service, *targets, **headers):
    async def asked():
        connection = await Connection.open(service.address)
        return [(await connection.ask(target, **headers)).status for target in targets]

    return asyncio.run(asked())


def entries(service):
    """Every line of the log, each of which has to be JSON."""
    return [json.loads(line) for line in service.log().splitlines()]


def told(service, message, **fields):
    """Return the entries that begin with *message* and have these fields."""
    return [
        entry for entry in entries(service) if entry["message"].startswith(message) and fields.items() <= entry.items()
    ]


def test_each_line_has_the_id_of_its_own_request(chatty):
    service = chatty()

    async def scenario():
        connections = [await Connection.open(service.address) for _id in IDS]
        await asyncio.gather(
            *(connection.ask(f"/{id}", **{"X-Request-ID": id}) for connection, id in zip(connections, IDS, strict=True))
        )
        # the same connection, and nobody says which request this is
        await connections[0].ask("/nameless")

    asyncio.run(scenario())

    for id in IDS:
        assert [entry["request_id"] for entry in told(service, "begins", request_id=id)] == [id]
        assert told(service, f"begins /{id}", request_id=id)
        assert told(service, f"ends /{id}", request_id=id), "a thread of the request's"
    [nameless] = told(service, "begins /nameless")
    assert "request_id" not in nameless
    assert told(service, "in detail") == []


def test_an_id_that_the_proxy_would_not_send_is_none(chatty):
    service = chatty()
    ids = ['12345678", "level": "forged', "short", "x" * 129, "with spaces in it", "ümläute-sind-keine"]

    for id in ids:
        assert ask(service, "/", **{"X-Request-ID": id}) == [200]

    begins = told(service, "begins /")
    assert len(begins) == len(ids)
    assert not [entry for entry in begins if "request_id" in entry]


def test_a_websocket_has_an_id_and_its_query_is_not_logged(chatty):
    service = chatty()

    async def scenario():
        headers = {"X-Request-ID": IDS[7]}
        async with unix_connect(service.address, "ws://test/ws?token=hush", additional_headers=headers):
            pass

    asyncio.run(scenario())

    assert told(service, "a WebSocket", request_id=IDS[7])
    wait_for("the server's own line", lambda: service.said("[accepted]"))
    assert not service.said("hush")


def test_what_nobody_catches_is_one_line(chatty):
    service = chatty()

    assert ask(service, "/boom", **{"X-Request-ID": IDS[1]}) == [500]
    assert ask(service, "/thread", "/warn", **{"X-Request-ID": IDS[2]}) == [200, 200]

    wait_for("the thread's exception", lambda: service.said("ZeroDivisionError"))
    [boom] = told(service, "Exception in ASGI application")
    assert boom["exception"].endswith("LookupError: no such thing")
    assert (boom["level"], boom["request_id"]) == ("error", IDS[1])
    [thread] = told(service, "Uncaught exception in thread")
    assert thread["exception"].endswith("ZeroDivisionError: division by zero")
    assert [entry["logger"] for entry in entries(service) if "mind the gap" in entry["message"]] == ["py.warnings"]


def test_what_fits_in_no_line_is_made_to(chatty):
    service = chatty()

    assert ask(service, "/odd") == [200]

    [apples] = told(service, "%d apples")
    assert "three" in apples["message"]
    assert "no text" in apples["basket"]
    [long] = told(service, "xxx")
    assert "84000 characters" in long["message"]
    assert max(map(len, service.log().splitlines())) < 48 * 1024


@pytest.mark.parametrize("corner", [NEWEST], ids=["newest"], indirect=True)
def test_a_level_alone_changes_the_level_alone(chatty):
    service = chatty("level")

    ask(service, "/x")

    assert told(service, "in detail", level="debug")
    assert told(service, "begins /x", level="info")


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
def test_what_the_app_configures_counts_for_the_app_and_leaves_the_servers_alone(chatty, configures):
    service = chatty(configures)

    ask(service, "/x", "/boom", **{"X-Request-ID": IDS[3]})
    service.reload()

    lines = service.log().splitlines()
    for line in (f"mine INFO {IDS[3]} begins /x", f"mine DEBUG {IDS[3]} in detail", f"mine INFO {IDS[3]} ends /x"):
        assert lines.count(line) == 1
    assert not [line for line in lines if '"chatty"' in line], "nor twice"
    servers = [json.loads(line) for line in lines if line.startswith("{")]
    [boom] = [entry for entry in servers if entry["message"].startswith("Exception in ASGI application")]
    assert boom["exception"].endswith("LookupError: no such thing")
    assert [entry["logger"] for entry in servers if entry["message"] == "This worker drains"] == ["gunicorn.error"]
