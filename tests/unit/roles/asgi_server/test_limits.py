# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every server accepts what nginx passes on with any ``asgi_proxy_header_size``: only nginx limits requests."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path

import pytest
from ansible_collections.asgi.deploy.plugins.plugin_utils._checks.asgi_proxy import HEADER_SIZE
from ansible_collections.asgi.deploy.plugins.plugin_utils._server.servers import (
    HEAD_FIELDS,
    HEAD_SIZE,
    SERVERS,
    server_profile,
)

ROLE = Path(__file__).resolve().parents[4] / "roles/asgi_server"
CONFIGS = ROLE / "files/srv/app/configs"
TEMPLATES = ROLE / "templates/srv/app/configs"

LARGEST = max(int(size) for size in map(str, range(1, 100)) if HEADER_SIZE.fullmatch(f"{size}k")) * 1024
BUFFERS = 4
"""nginx's large_client_header_buffers: a request line and a header fit into one, the whole head into four."""


def head() -> bytes:
    """Return the largest head that nginx passes on: a long request line, a long header, and small headers that fill the rest."""
    lines = [b"GET /" + b"a" * (LARGEST - 16) + b" HTTP/1.1", b"Host: a.test", b"X-Big: " + b"b" * (LARGEST - 16)]
    count = (BUFFERS - 2) * LARGEST // 16
    lines += [b"X-%06d: %04d" % (number, number % 1000) for number in range(count)]
    return b"\r\n".join(lines) + b"\r\n\r\n"


def gunicorn_settings() -> dict[str, int]:
    """Return the limits of gunicorn.conf.py.j2."""
    text = (TEMPLATES / "gunicorn.conf.py.j2").read_text()
    profile = server_profile("gthread")
    found = {}
    for name, value in re.findall(r"^(limit_request_\w+) = (.+)$", text, re.MULTILINE):
        filled = re.sub(r"\{\{ __asgi_server_profile\.(\w+) \}\}", lambda match: str(profile[match[1]]), value)
        found[name] = int(filled)
    return found


def read_by_gthread(data: bytes) -> int:
    config, parser = pytest.importorskip("gunicorn.config"), pytest.importorskip("gunicorn.http.parser")
    settings = config.Config()
    for name, value in gunicorn_settings().items():
        settings.set(name, value)
    request = next(parser.RequestParser(settings, iter([data[:70000], data[70000:]]), ("127.0.0.1", 1)))
    return len(request.headers)


def read_by_gunicorn_asgi(data: bytes) -> int:
    parser = pytest.importorskip("gunicorn.asgi.parser")
    protocol = parser.PythonProtocol(**gunicorn_settings())
    protocol.feed(data[:70000])
    protocol.feed(data[70000:])
    return len(protocol.headers)


def read_by_uvicorn(data: bytes) -> int:
    """uvicorn's parser h11 has limits; its default parser, httptools, has none."""
    h11 = pytest.importorskip("h11")
    connection = h11.Connection(h11.SERVER, uvicorn_settings()["h11_max_incomplete_event_size"])
    connection.receive_data(data[:-2])
    assert connection.next_event() is h11.NEED_DATA
    connection.receive_data(data[-2:])
    return len(connection.next_event().headers)


def uvicorn_settings() -> dict[str, object]:
    pytest.importorskip("uvicorn")
    sys.path.insert(0, str(CONFIGS))
    try:
        spec = importlib.util.spec_from_file_location("limits_of_uvicorn", CONFIGS / "asgi_deploy_uvicorn.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(CONFIGS))
    return module.SETTINGS


READERS = {
    "uvicorn_worker": read_by_uvicorn,
    "uvicorn": read_by_uvicorn,
    "gunicorn_asgi": read_by_gunicorn_asgi,
    "gthread": read_by_gthread,
}


@pytest.mark.parametrize("server", SERVERS)
def test_a_server_reads_the_largest_head_that_nginx_passes_on(server):
    data = head()
    assert READERS[server](data) == data.count(b"\r\n") - 2


def test_uvicorn_has_the_head_size_of_the_server_table():
    assert uvicorn_settings()["h11_max_incomplete_event_size"] == HEAD_SIZE > BUFFERS * LARGEST


@pytest.mark.parametrize("server", SERVERS)
def test_handshake_has_the_same_limits(server):
    """The library websockets parses the handshake again, with its own limits."""
    text = (TEMPLATES / "service.conf.j2").read_text()
    condition = "'asgi_deploy_uvicorn.py' in __asgi_server_profile.modules"
    assert ("asgi_deploy_uvicorn.py" in server_profile(server)["modules"]) is (server in ("uvicorn", "uvicorn_worker"))
    block = text[text.index(condition) :].partition("{% endif %}")[0]
    for variable, key in {
        "WEBSOCKETS_MAX_LINE_LENGTH": "head_size",
        "WEBSOCKETS_MAX_NUM_HEADERS": "head_fields",
    }.items():
        assert f"{variable}={{{{ __asgi_server_profile.{key} }}}}" in block
    assert server_profile(server)["head_fields"] == HEAD_FIELDS
