"""The oldest and the newest versions that the drain worker supports, each in its own virtual environment."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
UV = Path(sys.executable).with_name("uv")


@dataclass(frozen=True)
class Corner:
    """A set of versions. If the machine lacks *python*, the corner uses the interpreter of the tests."""

    name: str
    python: str
    pins: tuple[str, ...]
    protocols: tuple[tuple[str, str], ...]
    """The tested pairs of uvicorn's ``http`` and ``ws``."""

    @cached_property
    def base(self) -> str:
        """Return the interpreter for the virtual environment."""
        pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
        for candidate in (f"python{self.python}", *pyenv.glob(f"versions/{self.python}.*/bin/python")):
            # Run the candidate, because a version manager may have a wrapper for a missing interpreter.
            command = [candidate, "-c", "import sys; print(sys.base_prefix, *sys.version_info[:2])"]
            with contextlib.suppress(OSError, subprocess.CalledProcessError):
                output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
                prefix, major, minor = output.split()
                if f"{major}.{minor}" == self.python:
                    return f"{prefix}/bin/python{self.python}"
        return sys.executable

    def interpreter(self) -> Path:
        """Return the Python of the corner's virtual environment, and create the environment if necessary."""
        venv = ROOT / ".cache/worker-matrix" / self.name
        marker = venv / "made-of.json"
        made_of = json.dumps([self.base, *self.pins])
        if not marker.exists() or marker.read_text() != made_of:
            subprocess.run([UV, "venv", "--quiet", "--clear", "--python", self.base, venv], check=True)
            install = [UV, "pip", "install", "--quiet", "--python", venv / "bin/python"]
            subprocess.run([*install, *self.pins], check=True)
            marker.write_text(made_of)
        return venv / "bin/python"

    def __str__(self) -> str:
        return f"{self.name}: {self.base}, {', '.join(self.pins)}"


OLDEST = Corner(
    name="oldest",
    python="3.11",
    pins=(
        "gunicorn==23.0.0",
        "uvicorn==0.34.0",
        "uvicorn-worker==0.3.0",
        "h11==0.14.0",
        "websockets==13.1",
        "prometheus-client==0.21.0",
    ),
    protocols=(("h11", "websockets"),),
)
NEWEST = Corner(
    name="newest",
    python="3.13",
    pins=(
        "gunicorn==27.0.1",
        "uvicorn==0.54.0",
        "uvicorn-worker==0.4.0",
        "uvloop==0.23.0",
        "httptools==0.9.0",
        "websockets==17.4",
        "wsproto==1.3.2",
        "prometheus-client==0.26.0",
    ),
    protocols=(("httptools", "websockets-sansio"), ("h11", "wsproto")),
)
CORNERS = (OLDEST, NEWEST)

OLDEST_THREADS = Corner(name="oldest-threads", python="3.11", pins=("gunicorn==26.0.0",), protocols=())
