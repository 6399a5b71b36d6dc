"""Sources resolve to a reproducible archive and digest, or are rejected with the name of the variable."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest
from ansible_collections.asgi.deploy.plugins.module_utils._app.release_archive import extract
from ansible_collections.asgi.deploy.plugins.plugin_utils._release.git_repository import GitRepository
from ansible_collections.asgi.deploy.plugins.plugin_utils._release.source import (
    check_installer,
    normalise,
    resolve,
)
from ansible_collections.asgi.deploy.plugins.plugin_utils._release.source_error import SourceError

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
    """Return a function that resolves a source in a new run."""
    runs = iter(range(1000))

    def new_run(exclude=(), **source):
        return resolve(source, list(exclude), tmp_path / f"run{next(runs)}")

    return new_run


def names(resolved):
    with tarfile.open(resolved.archive) as tar:
        return [member.name for member in tar.getmembers()]


# -- a directory -------------------------------------------------------------------------------------------------------


def test_the_archive_does_not_depend_on_location_times_and_modes(tree, at, tmp_path):
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
def test_each_change_of_the_tree_changes_the_digest(tree, at, change):
    before = at(path=str(tree)).digest
    change(tree)
    assert at(path=str(tree)).digest != before


def test_the_archive_contains_the_tree(tree, at, tmp_path):
    extract(at(path=str(tree)).archive, str(tmp_path / "out"))
    assert (tmp_path / "out/hello/main.py").read_text() == "app = None\n"
    assert os.access(tmp_path / "out/run.sh", os.X_OK)
    assert not os.access(tmp_path / "out/hello/main.py", os.X_OK)
    assert (tmp_path / "out/link").readlink() == Path("hello/main.py")


def test_modification_times_depend_on_the_content(tree, at, tmp_path):
    """nginx derives ETag and Last-Modified from modification times, so clients keep only unchanged files in their caches."""

    def times(run):
        extract(at(path=str(tree)).archive, str(tmp_path / run))
        return {name: int((tmp_path / run / name).stat().st_mtime) for name in ("run.sh", "hello/main.py")}

    before = times("before")
    (tree / "hello/main.py").write_text("app = Nona\n")  # the same length as before
    after = times("after")
    assert before["run.sh"] == after["run.sh"]
    assert before["hello/main.py"] != after["hello/main.py"]
    assert min(after.values()) > 315_532_800, "a zip file, such as a wheel, supports no time before 1980"


def test_excluded_files_are_not_in_the_archive_and_the_digest(tree, at):
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


@pytest.mark.parametrize("target", ["/etc/passwd", "../outside", "hello/../../outside"])
def test_a_symlink_out_of_the_tree_is_rejected(tree, at, target):
    (tree / "evil").symlink_to(target)
    with pytest.raises(SourceError, match=r"asgi_app_source\.path contains the symlink 'evil'"):
        at(path=str(tree))
    assert at(["evil"], path=str(tree)).digest


def test_a_symlink_out_of_the_tree_through_another_is_rejected(tree, at):
    (tree / "a/b").mkdir(parents=True)
    (tree / "a/b/up").symlink_to("../..")
    (tree / "evil").symlink_to("a/b/up/../outside")
    with pytest.raises(SourceError, match="evil"):
        at(path=str(tree))


def test_a_loop_of_symlinks_is_a_source_error(tree, at):
    (tree / "loop").symlink_to("loop")
    try:
        at(path=str(tree))  # some versions of Python accept the loop
    except SourceError as exc:
        assert exc.variable == "asgi_app_source.path"


def test_a_pipe_is_rejected(tree, at):
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
def test_a_path_without_a_tree_is_rejected(tmp_path, at, make, message):
    make(tmp_path / "x")
    with pytest.raises(SourceError, match=message) as caught:
        at(path=str(tmp_path / "x"))
    assert caught.value.variable == "asgi_app_source.path"


def test_file_names_need_not_be_utf_8(tree, at, tmp_path):
    name = os.fsdecode(b"caf\xe9.txt")
    (tree / name).write_text("x")
    extract(at(path=str(tree)).archive, str(tmp_path / "out"))
    assert (tmp_path / "out" / name).read_text() == "x"


# -- declared dependencies --------------------------------------------------------------------------------


def test_an_invalid_project_file_is_rejected(tree, at):
    (tree / "pyproject.toml").write_text("[project")
    with pytest.raises(SourceError, match=r"pyproject\.toml that is not valid"):
        at(path=str(tree))


# -- incomplete sources ------------------------------------------------------------------------

POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 12345\n"


@pytest.mark.parametrize(
    ("content", "pointer"),
    [
        (POINTER, True),
        (POINTER.replace("git-lfs", "hawser"), True),
        (POINTER.replace("\n", "\r\n"), True),
        (POINTER.replace("oid", "ext-0-foo sha256:4d7a\noid"), True),
        (f"A pointer looks like this:\n\n{POINTER}", False),
        ("version https://git-lfs.github.com/spec/v1\n", False),
        (POINTER + "x" * 1024, False),
        ("", False),
    ],
)
def test_a_git_lfs_pointer_is_rejected(tree, at, content, pointer):
    (tree / "static").mkdir()
    (tree / "static/logo.svg").write_text(content, newline="")

    if not pointer:
        at(path=str(tree))
        return
    with pytest.raises(SourceError, match=r"holds 1 Git LFS pointer \(static/logo\.svg\) in place of a file") as caught:
        at(path=str(tree))
    assert "run `git lfs pull` in that directory" in caught.value.remedy
    assert "asgi_app_exclude_extra, such as static/logo.svg" in caught.value.remedy
    at(["static/logo.svg"], path=str(tree))
    at(["static"], path=str(tree))


def test_file_names_in_messages_are_escaped(tree, at):
    (tree / "a\nb.png").write_text(POINTER)
    with pytest.raises(SourceError, match=r"\('a\\nb\.png'\)"):
        at(path=str(tree))


def test_many_pointers_are_counted(tree, at):
    for number in range(5):
        (tree / f"{number}.png").write_text(POINTER)
    with pytest.raises(SourceError, match=r"holds 5 Git LFS pointers \(0\.png, 1\.png, 2\.png and 2 more\)"):
        at(path=str(tree))


@pytest.fixture
def with_submodules(tree, tmp_path):
    """A repository with the submodules library and docs/theme, which are checkouts of one other repository."""
    library = tmp_path / "library"
    library.mkdir()
    (library / "shared.py").write_text("X = 1\n")
    for directory in (library, tree):
        git(directory, "init", "--quiet", "--initial-branch=main")
    git(library, "add", ".")
    git(library, "commit", "--quiet", "--message=one")
    for path in ("library", "docs/theme"):
        git(tree, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(library), path)
    git(tree, "add", ".")
    git(tree, "commit", "--quiet", "--message=one")
    return tree


def test_submodules_of_a_repository_are_rejected_by_default(with_submodules, at):
    with pytest.raises(SourceError, match=r"holds 2 git submodules \(docs/theme, library\) that are empty") as caught:
        at(EXCLUDE, git=str(with_submodules), ref="main")
    assert caught.value.variable == "asgi_app_source.git"
    assert "set asgi_app_source.submodules to true; add paths" in caught.value.remedy
    with pytest.raises(SourceError, match=r"holds 1 git submodule \(library\) that is empty"):
        at([*EXCLUDE, "docs"], git=str(with_submodules), ref="main")
    assert at([*EXCLUDE, "docs/theme", "library"], git=str(with_submodules), ref="main").kind == "git"


def test_a_submodule_has_the_version_of_its_own_repository(with_submodules, at):
    library = with_submodules / "library"
    (library / "pyproject.toml").write_text(
        '[project]\nname = "library"\ndynamic = ["version"]\n[build-system]\nrequires = ["setuptools-scm"]\n'
    )
    git(library, "add", ".")
    git(library, "commit", "--quiet", "--message=scm")
    git(library, "tag", "v5.0")
    git(with_submodules, "tag", "v0.1")
    with tarfile.open(at(EXCLUDE, path=str(with_submodules)).archive) as tar:
        assert b"\nVersion: 5.0\n" in tar.extractfile("library/PKG-INFO").read()


def test_submodules_are_fetched_recursively(with_submodules, at, tmp_path):
    inner = tmp_path / "inner"
    inner.mkdir()
    (inner / "inner.py").write_text("Y = 1\n")
    git(inner, "init", "--quiet", "--initial-branch=main")
    git(inner, "add", ".")
    git(inner, "commit", "--quiet", "--message=one")
    library = tmp_path / "library"
    git(library, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(inner), "vendor/inner")
    # A URL relative to that of the repository.
    (library / ".gitmodules").write_text('[submodule "vendor/inner"]\n\tpath = vendor/inner\n\turl = ../inner\n')
    git(library, "commit", "--quiet", "--all", "--message=two")
    git(with_submodules / "library", "-c", "protocol.file.allow=always", "pull", "--quiet", "origin", "main")
    git(with_submodules, "commit", "--quiet", "--all", "--message=update")

    resolved = at(EXCLUDE, git=str(with_submodules), ref="main", submodules="True")

    assert {"library/shared.py", "library/vendor/inner/inner.py", "docs/theme/shared.py"} <= set(names(resolved))
    assert "docs/theme/vendor/inner/inner.py" not in names(resolved), "that submodule is at an older commit"
    # A recursive checkout has the same digest.
    clone = tmp_path / "clone"
    git(
        tmp_path,
        "-c",
        "protocol.file.allow=always",
        "clone",
        "--quiet",
        "--recursive",
        str(with_submodules),
        str(clone),
    )
    assert at(EXCLUDE, path=str(clone)).digest == resolved.digest


def test_excluded_submodules_are_not_fetched(with_submodules, at, tmp_path):
    shutil.rmtree(tmp_path / "library")
    assert at([*EXCLUDE, "docs", "library"], git=str(with_submodules), ref="main", submodules="True").kind == "git"
    with pytest.raises(
        SourceError, match="has the submodule docs/theme, whose repository is /.*/library, which"
    ) as caught:
        at(EXCLUDE, git=str(with_submodules), ref="main", submodules="True")
    assert caught.value.code == "git-submodule-failed"
    assert "add docs/theme to asgi_app_exclude_extra" in caught.value.remedy


def test_missing_commit_of_a_submodule_is_reported(with_submodules, at, tmp_path):
    shutil.rmtree(tmp_path / "library/.git")
    git(tmp_path / "library", "init", "--quiet", "--initial-branch=main")
    git(tmp_path / "library", "commit", "--quiet", "--allow-empty", "--message=other")
    with pytest.raises(
        SourceError, match="has the submodule docs/theme, whose commit is '.*', which does not exist in"
    ):
        at(EXCLUDE, git=str(with_submodules), ref="main", submodules="True")


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("http://127.0.0.1:1/library", "at http://127.0.0.1:1, which does not authenticate the server"),
        ("ext::sh -c true", "which makes git run a remote helper"),
        ("-u", "which is not the address of a repository"),
        ("../../../../../../../../x", "leads out of the server"),
    ],
)
def test_submodules_follow_the_rules_of_the_repository(with_submodules, at, url, message):
    (with_submodules / ".gitmodules").write_text(f'[submodule "docs/theme"]\n\tpath = docs/theme\n\turl = {url}\n')
    git(with_submodules, "commit", "--quiet", "--all", "--message=two")
    with pytest.raises(SourceError, match=message):
        at(EXCLUDE, git=str(with_submodules), ref="main", submodules="True")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"path": "x", "submodules": True}, r"source\.submodules is set, but asgi_app_source has path"),
        ({"package": "x==1", "subdirectory": "x"}, r"source\.subdirectory is set, but asgi_app_source has package"),
    ],
)
def test_keys_of_other_sources_are_rejected(given, message):
    with pytest.raises(SourceError, match=message):
        normalise(given, Path)
    assert normalise({"path": "x", "submodules": False}, Path) == {"path": "x"}


def test_empty_submodules_in_a_directory_are_rejected(with_submodules, at, tmp_path):
    assert "library/shared.py" in names(at(EXCLUDE, path=str(with_submodules)))
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "--quiet", str(with_submodules), str(clone))

    with pytest.raises(SourceError, match=r"holds 2 git submodules \(library, docs/theme\) that are empty") as caught:
        at(EXCLUDE, path=str(clone))

    assert caught.value.variable == "asgi_app_source.path"
    assert "asgi_app_exclude_extra, such as library" in caught.value.remedy
    assert at([*EXCLUDE, "library", "docs"], path=str(clone)).kind == "path"
    # Missing paths of .gitmodules, and empty directories that .gitmodules does not list, are accepted.
    shutil.rmtree(clone / "library")
    shutil.rmtree(clone / "docs")
    (clone / "empty").mkdir()
    assert at(EXCLUDE, path=str(clone)).kind == "path"


def test_empty_submodules_in_a_subdirectory_of_a_repository_are_rejected(with_submodules, at, tmp_path):
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "--quiet", str(with_submodules), str(clone))
    (clone / "docs/index.txt").write_text("documentation")

    with pytest.raises(SourceError, match=r"holds 1 git submodule \(theme\) that is empty"):
        at(EXCLUDE, path=str(clone / "docs"))
    assert at(EXCLUDE, path=str(clone / "hello")).kind == "path"


def test_a_submodule_whose_files_are_excluded_is_not_empty(with_submodules, at):
    assert at([*EXCLUDE, "*/shared.py"], path=str(with_submodules)).kind == "path"


def test_a_nested_empty_submodule_is_rejected(tree, at):
    (tree / "library/vendor").mkdir(parents=True)
    (tree / "library/.gitmodules").write_text('[submodule "vendor"]\n\tpath = "vendor"\n\turl = ../vendor\n')
    with pytest.raises(SourceError, match=r"git submodule \(library/vendor\) that is empty"):
        at(path=str(tree))


def test_pointers_and_submodules_are_reported_at_once(with_submodules, at, monkeypatch):
    (with_submodules / "logo.svg").write_text(POINTER)
    git(with_submodules, "add", ".")
    git(with_submodules, "commit", "--quiet", "--message=two")
    monkeypatch.setattr(GitRepository, "has_lfs", lambda _self: False)
    with pytest.raises(
        SourceError, match=r"submodules \(.*\) that are empty and 1 Git LFS pointer \(logo\.svg\)"
    ) as caught:
        at(EXCLUDE, git=str(with_submodules), ref="main")
    assert "set asgi_app_source.submodules to true and install git-lfs on the controller;" in caught.value.remedy


@pytest.mark.parametrize(
    ("files", "declares"),
    [
        ({}, False),
        ({"requirements/production.txt": "fastapi\n"}, False),
        ({"pyproject.toml": "[tool.ruff]\n"}, False),
        ({"pyproject.toml": '[tool.poetry.dependencies]\nfastapi = "*"\n'}, True),
        ({"pyproject.toml": '[project]\nname = "x"\n[tool.poetry.dependencies]\nfastapi = "*"\n'}, True),
        ({"pyproject.toml": '[project]\nname = "x"\ndependencies = []\n'}, True),
        ({"requirements.txt": ""}, True),
        ({"setup.py": ""}, True),
    ],
)
def test_a_tree_without_declared_dependencies_is_a_doubt(tree, at, files, declares):
    (tree / "requirements.txt").unlink()
    for name, content in files.items():
        (tree / name).parent.mkdir(exist_ok=True)
        (tree / name).write_text(content)
    assert bool(at(path=str(tree)).undeclared) is not declares


def test_chosen_requirements_files_are_checked_and_hashes_are_found(tree, at):
    (tree / "requirements").mkdir()
    (tree / "requirements/base.txt").write_text(f"idna==3.10 --hash=sha256:{'0' * 64}\n")
    (tree / "requirements/production.txt").write_text("-r base.txt\n")
    source = {"path": str(tree), "requirements": ["requirements/production.txt"]}
    expected = {"by": "requirements", "files": ["requirements/production.txt"], "hashed": True}
    assert at(**source).dependencies == expected

    (tree / "requirements/production.txt").write_text("-r ../../base.txt\n")
    with pytest.raises(SourceError, match="not in the tree"):
        at(**source)


def test_paths_of_poetry_dependencies_are_inside_the_tree(tree, at):
    (tree / "requirements.txt").unlink()
    project = '[tool.poetry]\npackage-mode = false\n[tool.poetry.dependencies]\nlib = {path = "PATH"}\n'
    (tree / "pyproject.toml").write_text(project.replace("PATH", "lib"))
    assert at(path=str(tree)).dependencies["requirements"] == ["./lib"]
    (tree / "pyproject.toml").write_text(project.replace("PATH", "../lib"))
    with pytest.raises(SourceError, match="not in the tree"):
        at(path=str(tree))


def test_a_uv_lock_requires_uv(tree, at):
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
def test_the_label_is_the_version_of_the_project(tree, at, text, label):
    (tree / "pyproject.toml").write_text(f'[project]\nname = "x"\n{text}\n')
    assert at(path=str(tree)).label == label


# -- caching in a run -----------------------------------------------------------------------------------------------------


def test_all_hosts_of_a_run_get_the_same_source(tree, tmp_path):
    first = resolve({"path": str(tree)}, [], tmp_path / "run")
    (tree / "hello/main.py").write_text("changed\n")
    assert resolve({"path": str(tree)}, [], tmp_path / "run") == first
    assert resolve({"path": str(tree)}, ["x"], tmp_path / "run") != first
    assert resolve({"path": str(tree)}, [], tmp_path / "another run") != first


def test_all_hosts_of_a_run_get_the_same_error(tmp_path):
    for _host in range(2):
        with pytest.raises(SourceError, match="does not exist") as caught:
            resolve({"path": str(tmp_path / "x")}, [], tmp_path / "run")
        assert caught.value.variable == "asgi_app_source.path"
        (tmp_path / "x").mkdir(exist_ok=True)


# -- a repository ------------------------------------------------------------------------------------------------------


def git(directory, *arguments, **environment):
    identity = ["-c", "user.name=x", "-c", "user.email=x@example.org", "-c", "commit.gpgsign=false"]
    environment = {**os.environ, **environment}
    done = subprocess.run(
        ["git", *identity, *arguments], cwd=directory, env=environment, check=True, capture_output=True, text=True
    )
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


@pytest.mark.parametrize(
    "links",
    [
        {"hello/up": "..", "static": "hello/up/../../other/htpasswd"},
        {"a": "hello/..", "static/all": "../a/../other"},
        {"b": "c", "c": "/etc/asgi/other/htpasswd"},
        {"hello/static": "../d", "d": "hello/../.."},
    ],
    ids=["link/..", "chain", "absolute", "directory"],
)
def test_chained_symlinks_out_of_a_repository_are_rejected(tree, at, links):
    for name, target in links.items():
        (tree / name).parent.mkdir(exist_ok=True)
        (tree / name).symlink_to(target)
    git(tree, "init", "--quiet", "--initial-branch=main")
    git(tree, "add", ".")
    git(tree, "commit", "--quiet", "--message=one")
    with pytest.raises(SourceError, match=r"asgi_app_source\.git contains the symlink .* which leads out of the tree"):
        at(git=str(tree), ref="main")
    assert at(list(links), git=str(tree), ref="main").digest


def test_a_ref_resolves_to_a_commit(repository, at):
    tag, branch = (at(EXCLUDE, git=str(repository), ref=ref) for ref in ("v1", "main"))
    assert tag.details["commit"] == git(repository, "rev-parse", "v1")
    assert branch.details["commit"] == git(repository, "rev-parse", "main")
    assert branch.label == branch.details["commit"][:10]
    assert tag.digest != branch.digest
    assert branch.dependencies == {"by": "requirements"}
    assert at(EXCLUDE, git=str(repository), ref=tag.details["commit"]).digest == tag.digest
    # A directory and a repository with the same files have the same digest.
    assert at(EXCLUDE, path=str(repository)).digest == branch.digest


def test_a_commit_without_a_branch_or_tag_is_found_by_its_full_id(repository, at):
    commit = git(repository, "rev-parse", "v1")
    assert at(git=f"file://{repository}", ref=commit).details["commit"] == commit


def test_files_of_a_repository_are_excluded(repository, at):
    assert "hello" not in names(at(["hello"], git=str(repository), ref="main"))
    assert "hello/main.py" not in names(at(["hello"], git=str(repository), ref="main"))


@pytest.mark.parametrize(
    ("ref", "message"),
    [
        ("nope", "does not exist in"),
        ("0" * 40, "does not exist in"),
        ("0123abc", "full id of the commit"),
        ("-x", "not a valid ref"),
        ("--upload-pack=touch /tmp/x", "not a valid ref"),
        ("main:other", "not a valid ref"),
        ("+main", "not a valid ref"),
        ("a..b", "not a valid ref"),
        ("main^", "not a valid ref"),
        ("", "not a valid ref"),
        ("a b", "not a valid ref"),
    ],
)
def test_an_invalid_ref_is_rejected(repository, at, ref, message):
    with pytest.raises(SourceError, match=message) as caught:
        at(git=str(repository), ref=ref)
    assert caught.value.variable == "asgi_app_source.ref"


@pytest.mark.parametrize(
    "url", ["--upload-pack=x", "ext::sh -c true", "/no/such/repository", "file:///no/such/repository"]
)
def test_an_invalid_repository_is_rejected(at, url):
    with pytest.raises(SourceError) as caught:
        at(git=url, ref="main")
    assert caught.value.variable == "asgi_app_source.git"


@pytest.mark.parametrize("password", ["secret", "p@secret", "it's@secret"])
def test_credentials_are_not_in_messages(at, password):
    with pytest.raises(SourceError) as caught:
        at(git=f"https://user:{password}@127.0.0.1:1/x.git", ref="main")
    assert "secret" not in str(caught.value)
    assert "secret" not in caught.value.fault


def test_credentials_are_not_recorded(at, monkeypatch):
    monkeypatch.setattr(GitRepository, "fetch", lambda _self: "0" * 40)

    def export(_self, _commit, archive):
        with tarfile.open(archive, "w") as tar:
            tar.addfile(tarfile.TarInfo("main.py"))

    monkeypatch.setattr(GitRepository, "export", export)
    monkeypatch.setattr(GitRepository, "submodules", lambda _self, _commit: [])
    resolved = at(git="https://user:p@secret@git.example/x.git", ref="main")
    assert resolved.details["url"] == "https://git.example/x.git"


def test_missing_git_is_reported_with_a_remedy(repository, at, monkeypatch):
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
def test_a_package_with_an_exact_version(at, requirement, normal, label):
    resolved = at(package=requirement)
    assert (resolved.details["requirement"], resolved.label, resolved.archive) == (normal, label, None)
    assert resolved.digest == at(package=normal).digest


@pytest.mark.parametrize(
    "requirement",
    ["name", "name>=1", "name==1.*", "name===1", "name==1,==2", "name==1; python_version>'3'", "-r x", "==1", "", "name==",
     "name @ https://example.org/x.whl", "a b==1", "name==1\nother", "name[]==1"],
)  # fmt: skip
def test_a_package_without_an_exact_version_is_rejected(at, requirement):
    with pytest.raises(SourceError, match="not one exact version") as caught:
        at(package=requirement)
    assert caught.value.variable == "asgi_app_source.package"


# -- normalisation ----------------------------------------------------------------------------------------------


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


def test_the_versions_of_python_at_the_root_are_found(tree, at):
    (tree / "pyproject.toml").write_text("[project]\nrequires-python = '>=3.12'\n")
    (tree / ".python-version").write_text("3.13\n")
    (tree / "docs").mkdir(exist_ok=True)
    (tree / "docs/.python-version").write_text("3.9\n")
    (tree / "Pipfile").write_text("[requires]\npython_version = '3.13'\n")
    assert [accepts for _origin, accepts in at(path=str(tree)).pythons] == [[">=3.12"], ["==3.13.*"], ["==3.13.*"]]


def test_the_nearest_python_version_applies_to_a_subdirectory(tree, at):
    (tree / "backend").mkdir()
    (tree / "backend/app.py").touch()
    (tree / ".python-version").write_text("3.12\n")
    assert [accepts for _origin, accepts in at(path=str(tree), subdirectory="backend").pythons] == [["==3.12.*"]]
    (tree / "backend/.python-version").write_text("3.13\n")
    assert [accepts for _origin, accepts in at(path=str(tree), subdirectory="backend").pythons] == [["==3.13.*"]]


# -- a subdirectory ------------------------------------------------------------------------------------


@pytest.fixture
def monorepo(tmp_path):
    """A uv workspace with the members services/api and packages/shared, and the unrelated project frontend."""
    root = tmp_path / "monorepo"
    member = '[project]\nname = "{0}"\nversion = "{1}"\ndependencies = []\n[build-system]\nrequires = ["setuptools"]\n'
    for name, content in {
        "pyproject.toml": '[tool.uv.workspace]\nmembers = ["services/*", "packages/*"]\n',
        "uv.lock": """
            [[package]]\nname = "api"\nsource = { editable = "services/api" }\ndependencies = [{ name = "shared" }]\n
            [[package]]\nname = "shared"\nsource = { editable = "packages/shared" }\n
            [[package]]\nname = "other"\nsource = { editable = "../other" }\n
            """.replace("    ", ""),
        "services/api/pyproject.toml": member.format("api", "1.3.0"),
        "services/api/api.py": "app = None\n",
        "packages/shared/pyproject.toml": member.format("shared", "0.1.0"),
        "frontend/package.json": "{}",
    }.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)
    return root


def test_subdirectory_keeps_the_rest_of_the_source(monorepo, at):
    resolved = at(path=str(monorepo), subdirectory="services/api")
    assert resolved.subdirectory == resolved.details["subdirectory"] == "services/api"
    assert resolved.label == "1.3.0"
    assert {"services/api/api.py", "packages/shared/pyproject.toml", "frontend/package.json"} <= set(names(resolved))


def test_subdirectory_is_part_of_the_digest(monorepo, at):
    (monorepo / "uv.lock").unlink()
    digests = [at(path=str(monorepo), **more).digest for more in ({}, {"subdirectory": "services/api"})]
    assert digests[0] != digests[1]
    assert at(path=str(monorepo), subdirectory="packages/shared").digest not in digests


def test_subdirectory_of_a_repository(monorepo, at):
    git(monorepo, "init", "--quiet", "--initial-branch=main")
    git(monorepo, "add", ".")
    git(monorepo, "commit", "--quiet", "--message=one")
    resolved = at(git=str(monorepo), ref="main", subdirectory="services/api")
    assert resolved.details["subdirectory"] == "services/api"
    assert resolved.digest == at(path=str(monorepo), exclude=[".git"], subdirectory="services/api").digest


def test_workspace_member_uses_the_lock_at_the_root(monorepo, at):
    assert at(path=str(monorepo), subdirectory="services/api").dependencies == {"by": "lock"}
    (monorepo / "uv.lock").unlink()
    assert at(path=str(monorepo), subdirectory="services/api").dependencies == {"by": "project"}


def test_lock_of_a_member_that_does_not_match_its_project(monorepo, at):
    lock = monorepo / "uv.lock"
    entry = 'source = { editable = "services/api" }\n'
    fresh = lock.read_text().replace(entry, f'{entry}metadata = {{ requires-dist = [{{ name = "shared" }}] }}\n')
    lock.write_text(fresh)
    project = monorepo / "services/api/pyproject.toml"
    project.write_text(project.read_text().replace("dependencies = []", 'dependencies = ["shared"]'))
    assert at(path=str(monorepo), subdirectory="services/api").dependencies == {"by": "lock"}
    project.write_text(project.read_text().replace('["shared"]', '["shared", "httpx"]'))
    with pytest.raises(SourceError) as caught:
        at(path=str(monorepo), subdirectory="services/api")
    assert str(caught.value) == (
        "asgi_app_source.path holds a uv.lock that does not match the dependencies in pyproject.toml: httpx is not locked -> "
        "run `uv lock` and commit the uv.lock [lock-outdated]"
    )


def test_python_of_a_member_is_that_of_its_workspace(monorepo, at):
    lock = monorepo / "uv.lock"
    lock.write_text(f'version = 1\nrequires-python = ">=3.13"\n{lock.read_text()}')
    found = at(path=str(monorepo), subdirectory="services/api").pythons
    assert found == [["requires-python = '>=3.13' in uv.lock", [">=3.13"]]]
    (monorepo / "pyproject.toml").write_text("")
    assert at(path=str(monorepo), subdirectory="services/api").pythons == []


def test_lock_of_a_directory_above_that_is_no_workspace_is_not_used(monorepo, at):
    (monorepo / "pyproject.toml").write_text('[project]\nname = "root"\n')
    assert at(path=str(monorepo), subdirectory="services/api").dependencies == {"by": "project"}


def test_packages_that_a_member_needs_must_be_in_the_source(monorepo, at):
    lock = monorepo / "uv.lock"
    lock.write_text(lock.read_text().replace('{ name = "shared" }', '{ name = "shared" }, { name = "other" }'))
    with pytest.raises(SourceError, match=r"'\.\./other' in uv\.lock, which is not in the tree"):
        at(path=str(monorepo), subdirectory="services/api")


def test_paths_may_lead_out_of_the_subdirectory_but_not_out_of_the_source(monorepo, at):
    requirements = monorepo / "frontend/requirements.txt"
    requirements.write_text("-e ../packages/shared\n-r ../base.txt\n")
    (monorepo / "base.txt").write_text("six\n")
    assert at(path=str(monorepo), subdirectory="frontend").dependencies["by"] == "requirements"
    requirements.write_text("-e ../../shared\n")
    with pytest.raises(SourceError, match="which is not in the tree"):
        at(path=str(monorepo), subdirectory="frontend")


@pytest.mark.parametrize("value", ["backend", "./backend/", "backend//", "frontend/../backend"])
def test_subdirectory_is_normalised(value):
    assert normalise({"path": "/x", "subdirectory": value}, Path)["subdirectory"] == "backend"


@pytest.mark.parametrize("value", ["", "..", "../x", "backend/../../x", "/backend", "~/x", "a\nb"])
def test_subdirectory_outside_of_the_source_is_rejected(value):
    with pytest.raises(SourceError) as caught:
        normalise({"path": "/x", "subdirectory": value}, Path)
    assert (caught.value.variable, caught.value.code) == (
        "asgi_app_source.subdirectory",
        "source-subdirectory-invalid",
    )


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        ("nowhere", "the source does not contain"),
        ("services/nowhere", "the source does not contain"),
        ("uv.lock", "is a file"),
        ("link", "is a symlink"),
    ],
)
def test_missing_subdirectory_is_rejected(monorepo, at, value, fault):
    (monorepo / "link").symlink_to("frontend")
    with pytest.raises(SourceError, match=fault) as caught:
        at(path=str(monorepo), subdirectory=value)
    assert caught.value.variable == "asgi_app_source.subdirectory"
    assert "such as frontend, packages, services" in caught.value.remedy


# -- versions from tags --------------------------------------------------------------------------------


@pytest.fixture
def versioned(tree):
    """A repository whose project takes its version from the tags, with the tag v1.2.0 and one commit after it."""
    (tree / "pyproject.toml").write_text(
        '[build-system]\nrequires = ["setuptools-scm"]\n[project]\nname = "shop"\ndynamic = ["version"]\n'
    )
    git(tree, "init", "--quiet", "--initial-branch=main")
    for number, tag in enumerate(["v1.2.0", "nightly"]):
        (tree / "number").write_text(str(number))
        git(tree, "add", ".")
        git(tree, "commit", "--quiet", f"--message={number}")
        git(tree, "tag", tag)
    return tree


def version_in(resolved):
    with tarfile.open(resolved.archive) as tar:
        return tar.extractfile("PKG-INFO").read().decode().split("Version: ")[-1].strip()


@pytest.mark.parametrize("partial_clone", [True, False])
def test_version_of_a_tag_and_of_a_later_commit(versioned, at, partial_clone):
    git(versioned, "config", "uploadpack.allowFilter", str(partial_clone).lower())
    commit = git(versioned, "rev-parse", "HEAD")
    for ref in ("v1.2.0", "refs/tags/v1.2.0", git(versioned, "rev-parse", "v1.2.0")):
        assert version_in(at([".git"], git=f"file://{versioned}", ref=ref)) == "1.2.0"
    for ref in ("main", "nightly", commit):
        assert version_in(at([".git"], git=f"file://{versioned}", ref=ref)) == f"1.2.1.dev1+g{commit[:8]}"


def test_new_tag_of_the_same_commit_changes_the_digest(versioned, at):
    before = at([".git"], git=str(versioned), ref="main")
    git(versioned, "tag", "--annotate", "--message=x", "v1.3.0")
    after = at([".git"], git=str(versioned), ref="main")
    assert version_in(after) == "1.3.0"
    assert after.digest != before.digest


def test_requested_tag_is_preferred_to_other_tags_of_the_commit(versioned, at):
    for tag in ("v1.10.0", "v1.9.0"):
        git(versioned, "tag", tag)
    assert version_in(at([".git"], git=str(versioned), ref="v1.9.0")) == "1.9.0"
    assert version_in(at([".git"], git=str(versioned), ref="refs/tags/v1.9.0")) == "1.9.0"


def annotated(date):
    return lambda root, tag: git(root, "tag", "--annotate", "--message=x", tag, GIT_COMMITTER_DATE=f"{date}T00:00:00Z")


def lightweight(root, tag):
    git(root, "tag", tag)


@pytest.mark.parametrize(
    ("tags", "version"),
    [
        # As in `git describe`: the first one by name, an annotated one, the newest annotated one.
        ({"v1.10.0": lightweight, "v1.9.0": lightweight}, "1.10.0"),
        ({"v2.0.0rc1": lightweight, "v2.0.0": lightweight}, "2.0.0"),
        ({"v1.3.0": annotated("2026-01-01"), "v1.4.0": lightweight}, "1.3.0"),
        ({"v1.10.0": annotated("2026-01-01"), "v1.9.1": annotated("2026-02-01")}, "1.9.1"),
        ({"v1.9.1": annotated("2026-02-01"), "v1.10.0": annotated("2026-01-01")}, "1.9.1"),
    ],
)
def test_one_of_several_tags_is_the_same_for_a_repository_and_its_checkout(versioned, at, tags, version):
    for tag, create in tags.items():
        create(versioned, tag)
    found = [
        version_in(at([".git"], **source))
        for source in ({"git": str(versioned), "ref": "main"}, {"path": str(versioned)})
    ]
    assert found == [version, version]


def test_version_of_a_directory_is_that_of_its_checkout(versioned, at):
    git(versioned, "tag", "v1.3.0")
    (versioned / "number").write_text("changed")
    resolved = at([".git"], path=str(versioned))
    assert version_in(resolved) == resolved.label == "1.3.0"


def test_directory_that_git_does_not_track_has_no_version(versioned, at):
    untracked = versioned / "untracked"
    untracked.mkdir()
    shutil.copy(versioned / "pyproject.toml", untracked)
    resolved = at(path=str(untracked))
    assert "PKG-INFO" not in names(resolved)
    assert resolved.label == "src"


def test_repository_without_tags(versioned, at):
    git(versioned, "tag", "--delete", "v1.2.0", "nightly")
    commit = git(versioned, "rev-parse", "HEAD")
    assert version_in(at([".git"], git=str(versioned), ref="main")) == f"0.1.dev2+g{commit[:8]}"
    assert version_in(at([".git"], path=str(versioned))) == f"0.1.dev2+g{commit[:8]}"


# -- Git LFS -------------------------------------------------------------------------------------------

OBJECT = b"<svg/>\n" * 100
OID = hashlib.sha256(OBJECT).hexdigest()
# Copies the object from the directory $SERVER, and records its arguments and settings.
GIT_LFS = """#!/bin/sh
echo "$@" >> "$SERVER/calls"
git config --get-regexp '^(lfs|remote)[.]' >> "$SERVER/settings"
for object in "$SERVER"/objects/*; do
  id=$(basename "$object"); directory=$(git config lfs.storage)/objects/$(echo "$id" | cut -c1-2)/$(echo "$id" | cut -c3-4)
  mkdir -p "$directory" && cp "$object" "$directory/$id"
done
test -z "$LFS_ERROR" || { echo "$LFS_ERROR" >&2; exit 2; }
"""


@pytest.fixture
def with_lfs(tree, tmp_path, monkeypatch):
    """A repository with two pointers of the same object, and a git-lfs that gets it from the returned directory."""
    server = tmp_path / "server"
    (server / "objects").mkdir(parents=True)
    (server / "objects" / OID).write_bytes(OBJECT)
    program = tmp_path / "bin/git-lfs"
    program.parent.mkdir()
    program.write_text(GIT_LFS)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("SERVER", str(server))
    for name in ("logo.svg", "design/large.svg"):
        (tree / name).parent.mkdir(exist_ok=True)
        (tree / name).write_text(f"version https://git-lfs.github.com/spec/v1\noid sha256:{OID}\nsize {len(OBJECT)}\n")
    git(tree, "init", "--quiet", "--initial-branch=main")
    git(tree, "add", ".")
    git(tree, "commit", "--quiet", "--message=one")
    return server


def content_of(resolved, name):
    with tarfile.open(resolved.archive) as tar:
        return tar.extractfile(name).read()


def test_lfs_files_of_a_repository_are_fetched(with_lfs, tree, at):
    resolved = at(EXCLUDE, git=str(tree), ref="main")
    assert content_of(resolved, "logo.svg") == content_of(resolved, "design/large.svg") == OBJECT
    commit = git(tree, "rev-parse", "HEAD")
    assert (with_lfs / "calls").read_text() == f"fetch --include=design/large.svg,logo.svg --exclude= origin {commit}\n"
    for name in ("logo.svg", "design/large.svg"):
        (tree / name).write_bytes(OBJECT)
    assert at(EXCLUDE, path=str(tree)).digest == resolved.digest, "a checkout has the same digest"


def test_only_the_lfs_files_that_are_not_excluded_are_fetched(with_lfs, tree, at):
    at([*EXCLUDE, "design"], git=str(tree), ref="main")
    assert "--include=logo.svg " in (with_lfs / "calls").read_text()
    at([*EXCLUDE, "design", "logo.svg"], git=str(tree), ref="main")
    assert len((with_lfs / "calls").read_text().splitlines()) == 1


def test_lfs_files_whose_names_are_patterns_are_fetched(with_lfs, tree, at):
    (tree / "logo.svg").rename(tree / "a, [b]*.svg")
    git(tree, "add", ".")
    git(tree, "commit", "--quiet", "--message=two")
    assert content_of(at(EXCLUDE, git=str(tree), ref="main"), "a, [b]*.svg") == OBJECT
    assert "--include= --exclude=" in (with_lfs / "calls").read_text()


def test_lfs_files_of_a_submodule_are_fetched(with_lfs, tree, at, tmp_path):
    parent = tmp_path / "parent"
    parent.mkdir()
    git(parent, "init", "--quiet", "--initial-branch=main")
    git(parent, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(tree), "theme")
    git(parent, "commit", "--quiet", "--message=one")
    resolved = at(EXCLUDE, git=str(parent), ref="main", submodules="True")
    assert content_of(resolved, "theme/logo.svg") == OBJECT


@pytest.mark.parametrize("content", [None, b"other"])
def test_missing_lfs_file_is_rejected(with_lfs, tree, at, content):
    (with_lfs / "objects" / OID).unlink()
    if content:
        (with_lfs / "objects" / OID).write_bytes(content)
    with pytest.raises(SourceError, match=r"the Git LFS pointer design/large\.svg, whose file the server") as caught:
        at(EXCLUDE, git=str(tree), ref="main")
    assert caught.value.code == "git-lfs-failed"


def test_failure_of_git_lfs_is_reported(with_lfs, tree, at, monkeypatch):
    monkeypatch.setenv("LFS_ERROR", "batch response: https://u:secret@git.example rejected")
    with pytest.raises(SourceError, match="Git LFS files cannot be fetched: batch response") as caught:
        at(EXCLUDE, git=str(tree), ref="main")
    assert "secret" not in str(caught.value)


def test_without_git_lfs_a_repository_with_pointers_is_rejected(with_lfs, tree, at, monkeypatch):
    monkeypatch.setattr(GitRepository, "has_lfs", lambda _self: False)
    with pytest.raises(SourceError, match=r"holds 2 Git LFS pointers \(design/large\.svg, logo\.svg\)") as caught:
        at(EXCLUDE, git=str(tree), ref="main")
    assert "install git-lfs on the controller" in caught.value.remedy


@pytest.mark.parametrize(
    ("server", "message"),
    [
        ("https://lfs.example/app", ""),
        ("http://lfs.example/app", "has the LFS server http://lfs.example, which does not authenticate itself"),
        ("ftp://lfs.example/app", "which is not a URL"),
        ("--upload-pack=x", "which is not a URL"),
    ],
)
def test_lfs_server_of_the_repository_follows_the_rules_of_the_repository(with_lfs, tree, at, server, message):
    (tree / ".lfsconfig").write_text(f"[lfs]\n\turl = {server}\n")
    git(tree, "add", ".")
    git(tree, "commit", "--quiet", "--message=two")
    if message:
        with pytest.raises(SourceError, match=message):
            at(EXCLUDE, git=str(tree), ref="main")
    else:
        at(EXCLUDE, git=str(tree), ref="main")
        assert f"lfs.url {server}" in (with_lfs / "settings").read_text()
