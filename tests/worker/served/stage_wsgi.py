"""The app of the tests for WSGI servers."""

from __future__ import annotations

import os
import time
from pathlib import Path

import mishaps

GATE = Path(os.environ["GATE"])

match Path(os.environ["RELEASE"]).read_text():
    case "not":
        raise RuntimeError("this release does not import")
    case "slowly":
        time.sleep(1)
    case how if how.startswith("ends with "):
        mishaps.end(how.removeprefix("ends with "))


def app(environ, start_response):
    content = str(os.getpid()).encode()
    match environ["PATH_INFO"]:
        case "/echo":
            content = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
        case "/gate":
            while not GATE.exists():
                time.sleep(0.02)
            content = b"open"
        case "/hang":
            time.sleep(600)
        case "/end":
            mishaps.end(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])).decode())
        case "/start":
            mishaps.start(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])).decode())
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(content)))])
    return [content]
