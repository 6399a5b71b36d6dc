"""If the master of a live app dies, systemd keeps the socket open, so that requests wait and are not refused."""

from __future__ import annotations

from probe import ask
from scenario import Visitors
from traffic.playbooks import wait_for

CLIENTS = 4


def test_killed_master_refuses_no_connection(hello, capsys):
    before, port = hello.master, hello.port(443)
    with Visitors(lambda: ask(hello.server_name, port, timeout=30).status, CLIENTS) as visitors:
        statuses = visitors.statuses
        wait_for(lambda: len(statuses) >= CLIENTS, "all clients")
        hello.host.check_output("kill -KILL %s", before)
        wait_for(lambda: hello.master not in (before, "0"), "a new master")
        answered = len(statuses)
        wait_for(lambda: len(statuses) > answered + 2 * CLIENTS, "further answers for each client")

    assert hello.ask("/").status == 200
    assert visitors.errors == []
    # A killed worker loses the requests in flight: at most one of each client.
    lost = len([status for status in statuses if status != 200])
    with capsys.disabled():
        print(f"\nkilled with its workers, the master lost {lost} of {len(statuses)} requests")
    assert lost <= CLIENTS * hello.variables["asgi_server_workers"]
    # The socket existed and was listening all the time.
    logged = hello.host.file(f"/var/log/nginx/{hello.name}.error.log").content_string
    assert "Connection refused" not in logged
    assert "No such file or directory" not in logged
