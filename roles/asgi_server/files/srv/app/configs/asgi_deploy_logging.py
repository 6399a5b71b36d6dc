# Copyright: (c) 2026, the asgi.deploy authors
# Simplified BSD License (see https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Log records of gunicorn, uvicorn and the app as JSON, one object per line on standard error, with the request id.

This is only the default: any logging configuration of the app takes precedence. The module uses only the standard library, because a
logging package in the app's virtual environment could conflict with the app's requirements.
"""

from __future__ import annotations

import functools
import json
import logging
import re
import sys
import threading
from datetime import datetime, timezone

from asgi_deploy_request import REQUEST_ID

# Standard attributes of a LogRecord. All others were set with ``extra=`` and are logged.
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {
    "message",
    "asctime",
    "color_message",
    "taskName",
    "request_id",
}

LONGEST = 16_000
"""Maximum number of characters of one string. journald splits lines at 48 KiB, and a partial line is not valid JSON."""

NO_REQUEST = "-"

# JSON allows these characters, but a terminal interprets or hides them: DEL, C1 control characters, zero-width characters and characters
# that change the text direction. As in the collection's module_utils/_host/printable.py, except characters that json.dumps escapes.
_UNPRINTABLE = re.compile(
    "[\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e007f]"
)

SERVERS = ("gunicorn.error", "gunicorn.access", "uvicorn", "uvicorn.error", "uvicorn.access", "uvicorn.asgi")
"""Loggers of the servers. logging.config disables all loggers that a configuration does not name."""

EDGE_LINES = 30
"""Number of lines that are kept at each end of a text that is too long."""


def shortened(text: str) -> str:
    """Return *text* without its middle if it is too long for a line of the journal.

    In a traceback, only frames are removed (they are indented); the last lines of chained tracebacks are kept.
    """
    if len(text) <= LONGEST:
        return text
    lines = text.splitlines()
    middle = lines[EDGE_LINES:-EDGE_LINES]
    # the lines of an exception group have a margin
    kept = [line for line in middle if not re.sub("^ *[|+] ?", "", line).startswith(" ")]
    if len(kept) < len(middle):
        # indented like a frame, because an unindented line ends a traceback
        left_out = f"  ... {len(middle) - len(kept)} lines ..."
        text = "\n".join([*lines[:EDGE_LINES], left_out, *kept, *lines[-EDGE_LINES:]])
    left_out = len(text) - LONGEST
    if left_out <= 0:
        return text
    half = LONGEST // 2
    return f"{text[:half]} ... {left_out} characters ... {text[-half:]}"


def message_of(record: logging.LogRecord) -> str:
    """Return the message of *record*, even if its arguments do not match its format."""
    try:
        return record.getMessage()
    except (TypeError, ValueError, KeyError):
        return f"{record.msg} {record.args!r}"


def _dump(entry: dict) -> str:
    """Return *entry* as JSON on one line, with unprintable characters as JSON escapes, which parsers decode."""
    return _UNPRINTABLE.sub(
        lambda match: json.dumps(match[0])[1:-1], json.dumps(entry, default=str, ensure_ascii=False)
    )


class JsonFormatter(logging.Formatter):
    """Formats a record as one line of JSON: time (UTC), level, logger, message, and its extra attributes."""

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
            return _dump(entry)
        except (TypeError, ValueError):  # a key that is not a string, or a circular reference
            return _dump({key: str(value) for key, value in entry.items()})


class AccessFormatter(JsonFormatter):
    """Formats uvicorn's access records without the query string, which may contain secrets."""

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
    """Formats the error records of gunicorn and uvicorn, without the query string of addresses."""

    def format(self, record: logging.LogRecord) -> str:
        # the second one is gunicorn's message for an exception of a WSGI app
        has_address = isinstance(record.msg, str) and (
            '"WebSocket %s"' in record.msg or record.msg.startswith("Error handling request ")
        )
        if has_address and isinstance(record.args, tuple):
            args = tuple(str(each).partition("?")[0] for each in record.args)
            record = logging.makeLogRecord({**vars(record), "args": args})
        return super().format(record)


class ServerLogger(logging.Logger):
    """A logger that cannot be disabled. An app can still set its level and handlers."""

    disabled = property(lambda self: False, lambda self, value: None)


def set_up_logging() -> None:
    """Set up the logging of this process. gunicorn.conf.py calls this function at the start and after each HUP.

    Records get the attribute ``request_id``, which formats of the app can use, too. The loggers of the servers cannot be disabled.
    Warnings, and exceptions of threads and destructors, are logged instead of printed. :func:`logging.basicConfig`, which does nothing
    if logging is already configured, ignores this configuration.
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
            if settings.keys() == {"level"}:  # keep the JSON format
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
    """Marks the root handler of this module."""


def logging_config(level: str, access_log: bool) -> dict:
    """Return gunicorn's ``logconfig_dict``.

    uvicorn copies the handlers of gunicorn's two loggers, and an access logger without a handler costs nothing. The app's loggers
    propagate to the root. *level* is the name of a logging level.
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
