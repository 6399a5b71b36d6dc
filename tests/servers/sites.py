"""The sites of the scenario `servers`: one for each server that an app can be served by, and one framework more."""

from __future__ import annotations

from traffic.sites import Machine, OurSite

MACHINE = Machine("asgi-servers-debian13")
TYPES = {
    "djangoasgi": "uvicorn_worker",
    "djangowsgi": "gthread",
    "flask": "gthread",
    "gunicornasgi": "gunicorn_asgi",
    "uvicorn": "uvicorn",
}
SITES = {
    name: OurSite(f"{name} ({kind})", MACHINE, f"{name}.test", f"/srv/{name}/shared", app=name)
    for name, kind in TYPES.items()
}
