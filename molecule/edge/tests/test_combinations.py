"""Sites of many kinds, as the role writes them, judged by the nginx of each release of Debian."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
import yaml

HERE = Path(__file__).parents[1] / "combinations"
JUDGE = (HERE / "judge.py").read_text()
HOSTS = yaml.safe_load((HERE / "hosts.yml").read_text())["combinations"]["hosts"]
TABLE = [(name, release) for name, options in HOSTS.items() for release in (options or {}).get("debian", [12, 13])]


@pytest.fixture(scope="module")
def verdicts(tmp_path_factory):
    """What each release's nginx said of each site."""
    result = tmp_path_factory.mktemp("combinations") / "rendered.json"
    play = ["ansible-playbook", "-i", HERE / "hosts.yml", HERE / "render.yml", "-e", f"result={result}"]
    subprocess.run(play, check=True, capture_output=True)
    rendered = json.loads(result.read_text())
    return {
        release: judged(release, {name: its[str(release)] for name, its in rendered.items() if str(release) in its})
        for release in (12, 13)
    }


def judged(release, sites):
    """Return what nginx says of *sites*: by name, their files."""
    command = ["docker", "exec", "--interactive", f"asgi-edge-debian{release}", "python3", "-c", JUDGE]
    done = subprocess.run(command, input=json.dumps(sites), check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


def test_the_table_is_long_enough():
    assert min(sum(release == each for _name, each in TABLE) for release in (12, 13)) >= 25


@pytest.mark.parametrize(("name", "release"), TABLE)
def test_nginx_accepts_it(verdicts, name, release):
    verdict = verdicts[release][name]
    assert verdict["status"] == 0, verdict["said"]
    # the test CA runs no OCSP server, and nginx says so
    warnings = [line for line in verdict["said"].splitlines() if "[warn]" in line and "ssl_stapling" not in line]
    assert warnings == []


@pytest.mark.parametrize("release", [12, 13])
def test_nginx_can_refuse(release):
    verdict = judged(release, {"broken": {"asgi-broken.conf": "server { listen 1; nonsense on; }"}})["broken"]
    assert verdict["status"] != 0
    assert 'unknown directive "nonsense"' in verdict["said"]
