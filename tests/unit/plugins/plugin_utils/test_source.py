"""A source becomes the same bytes and the same digest wherever it is, or is refused with the variable's name."""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest
from ansible_collections.asgi.deploy.plugins.module_utils.release_archive import extract
from ansible_collections.asgi.deploy.plugins.plugin_utils import source
from ansible_collections.asgi.deploy.plugins.plugin_utils.source import (
    SourceError,
    check_installer,
    declared,
    excluded,
    normalise,
    resolve,
)

EXCLUDE = [".git", "__pycache__", "*.pyc", ".env", "/data", "docs/build"]


@pytest.fixture
def tree(tmp_path):
    root = tmp_path / "tree"
    (root / "hello").mkdir(parents=True)
    (root / "hello" / "__init__.py").touch()
    (root / "hello" / "main.py").write_text("app = None\n")
    (root / "requirements.txt").write_text("fastapi\n")
    (root / "run.sh").write_text("#!/bin/sh\n")
    (root / "run.sh").chmod(0o755)
    (root / "link").symlink_to("hello/main.py")
    return root


@pytest.fixture
def at(tmp_path):
    """Resolve a source as a new run does."""
    runs = iter(range(1000))

    def new_run(exclude=(), **source):
        return resolve(source, list(exclude), tmp_path / f"run{next(runs)}")

    return new_run


def names(resolved):
    with tarfile.open(resolved.archive) as tar:
        return [member.name for member in tar.getmembers()]


# -- a directory -------------------------------------------------------------------------------------------------------


def test_a_tree_gives_the_same_bytes_wherever_it_is(tree, at, tmp_path):
    first = at(path=str(tree))
    copy = tmp_path / "elsewhere"
    shutil.copytree(tree, copy, symlinks=True)
    for path in copy.rglob("*"):
        if not path.is_symlink():
            os.utime(path, (1, 1))
            path.chmod(path.stat().st_mode & 0o700)
    second = at(path=str(copy))
    assert first.digest == second.digest
    assert Path(first.archive).read_bytes() == Path(second.archive).read_bytes()


@pytest.mark.parametrize(
    "change",
    [
        lambda root: (root / "hello/main.py").write_text("app = True\n"),
        lambda root: (root / "hello/main.py").rename(root / "hello/other.py"),
        lambda root: (root / "new.py").touch(),
        lambda root: (root / "hello/main.py").chmod(0o755),
        lambda root: ((root / "link").unlink(), (root / "link").symlink_to("run.sh")),
        lambda root: ((root / "link").unlink(), (root / "link").write_text("hello/main.py")),
        lambda root: (root / "empty").mkdir(),
    ],
    ids=["content", "name", "new file", "mode", "link", "link or file", "directory"],
)
def test_a_change_of_the_tree_changes_the_digest(tree, at, change):
    before = at(path=str(tree)).digest
    change(tree)
    assert at(path=str(tree)).digest != before


def test_what_is_unpacked_is_what_was_there(tree, at, tmp_path):
    extract(at(path=str(tree)).archive, str(tmp_path / "out"))
    assert (tmp_path / "out/hello/main.py").read_text() == "app = None\n"
    assert os.access(tmp_path / "out/run.sh", os.X_OK)
    assert not os.access(tmp_path / "out/hello/main.py", os.X_OK)
    assert (tmp_path / "out/link").readlink() == Path("hello/main.py")


def test_times_of_files_follow_their_content(tree, at, tmp_path):
    """The web server makes ETag and Last-Modified of them: what did not change must stay in caches, the rest not."""

    def times(run):
        extract(at(path=str(tree)).archive, str(tmp_path / run))
        return {name: int((tmp_path / run / name).stat().st_mtime) for name in ("run.sh", "hello/main.py")}

    before = times("before")
    (tree / "hello/main.py").write_text("app = Nona\n")  # as long as before
    after = times("after")
    assert before["run.sh"] == after["run.sh"]
    assert before["hello/main.py"] != after["hello/main.py"]
    assert min(after.values()) > 315_532_800, "a wheel knows no time before 1980"


