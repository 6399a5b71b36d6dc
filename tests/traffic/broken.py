"""Broken releases: the deploy of each must fail with its reason, while the previous release continues to serve."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

HOOK = str(Path(__file__).parent / "failing_hook.yml")
NOTHING: Mapping[str, Any] = MappingProxyType({})
STILL = "keeps serving"


@dataclass(frozen=True)
class Broken:
    """A release that cannot serve because of a *fault* in its code, its *requirements* or its *variables*.

    The error message must contain *words*. *served* is true if the release receives traffic for a moment.
    """

    name: str
    words: tuple[str, ...]
    fault: str = ""
    requirements: str = ""
    variables: Mapping[str, Any] = field(default_factory=lambda: NOTHING)
    served: bool = False


BROKEN = (
    Broken("a dependency does not exist", ("no version of fastapi==999.0",), requirements="fastapi==999.0"),
    Broken("the app does not import", ("RuntimeError: this release does not import",), fault="import"),
    Broken("the app object does not exist", ("module 'main' has no attribute 'app'",), fault="attribute"),
    Broken(
        "the migration fails",
        ("this hook fails", "not activated on any host"),
        variables={"asgi_app_hook_staged": HOOK},
    ),
    Broken(
        "an unknown systemd setting",
        ("NoSuchSetting", STILL),
        variables={"asgi_server_unit_settings": {"NoSuchSetting": "1"}},
    ),
    Broken(
        "the app does not import in the slot", ("this release does not import in its slot", STILL), "import in its slot"
    ),
    Broken("the lifespan fails", ("this release does not start", STILL), "lifespan"),
    Broken(
        "the app hangs at boot",
        ("did not start within asgi_server_boot_timeout", STILL),
        "hang",
        variables={"asgi_server_boot_timeout": 4},
    ),
    Broken(
        "the health check returns 500",
        ("answered 'HTTP 500: this release is not healthy', wanted 200", STILL),
        "health",
    ),
    Broken("the health check returns 404", ("answered 'HTTP 404", "wanted 200", STILL), "no health"),
    Broken("the health check gets no response", ("/health", STILL), "silent"),
    Broken("the worker dies during the health check", ("/health", STILL), "dies"),
    Broken("the smoke test fails", ("this hook fails", STILL), variables={"asgi_server_hook_before": HOOK}),
    Broken(
        "a task after the switch fails",
        ("this hook fails", STILL),
        variables={"asgi_server_hook_after": HOOK},
        served=True,
    ),
)
