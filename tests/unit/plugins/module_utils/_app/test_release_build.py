"""Building a release: the commands of the installers, the account that runs them, and the files that remain."""

from __future__ import annotations

import io
import json
import os
import pwd
import sys
import tarfile
from pathlib import Path

import pytest
from ansible_collections.asgi.deploy.plugins.module_utils._app import release_build
from ansible_collections.asgi.deploy.plugins.module_utils._app.build_environment import CA_VARIABLES
from ansible_collections.asgi.deploy.plugins.module_utils._app.build_python import Python
from ansible_collections.asgi.deploy.plugins.module_utils._app.build_recipe import BuildError, Unsolvable
from ansible_collections.asgi.deploy.plugins.module_utils._app.python_versions import PythonRequest
from ansible_collections.asgi.deploy.plugins.module_utils._app.release_build import Build
from ansible_collections.asgi.deploy.plugins.module_utils._app.uv_pythons import UV_VERSION
from ansible_collections.asgi.deploy.plugins.module_utils._app.uv_wheels import WHEELS
from app_homes import RECIPE


@pytest.fixture(autouse=True)
def build_account(monkeypatch):
    """Use the account that runs the tests as the build account."""
    monkeypatch.setattr(release_build, "_account", lambda _name: pwd.getpwuid(os.getuid()))


class Recorded(Build):
    """A build that records its commands instead of running them."""

    def __init__(self, directory, **changes):
        super().__init__(RECIPE._replace(**changes), directory)
        self.work.mkdir(parents=True)
        self.calls = []

    def _run(self, argv, blame, directory="/", **variables):
        self.calls.append(([str(Path(a).name) if a.startswith("/") else a for a in argv], Path(directory).name))
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
def test_all_requirements_are_resolved_together(tmp_path, changes, uv, calls, requirements):
    build = Recorded(tmp_path, **changes)
    build._install(uv)
    assert build.calls == calls
    assert lines(build) == requirements


def test_code_is_the_subdirectory_of_the_source(tmp_path, monkeypatch):
    """The rest of the source is next to it, because relative paths of the app, and packages in the source, may lead there."""
    content = {"backend/main.py": b"", "shared/data.txt": b"data", "backend/pyproject.toml": b""}
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for name, text in content.items():
            member = tarfile.TarInfo(name)
            member.size = len(text)
            tar.addfile(member, io.BytesIO(text))
    source = {"kind": "path", "subdirectory": "backend"}
    build = Recorded(tmp_path, source=source, dependencies={"by": "project"}, archive=archive.getvalue())
    build.make_source()
    build._unpack()
    assert (tmp_path / "code").readlink() == Path("source/backend")
    assert (build.code / "../shared/data.txt").read_text() == "data"
    assert sorted(path.name for path in build.code.iterdir()) == ["main.py", "pyproject.toml"]
    build._install("/opt/uv")
    assert build.calls[0][1] == "backend"
    assert (build.project / "pyproject.toml").exists()


HASHED = {"by": "requirements", "hashed": True, "files": ["requirements/production.txt"]}


@pytest.mark.parametrize("installer", [UV, ["python", "-m", "pip", "--quiet", "install"]])
def test_requirements_with_hashes_are_installed_first(tmp_path, installer):
    uv = "/opt/uv" if installer is UV else None
    build = Recorded(tmp_path, dependencies=HASHED, installer="uv" if uv else "pip")
    build._install(uv)
    assert build.calls == [
        ([*installer, "--requirement", "requirements/production.txt"], "code"),
        ([*(part for part in installer[:-1] if part != "--quiet"), "list", "--format", "json"], ""),
        ([*installer, "--constraint", "constraints.txt", *OURS], "code"),
    ]
    assert lines(build) == ["six", "gunicorn", "uvicorn"]


SELECTED = {"groups": ["web"], "extras": ["postgres"]}


