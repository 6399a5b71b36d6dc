"""Every test here runs once in each corner of the matrix, unless it says which."""

from __future__ import annotations

import contextlib

import pytest
from ansible_collections.asgi.deploy.plugins.plugin_utils.servers import DEFAULT

from worker.matrix import CORNERS
from worker.service import Service


def pytest_report_header():
    return [f"corner {corner}" for corner in CORNERS]


@pytest.fixture(params=CORNERS, ids=lambda corner: corner.name)
def corner(request):
    return request.param


@pytest.fixture
def start(corner, tmp_path):
    """Return what starts a service with gunicorn settings of one's own, and lines of *more*; the test's end stops it."""
    with contextlib.ExitStack() as stack:

        def started(http="auto", ws="auto", stock="", server=DEFAULT, more="", **settings):
            return stack.enter_context(Service(corner, tmp_path, settings, http, ws, stock, server, more).running())

        yield started
