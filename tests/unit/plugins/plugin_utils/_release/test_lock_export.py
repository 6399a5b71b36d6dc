"""Exporting lock files with the tools that own their formats."""

from __future__ import annotations

import tarfile
import tomllib

import pytest
from ansible_collections.asgi.deploy.plugins.plugin_utils._release.lock_export import (
    only_dependencies,
    requirement_lines,
    with_export,
    with_hashes,
    without_tool_requirements,
)
from ansible_collections.asgi.deploy.plugins.plugin_utils._release.source import Resolved
from ansible_collections.asgi.deploy.plugins.plugin_utils._release.source_error import SourceError
from ansible_collections.asgi.deploy.plugins.plugin_utils._release.tool_environment import Settings
from ansible_collections.asgi.deploy.plugins.plugin_utils._release.wheel_tools import WheelTools
from ansible_collections.asgi.deploy.plugins.plugin_utils._release.wheels import WheelError

SETTINGS = Settings("python3", [], [], "0.13.8", None, "/no/such/bundle.pem", {})
FILES = {
    "poetry.lock": {"pyproject.toml": "[tool.poetry]\nrequires-poetry = '>=9'\n", "poetry.lock": "# lock"},
    "pdm.lock": {"pyproject.toml": "[project]\n", "pdm.lock": "# lock"},
    "Pipfile.lock": {"Pipfile": "[packages]\n", "Pipfile.lock": "{}"},
}