def test_what_is_excluded_is_neither_sent_nor_part_of_the_digest(tree, at):
    before = at(EXCLUDE, path=str(tree))
    for name in (".git/config", "hello/__pycache__/main.pyc", ".env", "data/big", "docs/build/x"):
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text("SECRET=1")
    (tree / "docs/build/x").unlink()
    (tree / "docs/build").rmdir()
    (tree / "docs").rmdir()
    after = at(EXCLUDE, path=str(tree))
    assert names(after) == names(before)
    assert after.digest == before.digest


@pytest.mark.parametrize(
    ("name", "patterns", "out"),
    [
        (".env", [".env"], True),
        ("a/.env", [".env"], True),
        ("a/.env.py", [".env"], False),
        ("a/b.pyc", ["*.pyc"], True),
        ("data", ["/data"], True),
        ("a/data", ["/data"], False),
        ("docs/build", ["docs/build"], True),
        ("docs/build", ["docs/build/"], True),
        ("a/docs/build", ["docs/build"], False),
        ("node_modules", ["node_modules/"], True),
        ("A.PYC", ["*.pyc"], False),
        ("a", [], False),
    ],
)
def test_excluded(name, patterns, out):
    assert excluded(name, patterns) is out


@pytest.mark.parametrize("target", ["/etc/passwd", "../outside", "hello/../../outside"])
def test_a_link_out_of_the_tree_is_refused(tree, at, target):
    (tree / "evil").symlink_to(target)
    with pytest.raises(SourceError, match=r"asgi_app_source\.path holds the symlink 'evil'"):
        at(path=str(tree))
    assert at(["evil"], path=str(tree)).digest


def test_a_link_out_of_the_tree_by_way_of_another_is_refused(tree, at):
    (tree / "a/b").mkdir(parents=True)
    (tree / "a/b/up").symlink_to("../..")
    (tree / "evil").symlink_to("a/b/up/../outside")
    with pytest.raises(SourceError, match="evil"):
        at(path=str(tree))


def test_a_loop_of_links_is_told(tree, at):
    (tree / "loop").symlink_to("loop")
    try:
        at(path=str(tree))  # some releases of Python resolve it
    except SourceError as exc:
        assert exc.variable == "asgi_app_source.path"


def test_a_pipe_is_refused(tree, at):
    os.mkfifo(tree / "pipe")
    with pytest.raises(SourceError, match="'pipe', which is neither"):
        at(path=str(tree))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: None, "does not exist on the controller"),
        (lambda path: path.touch(), "is not a directory"),
        (lambda path: path.mkdir(), "holds no file"),
    ],
)
def test_a_path_that_is_no_tree_is_refused(tmp_path, at, make, message):
    make(tmp_path / "x")
    with pytest.raises(SourceError, match=message) as caught:
        at(path=str(tmp_path / "x"))
    assert caught.value.variable == "asgi_app_source.path"


def test_names_that_are_not_utf_8_survive(tree, at, tmp_path):
    name = os.fsdecode(b"caf\xe9.txt")
    (tree / name).write_text("x")
    extract(at(path=str(tree)).archive, str(tmp_path / "out"))
    assert (tmp_path / "out" / name).read_text() == "x"


# -- how it declares what it depends on --------------------------------------------------------------------------------


PROJECT = {"project": {"name": "x", "dependencies": ["fastapi"]}}


@pytest.mark.parametrize(
    ("files", "project", "dependencies"),
    [
        ([], {}, {"by": "nothing"}),
        (["pyproject.toml"], {"tool": {"ruff": {}}}, {"by": "nothing"}),
        (["requirements.txt"], {}, {"by": "requirements"}),
        (["requirements.txt", "pyproject.toml"], PROJECT, {"by": "requirements"}),
        (["uv.lock", "requirements.txt", "pyproject.toml"], PROJECT, {"by": "lock"}),
        (["pyproject.toml"], PROJECT, {"by": "list", "requirements": ["fastapi"]}),
        (["pyproject.toml"], {"project": {"name": "x"}}, {"by": "list", "requirements": []}),
        (["pyproject.toml"], {**PROJECT, "build-system": {}}, {"by": "project"}),
        (["pyproject.toml"], {"project": {"name": "x", "dynamic": ["dependencies"]}}, {"by": "project"}),
        (["pyproject.toml"], {"tool": {"poetry": {}}, "build-system": {}}, {"by": "project"}),
        (["setup.py"], {}, {"by": "project"}),
    ],
)
def test_declared(files, project, dependencies):
    assert declared(files, project, "asgi_app_source.path") == dependencies


