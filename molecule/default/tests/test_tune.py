"""tune.yml on a machine that serves: what it finds, that visitors notice nothing, and that it leaves nothing behind.

How good its figures are is not asked here: `make bench-tune` does that.
"""

from __future__ import annotations

import contextlib
import re
import threading

import pytest
import yaml

SHORT = {"asgi_tune_seconds": 2, "asgi_tune_warmup": 0, "asgi_tune_rounds": 1, "asgi_tune_connections": 8}
WORKERS = [2, 3]


def limit(app):
    return "--limit", f"{app.machine.removeprefix('asgi-default-')}-{app.name}"


@contextlib.contextmanager
def visitor(app):
    """Ask for something again and again meanwhile; gives the statuses."""
    statuses, over = [], threading.Event()

    def ask():
        while not over.wait(0.05):
            statuses.append(app.ask("/health").status)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield statuses
    finally:
        over.set()
        thread.join()


def trial_units(app):
    """Return the units of a measurement that run."""
    units = f"'{app.name}@trial.*' 'asgi-trial-{app.name}.service'"
    return app.host.check_output(f"systemctl list-units --plain --no-legend --state=active {units}").split()


def test_tuning_a_machine_that_serves(one_hello, playbook, tmp_path):
    files = {"asgi_tune_html": tmp_path / "tune.html", "asgi_tune_vars_file": tmp_path / "tuned.yml"}
    before = one_hello.fingerprint()

    with visitor(one_hello) as statuses:
        refused, why = playbook("tune", *limit(one_hello), **SHORT, asgi_tune_workers=WORKERS)
        status, said = playbook(
            "tune",
            *limit(one_hello),
            **SHORT,
            asgi_tune_workers=WORKERS,
            asgi_tune_with_traffic=True,
            **{name: str(path) for name, path in files.items()},
        )

    assert refused != 0
    assert "asgi_tune_with_traffic=true" in why, "visitors are there"
    assert status == 0, said
    assert len(statuses) > 20
    assert set(statuses) == {200}
    assert one_hello.fingerprint() == before
    assert trial_units(one_hello) == []
    assert yaml.safe_load(files["asgi_tune_vars_file"].read_text())["asgi_server_workers"] in WORKERS
    page = files["asgi_tune_html"].read_text()
    assert page.count("<svg") == 4
    assert "not-for-other-eyes" not in page + said


def test_check_mode_says_what_would_be_measured(one_hello, playbook):
    before = one_hello.fingerprint()

    status, said = playbook("tune", *limit(one_hello), "--check", **SHORT, asgi_tune_with_traffic=True)

    assert status == 0, said
    assert re.search(r"GET /health of release \S+ with 1, .* workers", said)
    assert one_hello.fingerprint() == before


@pytest.fixture
def interrupted(one_hello, playbook):
    """Send a signal to the process that measures on the machine, once the trial slot is started; return what was said."""

    def interrupt(signal):
        answers = []
        options = {**SHORT, "asgi_tune_seconds": 30, "asgi_tune_workers": WORKERS, "asgi_tune_with_traffic": True}
        thread = threading.Thread(target=lambda: answers.append(playbook("tune", *limit(one_hello), **options)))
        thread.start()
        # in one go, or the machine is elsewhere by the time that it is asked again; the lock tells who measures
        one_hello.host.check_output(
            "timeout 300 sh -c 'while systemctl show --value --property=ActiveState $1 | grep -q ^inactive; do sleep 0.2; done; "
            'kill -$2 $(sed "s/.* tunes, process //" $3)\' - %s %s %s',
            f"{one_hello.name}@trial.service",
            signal,
            f"/srv/{one_hello.name}/.lock",
        )
        thread.join()
        return answers[0]

    return interrupt


@pytest.mark.long
def test_interrupted_it_leaves_nothing(one_hello, interrupted):
    before = one_hello.fingerprint()

    status, said = interrupted("TERM")

    assert status != 0
    assert "interrupted by SIGTERM" in said
    assert trial_units(one_hello) == []
    assert one_hello.fingerprint() == before


@pytest.mark.long
def test_what_is_left_when_it_is_killed_goes_with_the_next_deploy(one_hello, interrupted, playbook):
    before = one_hello.fingerprint()

    status, _said = interrupted("KILL")

    assert status != 0
    assert trial_units(one_hello) != [], "or there is nothing to clear"
    assert one_hello.ask("/health").status == 200

    status, said = playbook("deploy", *limit(one_hello))

    assert status == 0, said
    assert trial_units(one_hello) == []
    assert one_hello.fingerprint() == before
