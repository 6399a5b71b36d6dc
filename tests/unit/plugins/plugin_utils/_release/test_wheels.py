"""The choice of the wheels in a resolution that a target needs, by file name and marker."""

from __future__ import annotations

import pytest
from ansible_collections.asgi.deploy.plugins.plugin_utils._release.source_error import SourceError
from ansible_collections.asgi.deploy.plugins.plugin_utils._release.wheels import (
    Target,
    Wanted,
    check_built,
    choose,
    file_name,
    not_stored,
    path_in,
    python_floor,
    raised_floor,
    read_pylock,
    resolved_digest,
)

BOOKWORM = Target("3.11.2", "cpython", "", 64, "x86_64", "glibc", "2.36")
TRIXIE = Target("3.13.5", "cpython", "", 64, "x86_64", "glibc", "2.41")
ARM = TRIXIE._replace(machine="aarch64")

URL = "https://files.example/"


def package(name, *wheels, version="1.0", marker="", **more):
    files = [{"url": f"{URL}{wheel}", "sha256": "0" * 64} for wheel in wheels]
    return {"name": name, "version": version, "marker": marker, "wheels": files, **more}


def part(*packages, requires_python=">=3.11"):
    return {"requires_python": requires_python, "packages": list(packages)}


def files(parts, target):
    return [file_name(wanted.url) for wanted in choose(parts, target)]


PURE = "a-1.0-py3-none-any.whl"
CP311 = "a-1.0-cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64.whl"
CP313 = "a-1.0-cp313-cp313-manylinux_2_28_x86_64.whl"
NEW_GLIBC = "a-1.0-cp311-cp311-manylinux_2_40_x86_64.whl"
ABI3 = "a-1.0-cp39-abi3-manylinux_2_17_x86_64.whl"
ARM313 = "a-1.0-cp313-cp313-manylinux_2_17_aarch64.whl"
LEGACY = "a-1.0-cp311-cp311-manylinux1_x86_64.whl"
MUSL = "a-1.0-cp311-cp311-musllinux_1_2_x86_64.whl"
MAC = "a-1.0-cp311-cp311-macosx_11_0_arm64.whl"
SECOND = "a-1.0-2-py3-none-any.whl"


@pytest.mark.parametrize(
    ("wheels", "target", "chosen"),
    [
        ([PURE], BOOKWORM, PURE),
        ([PURE, CP311, CP313], BOOKWORM, CP311),
        ([PURE, CP311, CP313], TRIXIE, CP313),
        ([PURE, CP311, CP313], ARM, PURE),
        ([CP311, CP313, ARM313], ARM, ARM313),
        ([NEW_GLIBC, CP311], BOOKWORM, CP311),
        ([NEW_GLIBC, CP311], BOOKWORM._replace(libc_version="2.41"), NEW_GLIBC),
        ([ABI3, PURE], TRIXIE, ABI3),
        ([ABI3, CP313], TRIXIE, CP313),
        ([MUSL, MAC, LEGACY], BOOKWORM, LEGACY),
        ([PURE, SECOND], BOOKWORM, SECOND),
        (["a-1.0.whl", PURE], BOOKWORM, PURE),
    ],
)
def test_the_best_compatible_wheel_is_chosen(wheels, target, chosen):
    assert files([part(package("a", *wheels))], target) == [chosen]


def test_a_package_without_wheel_and_source_is_an_error():
    with pytest.raises(
        SourceError, match=r"asgi_app_wheelhouse .* a 1\.0 has no wheel for Python 3\.11\.2 on x86_64"
    ) as caught:
        choose([part(package("a", CP313, MUSL))], BOOKWORM)
    assert "require a version of a that has a wheel" in str(caught.value)


def test_a_package_without_a_compatible_wheel_is_built():
    source = {"url": f"{URL}a-1.0.tar.gz", "sha256": "1" * 64}
    assert choose([part(package("a", MAC, source=source))], BOOKWORM) == [
        Wanted("a", "1.0", source["url"], source["sha256"], build=True)
    ]


@pytest.mark.parametrize(
    ("marker", "target", "needed"),
    [
        ("", BOOKWORM, True),
        ("python_full_version < '3.11.3'", BOOKWORM, True),
        ("python_full_version < '3.11.3'", TRIXIE, False),
        ("python_version >= '3.13'", TRIXIE, True),
        ("sys_platform == 'win32'", TRIXIE, False),
        ("platform_machine == 'aarch64'", ARM, True),
        ("platform_machine == 'aarch64'", TRIXIE, False),
        ("platform_python_implementation == 'CPython' and os_name == 'posix'", TRIXIE, True),
    ],
)
def test_markers_are_evaluated_for_the_target(marker, target, needed):
    assert files([part(package("a", PURE, marker=marker))], target) == ([PURE] if needed else [])


