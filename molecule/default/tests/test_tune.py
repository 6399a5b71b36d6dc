"""tune.yml on a live machine: its result, no effect on clients, and no remaining files or units.

`make bench-tune` measures the quality of its recommendation.
"""

from __future__ import annotations

import re
import threading

import pytest
import yaml
from scenario import Visitors

SHORT = {"asgi_tune_seconds": 2, "asgi_tune_warmup": 0, "asgi_tune_rounds": 1, "asgi_tune_connections": 8}
WORKERS = [2, 3]


def trial_units(app):
    """Return the active units of a measurement."""
    units = f"'{app.name}@trial.*' 'asgi-trial-{app.name}.service'"
    return app.host.check_output(f"systemctl list-units --plain --no-legend --state=active {units}").split()


def test_tuning_a_live_machine(one_hello, playbook, tmp_path):
    files = {"asgi_tune_html": tmp_path / "tune.html", "asgi_tune_vars_file": tmp_path / "tuned.yml"}
    before = one_hello.fingerprint()

    with Visitors(lambda: one_hello.ask("/health").status, pause=0.05) as visitors:
        refusal = playbook.fails("tune", *one_hello.limit, **SHORT, asgi_tune_workers=WORKERS)
        output = playbook.succeeds(
            "tune",
            *one_hello.limit,
            **SHORT,
            asgi_tune_workers=WORKERS,
            asgi_tune_with_traffic=True,
            **{name: str(path) for name, path in files.items()},
        )

    assert "asgi_tune_with_traffic=true" in refusal
    assert visitors.errors == []
    assert len(visitors.statuses) > 20
    assert set(visitors.statuses) == {200}
    assert one_hello.fingerprint() == before
    assert trial_units(one_hello) == []
    assert yaml.safe_load(files["asgi_tune_vars_file"].read_text())["asgi_server_workers"] in WORKERS
    page = files["asgi_tune_html"].read_text()
    assert page.count("<svg") == 4
    assert "not-for-other-eyes" not in page + output


def test_check_mode_reports_the_planned_measurement(one_hello, playbook):
    before = one_hello.fingerprint()

    output = playbook.succeeds("tune", *one_hello.limit, "--check", **SHORT, asgi_tune_with_traffic=True)

    assert re.search(r"GET /health of release \S+ with 1, .* workers", output)
    assert one_hello.fingerprint() == before


@pytest.fixture
def interrupted(one_hello, playbook):
    """Return a function that sends a signal to the measuring process once the trial slot has started, and returns the run."""

    def interrupt(signal):
        runs = []
        options = {**SHORT, "asgi_tune_seconds": 30, "asgi_tune_workers": WORKERS, "asgi_tune_with_traffic": True}
        thread = threading.Thread(target=lambda: runs.append(playbook("tune", *one_hello.limit, **options)))
        thread.start()
        # One command waits and sends the signal, because the trial slot is short-lived. The lock file contains the process id.
        one_hello.host.check_output(
            "timeout 300 sh -c 'while systemctl show --value --property=ActiveState $1 | grep -q ^inactive; do sleep 0.2; done; "
            'kill -$2 $(sed "s/.* tunes, process //" $3)\' - %s %s %s',
            f"{one_hello.name}@trial.service",
            signal,
            f"/srv/{one_hello.name}/.lock",
        )
        thread.join()
        return runs[0]

    return interrupt


@pytest.mark.long
def test_interrupted_measurement_leaves_nothing(one_hello, interrupted):
    before = one_hello.fingerprint()

    status, output = interrupted("TERM")

    assert status != 0
    assert "interrupted by SIGTERM" in output
    assert trial_units(one_hello) == []
    assert one_hello.fingerprint() == before


@pytest.mark.long
def test_next_deploy_removes_the_remains_of_a_killed_measurement(one_hello, interrupted, playbook):
    before = one_hello.fingerprint()

    status, _said = interrupted("KILL")

    assert status != 0
    assert trial_units(one_hello) != [], "no remains to remove"
    assert one_hello.ask("/health").status == 200

    playbook.succeeds("deploy", *one_hello.limit)

    assert trial_units(one_hello) == []
    assert one_hello.fingerprint() == before
