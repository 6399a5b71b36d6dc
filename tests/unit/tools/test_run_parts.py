"""The summary of `make test`."""

from __future__ import annotations

import pytest
import run_parts

PYTEST = "\x1b[31mFAILED\x1b[0m tests/test_a.py::test_b - AssertionError: [ERROR]: no\nmake: *** [Makefile:9: unit] Error 1\n"
ANSIBLE = "TASK [x]\n\x1b[1;31m[ERROR]: Task failed\x1b[0m\nok: [b]\n\x1b[31mfatal: [a]: FAILED! => {}\x1b[0m\nCRITICAL Ansible return code was 2\n"


@pytest.mark.parametrize(
    ("output", "reasons"),
    [
        (ANSIBLE + PYTEST, ["FAILED tests/test_a.py::test_b - AssertionError: [ERROR]: no"]),
        ("ERROR tests/test_a.py::test_b - OSError\n", ["ERROR tests/test_a.py::test_b - OSError"]),
        (ANSIBLE, ["[ERROR]: Task failed", "fatal: [a]: FAILED! => {}"]),
        ("ERROR: a.py:28:161: E501\nmore\n", ["ERROR: a.py:28:161: E501"]),
        ("one\n\ntwo\n", ["one", "two"]),
        ("x" * 1000, ["x" * run_parts.REASON_WIDTH]),
        ("x\n" * 1000, ["x"] * run_parts.REASONS_SHOWN),
        ("", []),
    ],
)
def test_reasons_of_a_failed_part(output, reasons):
    assert run_parts.Outcome("part", False, 1, output).reasons() == reasons
    assert run_parts.Outcome("part", True, 1, output).reasons() == []