def test_locked_packages_take_precedence():
    locked = part(package("a", PURE), package("b", "b-1.0-py3-none-any.whl", marker="sys_platform == 'win32'"))
    added = part(package("a", "a-2.0-py3-none-any.whl"), package("b", "b-2.0-py3-none-any.whl"))
    assert files([locked, added], BOOKWORM) == [PURE, "b-2.0-py3-none-any.whl"]


def test_a_python_that_is_too_old_is_an_error():
    with pytest.raises(SourceError, match=r"asgi_app_python is Python 3\.11\.2 .* need Python >=3\.12"):
        choose([part(package("a", PURE), requires_python=">=3.12")], BOOKWORM)


@pytest.mark.parametrize(
    "changed",
    [{"implementation": "pypy"}, {"abiflags": "t"}, {"bits": 32}, {"libc": "another libc", "libc_version": ""}],
)
def test_an_unsupported_target_is_an_error(changed):
    with pytest.raises(SourceError, match="asgi_app_wheelhouse is true, and a host has Python"):
        choose([part(package("a", PURE))], BOOKWORM._replace(**changed))


@pytest.mark.parametrize(
    ("file", "target", "libc", "fits"),
    [
        (PURE, BOOKWORM, ("", ""), True),
        ("a-1.0-cp311-cp311-linux_x86_64.whl", BOOKWORM, ("glibc", "2.36"), True),
        ("a-1.0-cp311-cp311-linux_x86_64.whl", BOOKWORM, ("glibc", "2.41"), False),
        ("a-1.0-cp311-cp311-linux_x86_64.whl", BOOKWORM, ("", ""), False),
        ("a-1.0-cp311-cp311-linux_x86_64.whl", TRIXIE, ("glibc", "2.36"), False),
        ("a-1.0-cp313-cp313-linux_x86_64.whl", ARM, ("glibc", "2.36"), False),
        (MAC, BOOKWORM, ("", ""), False),
        (CP311, BOOKWORM, ("glibc", "2.41"), True),
    ],
)
def test_a_built_wheel_must_be_compatible(file, target, libc, fits):
    wanted = Wanted("a", "1.0", "", "", build=True)
    if fits:
        check_built(wanted, file, target, libc)
    else:
        with pytest.raises(
            SourceError, match=r"a 1\.0 has no wheel for Python .*; the wheel built here is a-1\.0-"
        ) as caught:
            check_built(wanted, file, target, libc)
        assert "add one to the index" in str(caught.value)


@pytest.mark.parametrize(
    ("python", "floor"),
    [
        ("python3", "3.11"),
        ("python3.13", "3.13"),
        ("/opt/python3.12/bin/python3", "3.12"),
        ("/usr/local/bin/python", "3.11"),
    ],
)
def test_the_oldest_possible_python(python, floor):
    assert python_floor(python) == floor


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        ("the requested Python version (>=3.11) does not satisfy Python>=3.12 and x depends on Python>=3.12", "3.12"),
        ("x==1 depends on Python >= 3.13 and x==2 on Python>=3.14,<4", "3.13"),
        ("x depends on Python>=3.9", None),
        ("x depends on y>=4.0", None),
    ],
)
def test_the_python_that_requirements_need(error, raised):
    assert raised_floor(error, "3.11") == raised


PYLOCK = """
lock-version = "1.0"
requires-python = ">=3.11"
[[packages]]
name = "a"
version = "1.0"
marker = "sys_platform == 'linux'"
wheels = [{ url = "https://files.example/a-1.0-py3-none-any.whl#x", hashes = { sha256 = "ab" } }]
sdist = { url = "https://files.example/a-1.0.tar.gz", hashes = { sha256 = "cd" } }
[[packages]]
name = "here"
directory = { path = "libs/here" }
[[packages]]
name = "self"
directory = { path = "." }
[[packages]]
name = "git"
vcs = { type = "git", url = "https://git.example/x.git", commit-id = "0123", subdirectory = "sub" }
[[packages]]
name = "url"
archive = { url = "https://files.example/url-2.0-py3-none-any.whl", hashes = { sha256 = "ef" } }
[[packages]]
name = "tar"
archive = { url = "https://files.example/tar-2.0.tar.gz" }
[[packages]]
name = "path"
version = "3.0"
wheels = [{ path = "../wheels/path-3.0-py3-none-any.whl", hashes = {} }]
"""


