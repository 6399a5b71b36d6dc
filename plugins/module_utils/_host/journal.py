# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Entries of the host's journal, in journald's native protocol (https://systemd.io/JOURNAL_NATIVE_PROTOCOL)."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Mapping

SOCKET = "/run/systemd/journal/socket"
# Longest wait for a journald that does not read its socket.
PATIENCE = 1


def send(fields: Mapping[str, str]) -> None:
    """Write an entry with *fields* to the journal. Errors are ignored, because a host without a journal must remain usable."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as client:
        client.settimeout(PATIENCE)
        client.connect(SOCKET)
        client.send(encode(fields))


def encode(fields: Mapping[str, str]) -> bytes:
    """Return the datagram for an entry with *fields*. A value with a line break is preceded by its length."""
    parts = []
    for name, text in fields.items():
        value = text.encode(errors="replace")
        if b"\n" in value:
            parts.append(name.encode() + b"\n" + len(value).to_bytes(8, "little") + value + b"\n")
        else:
            parts.append(name.encode() + b"=" + value + b"\n")
    return b"".join(parts)