@pytest.mark.parametrize(
    ("dependencies", "calls"),
    [
        (
            {"by": "lock", "install": False, **SELECTED},
            [
                (
                    [
                        *["uv", "sync", "--frozen", "--no-dev", "--no-editable", "--active"],
                        *["--group=web", "--extra=postgres", "--no-install-project"],
                    ],
                    "tree",
                )
            ],
        ),
        (
            {"by": "lock", "install": "editable"},
            [
                (["uv", "sync", "--frozen", "--no-dev", "--no-editable", "--active", "--no-install-project"], "tree"),
                ([*UV, "--no-deps", "--editable", "."], "code"),
            ],
        ),
        (
            {"by": "lock", "groups": ["dev"]},
            [(["uv", "sync", "--frozen", "--no-editable", "--active", "--group=dev"], "tree")],
        ),
        (
            {"by": "pylock", "file": "pylock.toml", "install": True, **SELECTED},
            [
                ([*UV, "--requirement", "pylock.toml", "--group=web", "--extra=postgres"], "code"),
                ([*UV, "--no-deps", "."], "tree"),
            ],
        ),
        (
            {"by": "exported", "file": "poetry.lock", "install": False, "lines": ["a==1 --hash=sha256:0", "./lib"]},
            [
                ([*UV, "--no-deps", "--requirement", "exported.txt"], "tree"),
                ([*UV, "--no-deps", "--requirement", "exported.txt"], "tree"),
            ],
        ),
    ],
)
def test_locked_packages_are_installed_first(tmp_path, dependencies, calls):
    build = Recorded(tmp_path, dependencies=dependencies)
    build._install("/opt/uv")
    assert build.calls == [
        *calls,
        (["uv", "pip", "list", "--format", "json"], ""),
        ([*UV, "--constraint", "constraints.txt", *OURS], "code"),
    ]


@pytest.mark.parametrize(
    ("dependencies", "options", "directory"),
    [
        ({"by": "project", "extras": ["a", "b"], "requirements": ["jinja2"]}, [".[a,b]"], "tree"),
        ({"by": "project", "install": "editable", "extras": ["a"]}, ["--editable", ".[a]"], "code"),
        ({"by": "requirements", "install": True}, ["--requirement", "requirements.txt", "."], "tree"),
        ({"by": "requirements", "files": ["-dev.txt"]}, ["--requirement", "./-dev.txt"], "code"),
    ],
)
def test_the_project_is_installed_with_its_extras(tmp_path, dependencies, options, directory):
    build = Recorded(tmp_path, dependencies=dependencies)
    build._install("/opt/uv")
    assert build.calls == [([*UV, *options, *OURS], directory)]
    assert lines(build) == ["six", "gunicorn", "uvicorn", *dependencies.get("requirements", [])]


class Conflicting(Recorded):
    """A build whose source pins uvicorn, so that the first command fails."""

    installed = ({"name": "Uvicorn", "version": "0.25.0"}, {"name": "fastapi", "version": "0.1"})
    remaining_conflicts = 1

    def _run(self, argv, blame, directory="/", **variables):
        super()._run(argv, blame, directory, **variables)
        if "install" in argv and self.remaining_conflicts:
            self.remaining_conflicts -= 1
            raise Unsolvable(f"conflict {len(self.calls)}")
        return json.dumps(self.installed)


@pytest.mark.parametrize("by", ["requirements", "project", "list"])
def test_a_pin_on_a_package_of_the_server_is_overridden(tmp_path, by):
    build = Conflicting(tmp_path, dependencies={"by": by, "requirements": ["uvicorn==0.25"]})
    build._install("/opt/uv")
    assert lines(build, "constraints.txt") == ["fastapi==0.1"]
    assert lines(build) == ["six", "gunicorn", "uvicorn"]
    assert len(build.calls) == 4
    overridden = build.installation.overridden({"uvicorn": "0.54.0", "fastapi": "0.1", "gunicorn": "27.0.1"})
    assert overridden == [{"package": "uvicorn", "pinned": "0.25.0", "installed": "0.54.0"}]


