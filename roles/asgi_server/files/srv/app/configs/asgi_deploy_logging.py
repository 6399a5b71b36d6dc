# Copyright: (c) 2026, the asgi.deploy authors
# Simplified BSD License (see https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""One JSON object a line on standard error, from gunicorn, uvicorn and the app alike.

Written with the standard library: a logging package in the app's venv could clash with the app's own choice of it.
"""

from __future__ import annotations

import json
import logging
from datetime import datetime, timezone

# What a LogRecord has by itself; anything else came in through ``extra=`` and is part of the message.
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "color_message", "taskName"}


class JsonFormatter(logging.Formatter):
    """Formats a record as one line of JSON: time (UTC), level, logger, message, and what else it carries."""

    def format(self, record: logging.LogRecord) -> str:
        entry = {
            "time": datetime.fromtimestamp(record.created, timezone.utc).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            "pid": record.process,
        }
        entry.update((key, value) for key, value in vars(record).items() if key not in _STANDARD)
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        if record.stack_info:
            entry["stack"] = self.formatStack(record.stack_info)
        return json.dumps(entry, default=str, ensure_ascii=False)


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


def logging_config(level: str, access_log: bool) -> dict:
    """Return gunicorn's ``logconfig_dict``.

    uvicorn takes the handlers of gunicorn's two loggers over, so an access logger without a handler is one that costs
    nothing; the app's own loggers reach the root. *level* is a logging level's name.
    """
    level = level.upper()
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"json": {"()": JsonFormatter}, "access": {"()": AccessFormatter}},
        "handlers": {
            "json": {"class": "logging.StreamHandler", "formatter": "json", "stream": "ext://sys.stderr"},
            "access": {"class": "logging.StreamHandler", "formatter": "access", "stream": "ext://sys.stderr"},
        },
        "root": {"level": level, "handlers": ["json"]},
        "loggers": {
            "gunicorn.error": {"level": level, "handlers": ["json"], "propagate": False},
            "gunicorn.access": {"level": "INFO", "handlers": ["access"] if access_log else [], "propagate": False},
        },
    }
