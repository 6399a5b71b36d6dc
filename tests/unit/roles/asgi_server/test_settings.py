# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The configuration that the role writes for asgi_server_settings, asgi_server_gunicorn_hooks and asgi_server_working_directory."""

from __future__ import annotations

import ast

import hostile
import pytest
from rendering import rendered

VARIABLES = {
    name: value
    for name, value in hostile.CASES["slot"].variables.items()
    if name not in ("asgi_server_settings", "asgi_server_gunicorn_hooks", "asgi_server_working_directory")
}


def program(server, **options):
    options["asgi_server_type"] = server
    if server == "uvicorn":
        options |= {"asgi_server_max_requests": 0, "asgi_server_workers": "auto", "asgi_server_metrics": False}
    files = rendered("asgi_server", {**VARIABLES, **options})
    return files["uvicorn.conf.py" if server == "uvicorn" else "gunicorn.conf.py"]


def statements(text):
    """Return the statements of the program *text*, without indentation of blocks."""
    return [ast.unparse(node) for node in ast.walk(ast.parse(text)) if isinstance(node, (ast.Expr, ast.Assign))]


@pytest.mark.parametrize("server", ["uvicorn_worker", "uvicorn"])
def test_uvicorn(server):
    settings = {"ws_ping_interval": None, "ws_per_message_deflate": False, "limit_concurrency": 7}
    text = program(server, asgi_server_settings=settings, asgi_server_probe_path="/ready?deep=1")
    assert (
        "asgi_deploy_process.UVICORN_SETTINGS.update({'ws_ping_interval': None, 'ws_per_message_deflate': False})"
        in statements(text)
    )
    assert "asgi_deploy_request.limit_concurrency(7, except_path='/ready')" in statements(text)


def test_gunicorn():
    settings = {"limit_request_line": 8190, "forwarder_headers": ["SCRIPT_NAME"], "header_map": "refuse"}
    text = program("gthread", asgi_server_settings=settings, asgi_server_metrics=False)
    found = statements(text)
    assert {"forwarder_headers = ['SCRIPT_NAME']", "header_map = 'refuse'"} <= set(found)
    # the last assignment counts
    assert [each for each in found if each.startswith("limit_request_line")][-1] == "limit_request_line = 8190"


@pytest.mark.parametrize("server", ["uvicorn_worker", "gunicorn_asgi", "uvicorn", "gthread"])
def test_defaults(server):
    text = program(server, asgi_server_metrics=False)
    assert "SETTINGS" not in text
    assert "limit_concurrency" not in text
    assert "working_directory" not in text
    assert "asgi_deploy_hooks" not in text


@pytest.mark.parametrize("server", ["uvicorn_worker", "uvicorn"])
def test_working_directory(server):
    text = program(server, asgi_module="main:create_app('x')", asgi_server_working_directory="shared/data")
    call = next(each for each in statements(text) if each.startswith("asgi_deploy_app.configure"))
    assert call == ("asgi_deploy_app.configure(\"main:create_app('x')\", working_directory='/srv/shop/shared/data')")


@pytest.mark.parametrize(("server", "requests"), [("uvicorn_worker", False), ("gthread", True)])
def test_hooks(server, requests):
    text = program(server, asgi_server_gunicorn_hooks="deploy/hooks.py", asgi_server_metrics=False)
    assert statements(text)[-1] == (
        f"globals().update(asgi_deploy_hooks.chained(globals(), 'deploy/hooks.py', calls_request_hooks={requests}))"
    )


@pytest.mark.parametrize("server", ["uvicorn_worker", "gunicorn_asgi", "uvicorn", "gthread"])
def test_root_path(server):
    call = "asgi_deploy_request.accept_root_path('/api')"
    path = {"asgi_proxy_path": "/api", "asgi_server_metrics": False}
    assert call in statements(program(server, **path, asgi_proxy_strip_path=True))
    assert "accept_root_path" not in program(server, **path, asgi_proxy_strip_path=False)
    assert "accept_root_path" not in program(server, asgi_server_metrics=False)