def test_a_lock_without_its_project_is_refused():
    with pytest.raises(SourceError, match=r"uv\.lock without a pyproject\.toml"):
        declared(["uv.lock"], {}, "asgi_app_source.path")


def test_a_project_file_that_is_not_valid_is_refused(tree, at):
    (tree / "pyproject.toml").write_text("[project")
    with pytest.raises(SourceError, match=r"pyproject\.toml that is not valid"):
        at(path=str(tree))


def test_a_lock_needs_uv(tree, at):
    (tree / "pyproject.toml").write_text('[project]\nname = "x"\nversion = "1.0"\n')
    (tree / "uv.lock").write_text("version = 1\n")
    locked = at(path=str(tree))
    check_installer(locked, "uv")
    with pytest.raises(SourceError, match="asgi_app_installer is 'pip'"):
        check_installer(locked, "pip")
    check_installer(at(["uv.lock"], path=str(tree)), "pip")


@pytest.mark.parametrize(
    ("text", "label"), [("", "src"), ('version = "1.4.0"', "1.4.0"), ('dynamic = ["version"]', "src")]
)
def test_a_project_s_version_is_its_label(tree, at, text, label):
    (tree / "pyproject.toml").write_text(f'[project]\nname = "x"\n{text}\n')
    assert at(path=str(tree)).label == label


# -- once in a run -----------------------------------------------------------------------------------------------------


def test_all_hosts_of_a_run_get_the_same(tree, tmp_path):
    first = resolve({"path": str(tree)}, [], tmp_path / "run")
    (tree / "hello/main.py").write_text("changed\n")
    assert resolve({"path": str(tree)}, [], tmp_path / "run") == first
    assert resolve({"path": str(tree)}, ["x"], tmp_path / "run") != first
    assert resolve({"path": str(tree)}, [], tmp_path / "another run") != first


def test_a_failure_is_the_same_for_all_hosts_of_a_run(tmp_path):
    for _host in range(2):
        with pytest.raises(SourceError, match="does not exist") as caught:
            resolve({"path": str(tmp_path / "x")}, [], tmp_path / "run")
        assert caught.value.variable == "asgi_app_source.path"
        (tmp_path / "x").mkdir(exist_ok=True)


# -- a repository ------------------------------------------------------------------------------------------------------


