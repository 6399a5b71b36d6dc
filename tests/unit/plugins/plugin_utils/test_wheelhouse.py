"""The controller's cache of wheels: what is asked of uv and pip, what is kept, and what they are told of the index."""

from __future__ import annotations

import hashlib
import os
import shutil
import tarfile
import time
from pathlib import Path

import pytest
from ansible_collections.asgi.deploy.plugins.plugin_utils import wheelhouse
from ansible_collections.asgi.deploy.plugins.plugin_utils.source import Resolved, SourceError
from ansible_collections.asgi.deploy.plugins.plugin_utils.wheelhouse import (
    Settings,
    pack_wheels,
    provide_wheels,
    resolve_wheels,
    tool_environment,
)
from ansible_collections.asgi.deploy.plugins.plugin_utils.wheels import Target

SETTINGS = Settings("python3", ["six"], ["gunicorn"], "0.13.8", None, "/no/such/bundle.pem", {})
TARGET = Target("3.11.2", "cpython", "", 64, "x86_64", "glibc", "2.36")
PACKAGE = Resolved("package", "1.0", "d1", details={"requirement": "app==1.0"})

LOCK = """
requires-python = ">={floor}"
[[packages]]
name = "six"
version = "1.0"
wheels = [{{ url = "https://files.example/six-1.0-py3-none-any.whl", hashes = {{ sha256 = "{sha256}" }} }}]
"""
BUILT = """
[[packages]]
name = "app"
version = "1.2"
{origin}
"""
CONTENT = b"a wheel"


class Tools:
    """What uv and pip were asked, with which files, and what they answer."""

    def __init__(self):
        self.calls = []
        self.read = []
        self.lock = LOCK.format(floor="3.11", sha256=hashlib.sha256(CONTENT).hexdigest())
        self.built = "app-1.2-py3-none-any.whl"
        self.served = CONTENT
        self.refused = ""

    def count(self, word):
        return sum(word in argv for argv in self.calls)


