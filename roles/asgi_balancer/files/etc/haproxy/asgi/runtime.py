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

SOCKET = "/run/haproxy/admin.sock"
STATE = "/run/asgi-haproxy.state"
EMPTY = b"1\n"  # the version of the format
SECONDS = 2


def main():
    if sys.argv[1:] == ["save"]:
        save(ask("show servers state"))
    elif sys.argv[1:] == ["forget"]:
        save(EMPTY)
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


def save(state):
    temporary = f"{STATE}.new"
    with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(state)
    os.replace(temporary, STATE)


if __name__ == "__main__":
    main()
