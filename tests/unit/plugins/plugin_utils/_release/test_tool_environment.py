"""The environment of uv and pip on the controller."""

from __future__ import annotations

import pytest
from ansible_collections.asgi.deploy.plugins.module_utils._app.release_protocol import ARGUMENTS
from ansible_collections.asgi.deploy.plugins.plugin_utils._release.tool_environment import Settings, tool_environment

SETTINGS = Settings("python3", ["six"], ["gunicorn"], "0.13.8", None, "/no/such/bundle.pem", {})
SECRET_INDEX = "https://user:secret@index.example/simple"


@pytest.mark.parametrize(
    ("changed", "caller", "expected"),
    [
        ({"index_url": SECRET_INDEX}, {}, {"UV_DEFAULT_INDEX": SECRET_INDEX, "PIP_INDEX_URL": SECRET_INDEX}),
        (
            {"build_environment": {"UV_INDEX": f"ours={SECRET_INDEX} https://b.example/simple"}},
            {},
            {"PIP_EXTRA_INDEX_URL": f"{SECRET_INDEX} https://b.example/simple"},
        ),
        ({}, {"UV_INDEX_URL": SECRET_INDEX}, {"PIP_INDEX_URL": SECRET_INDEX}),
        ({}, {"UV_INDEX_URL": SECRET_INDEX, "PIP_INDEX_URL": "https://x"}, {"PIP_INDEX_URL": "https://x"}),
        (
            {"build_environment": {"HTTPS_PROXY": "http://proxy"}},
            {"HTTPS_PROXY": "http://x"},
            {"HTTPS_PROXY": "http://proxy"},
        ),
        (
            {"build_environment": {"SSH_AUTH_SOCK": "/agent"}},
            {"SSH_AUTH_SOCK": "/x", "AWS_SECRET_ACCESS_KEY": "x", "HOME": "/home/op"},
            {"SSH_AUTH_SOCK": "/agent", "AWS_SECRET_ACCESS_KEY": None, "HOME": "/home/op"},
        ),
        (
            {},
            dict.fromkeys(
                "SSH_AUTH_SOCK VAULT_TOKEN ANSIBLE_VAULT_PASSWORD_FILE GITHUB_TOKEN DATABASE_URL".split(), "x"
            ),
            dict.fromkeys("SSH_AUTH_SOCK VAULT_TOKEN ANSIBLE_VAULT_PASSWORD_FILE GITHUB_TOKEN DATABASE_URL".split()),
        ),
        ({}, {"VIRTUAL_ENV": "/x", "PYTHONPATH": "/y", "PIP_TARGET": "/z"}, {"VIRTUAL_ENV": None, "PIP_TARGET": None}),
    ],
)
def test_variables_of_uv_and_pip(tmp_path, changed, caller, expected):
    environment = tool_environment(SETTINGS._replace(**changed), caller, tmp_path)
    assert {key: environment.get(key) for key in expected} == expected
    assert environment["UV_PYTHON_DOWNLOADS"] == "never"


@pytest.mark.parametrize("given", [True, False])
def test_the_ca_bundle_of_the_operator_takes_precedence_over_the_default(tmp_path, monkeypatch, given):
    bundle = tmp_path / "ca.pem"
    bundle.touch()
    if not given:
        monkeypatch.setitem(ARGUMENTS["ca_bundle"], "default", str(bundle))
    environment = tool_environment(SETTINGS._replace(ca_bundle=str(bundle)), {"SSL_CERT_FILE": "/corp.pem"}, tmp_path)
    assert environment["SSL_CERT_FILE"] == (str(bundle) if given else "/corp.pem")
    assert environment["PIP_CERT"] == str(bundle)
