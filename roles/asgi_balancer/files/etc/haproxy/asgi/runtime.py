# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a balancer asks of HAProxy's runtime API by itself: `save` its state before a reload, `check` that it serves;
`forget` a former state before a start.

Written by the Ansible collection asgi.deploy into /etc/haproxy/asgi; changes are overwritten. It needs nothing but Python.
"""

import os
import socket
import sys
from pathlib import Path

DIRECTORY = Path(__file__).resolve().parent
SOCKET = "/run/haproxy/admin.sock"
STATE = "/run/asgi-haproxy.state"
NOTHING = "1\n"  # the version of the format
PORT_COLUMN = 18
SECONDS = 2


def main():
    if sys.argv[1:] == ["save"]:
        save(current(ask("show servers state").decode(), configured_ports()))
    elif sys.argv[1:] == ["forget"]:
        save(NOTHING)
    elif sys.argv[1:] == ["check"]:
        ask("show info")
    else:
        sys.exit(f"{sys.argv[0]}: say save, forget or check")


def ask(command):
    """Return HAProxy's answer; raise OSError if there is none."""
    with socket.socket(socket.AF_UNIX) as api:
        api.settimeout(SECONDS)
        api.connect(SOCKET)
        api.sendall(f"{command}\n".encode())
        answer = b"".join(iter(lambda: api.recv(65536), b""))
    if not answer.strip():
        raise OSError(f"HAProxy did not answer {command!r}")
    return answer


def configured_ports():
    """Return what the files on the disk say: the port of each server, by backend and name."""
    ports, backend = {}, ""
    for path in sorted(DIRECTORY.glob("asgi-*.cfg")):
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            words = line.split()
            if words[:1] == ["backend"]:
                backend = words[1]
            elif words[:1] == ["server"]:
                ports[backend, words[1]] = words[2].rpartition(":")[2]
    return ports


def current(state, ports):
    """Return *state* without the servers that get another of *ports*: HAProxy would take the former one from there."""
    kept = []
    for line in state.splitlines():
        words = line.split()
        # be_id be_name srv_id srv_name ... srv_port, by the header of version 1
        other_port = (
            len(words) > PORT_COLUMN and ports.get((words[1], words[3]), words[PORT_COLUMN]) != words[PORT_COLUMN]
        )
        if not other_port:
            kept.append(line)
    return "\n".join(kept) + "\n"


def save(state):
    temporary = f"{STATE}.new"
    with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        file.write(state)
    os.replace(temporary, STATE)


if __name__ == "__main__":
    main()