@pytest.fixture
def uv(monkeypatch, tmp_path):
    """Record the calls of uv, which return the text in ``output`` or raise the exception in ``error``."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    recorded = type("Recorded", (), {"calls": [], "output": "idna==3.10\n", "error": None})()

    def run(tools, arguments, directory, blame, remedy="", **environment):
        content = {path.name: path.read_text() for path in directory.iterdir()}
        recorded.calls.append((arguments, content, environment, blame, tools.need))
        if recorded.error:
            raise WheelError("requirements-unresolvable", "asgi_app_source.path", recorded.error, "")
        return recorded.output

    monkeypatch.setattr(WheelTools, "uv", run)
    return recorded


@pytest.fixture
def source(tmp_path):
    def of(lock, subdirectory="", **dependencies):
        archive = tmp_path / f"{lock}.tar"
        with tarfile.open(archive, "w") as tar:
            for name, text in FILES[lock].items():
                (tmp_path / name).write_text(text)
                tar.add(tmp_path / name, f"{subdirectory}/{name}" if subdirectory else name)
        declared = {"by": "exported", "file": lock, **dependencies}
        return Resolved("path", "src", "d", str(archive), declared, subdirectory=subdirectory)

    return of


SELECTED = {"groups": ["web"], "extras": ["postgres"]}


@pytest.mark.parametrize(
    ("lock", "dependencies", "command"),
    [
        (
            "poetry.lock",
            SELECTED,
            "poetry export --no-interaction --format requirements.txt --without-urls --only=main --only=web --extras=postgres",
        ),
        ("pdm.lock", {}, "pdm export --format requirements --no-hashes --prod"),
        ("pdm.lock", SELECTED, "pdm export --format requirements --no-hashes --dev --group=web --group=postgres"),
        ("Pipfile.lock", {}, "pipenv requirements --hash --exclude-index"),
        ("Pipfile.lock", {"groups": ["web"]}, "pipenv requirements --hash --exclude-index --categories packages web"),
    ],
)
def test_the_tool_that_owns_the_format_exports_a_lock(uv, source, tmp_path, lock, dependencies, command):
    exported = with_export(source(lock, "backend", **dependencies), lambda: SETTINGS, tmp_path / "run")
    assert exported.dependencies["lines"] == ["idna==3.10"]
    [(arguments, content, environment, blame, need)] = uv.calls
    assert environment["UV_OFFLINE"] == "1", "the cached tool is used if possible"
    assert " ".join(arguments).endswith(f" {command}")
    assert arguments[:2] == ["tool", "run"]
    assert "==" in arguments[arguments.index("--from") + 1]
    assert set(content) == set(FILES[lock])
    assert "requires-poetry" not in str(content)
    assert "{}" not in str(environment)
    assert need == f"asgi_app_source.path has a {lock}"
    assert blame.startswith(need)


@pytest.mark.parametrize(
    ("lock", "project", "text", "fault"),
    [
        (
            "pdm.lock",
            "[project]\n",
            '[metadata]\nlock_version = "4.5.0"\ncontent_hash = "sha256:00"\n',
            "a pdm.lock that does not match the pyproject.toml, which was changed later -> run `pdm lock` and commit",
        ),
        (
            "Pipfile.lock",
            "source = []\n",
            '{"_meta": {"hash": {"sha256": "00"}}}',
            "a Pipfile.lock that does not match the Pipfile, which was changed later -> run `pipenv lock` and commit",
        ),
    ],
)
def test_a_lock_that_is_older_than_the_project_is_not_exported(
    uv, source, tmp_path, monkeypatch, lock, project, text, fault
):
    monkeypatch.setitem(FILES, lock, dict(zip(FILES[lock], (project, text), strict=True)))
    with pytest.raises(SourceError, match=fault) as caught:
        with_export(source(lock), lambda: SETTINGS, tmp_path / "run")
    assert (caught.value.variable, caught.value.code) == ("asgi_app_source.path", "lock-outdated")
    assert uv.calls == []


def test_later_runs_and_other_sources_reuse_an_export(uv, source, tmp_path):
    for run in ("run1", "run2"):
        found = with_export(source("pdm.lock"), lambda: SETTINGS, tmp_path / run)
        assert found.dependencies["lines"] == ["idna==3.10"]
    assert len(uv.calls) == 1
    with_export(source("pdm.lock", groups=["web"]), lambda: SETTINGS, tmp_path / "run3")
    assert len(uv.calls) == 2


def test_other_sources_are_not_exported(uv, tmp_path):
    package = Resolved("package", "1.0", "d", details={"requirement": "app==1.0"})
    assert with_export(package, lambda: SETTINGS, tmp_path) is package
    assert uv.calls == []


@pytest.mark.parametrize(
    ("error", "remedy"),
    [
        ("pyproject.toml changed significantly since poetry.lock was last generated", "run `poetry lock` and commit"),
        (
            "error: Failed to fetch: `https://index.example/simple/poetry/`\n error sending request",
            "reach the index to",
        ),
    ],
)
def test_a_failed_export_names_the_remedy(uv, source, tmp_path, error, remedy):
    uv.error = error
    with pytest.raises(SourceError, match=remedy) as caught:
        with_export(source("poetry.lock"), lambda: SETTINGS, tmp_path / "run")
    assert (caught.value.code, caught.value.variable) == ("lock-not-exported", "asgi_app_source.path")
    # A tool that is not in the cache is downloaded.
    assert ["UV_OFFLINE" in environment for _, _, environment, _, _ in uv.calls] == (
        [True, False] if "fetch" in error else [True]
    )


def test_insecure_transports_in_a_lock_are_found(uv, source, tmp_path):
    uv.output = "x @ http://files.example/x.whl\ny @ https://${TOKEN}@files.example/y.whl\n"
    found = with_export(source("pdm.lock"), lambda: SETTINGS, tmp_path / "run")
    assert found.insecure == ["pdm.lock: http://files.example"]
    assert found.expanded == ["TOKEN"]


def test_an_export_becomes_requirements(tmp_path):
    text = f"""\
# This file is @generated by PDM.
-i https://index.example/simple
--extra-index-url https://other.example/simple

idna==3.10 ; python_version >= "3.11" \\
    --hash=sha256:aa \\
    --hash=sha256:bb
