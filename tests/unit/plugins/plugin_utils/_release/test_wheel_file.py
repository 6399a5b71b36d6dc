"""A wheel becomes a tree that installs it, and its metadata is checked like a requirements file."""

from __future__ import annotations

import tarfile
import zipfile
from pathlib import Path

import pytest
from ansible_collections.asgi.deploy.plugins.plugin_utils._release.source import normalise, resolve
from ansible_collections.asgi.deploy.plugins.plugin_utils._release.source_error import SourceError

METADATA = "Metadata-Version: 2.1\nName: shop\nVersion: 1.4.2\n"


@pytest.fixture
def wheel(tmp_path):
    """Return a function that writes a wheel with additional metadata."""

    def write(more="", name="shop-1.4.2-py3-none-any.whl", member="shop-1.4.2.dist-info/METADATA"):
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            archive.writestr("shop/__init__.py", "")
            archive.writestr(member, f"{METADATA}{more}\nRequires-Dist: not-a-header\n")
        return str(tmp_path / name)

    return write


@pytest.fixture
def at(tmp_path):
    runs = iter(range(1000))

    def new_run(**source):
        return resolve(normalise(source, Path), ["*.whl"], tmp_path / f"run{next(runs)}")

    return new_run


def test_wheel_is_installed_by_a_requirements_file(wheel, at):
    found = at(wheel=wheel("Requires-Python: >=3.12\nRequires-Dist: fastapi>=0.100\n"))
    with tarfile.open(found.archive) as tar:
        assert tar.extractfile("requirements.txt").read() == b"./shop-1.4.2-py3-none-any.whl\n"
        assert tar.getmember("shop-1.4.2-py3-none-any.whl").size
    assert found.dependencies["by"] == "requirements"
    assert (found.kind, found.label) == ("wheel", "1.4.2")
    assert found.details == {"wheel": "shop-1.4.2-py3-none-any.whl"}
    assert found.pythons == [["Requires-Python: >=3.12", [">=3.12"]]]


def test_wildcard_that_installers_accept_in_metadata(wheel, at):
    assert at(wheel=wheel("Requires-Python: >=3.7.*, <4\n")).pythons == [["Requires-Python: >=3.7, <4", [">=3.7, <4"]]]


def test_content_of_the_wheel_is_part_of_the_digest(wheel, at):
    before = at(wheel=wheel())
    assert at(wheel=wheel()).digest == before.digest
    assert at(wheel=wheel("Requires-Dist: six\n")).digest != before.digest


def test_urls_in_the_metadata(wheel, at):
    found = at(wheel=wheel("Requires-Dist: a @ http://x.example/a.whl\nRequires-Dist: b @ https://x.example/b\n"))
    assert found.insecure == ["shop-1.4.2-py3-none-any.whl: http://x.example"]
    with pytest.raises(SourceError) as caught:
        at(wheel=wheel("Requires-Dist: a @ ../a.whl\n"))
    assert (caught.value.variable, caught.value.code) == ("asgi_app_source.wheel", "source-declarations-refused")


def test_name_may_be_a_pattern_of_one_file(wheel, at, tmp_path):
    wheel()
    assert at(wheel=str(tmp_path / "*.whl")).label == "1.4.2"
    wheel(name="shop-1.4.3-py3-none-any.whl")
    with pytest.raises(SourceError, match=r"matches 2 files \(shop-1\.4\.2-py3-none-any\.whl, shop-1\.4\.3"):
        at(wheel=str(tmp_path / "*.whl"))
    with pytest.raises(SourceError, match="does not exist on the controller"):
        at(wheel=str(tmp_path / "other-*.whl"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "shop.whl"}, "is not a valid wheel"),
        ({"name": "shop-1.4.2.tar.gz"}, "is not a valid wheel"),
        ({"more": "Requires-Python: three\n"}, "is not a valid wheel: .*three"),
        ({"member": "shop/METADATA"}, "it contains no METADATA"),
    ],
)
def test_invalid_wheel_is_rejected(wheel, at, changes, message):
    with pytest.raises(SourceError, match=message) as caught:
        at(wheel=wheel(**changes))
    assert (caught.value.variable, caught.value.code) == ("asgi_app_source.wheel", "wheel-invalid")


def test_file_that_is_no_zip_file_is_rejected(at, tmp_path):
    (tmp_path / "shop-1.4.2-py3-none-any.whl").write_text("x")
    with pytest.raises(SourceError, match="is not a valid wheel: File is not a zip file"):
        at(wheel=str(tmp_path / "shop-1.4.2-py3-none-any.whl"))