def test_a_conflict_with_other_requirements_is_an_error(tmp_path):
    build = Conflicting(tmp_path, dependencies={"by": "requirements"})
    build.remaining_conflicts = 2
    with pytest.raises(Unsolvable, match="conflict 2"):
        build._install("/opt/uv")

    class Later(Conflicting):
        def _run(self, argv, blame, directory="/", **variables):
            if "--constraint" in argv:
                raise Unsolvable("later")
            return super()._run(argv, blame, directory, **variables)

    with pytest.raises(Unsolvable, match="conflict 1"):
        Later(tmp_path / "later", dependencies={"by": "requirements"})._install("/opt/uv")


def test_locked_versions_constrain_the_other_requirements(tmp_path):
    build = Recorded(tmp_path, dependencies={"by": "lock"})
    build._install("/opt/uv")
    assert lines(build, "constraints.txt") == ["fastapi==0.1"]
    assert "uv.lock" in build.blame
    assert "asgi_app_server_requirements" in build.blame


def test_credentials_are_not_on_the_command_line(tmp_path):
    build = Recorded(tmp_path, index_url="https://user:secret@index.example/simple", build_environment={"UV_X": "1"})
    build._install("/opt/uv")
    assert "secret" not in str(build.calls)
    assert build._environment()["UV_X"] == "1"


def test_only_the_build_account_can_read_the_requirements(tmp_path):
    """URLs in these files may contain credentials."""
    build = Recorded(tmp_path)
    assert os.stat(build._write("requirements.txt", ["x @ https://user:secret@example.org/x"])).st_mode & 0o777 == 0o640


WHEEL = {"name": "six", "version": "1.0", "file": "six-1.0-py3-none-any.whl", "sha256": "ab"}
UV_WHEEL = {"name": "uv", "version": "0.13.8", "file": "uv-0.13.8-py3-none-any.whl", "sha256": "cd"}


@pytest.mark.parametrize(
    ("installer", "uv", "command"),
    [("uv", "/opt/uv", UV), ("pip", None, ["python", "-m", "pip", "--quiet", "install"])],
)
@pytest.mark.parametrize("by", ["nothing", "requirements", "project", "lock", "list"])
def test_only_wheels_from_the_controller_are_installed(tmp_path, installer, uv, command, by):
    wheels = {"release": [WHEEL], "tools": []}
    build = Recorded(tmp_path, installer=installer, dependencies={"by": by}, wheelhouse=True, wheels=wheels)
    build._install(uv)
    where = f"--find-links={build.store / 'ab'}"
    options = ["--no-deps", "--no-index", "--require-hashes", "--requirement", "release.txt", where]
    assert build.calls == [([*command, *options], "")]
    assert lines(build, "release.txt") == ["six==1.0", "--hash=sha256:ab"]


def test_uv_is_installed_from_the_wheels_of_the_controller(tmp_path, monkeypatch):
    monkeypatch.setattr(release_build, "TOOLS", tmp_path / "tools")
    (tmp_path / "tools/uv-0.13.8").mkdir(parents=True)
    build = Recorded(tmp_path, wheelhouse=True, wheels={"release": [WHEEL], "tools": [UV_WHEEL]})
    (build.work / "uv/bin").mkdir(parents=True)
    (build.work / "uv/bin/uv").write_text("uv")
    assert build._provide_uv() == str(tmp_path / "tools/uv-0.13.8-pinned/uv")
    assert not (tmp_path / "tools/uv-0.13.8").exists(), "uv of an earlier version, with an unverified hash, is removed"
    assert {"--no-index", "--no-cache-dir"} < set(build.calls[-1][0])
    assert lines(build, "tools.txt") == ["uv==0.13.8", "--hash=sha256:cd"]