-e file://{tmp_path}/lib/x ; python_version < "4"
y[a] @ file://{tmp_path}/lib/y
-e file:///${{PROJECT_ROOT}}/lib/z
-e ./lib/w
shared @ file://{tmp_path}/shared
-e ../shared/x
"""
    assert requirement_lines(text.replace("/lib/", "/backend/lib/", 2), tmp_path, tmp_path / "backend") == [
        'idna==3.10 ; python_version >= "3.11" --hash=sha256:aa --hash=sha256:bb',
        './lib/x ; python_version < "4"',
        "./lib/y",
        "./lib/z",
        "./lib/w",
        "./../shared",
        "./../shared/x",
    ]


@pytest.mark.parametrize(
    "line",
    [
        "-e ../../lib",
        "lib @ file:///lib",
        "./../../lib ; python_version > '3'",
        "lib @ file:/lib",
        "lib[x] @ git+FILE:///lib@abc",
        "lib@git+file:///lib",
    ],
)
def test_paths_outside_of_the_source_are_rejected(tmp_path, line):
    with pytest.raises(SourceError, match="requires lib from a directory outside"):
        requirement_lines(line, tmp_path, tmp_path / "backend")


@pytest.mark.parametrize("line", ["x @ git+https://x.example/x@--upload-pack=evil", "--config=evil", "/etc/x"])
def test_a_lock_is_checked_like_a_requirements_file(tmp_path, line):
    with pytest.raises(SourceError) as caught:
        requirement_lines(f"{line}\n", tmp_path, tmp_path)
    assert caught.value.code == "source-declarations-refused"


@pytest.mark.parametrize(
    "line",
    [
        "-e git+https://x.example/x.git@abc#egg=x",
        "x[a,b] @ git+ssh://git@x.example/x.git@v1#subdirectory=lib ; python_version >= '3.9'",
        "x @ https://x.example/x-1-py3-none-any.whl ; sys_platform == 'linux' --hash=sha256:aa",
        "x.y[a]==1.0+cpu; (python_version >= '3.9') and (extra == 'z') --hash=sha256:aa --hash=sha256:bb",
        "x",
    ],
)
def test_the_requirements_of_the_tools_are_kept(tmp_path, line):
    assert requirement_lines(f"{line}\n", tmp_path, tmp_path) == [line]


def test_a_project_cannot_make_poetry_install_plugins():
    text = (
        '[tool.poetry]\nrequires-poetry = ">=9"\nname = "x"\n[tool.poetry.requires-plugins]\nevil = "*"\n[tool.ruff]\n'
    )
    assert without_tool_requirements(text) == '[tool.poetry]\n\nname = "x"\n[tool.ruff]\n'
    with pytest.raises(SourceError, match="plugins"):
        without_tool_requirements('[tool.poetry]\nrequires-plugins = {evil = "*"}\n')
    with pytest.raises(SourceError, match="plugins"):
        without_tool_requirements('[tool.poetry]\n[tool.poetry.requires-plugins]\nevil = [\n["x"],\n]\n')


def test_pdm_reads_only_the_dependencies_of_a_project():
    """PDM runs [tool.pdm.scripts] pre_invoke before each command, and needs a Python that matches requires-python."""
    text = """\
