"""The wheelhouse on the controller: the calls of uv and pip, and the cache."""

from __future__ import annotations

import hashlib
import os
import shutil
import tarfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from ansible_collections.asgi.deploy.plugins.plugin_utils._release.source import Resolved
from ansible_collections.asgi.deploy.plugins.plugin_utils._release.source_error import SourceError
from ansible_collections.asgi.deploy.plugins.plugin_utils._release.tool_environment import Settings
from ansible_collections.asgi.deploy.plugins.plugin_utils._release.wheel_cache import WheelCache
from ansible_collections.asgi.deploy.plugins.plugin_utils._release.wheel_tools import WheelTools
from ansible_collections.asgi.deploy.plugins.plugin_utils._release.wheelhouse import (
    pack_wheels,
    provide_wheels,
    resolve_wheels,
)
from ansible_collections.asgi.deploy.plugins.plugin_utils._release.wheels import Target, WheelError, choose

CONTENT = b"a wheel"
HASHES = [f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"]
SETTINGS = Settings("python3", ["six"], ["gunicorn"], "0.13.8", None, "/no/such/bundle.pem", {}, HASHES)
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


class Tools:
    """The recorded calls of uv and pip, the requirements files that they read, and their fake results."""

    def __init__(self):
        self.calls = []
        self.read = []
        self.lock = LOCK.format(floor="3.11", sha256=hashlib.sha256(CONTENT).hexdigest())
        self.built = "app-1.2-py3-none-any.whl"
        self.served = CONTENT
        self.locks = []
        self.refused = ""

    def count(self, word):
        return sum(word in argv for argv in self.calls)


@pytest.fixture
def tools(tmp_path, monkeypatch):
    """Replace uv and pip by fakes that record their calls."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    recorded = Tools()

    def run(_tools, argv, _directory, blame, remedy="", **_variables):
        argv = [str(part) for part in argv]
        recorded.calls.append(argv)
        recorded.read += [Path(part).read_text() for part in argv if part.endswith(".txt") and part.startswith("/")]
        if recorded.refused and recorded.refused in argv:
            raise WheelError("requirements-unresolvable", *blame.split(" ", 1), remedy or "something else")
        if "venv" in argv:
            time.sleep(0.05)
            Path(argv[-1], "bin").mkdir(parents=True)
            Path(argv[-1], "bin", "python").touch()
        elif "download" in argv:
            into = Path(argv[argv.index("--dest") + 1])
            for line in recorded.read[-1].splitlines():
                (into / line.rpartition("/")[2]).write_bytes(recorded.served)
        elif "wheel" in argv:
            Path(argv[argv.index("--wheel-dir") + 1], recorded.built).write_bytes(b"built")
        elif "compile" in argv or "export" in argv:
            found = recorded.locks.pop(0) if recorded.locks else recorded.lock
            if isinstance(found, Exception):
                raise found
            return found
        return ""

    monkeypatch.setattr(WheelTools, "run", run)
    return recorded


@pytest.fixture
def run(tmp_path):
    """Return a function that creates the directory of a new run."""
    numbers = iter(range(9))

    def new():
        directory = tmp_path / f"run{next(numbers)}"
        directory.mkdir()
        return directory

    return new


@pytest.fixture
def tree(tmp_path):
    """Return a function that creates a source; *by* is the way in which the source declares its dependencies."""

    def of(by, **more):
        (tmp_path / "main.py").touch()
        with tarfile.open(tmp_path / "source.tar", "w") as tar:
            tar.add(tmp_path / "main.py", "main.py")
        return Resolved("path", "src", "d2", str(tmp_path / "source.tar"), {"by": by, **more})

    return of


def test_a_later_run_uses_the_cache(tools, run):
    for directory in (run(), run()):
        resolution = resolve_wheels(PACKAGE, SETTINGS, directory)
        wheels = provide_wheels(PACKAGE, SETTINGS, resolution, TARGET, False, directory)
    assert tools.count("compile") == tools.count("download") == 1
    assert wheels["tools"] == []
    [wheel] = wheels["release"]
    assert (wheel["name"], wheel["version"], wheel["file"]) == ("six", "1.0", "six-1.0-py3-none-any.whl")
    assert wheel["sha256"] == hashlib.sha256(CONTENT).hexdigest()


def test_wheels_of_another_release_are_reused(tools, run):
    for source in (PACKAGE, Resolved("package", "1.1", "d9", details={"requirement": "app==1.1"})):
        directory = run()
        resolution = resolve_wheels(source, SETTINGS, directory)
        provide_wheels(source, SETTINGS, resolution, TARGET, False, directory)
    assert (tools.count("compile"), tools.count("download")) == (2, 1)


def test_a_missing_wheel_is_downloaded_again(tools, run, tmp_path):
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
def test_changed_settings_are_resolved_again(tools, run, changed):
    resolve_wheels(PACKAGE, SETTINGS, run())
    resolve_wheels(PACKAGE, SETTINGS._replace(**changed), run())
    assert tools.count("compile") == 2


def test_a_changed_password_is_not_resolved_again(tools, run):
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
def test_all_requirements_are_resolved_together(tools, run, tree, by, more, read, inputs):
    resolve_wheels(tree(by, **more), SETTINGS, run())
    [argv] = [argv for argv in tools.calls if "compile" in argv]
    assert [Path(part).name for part in argv if part.endswith(".txt")] == inputs
    assert "--universal" in argv
    assert argv[argv.index("--python-version") + 1] == "3.11"
    assert tools.read[-1] == read


def test_the_name_of_a_requirements_file_is_no_option(tools, run, tree):
    resolve_wheels(tree("requirements", files=["--index-url=x.txt"]), SETTINGS, run())
    [argv] = [argv for argv in tools.calls if "compile" in argv]
    assert "./--index-url=x.txt" in argv
    assert "--index-url=x.txt" not in argv


def test_a_project_is_resolved_with_its_dependencies(tools, run, tree):
    resolve_wheels(tree("project"), SETTINGS, run())
    *lines, project = tools.read[-1].splitlines()
    assert lines == ["six", "gunicorn"]
    assert project.endswith("/tree")


def test_locked_versions_constrain_the_other_requirements(tools, run, tree):
    resolution = resolve_wheels(tree("lock"), SETTINGS, run())
    assert len(resolution["parts"]) == 2
    assert tools.count("--frozen") == tools.count("--constraint") == 1
    assert tools.read[-2:] == ["six\ngunicorn\n", "six==1.0\n"]


def test_the_resolution_is_for_the_oldest_python_that_the_requirements_allow(tools, run, monkeypatch):
    floors = []

    def uv(_tools, arguments, _tree, blame):
        floors.append(arguments[arguments.index("--python-version") + 1])
        if floors[-1] != "3.12":
            raise WheelError("requirements-unresolvable", "x", f"{blame}: x depends on Python>=3.12", "y")
        return tools.lock

    monkeypatch.setattr(WheelTools, "uv", uv)
    resolve_wheels(PACKAGE, SETTINGS, run())
    assert floors == ["3.11", "3.12"]


def test_an_error_is_cached_for_all_hosts_of_a_run(tools, run):
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
def test_a_package_without_a_wheel_is_built_once(tools, run, tree, origin, what):
    tools.lock = BUILT.format(origin=origin)
    source = tree("project")
    for target in (TARGET, TARGET._replace(python="3.13.5", libc_version="2.41")):
        directory = run()
        resolution = resolve_wheels(source, SETTINGS, directory)
        wheels = provide_wheels(source, SETTINGS, resolution, target, False, directory)
        assert [wheel["file"] for wheel in wheels["release"]] == [tools.built]
    assert tools.count("wheel") == 1
    assert tools.read[-1].endswith(what)


def test_a_wheel_in_the_source_is_not_downloaded(tools, run, tmp_path):
    name = "shop-1.0-py3-none-any.whl"
    (tmp_path / name).write_bytes(b"wheel")
    with tarfile.open(tmp_path / "source.tar", "w") as tar:
        tar.add(tmp_path / name, name)
    source = Resolved("wheel", "1.0", "d4", str(tmp_path / "source.tar"), {"by": "requirements"})
    tools.lock = f'[[packages]]\nname = "shop"\nversion = "1.0"\narchive = {{ path = "{name}" }}\n'
    for _run in range(2):
        directory = run()
        resolution = resolve_wheels(source, SETTINGS, directory)
        [wheel] = provide_wheels(source, SETTINGS, resolution, TARGET, False, directory)["release"]
        assert (wheel["file"], wheel["sha256"]) == (name, hashlib.sha256(b"wheel").hexdigest())
    assert tools.count("download") == 0


def test_a_wheel_built_for_another_platform_is_rejected(tools, run, tree):
    tools.lock = BUILT.format(origin='directory = { path = "." }')
    tools.built = "app-1.2-cp311-cp311-macosx_14_0_arm64.whl"
    resolution = resolve_wheels(tree("project"), SETTINGS, run())
    with pytest.raises(SourceError, match=r"app 1\.2 has no wheel for Python 3\.11\.2 .*macosx"):
        provide_wheels(tree("project"), SETTINGS, resolution, TARGET, False, run())


def test_a_failed_build_names_the_package_and_the_remedy(tools, run, tree):
    tools.lock = BUILT.format(origin='directory = { path = "." }')
    tools.refused = "wheel"
    resolution = resolve_wheels(tree("project"), SETTINGS, run())
    with pytest.raises(
        SourceError, match=r"app 1\.2 has no wheel and cannot be built here -> require a version of app"
    ):
        provide_wheels(tree("project"), SETTINGS, resolution, TARGET, False, run())


def test_a_file_with_an_unexpected_hash_is_rejected(tools, run, tmp_path):
    tools.served = b"something else"
    resolution = resolve_wheels(PACKAGE, SETTINGS, run())
    with pytest.raises(
        SourceError, match=r"asgi_app_index_url is an index whose six-1\.0-py3-none-any\.whl has the SHA-256"
    ):
        provide_wheels(PACKAGE, SETTINGS, resolution, TARGET, False, run())
    assert not list(tmp_path.glob("cache/asgi/wheels/*"))


@pytest.mark.parametrize("by", ["exported", "requirements"])
def test_only_files_with_a_hash_in_the_source_are_installed(tools, run, tmp_path, by):
    """`uv pip compile` does not verify the hashes in its input."""

    def source(sha256):
        lines = [f"Six[x]==1.0 ; python_version >= '3' --hash=sha256:{'0' * 64} --hash=sha256:{sha256}"]
        (tmp_path / "requirements.txt").write_text("-r base.txt\n")
        (tmp_path / "base.txt").write_text(lines[0].replace(" --hash", " \\\n --hash") + "\n")
        with tarfile.open(tmp_path / "source.tar", "w") as tar:
            for name in ("requirements.txt", "base.txt"):
                tar.add(tmp_path / name, name)
        more = {"file": "poetry.lock", "lines": lines} if by == "exported" else {"hashed": True}
        return Resolved("path", "src", f"d{sha256}", str(tmp_path / "source.tar"), {"by": by, **more})

    good, other = hashlib.sha256(CONTENT).hexdigest(), "1" * 64
    resolution = resolve_wheels(source(good), SETTINGS, run())
    assert [
        wheel["sha256"] for wheel in provide_wheels(source(good), SETTINGS, resolution, TARGET, False, run())["release"]
    ] == [good]
    with pytest.raises(SourceError, match=r"has hashes for six 1\.0, and the index has no file with one of them"):
        resolve_wheels(source(other), SETTINGS, run())
    # An index may publish no hashes.
    shutil.rmtree(tmp_path / "cache")
    tools.lock = package("six", "1.0")
    resolution = resolve_wheels(source(other), SETTINGS, run())
    with pytest.raises(SourceError, match=f"although the source requires 0+ or {other}"):
        provide_wheels(source(other), SETTINGS, resolution, TARGET, False, run())


def test_a_host_without_uv_gets_a_wheel_of_it(tools, run):
    resolution = resolve_wheels(PACKAGE, SETTINGS, run())
    wheels = provide_wheels(PACKAGE, SETTINGS, resolution, TARGET, True, run())
    assert "uv==0.13.8\n" in tools.read
    assert len(wheels["tools"]) == 1


def test_a_uv_with_an_unexpected_hash_is_rejected(tools, run, tmp_path):
    settings = SETTINGS._replace(uv_hashes=())
    resolution = resolve_wheels(PACKAGE, settings, run())
    assert any("--require-hashes" in argv and "--only-binary=:all:" in argv for argv in tools.calls)
    with pytest.raises(SourceError, match="asgi_app_index_url is an index whose .* has an unexpected SHA-256"):
        provide_wheels(PACKAGE, settings, resolution, TARGET, True, run())
    assert not list(tmp_path.glob("cache/asgi/wheels/*"))


def test_uv_is_resolved_for_each_oldest_python(tools, run):
    for python in ("python3.13", "python3.11"):
        settings = SETTINGS._replace(python=python)
        resolution = resolve_wheels(PACKAGE, settings, run())
        provide_wheels(PACKAGE, settings, resolution, TARGET._replace(python=f"{python[6:]}.2"), True, run())
    assert tools.read.count("uv==0.13.8\n") == 2


def test_concurrent_apps_create_the_tools_once(tools, run):
    directory = run()
    with ThreadPoolExecutor() as pool:
        for number in range(4):
            source = Resolved("package", "1.0", f"d{number}", details={"requirement": "app==1.0"})
            pool.submit(resolve_wheels, source, SETTINGS, directory)
    assert (tools.count("venv"), tools.count("compile")) == (1, 4)


def test_unused_entries_of_the_cache_are_removed(tools, run, tmp_path):
    resolution = resolve_wheels(PACKAGE, SETTINGS, run())
    old = tmp_path / "cache/asgi/wheels" / ("0" * 64)
    old.mkdir(parents=True)
    os.utime(old, (0, time.time() - 91 * 86400))
    [kept] = (tmp_path / "cache/asgi/resolutions").iterdir()
    provide_wheels(PACKAGE, SETTINGS, resolution, TARGET, False, run())
    assert not old.exists()
    assert kept.exists()


def test_a_file_that_another_run_renames_is_ignored(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    (tmp_path / "asgi/archives").mkdir(parents=True)
    # stat() fails like that of a file that no longer exists.
    (tmp_path / "asgi/archives/0.1").symlink_to("gone")
    WheelCache().remove_unused()


def test_the_archive_contains_the_wheels(tools, run):
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


def package(name, version, marker=""):
    marked = f'marker = "{marker}"\n' if marker else ""
    wheel = f'wheels = [{{ url = "https://files.example/{name}-{version}-py3-none-any.whl" }}]'
    return f'[[packages]]\nname = "{name}"\nversion = "{version}"\n{marked}{wheel}\n'


SUPPORTED = SETTINGS._replace(server_requirements=["uvicorn>=0.34", "gunicorn"])
PINNED = package("uvicorn", "0.25.0") + package("six", "1.0")
OVERRIDDEN = [{"package": "uvicorn", "pinned": "0.25.0", "installed": "0.54.0"}]


@pytest.mark.parametrize(
    ("dependencies", "command"),
    [
        ({"by": "lock", "groups": ["web"], "extras": ["db"]}, "export --frozen --no-dev --group=web --extra=db"),
        ({"by": "exported", "file": "poetry.lock", "lines": ["uvicorn==0.25.0", "six==1.0"]}, "--no-deps"),
        ({"by": "requirements", "hashed": True}, "requirements.txt"),
    ],
)
def test_the_server_overrides_a_locked_version(tools, run, tree, dependencies, command):
    tools.locks = [PINNED, package("uvicorn", "0.54.0") + package("six", "1.0")]
    resolution = resolve_wheels(tree(**dependencies), SUPPORTED, run())
    assert command in " ".join(tools.calls[-2])
    assert "--constraint" in tools.calls[-1]
    assert tools.read[-2:] == ["six\nuvicorn>=0.34\ngunicorn\n", "six==1.0\n"]
    assert resolution["overridden"] == OVERRIDDEN
    assert [[each["version"] for each in part["packages"]] for part in resolution["parts"]] == [
        ["1.0"],
        ["0.54.0", "1.0"],
    ]


def test_a_locked_version_that_the_server_supports_is_kept(tools, run, tree):
    tools.locks = [package("uvicorn", "0.40.0"), package("uvicorn", "0.40.0")]
    resolution = resolve_wheels(tree("lock"), SUPPORTED, run())
    assert tools.read[-1] == "uvicorn==0.40.0\n"
    assert resolution["overridden"] == []


def test_the_server_overrides_a_pin_that_conflicts(tools, run, tree):
    tools.locks = [
        WheelError("requirements-unresolvable", "the", "... No solution found when resolving dependencies", ""),
        PINNED,
        package("uvicorn", "0.54.0"),
    ]
    assert resolve_wheels(tree("requirements"), SUPPORTED, run())["overridden"] == OVERRIDDEN


def test_selected_packages_of_a_pylock(tools, run, tmp_path):
    markers = {
        "async": "'async' in extras",
        "web": "'web' in dependency_groups",
        "base": "",
        "dev": "'dev' in dependency_groups",
    }
    content = "".join(package(name, "1.0", marker) for name, marker in markers.items())
    (tmp_path / "pylock.toml").write_text(content)
    with tarfile.open(tmp_path / "source.tar", "w") as tar:
        tar.add(tmp_path / "pylock.toml", "pylock.toml")
    dependencies = {"by": "pylock", "file": "pylock.toml", "groups": ["web"], "extras": ["async"], "install": False}
    resolution = resolve_wheels(
        Resolved("path", "src", "d3", str(tmp_path / "source.tar"), dependencies), SETTINGS, run()
    )
    assert [each.name for each in choose(resolution["parts"][:1], TARGET)] == ["async", "base", "web"]


def test_an_editable_project_needs_its_host(tools, run, tree):
    with pytest.raises(SourceError, match="asgi_app_wheelhouse to false"):
        resolve_wheels(tree("project", install="editable"), SETTINGS, run())
