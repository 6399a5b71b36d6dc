# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Commands for HAProxy's runtime API: `save` the state before a reload, `forget` a saved state before a start, `check` that HAProxy
responds.

Written by the Ansible collection asgi.deploy to /etc/haproxy/asgi; changes are overwritten. It only requires Python.
"""

import os
import socket
import sys
from pathlib import Path

DIRECTORY = Path(__file__).resolve().parent
SOCKET = "/run/haproxy/admin.sock"
STATE = "/run/asgi-haproxy.state"
NOTHING = "1\n"  # a state file without servers: only the version of the format
PORT_COLUMN = 18
SECONDS = 2


def main():
    if sys.argv[1:] == ["save"]:
        save(current(send("show servers state").decode(), configured_ports()))
    elif sys.argv[1:] == ["forget"]:
        save(NOTHING)
    elif sys.argv[1:] == ["check"]:
        send("show info")
    else:
        sys.exit(f"usage: {sys.argv[0]} save|forget|check")


def send(command):
    """Return HAProxy's response to *command*; raise OSError if there is none."""
    with socket.socket(socket.AF_UNIX) as api:
        api.settimeout(SECONDS)
        api.connect(SOCKET)
        api.sendall(f"{command}\n".encode())
        answer = b"".join(iter(lambda: api.recv(65536), b""))
    if not answer.strip():
        raise OSError(f"HAProxy did not respond to {command!r}")
    return answer


def configured_ports():
    """Return the port of each server in the configuration files, by backend and name."""
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
    """Return *state* without servers whose port in *ports* differs, because HAProxy would restore the previous port."""
    kept = []
    for line in state.splitlines():
        words = line.split()
        # be_id be_name srv_id srv_name ... srv_port, according to the header of version 1
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