def test_uv_from_the_index_is_pinned_by_hash(tmp_path, monkeypatch):
    monkeypatch.setattr(release_build, "TOOLS", tmp_path / "tools")
    build = Recorded(tmp_path)
    (build.work / "uv/bin").mkdir(parents=True)
    (build.work / "uv/bin/uv").write_text("uv")
    build._provide_uv()
    assert build.calls[-1][0][-5:] == [
        "--require-hashes",
        "--no-deps",
        "--only-binary=:all:",
        "--requirement",
        "uv.txt",
    ]
    first, *hashes = lines(build, "uv.txt")
    assert (first, len(hashes)) == ("uv==0.13.8", len(WHEELS))
    assert set(hashes) == {f"--hash=sha256:{sha256}" for sha256 in WHEELS.values()}


def test_uv_with_an_unknown_hash_is_not_installed(tmp_path, monkeypatch):
    monkeypatch.setattr(release_build, "TOOLS", tmp_path / "tools")
    build = Recorded(tmp_path, uv_version="0.13.9")
    with pytest.raises(BuildError, match="asgi_app_uv_hashes"):
        build._provide_uv()
    assert not any("install" in argv for argv, _where in build.calls)


@pytest.mark.parametrize(("limit", "release", "kept"), [(99, 0, False), (100, 0, True), (9, 49, False), (9, 50, True)])
def test_the_cache_of_an_app_is_bounded(tmp_path, monkeypatch, limit, release, kept):
    monkeypatch.setattr(release_build, "CACHE_BYTES", limit)
    build = Recorded(tmp_path / "release")
    build.cache = tmp_path / "cache"
    build.cache.mkdir()
    (build.cache / "file").write_bytes(b"x" * 100)
    build.venv.mkdir()
    (build.venv / "file").write_bytes(b"x" * release)
    build._clean_caches()
    assert build.cache.exists() is kept


def test_the_build_account_gets_a_copy_of_the_ca_bundle(tmp_path):
    """The bundle may be in a directory that builds cannot access, such as /root, and readable only by root."""
    bundle = tmp_path / "ca.pem"
    bundle.write_text("authorities")
    bundle.chmod(0o600)
    build = Recorded(tmp_path / "release", ca_bundle=str(bundle))
    build._copy_ca_bundle()
    copies = {build._environment()[name] for name in CA_VARIABLES}
    assert copies == {str(build.work / "ca-bundle.pem")}
    copy = Path(copies.pop())
    assert (copy.read_text(), copy.stat().st_mode & 0o777) == ("authorities", 0o644)

    assert not set(CA_VARIABLES) & set(Recorded(tmp_path / "other", wheelhouse=True)._environment())
    with pytest.raises(BuildError, match="asgi_app_ca_bundle is '/no/such', which is not a file on the host"):
        Recorded(tmp_path / "third", ca_bundle="/no/such")._copy_ca_bundle()


REQUEST = PythonRequest([">=3.12"], "3.12.9", "requires-python = '>=3.12'")
MANAGED = Python("/opt/asgi/python/cpython-3.12.9-linux-x86_64-gnu/bin/python3.12", "3.12.9")


@pytest.mark.parametrize("mirror", [None, "https://user:secret@mirror.example"])
def test_uv_installs_the_python_of_the_app(tmp_path, monkeypatch, mirror):
    adopted, given = [], {}
    monkeypatch.setattr(release_build, "adopt", lambda *arguments: adopted.append(arguments))
    build = Recorded(tmp_path, python_mirror=mirror, python_request=REQUEST)
    run = build._run

    def record(argv, blame, mounts, **variables):
        given.update(variables, mounts=mounts)
        run(argv, blame)

    build._run = record
    build._install_python(MANAGED, "/opt/uv")

    assert build.calls == [(["uv", "python", "install", "--no-cache", "--no-bin", MANAGED.key], "")]
    assert given["mounts"] == [f"{build.work}/python:/opt/asgi/python"]
    assert (given["UV_PYTHON_DOWNLOADS"], given.get("UV_PYTHON_INSTALL_MIRROR")) == ("manual", mirror)
    assert adopted == [(build.work / "python", MANAGED)]
    assert build.installed_python == {"version": "3.12.9", "origin": REQUEST.origin}


