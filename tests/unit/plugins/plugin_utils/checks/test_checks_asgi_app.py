"""Every bad value of asgi_app's variables is told with the variable's name, before a host is touched."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from ansible_collections.asgi.deploy.plugins.plugin_utils.checks import asgi_app
from ansible_collections.asgi.deploy.plugins.plugin_utils.problems import Context
from ansible_collections.asgi.deploy.plugins.plugin_utils.servers import DEFAULT, SERVERS
from ansible_collections.asgi.deploy.plugins.plugin_utils.source import SourceError

DEFAULTS = Path(__file__).parents[5] / "roles" / "asgi_app" / "defaults" / "main.yml"


@pytest.fixture
def problems(tmp_path, monkeypatch):
    monkeypatch.setattr(asgi_app.C, "DEFAULT_LOCAL_TMP", str(tmp_path / "run"), raising=False)
    (tmp_path / "app").mkdir()
    (tmp_path / "app/main.py").touch()
    (tmp_path / "uv").touch()
    (tmp_path / "uv-runs").touch(mode=0o755)

    def of(**changed):
        options = {
            **yaml.safe_load(DEFAULTS.read_text()),
            "asgi_name": "hello",
            "asgi_module": "main:app",
            "asgi_app_server_requirements": SERVERS[changed.get("asgi_server_type", DEFAULT)].requirements,
            "asgi_app_source": {"path": "app", "git": None, "ref": None, "package": None},
            **changed,
        }
        return asgi_app.problems(Context(options=options, find=lambda path: tmp_path / path))

    return of


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"asgi_app_source": {"package": "titiler.application==1.0"}},
        {"asgi_app_python": "/opt/python3.12/bin/python3"},
        {"asgi_app_python": "python3.12"},
        {"asgi_app_uv_binary": "uv-runs"},
        {"asgi_app_index_url": "https://user:secret@index.example/simple"},
        {
            "asgi_app_requirements": [
                "orjson>=3",
                "uvicorn[standard]",
                "x @ https://a.example/x.whl",
                "a;python_version>'3'",
            ]
        },
        {"asgi_app_server_requirements": ["Gunicorn==27.0", "uvicorn[standard] >= 0.34", "uvicorn_worker"]},
        *({"asgi_server_type": name} for name in SERVERS),
        {"asgi_server_type": "gthread", "asgi_app_server_requirements": ["gunicorn==27.0.1"]},
        {"asgi_app_packages": ["libpq5", "g++", "libc6:amd64", "nano=7.2-1"]},
        {"asgi_app_exclude": ["*.log", "/data", "docs/build"]},
        {"asgi_app_build_env": {"HTTPS_PROXY": "http://proxy.example:3128", "UV_CONCURRENT_BUILDS": 1}},
        {"asgi_app_keep_releases": 1},
    ],
    ids=str,
)
def test_good_values_pass(problems, changed):
    assert problems(**changed) == []


@pytest.mark.parametrize(
    ("changed", "variable"),
    [
        ({"asgi_app_source": {"path": "nowhere"}}, "asgi_app_source.path"),
        ({"asgi_app_source": {"package": "titiler.application"}}, "asgi_app_source.package"),
        ({"asgi_app_source": {"git": "/no/such/repository", "ref": "main"}}, "asgi_app_source.git"),
        ({"asgi_app_source": {"git": "/no/such/repository", "ref": "-x"}}, "asgi_app_source.ref"),
        ({"asgi_app_python": "python3 -I"}, "asgi_app_python"),
        ({"asgi_app_python": "-c"}, "asgi_app_python"),
        ({"asgi_app_python": "bin/python"}, "asgi_app_python"),
        ({"asgi_app_uv_version": "latest"}, "asgi_app_uv_version"),
        ({"asgi_app_uv_version": "0.13"}, "asgi_app_uv_version"),
        ({"asgi_app_uv_binary": "nowhere"}, "asgi_app_uv_binary"),
        ({"asgi_app_uv_binary": "uv"}, "asgi_app_uv_binary"),
        ({"asgi_app_requirements": ["-r other.txt"]}, "asgi_app_requirements"),
        ({"asgi_app_requirements": ["--index-url=https://x"]}, "asgi_app_requirements"),
        ({"asgi_app_requirements": ["six\n--pre"]}, "asgi_app_requirements"),
        ({"asgi_app_requirements": [""]}, "asgi_app_requirements"),
        ({"asgi_app_requirements": ["./local"]}, "asgi_app_requirements"),
        ({"asgi_app_server_requirements": ["gunicorn", "uvicorn"]}, "asgi_app_server_requirements"),
        ({"asgi_server_type": "gthread", "asgi_app_server_requirements": ["uvicorn"]}, "asgi_app_server_requirements"),
        ({"asgi_app_server_requirements": []}, "asgi_app_server_requirements"),
        ({"asgi_app_server_requirements": ["gunicorn-x", "uvicorn", "uvicorn-worker"]}, "asgi_app_server_requirements"),
        ({"asgi_app_exclude": [""]}, "asgi_app_exclude"),
        ({"asgi_app_exclude": ["/"]}, "asgi_app_exclude"),
        ({"asgi_app_exclude": ["../x"]}, "asgi_app_exclude"),
        ({"asgi_app_index_url": "ftp://index.example"}, "asgi_app_index_url"),
        ({"asgi_app_index_url": "index.example/simple"}, "asgi_app_index_url"),
        ({"asgi_app_build_env": {"HTTPS-PROXY": "x"}}, "asgi_app_build_env"),
        ({"asgi_app_build_env": {"A": ["x"]}}, "asgi_app_build_env"),
        ({"asgi_app_build_env": {"A": "x\0"}}, "asgi_app_build_env"),
        ({"asgi_app_keep_releases": 0}, "asgi_app_keep_releases"),
        ({"asgi_app_ca_bundle": "ca.pem"}, "asgi_app_ca_bundle"),
        ({"asgi_app_packages": ["-y"]}, "asgi_app_packages"),
        ({"asgi_app_packages": ["libpq5 nano"]}, "asgi_app_packages"),
    ],
    ids=str,
)
def test_a_bad_value_is_told_with_its_remedy(problems, changed, variable):
    (problem,) = problems(**changed)
    assert problem.variable == variable
    assert problem.remedy


def test_a_lock_and_pip_do_not_go_together(problems, tmp_path):
    (tmp_path / "app/pyproject.toml").write_text('[project]\nname = "x"\nversion = "1"\n')
    (tmp_path / "app/uv.lock").touch()
    (problem,) = problems(asgi_app_installer="pip")
    assert problem.variable == "asgi_app_installer"


@pytest.fixture
def resolved(monkeypatch):
    """Stand in for uv on the controller; return what it was asked, and let it refuse requirements of ``refused``."""
    asked = []

    def resolve_wheels(_source, settings, _directory):
        asked.append(settings)
        if "refused" in settings.requirements:
            raise SourceError("asgi_app_requirements", "cannot be resolved", "change them")

    monkeypatch.setattr(asgi_app, "resolve_wheels", resolve_wheels)
    return asked


def test_requirements_are_resolved_before_a_host_is_touched(problems, resolved):
    assert problems() == []
    assert resolved == [], "not without a wheelhouse"
    assert problems(asgi_app_wheelhouse=True, asgi_app_build_env={"UV_CONCURRENT_BUILDS": 1}) == []
    [settings] = resolved
    assert settings.build_environment == {"UV_CONCURRENT_BUILDS": "1"}
    assert settings.index_url is None


@pytest.mark.parametrize(
    ("changed", "variable"),
    [
        ({"asgi_app_requirements": ["refused"]}, "asgi_app_requirements"),
        ({"asgi_app_uv_version": "0.7.22"}, "asgi_app_uv_version"),
        ({"asgi_app_ca_bundle": "/no/such/bundle.pem"}, "asgi_app_ca_bundle"),
        ({"asgi_app_python": "-c"}, "asgi_app_python"),
    ],
    ids=str,
)
def test_what_a_wheelhouse_cannot_do_is_told(problems, resolved, changed, variable):
    (problem,) = problems(asgi_app_wheelhouse=True, **changed)
    assert problem.variable == variable
    assert problem.remedy


def test_no_secret_is_told(problems):
    found = problems(
        asgi_app_index_url="ftp://user:secret@index.example",
        asgi_app_build_env={"A": "secret\0"},
        asgi_app_requirements=["./https://user:secret@x.example/"],
    )
    assert len(found) == 3
    assert "secret" not in str(found)
