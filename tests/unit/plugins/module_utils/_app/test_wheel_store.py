"""The wheels on a host are verified when they arrive, and removed when no release uses them."""

from __future__ import annotations

import hashlib
import json
import os
import sys
import tarfile
import time

import pytest
from ansible_collections.asgi.deploy.plugins.module_utils._app.release_archive import UnsafeArchive
from ansible_collections.asgi.deploy.plugins.module_utils._app.wheel_store import (
    WheelStoreError,
    describe_target,
    prune,
    receive,
    stored,
    touch,
)
from ansible_collections.asgi.deploy.plugins.plugin_utils._release.wheels import Target


def digest(content):
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def archive(tmp_path):
    def make(wheels):
        path = tmp_path / "wheels.tar"
        with tarfile.open(path, "w") as tar:
            for name, content in wheels.items():
                (tmp_path / "member").write_bytes(content)
                tar.add(tmp_path / "member", arcname=name)
        return str(path)

    return make


def add(store, content, days=0):
    directory = store / digest(content)
    directory.mkdir(parents=True)
    (directory / "x-1-py3-none-any.whl").write_bytes(content)
    then = time.time() - days * 86400
    os.utime(directory, (then, then))
    return directory.name


def test_received_wheels_are_stored_by_digest(archive, tmp_path):
    store = tmp_path / "store"
    for _twice in range(2):
        receive(
            archive({f"{digest(b'a')}/a-1-py3-none-any.whl": b"a", f"{digest(b'b')}/b-1-py3-none-any.whl": b"b"}), store
        )
        assert stored(store) == sorted([digest(b"a"), digest(b"b")])
        assert len(list(store.iterdir())) == 2
    assert (store / digest(b"a") / "a-1-py3-none-any.whl").read_bytes() == b"a"


def test_a_modified_wheel_is_rejected(archive, tmp_path):
    with pytest.raises(WheelStoreError, match="a-1-py3-none-any.whl was modified in transit"):
        receive(archive({f"{digest(b'a')}/a-1-py3-none-any.whl": b"b"}), tmp_path / "store")
    assert stored(tmp_path / "store") == []
    with pytest.raises(UnsafeArchive):
        receive(archive({"../x": b"x"}), tmp_path / "store")


def test_unused_wheels_are_removed_after_a_day(tmp_path):
    store = tmp_path / "store"
    used, unused, young, touched = (add(store, bytes([n]), days) for n, days in enumerate((9, 9, 0, 9)))
    touch(store, [touched])
    manifests = [tmp_path / name for name in ("good.json", "old.json", "half.json", "gone.json")]
    manifests[0].write_text(json.dumps({"wheels": [used]}))
    manifests[1].write_text(json.dumps({"id": "x"}))
    manifests[2].write_text("{")
    assert prune(store, manifests) == [unused]
    assert stored(store) == sorted([used, young, touched])


def test_the_target_of_the_host_is_valid_on_the_controller():
    target = Target(**describe_target(sys.executable))
    assert target.minor == sys.version_info[:2]
    target.check()


def test_a_python_that_does_not_run_is_reported(tmp_path):
    (tmp_path / "python").write_text("#!/bin/sh\necho broken >&2; exit 1\n")
    (tmp_path / "python").chmod(0o755)
    with pytest.raises(WheelStoreError, match=r"asgi_app_python .* does not run: broken"):
        describe_target(str(tmp_path / "python"))
