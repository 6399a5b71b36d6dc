"""The result with which the module release requests missing items from its action plugin."""

from __future__ import annotations

import json

import pytest
from ansible_collections.asgi.deploy.plugins.module_utils._app.release_protocol import Missing, MissingWheels

WHEELS = MissingWheels(target={"python": "3.11.2"}, stored=["aa"], uv=True)


@pytest.mark.parametrize(
    ("missing", "prerequisites", "files"),
    [
        (Missing(packages=[]), False, False),
        (Missing(account=True, packages=[]), True, False),
        (Missing(packages=["python3"]), True, False),
        (Missing(packages=[], archive=True), False, True),
        (Missing(packages=[], wheels=WHEELS), False, True),
        (Missing(packages=[], python={"version": "3.12.9", "machine": "x86_64"}), False, True),
    ],
)
def test_the_result_survives_json(missing, prerequisites, files):
    assert Missing.from_result(json.loads(json.dumps(missing.as_result()))) == missing
    assert (missing.prerequisites, missing.files) == (prerequisites, files)
