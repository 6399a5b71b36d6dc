"""An app that logs. The environment variable CONFIGURES selects how the app configures logging."""

from __future__ import annotations

import asyncio
import logging
import logging.config
import os
import threading
import warnings

log = logging.getLogger("chatty")

FORMAT = "mine %(levelname)s %(request_id)s %(message)s"
CONFIGURATION = {
    "version": 1,
    "formatters": {"mine": {"format": FORMAT}},
    "handlers": {"mine": {"class": "logging.StreamHandler", "formatter": "mine"}},
    "root": {"level": "DEBUG", "handlers": ["mine"]},
}


def configure():
    match os.environ.get("CONFIGURES", "nothing").removeprefix("late "):
        case "level":
            logging.basicConfig(level=logging.DEBUG)
        case "basicConfig":
            logging.basicConfig(level=logging.DEBUG, format=FORMAT)
        case "basicConfig with force":
            logging.basicConfig(level=logging.DEBUG, format=FORMAT, force=True)
        case "dictConfig":
            logging.config.dictConfig({**CONFIGURATION, "disable_existing_loggers": False})
        case "dictConfig that disables":
            logging.config.dictConfig(CONFIGURATION)
            # Like an app that keeps its own logger enabled.
            log.disabled = False


LATE = os.environ.get("CONFIGURES", "").startswith("late ")
if not LATE:
    configure()


async def app(scope, receive, send):
    match scope["type"], scope.get("path"):
        case "lifespan", _:
            await receive()
            if LATE:
                configure()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
        case "websocket", _:
            await receive()
            log.info("a WebSocket")
            await send({"type": "websocket.accept"})
            await receive()
        case "http", "/boom":
            raise LookupError("no such thing")
        case "http", "/thread":
            threading.Thread(target=lambda: 1 / 0).start()
            await answer(send)
        case "http", "/warn":
            warnings.warn("mind the gap", stacklevel=1)
            await answer(send)
        case "http", "/odd":
            log.info("%d apples", "three", extra={"basket": {("a", "key"): "no text"}})
            log.info("x" * 100_000)
            await answer(send)
        case "http", path:
            log.debug("in detail")
            log.info("begins %s", path)
            await asyncio.sleep(0.05)
            await asyncio.to_thread(log.info, "ends %s", path)
            await answer(send)


async def answer(send):
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})