[project]
name = "shop"
dynamic = ["version"]
requires-python = ">=3.99"
dependencies = ["idna; python_version < '4'", 'x @ https://example.org/"\\x'] # \u00e9
optional-dependencies = {"pg.x" = ["psycopg"]}
[dependency-groups]
dev = ["pytest", {include-group = "lint"}]
lint = []
[tool.pdm]
scripts.pre_invoke = "touch /tmp/evil"
plugins = ["evil"]
dev-dependencies = {web = ["h\u00e9"]}
[tool.pdm.version]
source = "call"
getter = "evil:version"
[build-system]
build-backend = "evil"
"""
    assert tomllib.loads(only_dependencies(text)) == {
        "project": {
            "name": "shop",
            "version": "0",
            "dependencies": ["idna; python_version < '4'", 'x @ https://example.org/"\\x'],
            "optional-dependencies": {"pg.x": ["psycopg"]},
        },
        "dependency-groups": {"dev": ["pytest", {"include-group": "lint"}], "lint": []},
        "tool": {"pdm": {"dev-dependencies": {"web": ["h\u00e9"]}}},
    }


@pytest.mark.parametrize("lock", ["poetry.lock", "pdm.lock"])
def test_the_tools_do_not_read_the_whole_project(uv, source, tmp_path, monkeypatch, lock):
    monkeypatch.setitem(
        FILES,
        lock,
        {**FILES[lock], "pyproject.toml": "[tool.poetry]\nrequires-poetry = 'x'\n[tool.pdm]\nscripts={a='b'}\n"},
    )
    with_export(source(lock), lambda: SETTINGS, tmp_path / "run")
    [(_, content, _, _, _)] = uv.calls
    assert ("scripts" if lock == "pdm.lock" else "requires-poetry") not in content["pyproject.toml"]


PDM_GROUPS = '[metadata]\ngroups = ["default", "web-app"]\n'


@pytest.mark.parametrize(
    ("lock", "content", "selected", "unknown"),
    [
        ("pdm.lock", PDM_GROUPS, {"groups": ["web_app"]}, None),
        ("pdm.lock", PDM_GROUPS, {"groups": ["ops"]}, "asgi_app_groups contains 'ops', but the pdm.lock"),
        ("pdm.lock", PDM_GROUPS, {"extras": ["pg"]}, "asgi_app_extras contains 'pg'"),
        ("pdm.lock", "", {"groups": ["ops"]}, None),
        ("Pipfile.lock", '{"_meta": {}, "default": {}, "ops": {}}', {"groups": ["ops", "dev-packages"]}, None),
        ("Pipfile.lock", '{"_meta": {}, "default": {}, "develop": {}}', {"groups": ["dev"]}, "contains 'dev'"),
    ],
)
def test_groups_that_a_lock_does_not_contain_are_rejected(
    uv, source, tmp_path, monkeypatch, lock, content, selected, unknown
):
    """PDM and pipenv would ignore them."""
    monkeypatch.setitem(FILES, lock, {**FILES[lock], lock: content})
    if not unknown:
        assert with_export(source(lock, **selected), lambda: SETTINGS, tmp_path / "run").dependencies["lines"]
        return
    with pytest.raises(SourceError, match=unknown) as caught:
        with_export(source(lock, **selected), lambda: SETTINGS, tmp_path / "run")
    assert caught.value.code == "selection-unknown"


def test_a_pdm_lock_may_contain_packages_without_hashes(uv, source, tmp_path, monkeypatch):
    """PDM refuses to export repositories and directories together with hashes."""
    lock = """\
[[package]]
name = "zope.interface"
version = "7.2"
files = [{file = "a.whl", hash = "sha256:aa"}, {url = "https://x.example/a.tar.gz", hash = "sha256:bb"}]
[[package]]
name = "core"
version = "0.1"
path = "./libs/core"
[[package]]
name = "y"
version = "1"
url = "https://x.example/y.whl"
files = [{url = "https://x.example/y.whl", hash = "sha256:cc"}]
"""
    monkeypatch.setitem(FILES, "pdm.lock", {**FILES["pdm.lock"], "pdm.lock": lock})
    uv.output = "zope-interface[test]==7.2; python_version >= '3.9'\n-e ./libs/core\nx @ git+https://x.example/x@abc\ny @ https://x.example/y.whl\n"
    assert with_export(source("pdm.lock"), lambda: SETTINGS, tmp_path / "run").dependencies["lines"] == [
        "zope-interface[test]==7.2; python_version >= '3.9' --hash=sha256:aa --hash=sha256:bb",
        "./libs/core",
        "x @ git+https://x.example/x@abc",
        "y @ https://x.example/y.whl --hash=sha256:cc",
    ]
    assert with_hashes(["idna==3.10"], lock) == ["idna==3.10"]
