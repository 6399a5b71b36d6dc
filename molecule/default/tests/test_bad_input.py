"""Bad input on a converged machine: the message names variable, fault and remedy, and the machine does not change."""

from __future__ import annotations

import subprocess
from datetime import date
from pathlib import Path

import pytest
import yaml

SCENARIO = Path(__file__).parents[1]
UNSET = object()

# changed variables -> words of the message: the variable, then the fault or the remedy
CASES = {
    "name missing": ({"asgi_name": UNSET}, ["asgi_name is not set", "Name of the app"]),
    "name with a path": ({"asgi_name": "../etc"}, ["asgi_name", "'../etc'", "lower-case letters"]),
    "name of a system account": ({"asgi_name": "www-data"}, ["asgi_name", "'www-data'", "choose another"]),
    "module is a file": ({"asgi_module": "main.py"}, ["asgi_module", "'main.py'", "'main:app'"]),
    "module does not exist": ({"asgi_module": "nowhere:app"}, ["asgi_module", "nowhere", "No module named"]),
    "attribute does not exist": ({"asgi_module": "main:nothing"}, ["asgi_module", "nothing"]),
    "misspelled variable": ({"asgi_server_wokers": 4}, ["asgi_server_wokers", "did you mean asgi_server_workers?"]),
    "misspelled key": ({"asgi_app_source": {"pth": "/tmp"}}, ["asgi_app_source.pth", "did you mean path?"]),
    # safe_dump writes it without quotes, so that YAML parses it as a date again
    "date of YAML": ({"asgi_env": {"SINCE": date(2026, 1, 1)}}, ["asgi_env.SINCE", "quote the value"]),
    "environment name": ({"asgi_env": {"A B": "x"}}, ["asgi_env", "'A B'", "names such as DATABASE_URL"]),
    "source missing": ({"asgi_app_source": UNSET}, ["asgi_app_source is not set"]),
    "source of two kinds": (
        {"asgi_app_source": {"path": "/tmp", "package": "x==1"}},
        ["asgi_app_source", "mutually exclusive"],
    ),
    "source does not exist": ({"asgi_app_source": {"path": "/no/such/app"}}, ["asgi_app_source", "/no/such/app"]),
    "git reference does not exist": (
        {"asgi_app_source": {"git": "GIT", "ref": "no-such-branch"}},
        ["asgi_app_source.ref", "no-such-branch"],
    ),
    "package not pinned": ({"asgi_app_source": {"package": "fastapi"}}, ["asgi_app_source", "fastapi", "=="]),
    "dependency does not resolve": (
        {"asgi_app_requirements": ["fastapi==0.0.0.0"]},
        ["asgi_app_requirements", "fastapi"],
    ),
    "interpreter does not exist": ({"asgi_app_python": "python2.3"}, ["asgi_app_python", "python2.3"]),
    "keep no release": ({"asgi_app_keep_releases": 0}, ["asgi_app_keep_releases is 0", "at least 1"]),
    "server without gunicorn": (
        {"asgi_app_server_requirements": ["uvicorn", "uvicorn-worker"]},
        ["asgi_app_server_requirements", "gunicorn"],
    ),
    "workers as a word": ({"asgi_server_workers": "many"}, ["asgi_server_workers is 'many'", "'auto' or a number"]),
    "keepalive of the server below the proxy's": (
        {"asgi_server_keepalive": 2, "asgi_proxy_upstream_keepalive_timeout": 5},
        ["asgi_proxy_upstream_keepalive_timeout is 5 s", "asgi_server_keepalive is 2 s"],
    ),
    "probe path relative": ({"asgi_server_probe_path": "health"}, ["asgi_server_probe_path is 'health'", "'/health'"]),
    "invalid memory limit": ({"asgi_server_memory_max": "lots"}, ["asgi_server_memory_max is 'lots'", "'512M'"]),
    "reserved unit setting": (
        {"asgi_server_unit_settings": {"ExecStart": "/bin/sh"}},
        ["asgi_server_unit_settings contains ExecStart", "unit-setting-reserved"],
    ),
    "password in a unit setting": (
        {"asgi_server_unit_settings": {"Environment": "TOKEN=hunter2"}},
        ["asgi_server_unit_settings contains Environment", "asgi_env"],
    ),
    "two lines in a unit setting": (
        {"asgi_server_unit_settings": {"LimitNOFILE": "1\nExecStartPre=/bin/sh"}},
        ["asgi_server_unit_settings", "LimitNOFILE"],
    ),
    "unknown provider": ({"asgi_proxy_tls_provider": "letsencrypt"}, ["asgi_proxy_tls_provider", "selfsigned"]),
    "port as text": ({"asgi_proxy_https_port": "https"}, ["asgi_proxy_https_port", "'https'"]),
    "certificate missing": (
        {
            "asgi_proxy_tls_provider": "provided",
            "asgi_proxy_tls_certificate": "/no.crt",
            "asgi_proxy_tls_key": "/no.key",
        },
        ["asgi_proxy_tls_certificate", "/no.crt"],
    ),
    "server name is a URL": (
        {"asgi_proxy_server_names": ["https://hello.test/"]},
        ["asgi_proxy_server_names", "https://hello.test/"],
    ),
    "static files outside the release": (
        {"asgi_proxy_static": [{"url": "/static/", "path": "../../.."}]},
        ["asgi_proxy_static", "../../.."],
    ),
    "invalid body size": ({"asgi_proxy_body_size": "huge"}, ["asgi_proxy_body_size", "huge"]),
    "undefined variable": (
        {"asgi_env": {"URL": "{{ vault_url }}"}},
        ["asgi_env cannot be templated", "vault_url"],
    ),
}


@pytest.fixture(scope="session")
def repository(tmp_path_factory):
    """A git repository with one commit."""
    path = tmp_path_factory.mktemp("repository")
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.com"]
    for command in (["init", "--quiet"], [*identity, "commit", "--quiet", "--allow-empty", "--message=x"]):
        subprocess.run(["git", "-C", path, *command], check=True)
    return path


@pytest.mark.parametrize(("changes", "expected"), CASES.values(), ids=CASES)
def test_bad_input_fails_without_changes(one_hello, playbook, tmp_path, repository, changes, expected):
    variables = {**one_hello.variables, **changes}
    source = variables["asgi_app_source"]
    if source is not UNSET and "git" in source:
        variables["asgi_app_source"] = {**source, "git": str(repository)}
    variables |= {"ansible_connection": "community.docker.docker", "ansible_host": one_hello.machine}
    variables = {name: value for name, value in variables.items() if value is not UNSET}
    inventory = tmp_path / "hosts.yml"
    inventory.write_text(yaml.safe_dump({"asgi": {"hosts": {"machine": variables}}}))
    inventory.write_text(inventory.read_text().replace("{{ inventory_dir }}", str(SCENARIO / "inventory")))
    before = one_hello.fingerprint()

    output = playbook.fails("site", inventory=inventory)

    assert [words for words in expected if words not in output] == [], output
    assert "not-for-other-eyes" not in output
    assert one_hello.fingerprint() == before
