"""Our protections, switched off one at a time: the harness has to notice each, or its zeros prove nothing.

All is done by hand on the machine, as preflight refuses what variables could say, and is undone at the end.
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

# Without long-lived connections, which have nothing to say here and make every drain as long as it may be.
STEADY = Shape(clients=24, think=0.01, websockets=0, streams=0)
# Every connection to the app is idle for about a second, which is when a worker with `keepalive = 1` closes it.
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
    """A protection, and what shows that it works: *action*, with it and without it, and the figure that tells them apart.

    *setting* and *action* are told whether the protection is on.
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


# ---- how each is switched off


@contextmanager
def edited(edit: str, site: OurSite, on: bool) -> Iterator[None]:
    """Let the live slot run with another gunicorn.conf.py, changed by sed."""
    if on:
        yield
        return
    file = f"/srv/{site.app}/slots/{site.live}/config/gunicorn.conf.py"
    copy = f"/var/tmp/{site.app}-gunicorn.conf.py"
    restart = f"systemctl restart {site.service}"
    # what feeds the watchdog may be among what is switched off
    site.machine.sh("systemctl service-watchdogs no")
    site.machine.sh(f"cp -p {file} {copy}; sed -i '{edit}' {file}; if cmp -s {file} {copy}; then exit 1; fi")
    try:
        site.machine.sh(restart)
        yield
    finally:
        site.machine.sh(f"cp -p {copy} {file}; {restart}; systemctl service-watchdogs yes")


@contextmanager
def slow_boot(site: OurSite, on: bool) -> Iterator[None]:
    """Hold the live release ready in the idle slot, too, where it boots slowly; started there, it is said to be ready."""
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


# ---- what is done to show it


def reload_workers(site: OurSite, on: bool) -> None:
    reload_in_place(site)


def wait(site: OurSite, on: bool) -> None:
    time.sleep(BURST_TIME)


def restart(site: OurSite, on: bool) -> None:
    """Restart the service; without the protection its socket goes with it."""
    socket = "" if on else site.service.replace(".service", ".socket")
    site.machine.sh(f"systemctl restart {socket} {site.service}")


def flip(site: OurSite, on: bool = True) -> None:
    """Activate the idle slot as bare as can be: start it, rename the link, stop the other one."""
    run, new, old = f"/run/{site.app}", f"{site.app}@{site.idle}", f"{site.app}@{site.live}"
    site.machine.sh(
        f"systemctl start {new}.socket {new}.service;"
        f"ln -s {site.idle}.sock {run}/live.next; mv -T {run}/live.next {run}/live.sock;"
        f"systemctl stop {old}.socket {old}.service"
    )


MUTATIONS = [
    Mutation(
        "drain worker",
        # and without the hooks that belong to it
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
