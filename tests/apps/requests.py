"""The apps of the scenario `apps`: one real request for each."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

from probe import Answer, ask

MACHINE = "asgi-apps-debian13"
JSON = {"Content-Type": "application/json"}


class Request(NamedTuple):
    """A request that the app *name* answers with *status* and a body that contains *text*."""

    name: str
    text: str
    path: str = "/"
    method: str = "GET"
    body: Callable[[], str] | None = None
    headers: Mapping[str, str] = MappingProxyType({})
    status: int = 200
    server: str = ""

    def __str__(self) -> str:
        return self.name

    def send(self, port: int) -> Answer:
        body = self.body().encode() if self.body else None
        server = self.server or f"{self.name}.test"
        return ask(server, port, self.path, method=self.method, body=body, headers=dict(self.headers), timeout=30)


def unique() -> str:
    return uuid.uuid4().hex


def study() -> str:
    return json.dumps({"study_name": unique(), "directions": ["minimize"]})


def account() -> str:
    return json.dumps({"email": f"{unique()}@example.org", "password": "a long password"})


def upload() -> str:
    lines = [
        "--boundary",
        f'Content-Disposition: form-data; name="image"; filename="{unique()}.txt"',
        "",
        "a photo",
        "--boundary--",
        "",
    ]
    return "\r\n".join(lines)


FORM = {"Content-Type": "application/x-www-form-urlencoded"}
MULTIPART = {"Content-Type": "multipart/form-data; boundary=boundary"}
REQUESTS = [
    Request("datasette", '"ok": true', "/_memory.json?sql=select+1"),
    Request("optuna", "study_name", "/api/studies", "POST", study, JSON, 201),
    Request("orders", '"item":"tea"', "/orders", "POST", lambda: "item=tea", FORM),
    Request("backend", '"table"', "/reports", "POST", lambda: "[[1, 2], [3, 4]]", JSON),
    Request("gallery", "/media/photos/", "/photos", "POST", upload, MULTIPART, 201),
    Request("nicegui", "Hello from NiceGUI"),
    Request("accounts", "@example.org", "/auth/register", "POST", account, JSON, 201),
    Request("shop", '"item":"tea"', "/items", "POST", lambda: '{"item": "tea"}', JSON),
    Request("shop-api", '"item":"tea"', "/api/items", "POST", lambda: '{"item": "tea"}', JSON, server="shop.test"),
]
BY_NAME = {request.name: request for request in REQUESTS}
