"""Every test runs in each corner of the matrix, unless it selects one."""

from __future__ import annotations

import contextlib

import pytest
from ansible_collections.asgi.deploy.plugins.plugin_utils._server.servers import DEFAULT

from worker.matrix import CORNERS
from worker.service import Service


def pytest_report_header():
    return [f"corner {corner}" for corner in CORNERS]


@pytest.fixture(params=CORNERS, ids=lambda corner: corner.name)
def corner(request):
    return request.param


@pytest.fixture
def start(corner, tmp_path):
    """Return a function that starts a service with gunicorn *settings* and *more* lines of configuration. The service ends with the test."""
    with contextlib.ExitStack() as stack:

        def started(
            http="auto", ws="auto", stock="", server=DEFAULT, more="", app="", working_directory=None, **settings
        ):
            service = Service(corner, tmp_path, settings, http, ws, stock, server, more, app, working_directory)
            return stack.enter_context(service.running())

        yield started
