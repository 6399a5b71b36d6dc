"""Disable the protections one at a time. The load generator must detect the harm of each, or its zero losses would prove nothing.

The mutations change the machine directly, because preflight rejects such variables, and revert the change at the end.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial

from traffic.counting import Figures
from traffic.load import Shape
from traffic.playbooks import reload_in_place
from traffic.session import Disturbance
from traffic.sites import OurSite

# Without long-lived connections, which are irrelevant here and would extend every drain to its timeout.
STEADY = Shape(clients=24, think=0.01, websockets=0, streams=0)
# Every connection to the app is idle for about a second; a worker with `keepalive = 1` closes it at that time.
BURSTS = Shape(clients=32, burst=1.0, slow=0, websockets=0, streams=0)
BURST_TIME = 8
BOOT_SECONDS = 3
DROP_IN = "/run/systemd/system/{app}@.service.d/mutation.conf"


def lost(figures: Figures) -> int:
    return figures.lost


def stalls(figures: Figures) -> int:
    return figures.stalls


@dataclass(frozen=True)
class Mutation:
    """A protection, the *action* that needs it, and *harm*, the figure that differs without it.

    The second argument of *setting* and *action* is true if the protection is on.
    """

    protection: str
    setting: Callable[[OurSite, bool], AbstractContextManager[None]]
    action: Callable[[OurSite, bool], None]
    harm: Callable[[Figures], int] = lost
    times: int = 1
    shape: Shape = STEADY

    def disturbances(self, site: OurSite, on: bool) -> list[Disturbance]:
        name = f"{self.protection}{'' if on else ' OFF'}"
        return [Disturbance(name, partial(self.action, site, on))] * self.times


# ---- settings that disable a protection


@contextmanager
def edited(edit: str, site: OurSite, on: bool) -> Iterator[None]:
    """Run the live slot with a gunicorn.conf.py that sed changed."""
    if on:
        yield
        return
    file = f"/srv/{site.app}/slots/{site.live}/config/gunicorn.conf.py"
    copy = f"/var/tmp/{site.app}-gunicorn.conf.py"
    restart = f"systemctl restart {site.service}"
    # The edit may disable the code that notifies the watchdog.
    site.machine.sh("systemctl service-watchdogs no")
    site.machine.sh(f"cp -p {file} {copy}; sed -i '{edit}' {file}; if cmp -s {file} {copy}; then exit 1; fi")
    try:
        site.machine.sh(restart)
        yield
    finally:
        site.machine.sh(f"cp -p {copy} {file}; {restart}; systemctl service-watchdogs yes")


@contextmanager
def slow_boot(site: OurSite, on: bool) -> Iterator[None]:
    """Prepare the live release in the idle slot with a slow boot. Without the protection, its unit is ready at once."""
    live, idle, slots = site.live, site.idle, f"/srv/{site.app}/slots"
    for link in ("release", "config"):
        site.machine.sh(f"ln -sfn $(readlink {slots}/{live}/{link}) {slots}/{idle}/{link}")
    variant = f"{slots}/{live}/release/code/variant.json"
    before = site.machine.sh(f"cat {variant} 2>/dev/null || echo '{{}}'")
    drop_in = DROP_IN.format(app=site.app)
    site.machine.sh(f"echo '{json.dumps({'boot': BOOT_SECONDS})}' >{variant}; mkdir -p $(dirname {drop_in})")
    if not on:
        site.machine.sh(f"printf '[Service]\\nType=simple\\n' >{drop_in}; systemctl daemon-reload")
    try:
        yield
    finally:
        site.machine.sh(f"echo '{before}' >{variant}; rm -f {drop_in}; systemctl daemon-reload")
        if site.live != live:
            flip(site)


# ---- actions


def reload_workers(site: OurSite, on: bool) -> None:
    reload_in_place(site)


def wait(site: OurSite, on: bool) -> None:
    time.sleep(BURST_TIME)


def restart(site: OurSite, on: bool) -> None:
    """Restart the service and, without the protection, its socket."""
    socket = "" if on else site.service.replace(".service", ".socket")
    site.machine.sh(f"systemctl restart {socket} {site.service}")


def flip(site: OurSite, on: bool = True) -> None:
    """Activate the idle slot: start it, rename the link, stop the other one."""
    run, new, old = f"/run/{site.app}", f"{site.app}@{site.idle}", f"{site.app}@{site.live}"
    site.machine.sh(
        f"systemctl start {new}.socket {new}.service;"
        f"ln -s {site.idle}.sock {run}/live.next; mv -T {run}/live.next {run}/live.sock;"
        f"systemctl stop {old}.socket {old}.service"
    )


MUTATIONS = [
    Mutation(
        "drain worker",
        # Remove the hooks of the drain worker too, which work only with that worker.
        partial(
            edited, 's/^worker_class = .*/worker_class = "uvicorn_worker.UvicornWorker"/; /asgi_deploy_master import/d'
        ),
        reload_workers,
        times=3,
    ),
    Mutation("keepalive order", partial(edited, "s/^keepalive = .*/keepalive = 1/"), wait, shape=BURSTS),
    Mutation("held socket", lambda site, on: nullcontext(), restart),
    Mutation("readiness", slow_boot, flip, harm=stalls),
]
