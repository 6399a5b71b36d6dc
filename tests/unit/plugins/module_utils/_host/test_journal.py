# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Entries of the journal in journald's native protocol."""

from __future__ import annotations

import socket
import struct

import pytest
from ansible_collections.asgi.deploy.plugins.module_utils._host import journal


def test_a_value_with_a_line_break_is_preceded_by_its_length():
    assert journal.encode({"MESSAGE": "caf\u00e9", "TEXT": "a\nb"}) == (
        b"MESSAGE=caf\xc3\xa9\nTEXT\n" + struct.pack("<Q", 3) + b"a\nb\n"
    )


def test_the_entry_is_one_datagram(journald):
    journal.send({"MESSAGE": "hello", "PRIORITY": "5"})

    assert journald.recv(1000) == b"MESSAGE=hello\nPRIORITY=5\n"


def test_a_missing_journal_is_no_error(tmp_path, monkeypatch):
    monkeypatch.setattr(journal, "SOCKET", str(tmp_path / "missing"))
    journal.send({"MESSAGE": "hello"})


def test_a_journald_that_hangs_is_no_error(journald, monkeypatch):
    monkeypatch.setattr(journal, "PATIENCE", 0.01)
    client = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    client.setblocking(False)
    client.connect(journal.SOCKET)
    with client, pytest.raises(BlockingIOError):
        while True:
            client.send(b"x" * 1000)

    journal.send({"MESSAGE": "hello"})


def test_an_entry_that_is_too_large_is_no_error(journald):
    journal.send({"MESSAGE": "x" * (64 << 20)})