def test_a_pylock_is_parsed(tmp_path):
    tree = tmp_path / "tree"
    tree.mkdir()
    found = read_pylock(PYLOCK, tree)
    packages = {item.pop("name"): item for item in found["packages"]}
    assert found["requires_python"] == ">=3.11"
    assert packages["a"] == {
        "version": "1.0",
        "marker": "sys_platform == 'linux'",
        "wheels": [{"url": f"{URL}a-1.0-py3-none-any.whl", "sha256": "ab"}],
        "source": {"url": f"{URL}a-1.0.tar.gz", "sha256": "cd"},
    }
    assert packages["here"]["directory"] == "libs/here"
    assert packages["self"]["directory"] == "."
    assert packages["git"]["source"]["url"] == "git+https://git.example/x.git@0123#subdirectory=sub"
    assert packages["url"]["wheels"] == [{"url": f"{URL}url-2.0-py3-none-any.whl", "sha256": "ef"}]
    assert packages["tar"]["source"] == {"url": f"{URL}tar-2.0.tar.gz", "sha256": ""}
    assert packages["path"]["wheels"][0]["url"] == (tmp_path / "wheels/path-3.0-py3-none-any.whl").as_uri()


def test_files_in_the_tree_have_no_temporary_path(tmp_path):
    """The resolution is cached, and later runs unpack the tree elsewhere."""
    tree = tmp_path / "tree"
    (tree / "backend").mkdir(parents=True)
    lock = '[[packages]]\nname = "x"\nversion = "1.0"\narchive = { path = "../a b/x-1.0-py3-none-any.whl" }\n'
    [package] = read_pylock(lock, tree, tree / "backend")["packages"]
    [wheel] = package["wheels"]
    assert wheel["url"] == "tree:a%20b/x-1.0-py3-none-any.whl"
    assert file_name(wheel["url"]) == "x-1.0-py3-none-any.whl"
    assert path_in(tmp_path, wheel["url"]) == tmp_path / "a b/x-1.0-py3-none-any.whl"
    assert path_in(tmp_path, "https://x.example/x.whl") is None


def test_directories_are_relative_to_the_project(tmp_path):
    lock = '[[packages]]\nname = "shared"\ndirectory = { path = "../../packages/shared" }\n'
    (tmp_path / "services/api").mkdir(parents=True)
    [package] = read_pylock(lock, tmp_path, tmp_path / "services/api")["packages"]
    assert package["directory"] == "packages/shared"


def test_a_requirement_outside_of_the_tree_is_an_error(tmp_path):
    with pytest.raises(SourceError, match=r"asgi_app_source has a requirement up in .* outside of the tree"):
        read_pylock('[[packages]]\nname = "up"\ndirectory = { path = "../up" }\n', tmp_path / "tree")


def test_the_digest_depends_on_versions_and_not_on_files():
    one = [part(package("a", PURE), package("b", version="2.0"))]
    assert resolved_digest(one) == resolved_digest([part(package("b", version="2.0"), package("a", PURE, CP311))])
    for other in (
        [part(package("a", PURE, version="1.1"), package("b", version="2.0"))],
        [part(package("a", PURE, marker="os_name == 'nt'"), package("b", version="2.0"))],
        [part(package("a", PURE))],
    ):
        assert resolved_digest(one) != resolved_digest(other)


def test_the_digest_depends_on_the_commit_if_there_is_no_version():
    def at(commit):
        return [part(package("a", version="", source={"url": f"git+https://u:secret@x/y@{commit}", "sha256": ""}))]

    assert resolved_digest(at("01")) == resolved_digest(at("01")) != resolved_digest(at("02"))


@pytest.mark.parametrize(("stored", "sent"), [([], ["1", "2", "3"]), (["2", "9"], ["1", "3"]), (["1", "2", "3"], [])])
def test_only_wheels_that_the_host_does_not_have_are_sent(stored, sent):
    wheels = {"release": [{"sha256": "2"}, {"sha256": "1"}], "tools": [{"sha256": "3"}, {"sha256": "1"}]}
    assert [wheel["sha256"] for wheel in not_stored(wheels, stored)] == sent
