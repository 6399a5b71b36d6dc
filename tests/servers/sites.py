"""The sites of the scenario `servers`: one for each server type, and a further framework."""

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
