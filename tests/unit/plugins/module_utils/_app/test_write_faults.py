"""Errors of apps that write to read-only places."""

from __future__ import annotations

import json

import pytest
from ansible_collections.asgi.deploy.plugins.module_utils._app.write_faults import (
    describe_write_fault,
    logged_write_faults,
    write_faults,
    write_remedy,
)

ERROR = "OSError: [Errno 30] Read-only file system: './app.log'"
LOG = "\n".join(
    [
        ERROR,
        json.dumps({"message": "failed", "exc_info": f"Traceback\n  File x\n{ERROR}"}),
        "OSError: [Errno 30] Read-only file system: b'/etc/x'",
        "mkdir: cannot create directory: Read-only file system",
        "sqlite3.OperationalError: unable to open database file",
        "sqlite3.OperationalError: attempt to write a readonly database",
        "OSError: [Errno 28] No space left on device",
    ]
)
FOUND = {
    "./app.log": 2,
    "/etc/x": 1,
    "Read-only file system": 1,
    "unable to open database file": 1,
    "attempt to write a readonly database": 1,
}


def test_errors_are_counted_by_path_or_message():
    assert write_faults(LOG) == FOUND


@pytest.mark.parametrize(
    ("fault", "description", "remedy"),
    [
        ("app.db", "cannot write to 'app.db'", "set asgi_server_working_directory to shared, because"),
        ("../data", "cannot write to '../data'", "set asgi_server_working_directory to shared, because"),
        (
            "unable to open database file",
            "reports 'unable",
            "below /srv/shop/shared, set asgi_server_working_directory",
        ),
        ("Read-only file system", "reports 'Read-only", "below /srv/shop/shared, set asgi_server_working_directory"),
        (
            "/srv/shop/releases/a/code/app.db",
            "cannot write to '/srv",
            "asgi_app_source.shared, as app.db if it is a file",
        ),
        ("/srv/shop/slots/blue/release/code/a/b/", "cannot write to '/srv", "or a/b/ if it is a directory"),
        ("/srv/shop/releases/a/source/x/app.db", "cannot write to '/srv", "or list it in asgi_app_source.shared"),
        ("/srv/shop/slots/blue/release/.venv/lib/python3.13/app.db", "cannot write to", "to editable, so that the app"),
        ("/etc/x", "cannot write to '/etc/x'", "or add the directory to asgi_server_write_paths"),
    ],
)
def test_each_error_has_a_remedy(fault, description, remedy):
    assert description in describe_write_fault(fault)
    assert remedy in write_remedy("shop", fault)


@pytest.mark.parametrize(
    ("properties", "journal", "found"),
    [
        ("InvocationID=4f\nLogNamespace=\n", (0, LOG, ""), FOUND),
        ("InvocationID=4f\nLogNamespace=shop\n", (1, "", ""), {}),
        ("InvocationID=4f\nLogNamespace=\n", (1, "", "Compiled without pattern matching support\n"), None),
        ("InvocationID=\nLogNamespace=\n", None, None),
    ],
)
def test_only_the_journal_since_the_start_of_the_service_is_searched(properties, journal, found):
    commands = []

    def run_command(argv):
        commands.append(argv)
        return (0, properties, "") if argv[0] == "systemctl" else journal

    assert logged_write_faults(run_command, "shop@blue.service") == found
    for command in commands[1:]:
        assert command[-1] == "_SYSTEMD_INVOCATION_ID=4f"
        assert ("--namespace=+shop" in command) == ("LogNamespace=shop" in properties)
