"""Checks of the variables of asgi_app."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
import yaml
from ansible_collections.asgi.deploy.plugins.plugin_utils._checks import asgi_app
from ansible_collections.asgi.deploy.plugins.plugin_utils._release.source_error import SourceError
from ansible_collections.asgi.deploy.plugins.plugin_utils._server.servers import DEFAULT, SERVERS
from ansible_collections.asgi.deploy.plugins.plugin_utils._values.problems import Context, Doubt

DEFAULTS = Path(__file__).parents[5] / "roles" / "asgi_app" / "defaults" / "main.yml"


def prepare(directory):
    """Create the source tree app and other files in *directory*."""
    (directory / "app").mkdir()
    for name in ("app/main.py", "app/requirements.txt", "uv"):
        (directory / name).touch()
    (directory / "uv-runs").touch(mode=0o755)


def report(directory, **changed):
    """Return the problems of the variables *changed*, with the files in *directory*."""
    options = {
        **yaml.safe_load(DEFAULTS.read_text()),
        "asgi_name": "hello",
        "asgi_module": "main:app",
        "asgi_app_server_requirements": SERVERS[changed.get("asgi_server_type", DEFAULT)].requirements,
        "asgi_app_source": {"path": "app", "git": None, "ref": None, "package": None},
        **changed,
    }
    return asgi_app.problems(Context(options=options, find=lambda path: directory / path))


@pytest.fixture
def problems(tmp_path, monkeypatch):
    monkeypatch.setattr(asgi_app.C, "DEFAULT_LOCAL_TMP", str(tmp_path / "run"), raising=False)
    prepare(tmp_path)
    return partial(report, tmp_path)


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"asgi_app_source": {"package": "titiler.application==1.0"}},
        {"asgi_app_python": "/opt/python3.12/bin/python3"},
        {"asgi_app_python": "python3.12"},
        {"asgi_app_python": "3.13"},
        {"asgi_app_python": "3.13.5"},
        {"asgi_app_python_mirror": "https://user:secret@mirror.example/python"},
        {"asgi_app_python_mirror": "file:///opt/mirror"},
        {"asgi_app_python_mirror": "http://mirror.example", "asgi_app_insecure_transports": True},
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
        {"asgi_app_migrate": ["alembic", "-x", "tenant=all", "upgrade", "head"]},
        {"asgi_app_migrate": ["/usr/bin/psql", "--file", "schema of the shop.sql"]},
        {"asgi_app_exclude": ["*.log", "/data", "docs/build"]},
        {"asgi_app_exclude_extra": ["*.log"]},
        {"asgi_app_source": {"path": ".", "subdirectory": "app"}},
        {"asgi_app_build_env": {"HTTPS_PROXY": "http://proxy.example:3128", "UV_CONCURRENT_BUILDS": 1}},
        {"asgi_app_keep_releases": 1},
    ],
    ids=str,
)
def test_valid_values_are_accepted(problems, changed):
    assert problems(**changed) == []


def test_a_second_lock_file_is_an_error(problems, tmp_path):
    for name in ("pyproject.toml", "uv.lock", "poetry.lock"):
        (tmp_path / "app" / name).touch()

    [problem] = problems()

    assert (problem.variable, problem.code) == ("asgi_app_source.path", "lock-not-used")
    assert problems(asgi_app_exclude_extra=["poetry.lock"]) == []
    assert problems(asgi_app_source={"path": "app", "requirements": ["uv.lock"]}) == []
    assert problems(asgi_app_source={"path": "app", "requirements": ["requirements.txt"]}) == []


def test_undeclared_dependencies_are_a_doubt(problems, tmp_path):
    (tmp_path / "app/requirements.txt").unlink()

    [doubt] = problems()

    assert isinstance(doubt, Doubt)
    assert (doubt.variable, doubt.code) == ("asgi_app_source.path", "dependencies-undeclared")
    assert problems(asgi_app_requirements=["orjson"]) == [], "declared by the variable"
    assert problems(asgi_app_source={"package": "titiler.application==1.0"}) == [], "declared by the package"


def test_doubt_hides_no_problem_of_the_wheelhouse(problems, tmp_path):
    (tmp_path / "app/requirements.txt").unlink()

    found = problems(asgi_app_wheelhouse=True, asgi_app_uv_version="0.7.22")

    assert [problem.variable for problem in found] == ["asgi_app_source.path", "asgi_app_uv_version"]


@pytest.mark.parametrize(
    ("changed", "variable", "code"),
    [
        ({"asgi_app_source": {"path": "nowhere"}}, "asgi_app_source.path", "source-directory-missing"),
        ({"asgi_app_source": {"package": "titiler.application"}}, "asgi_app_source.package", "package-not-pinned"),
        ({"asgi_app_source": {"git": "/no/such/repository", "ref": "main"}}, "asgi_app_source.git", "git-fetch-failed"),
        ({"asgi_app_source": {"git": "/no/such/repository", "ref": "-x"}}, "asgi_app_source.ref", "git-ref-invalid"),
        ({"asgi_app_python": "python3 -I"}, "asgi_app_python", "python-invalid"),
        ({"asgi_app_python": "-c"}, "asgi_app_python", "python-invalid"),
        ({"asgi_app_python": "bin/python"}, "asgi_app_python", "python-invalid"),
        ({"asgi_app_python": "3.1"}, "asgi_app_python", "python-unavailable"),
        ({"asgi_app_python_mirror": "/opt/mirror"}, "asgi_app_python_mirror", "python-mirror-invalid"),
        ({"asgi_app_uv_version": "latest"}, "asgi_app_uv_version", "uv-version-invalid"),
        ({"asgi_app_uv_version": "0.13"}, "asgi_app_uv_version", "uv-version-invalid"),
        ({"asgi_app_uv_binary": "nowhere"}, "asgi_app_uv_binary", "uv-binary-missing"),
        ({"asgi_app_uv_binary": "uv"}, "asgi_app_uv_binary", "uv-binary-not-executable"),
        ({"asgi_app_requirements": ["-r other.txt"]}, "asgi_app_requirements", "requirement-invalid"),
        ({"asgi_app_requirements": ["--index-url=https://x"]}, "asgi_app_requirements", "requirement-invalid"),
        ({"asgi_app_requirements": ["six\n--pre"]}, "asgi_app_requirements", "requirement-invalid"),
        ({"asgi_app_requirements": [""]}, "asgi_app_requirements", "requirement-invalid"),
        ({"asgi_app_requirements": ["./local"]}, "asgi_app_requirements", "requirement-invalid"),
        (
            {"asgi_app_server_requirements": ["gunicorn", "uvicorn"]},
            "asgi_app_server_requirements",
            "server-requirement-missing",
        ),
        (
            {"asgi_server_type": "gthread", "asgi_app_server_requirements": ["uvicorn"]},
            "asgi_app_server_requirements",
            "server-requirement-missing",
        ),
        ({"asgi_app_server_requirements": []}, "asgi_app_server_requirements", "server-requirement-missing"),
        (
            {"asgi_app_server_requirements": ["gunicorn-x", "uvicorn", "uvicorn-worker"]},
            "asgi_app_server_requirements",
            "server-requirement-missing",
        ),
        ({"asgi_app_exclude": [""]}, "asgi_app_exclude", "exclude-pattern-invalid"),
        ({"asgi_app_exclude": ["/"]}, "asgi_app_exclude", "exclude-pattern-invalid"),
        ({"asgi_app_exclude": ["../x"]}, "asgi_app_exclude", "exclude-pattern-invalid"),
        ({"asgi_app_exclude_extra": ["../x"]}, "asgi_app_exclude_extra", "exclude-pattern-invalid"),
        ({"asgi_app_source": {"archive": "nowhere.tar"}}, "asgi_app_source.archive", "archive-missing"),
        ({"asgi_app_source": {"archive": "uv"}}, "asgi_app_source.archive", "archive-unreadable"),
        ({"asgi_app_source": {"archive": "ftp://a.example/x.tar"}}, "asgi_app_source.archive", "archive-url-invalid"),
        ({"asgi_app_source": {"archive": "http://a.example/x.tar"}}, "asgi_app_source.archive", "transport-insecure"),
        (
            {"asgi_app_source": {"archive": "https://a.example/x.tar"}},
            "asgi_app_source.checksum",
            "archive-checksum-missing",
        ),
        (
            {"asgi_app_source": {"archive": "uv", "checksum": "sha256:abc"}},
            "asgi_app_source.checksum",
            "archive-checksum-invalid",
        ),
        (
            {"asgi_app_source": {"archive": "uv", "checksum": f"sha256:{'0' * 64}"}},
            "asgi_app_source.checksum",
            "archive-checksum-mismatch",
        ),
        ({"asgi_app_source": {"wheel": "nowhere.whl"}}, "asgi_app_source.wheel", "wheel-invalid"),
        (
            {"asgi_app_source": {"path": "app", "submodules": True}},
            "asgi_app_source.submodules",
            "source-key-unsuitable",
        ),
        (
            {"asgi_app_source": {"path": "app", "subdirectory": "../x"}},
            "asgi_app_source.subdirectory",
            "source-subdirectory-invalid",
        ),
        (
            {"asgi_app_source": {"path": "app", "subdirectory": "backend"}},
            "asgi_app_source.subdirectory",
            "source-subdirectory-missing",
        ),
        (
            {"asgi_app_source": {"path": "app", "shared": ["media/", "../media/"]}},
            "asgi_app_source.shared",
            "source-shared-invalid",
        ),
        (
            {"asgi_app_source": {"path": "app", "shared": ["main.py"]}},
            "asgi_app_source.shared",
            "source-shared-occupied",
        ),
        ({"asgi_app_index_url": "ftp://index.example"}, "asgi_app_index_url", "index-url-invalid"),
        ({"asgi_app_index_url": "index.example/simple"}, "asgi_app_index_url", "index-url-invalid"),
        ({"asgi_app_build_env": {"HTTPS-PROXY": "x"}}, "asgi_app_build_env", "environment-invalid"),
        ({"asgi_app_build_env": {"A": ["x"]}}, "asgi_app_build_env", "environment-invalid"),
        ({"asgi_app_build_env": {"A": "x\0"}}, "asgi_app_build_env", "environment-invalid"),
        ({"asgi_app_keep_releases": 0}, "asgi_app_keep_releases", "number-out-of-range"),
        ({"asgi_app_ca_bundle": "ca.pem"}, "asgi_app_ca_bundle", "ca-bundle-not-absolute"),
        ({"asgi_app_migrate": ["alembic upgrade head"]}, "asgi_app_migrate", "command-invalid"),
        ({"asgi_app_migrate": ["--sql"]}, "asgi_app_migrate", "command-invalid"),
        ({"asgi_app_migrate": [""]}, "asgi_app_migrate", "command-invalid"),
        ({"asgi_app_packages": ["-y"]}, "asgi_app_packages", "package-name-invalid"),
        ({"asgi_app_packages": ["libpq5 nano"]}, "asgi_app_packages", "package-name-invalid"),
    ],
    ids=str,
)
def test_invalid_values_are_rejected(problems, changed, variable, code):
    (problem,) = problems(**changed)
    assert (problem.variable, problem.code) == (variable, code)


def test_pip_cannot_install_a_lock_file(problems, tmp_path):
    (tmp_path / "app/pyproject.toml").write_text('[project]\nname = "x"\nversion = "1"\n')
    (tmp_path / "app/uv.lock").touch()
    (problem,) = problems(asgi_app_installer="pip")
    assert (problem.variable, problem.code) == ("asgi_app_installer", "installer-cannot-read-lock")


@pytest.fixture
def resolved(monkeypatch):
    """Replace uv on the controller; return the settings of its calls. The fake cannot resolve the requirement ``refused``."""
    calls = []

    def resolve_wheels(_source, settings, _directory):
        calls.append(settings)
        if "refused" in settings.requirements:
            raise SourceError("requirements-unresolvable", "asgi_app_requirements", "cannot be resolved", "change them")

    monkeypatch.setattr(asgi_app, "resolve_wheels", resolve_wheels)
    return calls


def test_requirements_are_resolved_on_the_controller(problems, resolved):
    assert problems() == []
    assert resolved == [], "only for a wheelhouse"
    assert problems(asgi_app_wheelhouse=True, asgi_app_build_env={"UV_CONCURRENT_BUILDS": 1}) == []
    [settings] = resolved
    assert settings.build_environment == {"UV_CONCURRENT_BUILDS": "1"}
    assert settings.index_url is None


@pytest.mark.parametrize(
    ("changed", "variable", "code"),
    [
        ({"asgi_app_requirements": ["refused"]}, "asgi_app_requirements", "requirements-unresolvable"),
        ({"asgi_app_uv_version": "0.7.22"}, "asgi_app_uv_version", "uv-hashes-missing"),
        ({"asgi_app_ca_bundle": "/no/such/bundle.pem"}, "asgi_app_ca_bundle", "ca-bundle-missing"),
        ({"asgi_app_python": "-c"}, "asgi_app_python", "python-invalid"),
    ],
    ids=str,
)
def test_problems_of_a_wheelhouse_are_reported(problems, resolved, changed, variable, code):
    (problem,) = problems(asgi_app_wheelhouse=True, **changed)
    assert (problem.variable, problem.code) == (variable, code)


def test_messages_contain_no_secret(problems):
    found = problems(
        asgi_app_index_url="ftp://user:secret@index.example",
        asgi_app_build_env={"A": "secret\0"},
        asgi_app_requirements=["./https://user:secret@x.example/"],
    )
    assert len(found) == 3
    assert "secret" not in str(found)


def test_a_mirror_with_an_insecure_transport_is_rejected(problems):
    [problem] = problems(asgi_app_python_mirror="http://mirror.example")
    assert (problem.variable, problem.code) == ("asgi_app_python_mirror", "transport-insecure")


def test_a_source_that_no_python_satisfies_is_reported(problems, tmp_path):
    (tmp_path / "app/pyproject.toml").write_text("[project]\nrequires-python = '>=3.13'\n")
    (tmp_path / "app/.python-version").write_text("3.12\n")

    [problem] = problems()

    assert (problem.variable, problem.code) == ("asgi_app_source", "python-unavailable")
    assert problems(asgi_app_python="3.13") == []
    assert problems(asgi_app_exclude=[".python-version"]) == []


def test_the_wheelhouse_resolves_for_the_oldest_python_that_a_host_may_use(problems, tmp_path, monkeypatch):
    floors = []
    monkeypatch.setattr(
        asgi_app, "resolve_wheels", lambda _source, settings, _directory: floors.append(settings.python)
    )
    for python in ("auto", "3.13", "python3.12"):
        problems(asgi_app_wheelhouse=True, asgi_app_python=python)
    assert floors == ["python3.11", "python3.13", "python3.12"]