@pytest.fixture
def tools(tmp_path, monkeypatch):
    """Answer as uv and pip would, and write down what they were asked."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    recorded = Tools()

    def run(house, argv, where, blame, remedy=""):
        argv = [str(part) for part in argv]
        recorded.calls.append(argv)
        recorded.read += [Path(part).read_text() for part in argv if part.endswith(".txt") and part.startswith("/")]
        if recorded.refused and recorded.refused in argv:
            raise wheelhouse.WheelError(*blame.split(" ", 1), remedy or "something else")
        if "venv" in argv:
            Path(argv[-1], "bin").mkdir(parents=True)
            Path(argv[-1], "bin", "python").touch()
        elif "download" in argv:
            into = Path(argv[argv.index("--dest") + 1])
            for line in recorded.read[-1].splitlines():
                (into / line.rpartition("/")[2]).write_bytes(recorded.served)
        elif "wheel" in argv:
            Path(argv[argv.index("--wheel-dir") + 1], recorded.built).write_bytes(b"built")
        elif "compile" in argv or "export" in argv:
            return recorded.lock
        return ""

    monkeypatch.setattr(wheelhouse._Wheelhouse, "_run", run)
    return recorded


@pytest.fixture
def run(tmp_path):
    """Return the directory of a new run."""
    numbers = iter(range(9))

    def new():
        directory = tmp_path / f"run{next(numbers)}"
        directory.mkdir()
        return directory

    return new


@pytest.fixture
def tree(tmp_path):
    """Return the source of a tree that declares what it depends on in some way."""

    def of(by, **more):
        (tmp_path / "main.py").touch()
        with tarfile.open(tmp_path / "source.tar", "w") as tar:
            tar.add(tmp_path / "main.py", "main.py")
        return Resolved("path", "src", "d2", str(tmp_path / "source.tar"), {"by": by, **more})

    return of


def test_a_later_run_asks_nobody(tools, run):
    for directory in (run(), run()):
        resolution = resolve_wheels(PACKAGE, SETTINGS, directory)
        wheels = provide_wheels(PACKAGE, SETTINGS, resolution, TARGET, False, directory)
    assert tools.count("compile") == tools.count("download") == 1
    assert wheels["tools"] == []
    [wheel] = wheels["release"]
    assert (wheel["name"], wheel["version"], wheel["file"]) == ("six", "1.0", "six-1.0-py3-none-any.whl")
    assert wheel["sha256"] == hashlib.sha256(CONTENT).hexdigest()


def test_another_release_with_the_same_wheels_downloads_nothing(tools, run):
    for source in (PACKAGE, Resolved("package", "1.1", "d9", details={"requirement": "app==1.1"})):
        directory = run()
        resolution = resolve_wheels(source, SETTINGS, directory)
        provide_wheels(source, SETTINGS, resolution, TARGET, False, directory)
    assert (tools.count("compile"), tools.count("download")) == (2, 1)


def test_a_wheel_that_is_gone_is_fetched_again(tools, run, tmp_path):
    directory = run()
    resolution = resolve_wheels(PACKAGE, SETTINGS, directory)
    provide_wheels(PACKAGE, SETTINGS, resolution, TARGET, False, directory)
    shutil.rmtree(tmp_path / "cache/asgi/wheels")
    provide_wheels(PACKAGE, SETTINGS, resolution, TARGET, False, run())
    assert tools.count("download") == 2


@pytest.mark.parametrize(
    "changed",
    [
        {"requirements": ["six", "more"]},
        {"server_requirements": ["gunicorn<27"]},
        {"python": "python3.13"},
        {"uv_version": "0.13.9"},
        {"index_url": "https://another.example/simple"},
    ],
)
def test_another_question_is_resolved_anew(tools, run, changed):
    resolve_wheels(PACKAGE, SETTINGS, run())
    resolve_wheels(PACKAGE, SETTINGS._replace(**changed), run())
    assert tools.count("compile") == 2


def test_another_password_is_the_same_question(tools, run):
    for password in ("one", "two"):
        resolve_wheels(PACKAGE, SETTINGS._replace(index_url=f"https://me:{password}@index.example/simple"), run())
    assert tools.count("compile") == 1


@pytest.mark.parametrize(
    ("by", "more", "read", "inputs"),
    [
        ("nothing", {}, "six\ngunicorn\n", ["requirements.txt"]),
        ("requirements", {}, "six\ngunicorn\n", ["requirements.txt", "requirements.txt"]),
        ("list", {"requirements": ["fastapi"]}, "six\ngunicorn\nfastapi\n", ["requirements.txt"]),
    ],
)
def test_everything_is_resolved_together(tools, run, tree, by, more, read, inputs):
    resolve_wheels(tree(by, **more), SETTINGS, run())
    [argv] = [argv for argv in tools.calls if "compile" in argv]
    assert [Path(part).name for part in argv if part.endswith(".txt")] == inputs
    assert "--universal" in argv
    assert argv[argv.index("--python-version") + 1] == "3.11"
    assert tools.read[-1] == read


def test_a_project_is_resolved_with_what_it_depends_on(tools, run, tree):
    resolve_wheels(tree("project"), SETTINGS, run())
    *lines, project = tools.read[-1].splitlines()
    assert lines == ["six", "gunicorn"]
    assert project.endswith("/tree")


def test_what_is_locked_binds_what_is_added(tools, run, tree):
    resolution = resolve_wheels(tree("lock"), SETTINGS, run())
    assert len(resolution["parts"]) == 2
    assert tools.count("--frozen") == tools.count("--constraint") == 1
    assert tools.read[-2:] == ["six\ngunicorn\n", "six==1.0\n"]


def test_a_python_that_the_requirements_need_is_taken(tools, run, monkeypatch):
    asked = []

    def says(_house, arguments, _tree, blame):
        asked.append(arguments[arguments.index("--python-version") + 1])
        if asked[-1] != "3.12":
            raise wheelhouse.WheelError("x", f"{blame}: x depends on Python>=3.12", "y")
        return tools.lock

    monkeypatch.setattr(wheelhouse._Wheelhouse, "_uv_says", says)
    resolve_wheels(PACKAGE, SETTINGS, run())
    assert asked == ["3.11", "3.12"]


def test_an_error_is_found_once_for_all_hosts(tools, run):
    tools.refused = "compile"
    directory = run()
    for _host in range(3):
        with pytest.raises(SourceError, match=r"asgi_app_source\.package cannot be resolved"):
            resolve_wheels(PACKAGE, SETTINGS, directory)
    assert tools.count("compile") == 1
    tools.refused = ""
    resolve_wheels(PACKAGE, SETTINGS, run())


@pytest.mark.parametrize(
    ("origin", "what"),
    [
        ('directory = { path = "." }', "/tree\n"),
        (
            'sdist = { url = "https://x.example/app-1.2.tar.gz", hashes = { sha256 = "ab" } }',
            "app-1.2.tar.gz#sha256=ab\n",
        ),
    ],
)
def test_what_has_no_wheel_is_built_once(tools, run, tree, origin, what):
    tools.lock = BUILT.format(origin=origin)
    source = tree("project")
    for target in (TARGET, TARGET._replace(python="3.13.5", libc_version="2.41")):
        directory = run()
        resolution = resolve_wheels(source, SETTINGS, directory)
        wheels = provide_wheels(source, SETTINGS, resolution, target, False, directory)
        assert [wheel["file"] for wheel in wheels["release"]] == [tools.built]
    assert tools.count("wheel") == 1
    assert tools.read[-1].endswith(what)


def test_what_was_built_for_another_machine_is_refused(tools, run, tree):
    tools.lock = BUILT.format(origin='directory = { path = "." }')
    tools.built = "app-1.2-cp311-cp311-macosx_14_0_arm64.whl"
    resolution = resolve_wheels(tree("project"), SETTINGS, run())
    with pytest.raises(SourceError, match=r"app 1\.2 has no wheel for Python 3\.11\.2 .*macosx"):
        provide_wheels(tree("project"), SETTINGS, resolution, TARGET, False, run())


def test_what_cannot_be_built_is_named_with_the_remedy(tools, run, tree):
    tools.lock = BUILT.format(origin='directory = { path = "." }')
    tools.refused = "wheel"
    resolution = resolve_wheels(tree("project"), SETTINGS, run())
    with pytest.raises(
        SourceError, match=r"app 1\.2 has no wheel and cannot be built here -> require a version of app"
    ):
        provide_wheels(tree("project"), SETTINGS, resolution, TARGET, False, run())


def test_a_file_that_is_not_what_the_index_says(tools, run, tmp_path):
    tools.served = b"something else"
    resolution = resolve_wheels(PACKAGE, SETTINGS, run())
    with pytest.raises(
        SourceError, match=r"asgi_app_index_url leads to an index whose six-1\.0-py3-none-any\.whl is not"
    ):
        provide_wheels(PACKAGE, SETTINGS, resolution, TARGET, False, run())
    assert not list(tmp_path.glob("cache/asgi/wheels/*"))


def test_a_host_that_lacks_uv_gets_it(tools, run):
    resolution = resolve_wheels(PACKAGE, SETTINGS, run())
    wheels = provide_wheels(PACKAGE, SETTINGS, resolution, TARGET, True, run())
    assert "uv==0.13.8\n" in tools.read
    assert len(wheels["tools"]) == 1


def test_what_has_not_been_used_for_long_goes(tools, run, tmp_path):
    resolution = resolve_wheels(PACKAGE, SETTINGS, run())
    old = tmp_path / "cache/asgi/wheels" / ("0" * 64)
    old.mkdir(parents=True)
    os.utime(old, (0, time.time() - 91 * 86400))
    [kept] = (tmp_path / "cache/asgi/resolutions").iterdir()
    provide_wheels(PACKAGE, SETTINGS, resolution, TARGET, False, run())
    assert not old.exists()
    assert kept.exists()


def test_what_is_packed_is_what_is_sent(tools, run):
    directory = run()
    resolution = resolve_wheels(PACKAGE, SETTINGS, directory)
    [wheel] = provide_wheels(PACKAGE, SETTINGS, resolution, TARGET, False, directory)["release"]
    archive = pack_wheels([wheel], directory)
    assert pack_wheels([wheel], directory) == archive
    with tarfile.open(archive) as tar:
        [member] = tar.getmembers()
        assert member.name == f"{wheel['sha256']}/{wheel['file']}"
        assert (member.uid, member.mode) == (0, 0o644)
        assert tar.extractfile(member).read() == CONTENT


def test_only_its_owner_can_read_the_cache(tools, run, tmp_path):
    resolve_wheels(PACKAGE, SETTINGS, run())
    assert (tmp_path / "cache/asgi").stat().st_mode & 0o077 == 0


# what the role's variables and the caller's environment say -> what uv and pip get
SECRET_INDEX = "https://user:secret@index.example/simple"


@pytest.mark.parametrize(
    ("changed", "caller", "told"),
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
        ({}, {"VIRTUAL_ENV": "/x", "PYTHONPATH": "/y", "PIP_TARGET": "/z"}, {"VIRTUAL_ENV": None, "PIP_TARGET": None}),
    ],
)
def test_what_uv_and_pip_are_told(tmp_path, changed, caller, told):
    environment = tool_environment(SETTINGS._replace(**changed), caller, tmp_path)
    assert {key: environment.get(key) for key in told} == told
    assert environment["UV_PYTHON_DOWNLOADS"] == "never"


@pytest.mark.parametrize("given", [True, False])
def test_whom_the_controller_trusts(tmp_path, monkeypatch, given):
    bundle = tmp_path / "ca.pem"
    bundle.touch()
    if not given:
        monkeypatch.setitem(wheelhouse.ARGUMENTS["ca_bundle"], "default", str(bundle))
    environment = tool_environment(SETTINGS._replace(ca_bundle=str(bundle)), {"SSL_CERT_FILE": "/corp.pem"}, tmp_path)
    assert environment["SSL_CERT_FILE"] == (str(bundle) if given else "/corp.pem")
    assert environment["PIP_CERT"] == str(bundle)


def test_what_a_tool_says_loses_its_secrets(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    settings = SETTINGS._replace(index_url=SECRET_INDEX, build_environment={"TOKEN": "s3cret-token"})
    house = wheelhouse._Wheelhouse(settings, tmp_path)
    argv = ["/bin/sh", "-c", 'echo "at $UV_DEFAULT_INDEX with $TOKEN" >&2; exit 1']
    with pytest.raises(SourceError, match="asgi_app_x cannot be") as told:
        house._run(argv, tmp_path, "asgi_app_x cannot be had")
    assert "index.example" in str(told.value)
    assert "secret" not in str(told.value).replace("********", "")
    with pytest.raises(SourceError, match="asgi_app_x cannot be"):
        house._run([str(tmp_path / "nothing")], tmp_path, "asgi_app_x cannot be had")
