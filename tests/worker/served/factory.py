"""Applications that a factory or a container holds. They answer with their greeting, their directory and what a child can import."""

from __future__ import annotations

import os
import subprocess
import sys


def described(greeting: str) -> bytes:
    code = "import sys; sys.path[:0] = ['']; import factory_code; print(factory_code.NAME)"
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    return f"{greeting}\n{os.getcwd()}\n{child.stdout.strip()}".encode()


def create_app(greeting: str, times: int = 1):
    async def app(scope, receive, send):
        if scope["type"] == "http":
            content = described(greeting * times)
            headers = [(b"content-length", str(len(content)).encode())]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": content})
        elif scope["type"] == "lifespan":
            raise NotImplementedError

    return app


def create_wsgi_app(greeting: str, times: int = 1):
    def app(environ, start_response):
        content = described(greeting * times)
        start_response("200 OK", [("Content-Length", str(len(content)))])
        return [content]

    return app


class container:
    app = create_app("contained")
    wsgi_app = create_wsgi_app("contained")
