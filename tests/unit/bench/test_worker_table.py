"""The table of machines in docs/explanation/workers.md."""

from __future__ import annotations

import pytest

from bench import worker_table


def test_page_is_up_to_date():
    assert worker_table.TARGET.read_text() == worker_table.page(), "run bench/worker_table.py"


@pytest.mark.parametrize(
    ("machine", "workers"),
    list(zip(worker_table.MACHINES, [2, 2, 3, 2, 5, 3, 9, 3, 2, 5, 32, 129], strict=True)),
    ids=lambda value: getattr(value, "text", value),
)
def test_number_of_workers_of_each_machine(machine, workers):
    assert machine.plan().workers == workers