def test_a_python_from_the_controller_is_verified(tmp_path, monkeypatch):
    monkeypatch.setattr(release_build, "adopt", lambda *_arguments: None)
    sent = tmp_path / "sent.tar.gz"
    sent.write_text("archive")
    archive = {"path": str(sent), "sha256": "aa"}
    build = Recorded(tmp_path / "release", wheelhouse=True, python_request=REQUEST, python_archive=archive)
    given = {}
    build._run = lambda _argv, _blame, mounts, **variables: given.update(variables)
    build._install_python(MANAGED, "/opt/uv")

    listed = Path(given["UV_PYTHON_DOWNLOADS_JSON_URL"].removeprefix("file://"))
    [(key, entry)] = json.loads(listed.read_text()).items()
    assert (key, entry["sha256"], entry["patch"]) == (MANAGED.key, "aa", 9)
    assert Path(entry["url"].removeprefix("file://")).read_text() == "archive"


@pytest.mark.parametrize(("version", "mentioned"), [(UV_VERSION, False), ("0.9.0", True)])
def test_another_uv_may_not_know_the_python(tmp_path, version, mentioned):
    build = Recorded(tmp_path, uv_version=version, python_request=REQUEST)

    def fail(_argv, blame, **_variables):
        raise BuildError(blame)

    build._run = fail
    with pytest.raises(BuildError) as caught:
        build._install_python(MANAGED, "/opt/uv")
    assert (f"use uv {UV_VERSION} or later (asgi_app_uv_version" in str(caught.value)) is mentioned


def test_errors_of_tools_contain_their_output(tmp_path, transient_units):
    build = Build(RECIPE, tmp_path)
    with pytest.raises(BuildError, match=r"(?s)asgi_app_x cannot.*ca_bundle.*UnknownIssuer"):
        build._run(["/bin/sh", "-c", "echo invalid peer certificate: UnknownIssuer >&2; exit 2"], "asgi_app_x cannot")
    with pytest.raises(BuildError, match="asgi_app_x cannot"):
        build._run([str(tmp_path / "nothing")], "asgi_app_x cannot")
    with pytest.raises(BuildError, match="asgi_app_x cannot:\nexit status 3"):
        build._run(["/bin/sh", "-c", "exit 3"], "asgi_app_x cannot")


def test_a_hanging_tool_is_killed(tmp_path, transient_units, monkeypatch):
    monkeypatch.setattr(release_build, "BUILD_SECONDS", 0.3)
    with pytest.raises(BuildError, match="(?s)asgi_app_x cannot: it did not end within 0.3 s.*waiting"):
        Build(RECIPE, tmp_path)._run(["/bin/sh", "-c", "echo waiting; sleep 60"], "asgi_app_x cannot")


def sharing(directory, *names):
    build = Recorded(directory, source={"kind": "path", "shared": list(names)})
    build.make_source()
    return build


def test_shared_paths_are_links_to_the_shared_directory(tmp_path, monkeypatch):
    build = sharing(tmp_path, "db.sqlite3", "media/", "var/cache/pages/")
    previous = os.umask(0o077)
    try:
        build._link_shared()
    finally:
        os.umask(previous)
    assert (build.code / "media").readlink() == Path("/srv/hello/shared/media")
    assert (build.code / "db.sqlite3").readlink() == Path("/srv/hello/shared/db.sqlite3")
    assert (build.code / "var/cache/pages").readlink() == Path("/srv/hello/shared/var/cache/pages")
    # the app must be able to enter them
    assert {(build.code / name).stat().st_mode & 0o777 for name in ("var", "var/cache")} == {0o755}


def test_shared_paths_never_lead_through_files_of_the_build(tmp_path):
    build = sharing(tmp_path, "media/", "uploads/photos/")
    # A hostile package could let root write in a directory of the app.
    (build.code / "uploads").symlink_to("media")
    with pytest.raises(BuildError, match=r"asgi_app_source\.shared cannot be linked"):
        build._link_shared()
    assert not (build.code / "media").is_symlink()


