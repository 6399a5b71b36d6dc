"""The description of a virtual environment: the installed packages could forge it, so its format is checked."""

from __future__ import annotations

import subprocess
import sys

import pytest
from ansible_collections.asgi.deploy.plugins.module_utils._app.release_record import DESCRIBE_PROBE, description


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        '{"python": "3.13.5"}',
        '{"python": "3.13.5", "packages": []}',
        '{"python": null, "packages": {}}',
        '{"python": "3.13.5", "packages": {"six": ["1.0"]}}',
        '{"python": "3.13.5", "packages": {"six": "1.0\\u001b[2J"}}',
        '{"python": "3.13.5", "packages": {"a b": "1.0"}}',
    ],
)
def test_a_forged_description_is_rejected(text):
    with pytest.raises(ValueError):
        description(text)


def test_the_probe_compiles_the_code_and_describes_the_packages(tmp_path):
    (tmp_path / "good.py").write_text("x = 1\n")
    (tmp_path / "bad.py").write_text("x =\n")
    done = subprocess.run(
        [sys.executable, "-I", "-c", DESCRIBE_PROBE, str(tmp_path)], capture_output=True, text=True, check=True
    )
    found = description(f"text of a .pth file\n{done.stdout}")
    assert "pytest" in found["packages"]
    assert [path.name.partition(".")[0] for path in tmp_path.glob("__pycache__/*")] == ["good"]
    assert done.stderr == ""
