"""The table of machines in docs/workers.md."""

from __future__ import annotations

import pytest
import worker_table


def test_the_page_is_what_the_tool_makes():
    assert worker_table.TARGET.read_text() == worker_table.page(), "run tools/worker_table.py"


@pytest.mark.parametrize(
    ("machine", "workers"),
    list(zip(worker_table.MACHINES, [2, 2, 3, 2, 5, 3, 9, 3, 2, 5, 32, 129], strict=True)),
    ids=lambda value: getattr(value, "text", value),
)
def test_the_number_on_each_machine(machine, workers):
    assert machine.plan().workers == workers
