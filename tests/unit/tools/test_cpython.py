"""tests/cpython.py offers a CPython to uv."""

from __future__ import annotations

import json
import tarfile

import cpython
from ansible_collections.asgi.deploy.plugins.module_utils._app.python_versions import managed_version


def test_a_build_of_pyenv_is_offered_with_its_hash(tmp_path, monkeypatch):
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path / "pyenv"))
    for name in ("bin/python3.12", "lib/python3.12/os.py", "lib/python3.12/test/test_os.py", "lib/libpython3.12.a"):
        path = tmp_path / "pyenv/versions/3.12.1" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"\0{tmp_path}/pyenv/versions/3.12.1/lib\0rest")

    found = cpython.offer("3.12", tmp_path, "/opt/mirror")

    assert found.environment == {"UV_PYTHON_DOWNLOADS_JSON_URL": "file:///opt/mirror/python.json"}
    [entry] = json.loads((tmp_path / "python.json").read_text()).values()
    version = managed_version(["==3.12.*"])
    assert found.version == version
    assert (f"3.{entry['minor']}.{entry['patch']}", entry["url"]) == (
        version,
        f"file:///opt/mirror/cpython-{version}.tar.gz",
    )
    with tarfile.open(tmp_path / f"cpython-{version}.tar.gz") as tar:
        files = {member.name: tar.extractfile(member).read() for member in tar if member.isfile()}
    assert sorted(files) == ["python/bin/python3.12", "python/lib/python3.12/os.py"]
    program, size = files["python/bin/python3.12"], (tmp_path / "pyenv/versions/3.12.1/bin/python3.12").stat().st_size
    assert program.startswith(b"\0$ORIGIN/../lib\0")
    assert program.endswith(b"rest")
    assert len(program) == size


def test_uvs_server_is_used_without_pyenv(tmp_path, monkeypatch):
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path))
    assert cpython.offer("3.12", tmp_path, "/opt/mirror") == (managed_version(["==3.12.*"]), {})
