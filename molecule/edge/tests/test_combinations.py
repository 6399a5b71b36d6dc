"""nginx of each Debian release accepts the sites that the role renders for many combinations of variables."""

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
def rendered(tmp_path_factory):
    """Return the files by site name, Debian release and file name."""
    result = tmp_path_factory.mktemp("combinations") / "rendered.json"
    play = ["ansible-playbook", "-i", HERE / "hosts.yml", HERE / "render.yml", "-e", f"result={result}"]
    subprocess.run(play, check=True, capture_output=True)
    return json.loads(result.read_text())


@pytest.fixture(scope="module")
def verdicts(rendered):
    """Return the verdict of nginx by Debian release and site name."""
    return {
        release: judged(
            release, {name: files[str(release)] for name, files in rendered.items() if str(release) in files}
        )
        for release in (12, 13)
    }


def judged(release, sites):
    """Return the verdict of nginx for *sites*, which has the files by site name."""
    command = ["docker", "exec", "--interactive", f"asgi-edge-debian{release}", "python3", "-c", JUDGE]
    done = subprocess.run(command, input=json.dumps(sites), check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


def test_table_has_enough_sites_for_each_release():
    assert min(sum(release == each for _name, each in TABLE) for release in (12, 13)) >= 25


@pytest.mark.parametrize(("name", "release"), TABLE)
def test_nginx_accepts_the_site(verdicts, name, release):
    verdict = verdicts[release][name]
    assert verdict["status"] == 0, verdict["output"]
    # nginx warns about ssl_stapling because the test CA has no OCSP server.
    warnings = [line for line in verdict["output"].splitlines() if "[warn]" in line and "ssl_stapling" not in line]
    assert warnings == []


@pytest.mark.parametrize("release", [12, 13])
def test_nginx_rejects_an_invalid_site(release):
    verdict = judged(release, {"broken": {"asgi-broken.conf": "server { listen 1; nonsense on; }"}})["broken"]
    assert verdict["status"] != 0
    assert 'unknown directive "nonsense"' in verdict["output"]


@pytest.mark.parametrize("release", [12, 13])
def test_hash_sizes_suffice_for_fifty_sites_with_long_names(rendered, release):
    command = ["docker", "exec", f"asgi-edge-debian{release}", "cat", "/etc/nginx/conf.d/asgi-00-hashes.conf"]
    hashes = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    files = dict(rendered["hyphened"][str(release)])
    site = files.pop("asgi-com-bi_ned.conf")
    for number in range(50):
        name = ".".join([f"a{number}", *["long" * 15] * 3, "combined.test"])
        text = site.replace("com-bi_ned", f"app{number}").replace("com__bi_ned", f"app{number}")
        files[f"asgi-app{number}.conf"] = text.replace("combined.test", name)

    verdict = judged(release, {"without": files, "with": {**files, "asgi-00-hashes.conf": hashes}})

    assert verdict["with"]["status"] == 0, verdict["with"]["output"]
    assert "[warn]" not in verdict["with"]["output"]
    assert "variables_hash" in verdict["without"]["output"]
    assert "server_names_hash" in verdict["without"]["output"]
