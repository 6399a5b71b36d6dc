# Copyright: (c) 2026, the asgi.deploy authors
# Simplified BSD License (see https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""One JSON object a line on standard error, from gunicorn, uvicorn and the app alike, with the id of the request.

It is what the app finds, not what it has to take: whatever the app configures itself counts as if we were not there.
Written with the standard library: a logging package in the app's venv could clash with the app's own choice of it.
"""

from __future__ import annotations

import functools
import json
import logging
import sys
import threading
from datetime import datetime, timezone

from asgi_deploy_request import REQUEST_ID

# What a LogRecord has by itself; anything else came in through ``extra=`` and is part of the message.
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {
    "message",
    "asctime",
    "color_message",
    "taskName",
    "request_id",
}

LONGEST = 16_000
"""Characters of one text. journald cuts a line at 48 KiB, and half a line is no JSON."""

NO_REQUEST = "-"

SERVERS = ("gunicorn.error", "gunicorn.access", "uvicorn", "uvicorn.error", "uvicorn.access", "uvicorn.asgi")
"""Loggers that an app disables without meaning it: logging.config does that to all that it does not name."""


def shortened(text: str) -> str:
    """Return *text* without its middle if it is too long for a line of the journal."""
    left_out = len(text) - LONGEST
    if left_out <= 0:
        return text
    half = LONGEST // 2
    return f"{text[:half]} ... {left_out} characters ... {text[-half:]}"


def message_of(record: logging.LogRecord) -> str:
    """Return the record's message, also if its arguments do not fit: a line that is wrong is better than none."""
    try:
        return record.getMessage()
    except (TypeError, ValueError, KeyError):
        return f"{record.msg} {record.args!r}"


class JsonFormatter(logging.Formatter):
    """Formats a record as one line of JSON: time (UTC), level, logger, message, and what else it carries."""

    def format(self, record: logging.LogRecord) -> str:
        entry = {
            "time": datetime.fromtimestamp(record.created, timezone.utc).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": shortened(message_of(record)),
            "pid": record.process,
        }
        request_id = getattr(record, "request_id", NO_REQUEST)
        if request_id != NO_REQUEST:
            entry["request_id"] = request_id
        entry.update((key, value) for key, value in vars(record).items() if key not in _STANDARD)
        if record.exc_info:
            entry["exception"] = shortened(self.formatException(record.exc_info))
        if record.stack_info:
            entry["stack"] = shortened(self.formatStack(record.stack_info))
        try:
            return json.dumps(entry, default=str, ensure_ascii=False)
        except (TypeError, ValueError):  # a key that is no text, or something that contains itself
            return json.dumps({key: str(value) for key, value in entry.items()}, ensure_ascii=False)


class AccessFormatter(JsonFormatter):
    """Formats uvicorn's access records; the query string stays out, for it may carry secrets."""

    def format(self, record: logging.LogRecord) -> str:
        if isinstance(record.args, tuple) and len(record.args) == 5:
            client, method, target, http, status = record.args
            path = str(target).partition("?")[0]
            record = logging.makeLogRecord(
                {
                    **vars(record),
                    "msg": f"{method} {path} {status}",
                    "args": None,
                    "client": client,
                    "method": method,
                    "path": path,
                    "http": http,
                    "status": status,
                }
            )
        return super().format(record)


class ServerFormatter(JsonFormatter):
    """Formats gunicorn's and uvicorn's own records; of the address in those that have one the query stays out here as well."""

    def format(self, record: logging.LogRecord) -> str:
        # the latter is what gunicorn says when a WSGI app raises
        has_address = isinstance(record.msg, str) and (
            '"WebSocket %s"' in record.msg or record.msg.startswith("Error handling request ")
        )
        if has_address and isinstance(record.args, tuple):
            args = tuple(str(each).partition("?")[0] for each in record.args)
            record = logging.makeLogRecord({**vars(record), "args": args})
        return super().format(record)


class ServerLogger(logging.Logger):
    """A logger that cannot be disabled. An app may still give it another level or other handlers."""

    disabled = property(lambda self: False, lambda self, value: None)


def attend() -> None:
    """Make this process log as it should whatever the app does. Called by gunicorn.conf.py, and on each HUP again.

    Records get the attribute ``request_id``, for formats of the app's own, too; the loggers of the servers stay enabled;
    what would have been printed as plain text (warnings, exceptions of threads and of destructors) is logged;
    and :func:`logging.basicConfig`, which does nothing once somebody has configured logging, does not count us.
    """
    if getattr(logging.getLogRecordFactory(), "asgi_deploy", False):
        return
    logging.setLogRecordFactory(_with_request_id(logging.getLogRecordFactory()))
    logging.basicConfig = _basic_config(logging.basicConfig)
    logging.captureWarnings(True)
    for name in SERVERS:
        logging.getLogger(name).__class__ = ServerLogger
    sys.excepthook = lambda *exc_info: _uncaught("Uncaught exception", exc_info)
    sys.unraisablehook = lambda args: _uncaught(
        f"{args.err_msg or 'Exception ignored in'}: {args.object!r}",
        (args.exc_type, args.exc_value, args.exc_traceback),
    )
    threading.excepthook = lambda args: _uncaught(
        f"Uncaught exception in thread {getattr(args.thread, 'name', '?')}",
        (args.exc_type, args.exc_value, args.exc_traceback),
    )


def _with_request_id(factory):
    def record(*args, **kwargs) -> logging.LogRecord:
        made = factory(*args, **kwargs)
        made.request_id = REQUEST_ID.get() or NO_REQUEST
        return made

    record.asgi_deploy = True
    return record


def _basic_config(original):
    @functools.wraps(original)
    def basic_config(**settings) -> None:
        root = logging.getLogger()
        if [type(handler) for handler in root.handlers] == [JsonHandler]:
            if settings.keys() == {"level"}:  # it says nothing about how lines look
                root.setLevel(settings["level"])
                return
            if settings:
                root.removeHandler(root.handlers[0])
        original(**settings)

    return basic_config


def _uncaught(message: str, exc_info: tuple) -> None:
    if exc_info[0] is not None and issubclass(exc_info[0], SystemExit):
        return
    logging.getLogger("uncaught").critical(message, exc_info=exc_info)


class JsonHandler(logging.StreamHandler):
    """Ours among the handlers of the root."""


def logging_config(level: str, access_log: bool) -> dict:
    """Return gunicorn's ``logconfig_dict``.

    uvicorn takes the handlers of gunicorn's two loggers over, so an access logger without a handler is one that costs
    nothing; the app's own loggers reach the root. *level* is a logging level's name.
    """
    level = level.upper()
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "json": {"()": JsonFormatter},
            "server": {"()": ServerFormatter},
            "access": {"()": AccessFormatter},
        },
        "handlers": {
            "json": {"()": JsonHandler, "formatter": "json", "stream": "ext://sys.stderr"},
            "server": {"class": "logging.StreamHandler", "formatter": "server", "stream": "ext://sys.stderr"},
            "access": {"class": "logging.StreamHandler", "formatter": "access", "stream": "ext://sys.stderr"},
        },
        "root": {"level": level, "handlers": ["json"]},
        "loggers": {
            "gunicorn.error": {"level": level, "handlers": ["server"], "propagate": False},
            "gunicorn.access": {"level": "INFO", "handlers": ["access"] if access_log else [], "propagate": False},
        },
    }
