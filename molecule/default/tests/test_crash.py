"""The master of a live app dies: systemd holds the socket, so requests wait instead of being refused."""

from __future__ import annotations

import threading

from probe import ask
from traffic.playbooks import wait_for

CLIENTS = 4


def test_killing_the_master_refuses_no_connection(hello, capsys):
    service = hello.service(hello.live)
    before = hello.property_of(service, "MainPID")
    port = hello.port(443)
    statuses, errors, stop = [], [], threading.Event()

    def visit():
        while not stop.is_set():
            try:
                statuses.append(ask(hello.server_name, port, timeout=30).status)
            except OSError as exc:
                errors.append(exc)

    clients = [threading.Thread(target=visit) for client in range(CLIENTS)]
    for client in clients:
        client.start()
    try:
        wait_for(lambda: len(statuses) >= CLIENTS, "all clients to be there")
        hello.host.check_output("kill -KILL %s", before)
        wait_for(lambda: hello.property_of(service, "MainPID") not in (before, "0"), "another master")
        asked_before = len(statuses)
        wait_for(lambda: len(statuses) > asked_before + 2 * CLIENTS, "each client to go on")
    finally:
        stop.set()
        for client in clients:
            client.join()

    assert hello.ask("/").status == 200
    assert errors == []
    # what a worker was answering at that very moment is lost with it: at most one request of each client
    lost = len([status for status in statuses if status != 200])
    with capsys.disabled():
        print(f"\nkilled with its workers, the master lost {lost} of {len(statuses)} requests")
    assert lost <= CLIENTS * hello.variables["asgi_server_workers"]
    # the socket was there and somebody listened, all the time
    logged = hello.host.file(f"/var/log/nginx/{hello.name}.error.log").content_string
    assert "Connection refused" not in logged
    assert "No such file or directory" not in logged
