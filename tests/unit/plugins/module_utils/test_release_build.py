"""What is installed, with which command, and with which environment."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from ansible_collections.asgi.deploy.plugins.module_utils import release_build
from ansible_collections.asgi.deploy.plugins.module_utils.account import TimedOut
from ansible_collections.asgi.deploy.plugins.module_utils.environment import app_environment
from ansible_collections.asgi.deploy.plugins.module_utils.layout import layout
from ansible_collections.asgi.deploy.plugins.module_utils.release_build import Build, BuildError, Recipe

RECIPE = Recipe(
    release="src-0123456789",
    app="hello",
    user="hello",
    module="main:app",
    source={"kind": "path", "label": "src", "digest": "0"},
    dependencies={"by": "nothing"},
    archive="/tmp/source.tar.gz",
    python="python3",
    installer="uv",
    requirements=["six"],
    server_requirements=["gunicorn", "uvicorn"],
    uv_version="0.13.8",
    uv_path=None,
    index_url=None,
    ca_bundle="/etc/ssl/certs/ca-certificates.crt",
    environment={},
    build_environment={},
)


class Recorded(Build):
    """A build whose tools are only written down."""

    def __init__(self, directory, **changes):
        super().__init__(RECIPE._replace(**changes), directory, lock=-1)
        self.work.mkdir(parents=True)
        self.calls = []

    def _run(self, argv, blame, where="/", **variables):
        self.calls.append(([str(Path(a).name) if a.startswith("/") else a for a in argv], Path(where).name))
        self.blame = blame
        return json.dumps([{"name": "fastapi", "version": "0.1"}])


def lines(build, name="requirements.txt"):
    return (build.work / name).read_text().split()


UV = ["uv", "pip", "install"]
OURS = ["--requirement", "requirements.txt"]


@pytest.mark.parametrize(
    ("changes", "uv", "calls", "requirements"),
    [
        ({}, "/opt/uv", [([*UV, *OURS], "code")], ["six", "gunicorn", "uvicorn"]),
        (
            {"dependencies": {"by": "requirements"}},
            "/opt/uv",
            [([*UV, "--requirement", "requirements.txt", *OURS], "code")],
            ["six", "gunicorn", "uvicorn"],
        ),
        ({"dependencies": {"by": "project"}}, "/opt/uv", [([*UV, ".", *OURS], "tree")], ["six", "gunicorn", "uvicorn"]),
        (
            {"dependencies": {"by": "list", "requirements": ["fastapi"]}},
            "/opt/uv",
            [([*UV, *OURS], "code")],
            ["six", "gunicorn", "uvicorn", "fastapi"],
        ),
        (
            {"source": {"kind": "package", "requirement": "titiler.application==1.0"}, "archive": None},
            "/opt/uv",
            [([*UV, *OURS], "code")],
            ["six", "gunicorn", "uvicorn", "titiler.application==1.0"],
        ),
        (
            {"dependencies": {"by": "lock"}},
            "/opt/uv",
            [
                (["uv", "sync", "--frozen", "--no-dev", "--no-editable", "--active"], "tree"),
                (["uv", "pip", "list", "--format", "json"], ""),
                ([*UV, "--constraint", "constraints.txt", *OURS], "code"),
            ],
            ["six", "gunicorn", "uvicorn"],
        ),
        (
            {"dependencies": {"by": "project"}, "installer": "pip"},
            None,
            [(["python", "-m", "pip", "--quiet", "install", ".", *OURS], "tree")],
            ["six", "gunicorn", "uvicorn"],
        ),
    ],
)
def test_everything_is_resolved_together(tmp_path, changes, uv, calls, requirements):
    build = Recorded(tmp_path, **changes)
    build._install(uv)
    assert build.calls == calls
    assert lines(build) == requirements


def test_what_is_locked_binds_what_is_added(tmp_path):
    build = Recorded(tmp_path, dependencies={"by": "lock"})
    build._install("/opt/uv")
    assert lines(build, "constraints.txt") == ["fastapi==0.1"]
    assert "uv.lock" in build.blame
    assert "asgi_app_server_requirements" in build.blame


def test_credentials_are_in_the_environment_only(tmp_path):
    build = Recorded(tmp_path, index_url="https://user:secret@index.example/simple", build_environment={"UV_X": "1"})
    build._install("/opt/uv")
    assert "secret" not in str(build.calls)
    environment = build._environment()
    assert environment["UV_DEFAULT_INDEX"] == environment["PIP_INDEX_URL"] == "https://user:secret@index.example/simple"
    assert environment["UV_X"] == "1"


def test_no_python_is_ever_downloaded_and_none_of_the_caller_s_is_used(tmp_path, monkeypatch):
    for name in ("VIRTUAL_ENV", "PYTHONPATH", "UV_PROJECT_ENVIRONMENT", "PIP_TARGET"):
        monkeypatch.setenv(name, "/elsewhere")
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example")
    environment = Recorded(tmp_path)._environment()
    assert environment["UV_PYTHON_DOWNLOADS"] == "never"
    assert environment["HTTPS_PROXY"] == "http://proxy.example"
    assert "/elsewhere" not in environment.values()


WHEEL = {"name": "six", "version": "1.0", "file": "six-1.0-py3-none-any.whl", "sha256": "ab"}
UV_WHEEL = {"name": "uv", "version": "0.13.8", "file": "uv-0.13.8-py3-none-any.whl", "sha256": "cd"}


@pytest.mark.parametrize(
    ("installer", "uv", "command"),
    [("uv", "/opt/uv", UV), ("pip", None, ["python", "-m", "pip", "--quiet", "install"])],
)
@pytest.mark.parametrize("by", ["nothing", "requirements", "project", "lock", "list"])
def test_wheels_from_the_controller_are_all_that_is_installed(tmp_path, installer, uv, command, by):
    wheels = {"release": [WHEEL], "tools": []}
    build = Recorded(tmp_path, installer=installer, dependencies={"by": by}, wheelhouse=True, wheels=wheels)
    build._install(uv)
    where = f"--find-links={build.store / 'ab'}"
    options = ["--no-deps", "--no-index", "--require-hashes", "--requirement", "release.txt", where]
    assert build.calls == [([*command, *options], "")]
    assert lines(build, "release.txt") == ["six==1.0", "--hash=sha256:ab"]


def test_uv_comes_from_the_controller_too(tmp_path, monkeypatch):
    monkeypatch.setattr(release_build, "TOOLS", tmp_path / "tools")
    build = Recorded(tmp_path, wheelhouse=True, wheels={"release": [WHEEL], "tools": [UV_WHEEL]})
    (build.work / "uv/bin").mkdir(parents=True)
    (build.work / "uv/bin/uv").write_text("uv")
    assert build._provide_uv() == str(tmp_path / "tools/uv-0.13.8/uv")
    assert "--no-index" in build.calls[-1][0]
    assert lines(build, "tools.txt") == ["uv==0.13.8", "--hash=sha256:cd"]


def test_what_the_host_is_configured_for_has_no_part_in_it(tmp_path):
    environment = Recorded(tmp_path, wheelhouse=True)._environment()
    assert (environment["UV_OFFLINE"], environment["UV_NO_CONFIG"], environment["PIP_CONFIG_FILE"]) == (
        "1",
        "1",
        "/dev/null",
    )
    assert "UV_OFFLINE" not in Recorded(tmp_path / "other")._environment()


def test_what_uv_keeps_is_counted_once_no_release_has_it(tmp_path):
    (tmp_path / "mine").write_bytes(b"x" * 100)
    (tmp_path / "shared").write_bytes(b"x" * 1000)
    (tmp_path / "release").hardlink_to(tmp_path / "shared")
    assert release_build.kept_for_itself(tmp_path) == 100
    assert release_build.kept_for_itself(tmp_path / "nothing") == 0


@pytest.mark.parametrize(("limit", "calls"), [(99, [(["uv", "cache", "clean"], "")]), (100, [])])
def test_what_uv_keeps_is_bounded(tmp_path, monkeypatch, limit, calls):
    monkeypatch.setattr(release_build, "CACHE", tmp_path)
    monkeypatch.setattr(release_build, "CACHE_BYTES", limit)
    (tmp_path / "uv").mkdir()
    (tmp_path / "uv/file").write_bytes(b"x" * 100)
    build = Recorded(tmp_path / "release")
    build._tidy("/opt/uv")
    assert build.calls == calls


def test_a_python_that_is_not_there_is_named(tmp_path):
    with pytest.raises(BuildError, match="asgi_app_python is 'python9.9'"):
        release_build.find_python("python9.9")


def test_a_tool_s_failure_says_whose_it_is(tmp_path, monkeypatch):
    monkeypatch.setattr(release_build, "CACHE", tmp_path)
    with (tmp_path / "lock").open("w") as lock:
        build = Build(RECIPE, tmp_path, lock.fileno())
        with pytest.raises(BuildError, match=r"(?s)asgi_app_x cannot.*ca_bundle.*UnknownIssuer"):
            build._run(
                ["/bin/sh", "-c", "echo invalid peer certificate: UnknownIssuer >&2; exit 2"], "asgi_app_x cannot"
            )
        with pytest.raises(BuildError, match="asgi_app_x cannot"):
            build._run([str(tmp_path / "nothing")], "asgi_app_x cannot")


def test_the_import_is_tried_with_what_the_unit_gives(tmp_path, monkeypatch):
    calls = []
    monkeypatch.setattr(release_build, "run_as", lambda *arguments: calls.append(arguments) or (0, "", ""))
    build = Recorded(tmp_path, environment={"STAGE": "first", "PYTHONUNBUFFERED": ""})

    build._try_import()

    ((user, argv, where, environment, _seconds),) = calls
    assert (user, argv[0], argv[-1], where) == ("hello", str(build.python), "main:app", str(build.code))
    unit = app_environment(layout("hello"), build.recipe.environment)
    assert {key: environment[key] for key in unit} == unit
    assert environment["ASGI_SHARED"] == environment["HOME"] == "/srv/hello/shared"
    assert set(environment) - set(unit) == {"PATH"}


def test_an_import_that_fails_or_hangs_is_told(tmp_path, monkeypatch):
    build = Recorded(tmp_path)
    monkeypatch.setattr(release_build, "run_as", lambda *_arguments: (1, "", "KeyError: 'X'\n"))
    with pytest.raises(BuildError, match="(?s)asgi_module.*does not import as the account hello.*KeyError: 'X'"):
        build._try_import()

    def hang(*_arguments):
        raise TimedOut

    monkeypatch.setattr(release_build, "run_as", hang)
    with pytest.raises(BuildError, match="was not imported within"):
        build._try_import()


def test_a_release_is_recorded_with_what_is_in_it_and_only_if_it_imports(tmp_path, monkeypatch):
    monkeypatch.setattr(release_build, "CACHE", tmp_path / "cache")
    monkeypatch.setattr(release_build, "find_python", lambda wanted: f"/usr/bin/{wanted}")
    for step in ("_check_ca_bundle", "_unpack", "_compile", "_try_import"):
        monkeypatch.setattr(Build, step, lambda _build: None)
    monkeypatch.setattr(Build, "_tidy", lambda _build, _uv: None)
    monkeypatch.setattr(
        Build, "_run", lambda *_arguments, **_options: '{"python": "3.13.5", "packages": {"six": "1.0"}}'
    )
    recipe = RECIPE._replace(uv_path="/opt/uv")

    Build(recipe, tmp_path / "good", lock=-1).make()

    manifest = json.loads((tmp_path / "good/release.json").read_text())
    assert (manifest["python"], manifest["packages"]) == ("3.13.5", {"six": "1.0"})

    def refuse(_build):
        raise BuildError("does not import")

    monkeypatch.setattr(Build, "_try_import", refuse)
    with pytest.raises(BuildError, match="does not import"):
        Build(recipe, tmp_path / "bad", lock=-1).make()
    assert not (tmp_path / "bad/release.json").exists()