def git(directory, *arguments):
    identity = ["-c", "user.name=x", "-c", "user.email=x@example.org", "-c", "commit.gpgsign=false"]
    done = subprocess.run(["git", *identity, *arguments], cwd=directory, check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture
def repository(tree):
    git(tree, "init", "--quiet", "--initial-branch=main")
    git(tree, "add", ".")
    git(tree, "commit", "--quiet", "--message=one")
    git(tree, "tag", "v1")
    (tree / "hello/main.py").write_text("two = 2\n")
    git(tree, "commit", "--quiet", "--all", "--message=two")
    return tree


def test_a_ref_is_a_commit_and_a_tree(repository, at):
    tag, branch = (at(EXCLUDE, git=str(repository), ref=ref) for ref in ("v1", "main"))
    assert tag.details["commit"] == git(repository, "rev-parse", "v1")
    assert branch.details["commit"] == git(repository, "rev-parse", "main")
    assert branch.label == branch.details["commit"][:10]
    assert tag.digest != branch.digest
    assert branch.dependencies == {"by": "requirements"}
    assert at(EXCLUDE, git=str(repository), ref=tag.details["commit"]).digest == tag.digest
    # the same files are the same release, by whichever way they come
    assert at(EXCLUDE, path=str(repository)).digest == branch.digest


def test_a_commit_that_no_name_points_at_is_found_by_its_full_id(repository, at):
    commit = git(repository, "rev-parse", "v1")
    assert at(git=f"file://{repository}", ref=commit).details["commit"] == commit


def test_a_name_is_left_out_of_a_repository_too(repository, at):
    assert "hello" not in names(at(["hello"], git=str(repository), ref="main"))
    assert "hello/main.py" not in names(at(["hello"], git=str(repository), ref="main"))


@pytest.mark.parametrize(
    ("ref", "message"),
    [
        ("nope", "does not exist in"),
        ("0" * 40, "does not exist in"),
        ("0123abc", "full id of the commit"),
        ("-x", "names nothing"),
        ("--upload-pack=touch /tmp/x", "names nothing"),
        ("main:other", "names nothing"),
        ("+main", "names nothing"),
        ("a..b", "names nothing"),
        ("main^", "names nothing"),
        ("", "names nothing"),
        ("a b", "names nothing"),
    ],
)
def test_a_ref_that_is_none_is_refused(repository, at, ref, message):
    with pytest.raises(SourceError, match=message) as caught:
        at(git=str(repository), ref=ref)
    assert caught.value.variable == "asgi_app_source.ref"


@pytest.mark.parametrize(
    "url", ["--upload-pack=x", "ext::sh -c true", "/no/such/repository", "file:///no/such/repository"]
)
def test_a_repository_that_is_none_is_refused(at, url):
    with pytest.raises(SourceError) as caught:
        at(git=url, ref="main")
    assert caught.value.variable == "asgi_app_source.git"


@pytest.mark.parametrize("password", ["secret", "p@secret", "it's@secret"])
def test_credentials_are_not_told(at, password):
    with pytest.raises(SourceError) as caught:
        at(git=f"https://user:{password}@127.0.0.1:1/x.git", ref="main")
    assert "secret" not in str(caught.value)
    assert "secret" not in caught.value.fault


def test_credentials_are_not_recorded(at, monkeypatch):
    monkeypatch.setattr(source._Git, "fetch", lambda _self: "0" * 40)

    def export(_self, _commit, archive):
        with tarfile.open(archive, "w") as tar:
            tar.addfile(tarfile.TarInfo("main.py"))

    monkeypatch.setattr(source._Git, "export", export)
    resolved = at(git="https://user:p@secret@git.example/x.git", ref="main")
    assert resolved.details["url"] == "https://git.example/x.git"


def test_without_git_there_is_a_remedy(repository, at, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(SourceError, match="install git"):
        at(git=str(repository), ref="main")


# -- a package ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("requirement", "normal", "label"),
    [
        ("titiler.application==1.0.2", "titiler.application==1.0.2", "1.0.2"),
        (" name [ a , b-c ] == 1.2rc1 ", "name[a,b-c]==1.2rc1", "1.2rc1"),
        ("name==1!2.0+local.1", "name==1!2.0+local.1", "1_2.0_local.1"),
    ],
)
def test_a_package_of_one_version(at, requirement, normal, label):
    resolved = at(package=requirement)
    assert (resolved.details["requirement"], resolved.label, resolved.archive) == (normal, label, None)
    assert resolved.digest == at(package=normal).digest


@pytest.mark.parametrize(
    "requirement",
    ["name", "name>=1", "name==1.*", "name===1", "name==1,==2", "name==1; python_version>'3'", "-r x", "==1", "", "name==",
     "name @ https://example.org/x.whl", "a b==1", "name==1\nother", "name[]==1"],
)  # fmt: skip
def test_a_package_of_no_or_many_versions_is_refused(at, requirement):
    with pytest.raises(SourceError, match="not one exact version") as caught:
        at(package=requirement)
    assert caught.value.variable == "asgi_app_source.package"


# -- as the user wrote it ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "normal"),
    [
        ({"path": "../app", "git": None, "ref": None, "package": None}, {"path": "/playbooks/../app"}),
        ({"git": "repo", "ref": "v1"}, {"git": "/playbooks/repo", "ref": "v1"}),
        ({"git": "https://example.org/x.git", "ref": "v1"}, {"git": "https://example.org/x.git", "ref": "v1"}),
        ({"git": "git@example.org:x.git", "ref": "v1"}, {"git": "git@example.org:x.git", "ref": "v1"}),
        ({"git": "--x", "ref": "v1"}, {"git": "--x", "ref": "v1"}),
        ({"package": "a==1"}, {"package": "a==1"}),
    ],
)
def test_normalise(written, normal):
    assert normalise(written, lambda path: Path("/playbooks") / path) == normal