@pytest.mark.parametrize("wheelhouse", [False, True])
def test_a_tool_runs_in_the_sandbox_of_the_build_account(tmp_path, transient_units, wheelhouse):
    build = Build(RECIPE._replace(index_url="https://user:secret@index.example", wheelhouse=wheelhouse), tmp_path)
    assert build._run(["/bin/sh", "-c", "echo $UV_DEFAULT_INDEX"], "") == "https://user:secret@index.example\n"
    text = (transient_units / "asgi-build-hello.json").read_text()
    options = json.loads(text)
    assert "secret" not in text
    assert "--property=User=_hello" in options
    assert f"--property=BindPaths={tmp_path} /var/cache/asgi/apps/hello" in options
    assert ("--property=PrivateNetwork=yes" in options) is wheelhouse


DESCRIBED = '{"python": "3.13.5", "packages": {"six": "1.0"}}'


def test_a_release_is_recorded_only_if_it_imports(tmp_path, monkeypatch):
    monkeypatch.setattr(release_build, "CACHE", tmp_path / "cache")
    monkeypatch.setattr(release_build, "choose", lambda _recipe: Python("/usr/bin/python3"))
    monkeypatch.setattr(release_build, "uv_of", lambda _version: tmp_path)
    monkeypatch.setattr(release_build, "leads_to_interpreter", lambda _path: True)
    monkeypatch.setattr(release_build, "check_import", lambda *_arguments: None)
    for step in ("_copy_ca_bundle", "_clean_caches"):
        monkeypatch.setattr(Build, step, lambda _build: None)

    def unpack(build):
        (build.code / "main.py").write_text("")
        (build.code / "main.py").chmod(0o666)

    runs = []

    def run(build, argv, *_arguments, **_options):
        build.python.parent.mkdir(exist_ok=True)
        if not build.python.is_symlink():
            build.python.symlink_to(sys.executable)
        (build.venv / "lib").mkdir(exist_ok=True)
        runs.append((oct(build.directory.stat().st_mode & 0o777), build.work.exists()))
        return f"from a .pth file\n{DESCRIBED}\n"

    monkeypatch.setattr(Build, "_unpack", unpack)
    monkeypatch.setattr(Build, "_run", run)

    def build(name):
        made = Build(RECIPE._replace(source={**RECIPE.source, "shared": ["media/"]}), tmp_path / name)
        made.cache = tmp_path / "cache/apps/hello"
        made.make()

    build("good")

    manifest = json.loads((tmp_path / "good/release.json").read_text())
    assert (manifest["python"], manifest["packages"]) == ("3.13.5", {"six": "1.0"})
    assert set(runs) == {("0o710", True)}
    assert (tmp_path / "good").stat().st_mode & 0o777 == 0o755
    assert (tmp_path / "good/code/main.py").stat().st_mode & 0o777 == 0o644
    assert not (tmp_path / "good/.build").exists()
    assert (tmp_path / "good/code/media").is_symlink()
    assert (tmp_path / "cache/apps/hello").stat().st_mode & 0o777 == 0o700
    assert "managed_python" not in manifest
    document = json.loads((tmp_path / "good/sbom.cdx.json").read_text())
    assert document["metadata"]["timestamp"] == manifest["built_at"]

    def refuse(*_arguments):
        raise BuildError("does not import")

    monkeypatch.setattr(release_build, "check_import", refuse)
    with pytest.raises(BuildError, match="does not import"):
        build("bad")
    assert not (tmp_path / "bad/release.json").exists()


def test_a_forged_description_fails_the_build(tmp_path, monkeypatch):
    build = Recorded(tmp_path)
    monkeypatch.setattr(build, "_run", lambda *_arguments: "[]")
    with pytest.raises(BuildError, match="the virtual environment cannot be described"):
        build._describe()
