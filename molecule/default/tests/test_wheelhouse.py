"""Deploys to machines without access to a package index."""

from __future__ import annotations

import re
import shutil
import time
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[3] / "examples" / "hello"

# a port without a listener
NOWHERE = "http://127.0.0.1:9"
SECRET = "s3cret-of-the-index"


@pytest.fixture
def no_index(hellos):
    """Disable name resolution on the machines during the test, and thereby access to package indexes."""
    for app in hellos:
        app.host.check_output("cp /etc/resolv.conf /var/tmp/ && echo nameserver 127.0.0.1 >/etc/resolv.conf")
    yield
    for app in hellos:
        app.host.check_output("cat /var/tmp/resolv.conf >/etc/resolv.conf && rm /var/tmp/resolv.conf")


@pytest.fixture
def deploy(playbook):
    """Return a function that deploys to all machines and returns the status, the output and the seconds."""

    def run(*options, **variables):
        start = time.monotonic()
        # Keeps the releases of earlier tests, because their removal would count as a change.
        status, output = playbook("deploy", "--limit", "hello", *options, asgi_app_keep_releases=50, **variables)
        return status, output, time.monotonic() - start

    return run


@pytest.fixture
def restored(hellos, deploy):
    """Deploy the release of the inventory at the end."""
    before = [app.json("/")["release"] for app in hellos]
    yield before
    status, output, _seconds = deploy()
    assert status == 0, output
    assert [app.json("/")["release"] for app in hellos] == before


def step_seconds(output, step):
    """Return the seconds of a build step on each machine, as the module release reports them."""
    return [float(number) for number in re.findall(rf'\b{step}"?: (\d+\.\d+)', output)]


def test_wheelhouse_deploys_without_an_index(hellos, restored, deploy, request, tmp_path, monkeypatch, record_property):
    # The code differs in every run of the test, so that no machine has a release of it.
    code = shutil.copytree(EXAMPLE, tmp_path / "hello")
    (code / "created").write_text(str(time.time_ns()))
    source = {"asgi_app_source": {"path": str(code)}}

    status, output, took = deploy("-v", **source)
    assert status == 0, output
    live = [app.json("/")["release"] for app in hellos]
    seconds = {"without": [took, step_seconds(output, "packages")]}

    request.getfixturevalue("no_index")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    # The cache of uv on the machine would provide known packages.
    offline = {"UV_CACHE_DIR": "/tmp/none", "UV_HTTP_RETRIES": 0}
    status, output, _seconds = deploy(**source, asgi_app_requirements=["six"], asgi_app_build_env=offline)
    assert status != 0
    assert "the host cannot reach the index" in output
    assert [app.json("/")["release"] for app in hellos] == live, "the live release must continue to serve"

    wheelhouse = {**source, "asgi_app_wheelhouse": True, "asgi_app_requirements": ["six"]}
    status, output, took = deploy("-v", "--diff", **wheelhouse, asgi_app_build_env={"ANOTHER_TOKEN": SECRET})
    assert status == 0, output
    seconds["with"] = [took, step_seconds(output, "packages")]
    assert len(seconds["with"][1]) == len(hellos), "every machine must build the release"
    releases = {app.json("/")["release"] for app in hellos}
    assert len(releases) == 1, "all machines must have the same release"
    versions = [
        app.host.check_output("/srv/hello/staged/.venv/bin/python -I -c 'import six; print(six.__version__)'")
        for app in hellos
    ]
    assert len(set(versions)) == 1
    assert SECRET not in output
    for app in hellos:
        assert app.host.run(f"grep -rqF {SECRET} /srv/hello /var/cache/asgi /root/.ansible").rc == 1

    # Then without access to an index on the controller either.
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, NOWHERE)
    status, output, _seconds = deploy(**wheelhouse)
    assert status == 0, output
    assert re.findall(r"changed=(\d+)", output) == ["0"] * len(hellos), output
    assert {app.json("/")["release"] for app in hellos} == releases

    for name, (whole, packages) in seconds.items():
        line = f"{name} the wheelhouse: deploy {whole:.1f} s, installing the packages {packages} s"
        record_property(name, line)
        print(line)
