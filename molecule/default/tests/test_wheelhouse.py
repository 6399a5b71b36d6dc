"""Deploys to machines that reach no package index."""

from __future__ import annotations

import re
import time

import pytest

# where nothing listens
NOWHERE = "http://127.0.0.1:9"
SECRET = "s3cret-of-the-index"


@pytest.fixture
def no_index(hellos):
    """Let the machines find no other by its name while the test runs, and so no package index."""
    for app in hellos:
        app.host.check_output("cp /etc/resolv.conf /var/tmp/ && echo nameserver 127.0.0.1 >/etc/resolv.conf")
    yield
    for app in hellos:
        app.host.check_output("cat /var/tmp/resolv.conf >/etc/resolv.conf && rm /var/tmp/resolv.conf")


@pytest.fixture
def deploy(playbook):
    """Deploy to all machines at once; return the status, what was said, and how long that took."""

    def run(*options, **variables):
        start = time.monotonic()
        status, said = playbook("deploy", "--limit", "hello", *options, **variables)
        return status, said, time.monotonic() - start

    return run


@pytest.fixture
def as_found(hellos, deploy):
    """Make live again what the inventory says."""
    before = [app.json("/")["release"] for app in hellos]
    yield before
    status, said, _seconds = deploy()
    assert status == 0, said
    assert [app.json("/")["release"] for app in hellos] == before


def told(said, step):
    """What the module release says that a step of the build took, on each machine."""
    return [float(number) for number in re.findall(rf'\b{step}"?: (\d+\.\d+)', said)]


def test_hosts_without_an_index(hellos, as_found, deploy, request, tmp_path, monkeypatch, record_property):
    # h11 is there anyway, so that the same is built
    status, said, without = deploy("-v", asgi_app_requirements=["h11"])
    assert status == 0, said
    seconds = {"without": [without, told(said, "packages")]}

    request.getfixturevalue("no_index")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    # what uv keeps on the machine would do for what it has seen
    status, said, _seconds = deploy(
        asgi_app_requirements=["h11", "six"], asgi_app_build_env={"UV_CACHE_DIR": "/tmp/none", "UV_HTTP_RETRIES": 0}
    )
    assert status != 0
    assert "the host does not reach the index" in said
    assert [app.json("/")["release"] for app in hellos] != as_found, "what was live before goes on serving"

    wheelhouse = {"asgi_app_wheelhouse": True, "asgi_app_requirements": ["h11", "six"]}
    status, said, took = deploy("-v", "--diff", **wheelhouse, asgi_app_build_env={"ANOTHER_TOKEN": SECRET})
    assert status == 0, said
    seconds["with"] = [took, told(said, "packages")]
    releases = {app.json("/")["release"] for app in hellos}
    assert len(releases) == 1, "one release for all"
    found = [
        app.host.check_output("/srv/hello/staged/.venv/bin/python -I -c 'import six; print(six.__version__)'")
        for app in hellos
    ]
    assert len(set(found)) == 1
    assert SECRET not in said
    for app in hellos:
        assert app.host.run(f"grep -rqF {SECRET} /srv/hello /var/cache/asgi /root/.ansible").rc == 1

    # and now without one on the controller either
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, NOWHERE)
    status, said, _seconds = deploy(**wheelhouse)
    assert status == 0, said
    assert re.findall(r"changed=(\d+)", said) == ["0"] * len(hellos)
    assert {app.json("/")["release"] for app in hellos} == releases

    for name, (whole, packages) in seconds.items():
        line = f"{name} the wheelhouse: deploy {whole:.1f} s, installing the packages {packages} s"
        record_property(name, line)
        print(line)
