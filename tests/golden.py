"""Golden files: the expected messages, one for each code. Set UPDATE_MESSAGES to write them instead of comparing."""

from __future__ import annotations

import os
from pathlib import Path


def compare_messages(test: str, messages: list[str]) -> None:
    """Compare *messages* with the file messages.txt beside the file of the *test*."""
    path, text = Path(test).with_name("messages.txt"), "\n".join(messages) + "\n"
    if os.environ.get("UPDATE_MESSAGES"):
        path.write_text(text)
    assert text == path.read_text(), "run this test with UPDATE_MESSAGES=1 and review the difference"
