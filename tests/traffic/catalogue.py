"""The disturbances of the sites under load. Their order matters: a rollback activates the release of an earlier one."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from traffic.broken import BROKEN
from traffic.load import Shape
from traffic.playbooks import Operator, reload_in_place
from traffic.session import Disturbance
from traffic.sites import OURS, StockSite

# With the default shape of load.py, a worker reaches this number of requests within seconds.
RECYCLE_AFTER = {"asgi_server_max_requests": 1200, "asgi_server_max_requests_jitter": 400}

# A reload of nginx can close only idle connections, so these are idle most of the time.
IDLE_SHAPE = Shape(clients=32, think=0.15)

# Without WebSockets and streams, because a reload of the stock recipe would wait for them without limit.
STOCK_SHAPE = Shape(websockets=0, streams=0)

# Disturbances with unavoidable losses: a killed process loses its requests, and nginx before 1.27.4 closes idle client
# connections on reload.
KILLED = "a worker is killed"
CERTIFICATE = "certificate change"


def idle_websockets(operator: Operator, number: int, direct: bool = False, **changes: Any) -> Disturbance:
    """Return a deploy with *number* idle WebSockets open, through a published port of the machine or *direct*."""
    action = partial(operator.deploy_beside_idle, number, direct, **changes)
    return Disturbance(f"{number:,} idle WebSockets", action, replaces=True)


def of_ours(operator: Operator) -> list[Disturbance]:
    """Return each disturbance of our site once."""
    play, deploy = operator.play, operator.deploy
    second = {"asgi_server_workers": 3, "asgi_env": {"TRAFFIC_SETTING": "second"}, **RECYCLE_AFTER}
    return [
        Disturbance("reload", partial(play, "reload")),
        Disturbance("code deploy", deploy, replaces=True),
        Disturbance("deploy that boots slowly", partial(deploy, boot=3), replaces=True),
        Disturbance("dependency upgrade", operator.upgrade, replaces=True),
        Disturbance("configuration change", partial(play, "deploy", **second), replaces=True),
        Disturbance("worker recycling", partial(operator.wait_until_recycled, 4)),
        Disturbance("rollback", operator.roll_back, replaces=True),
        idle_websockets(operator, 600),
        Disturbance("worker exits with 3", operator.exit_worker),
        *(Disturbance(broken.name, partial(operator.deploy_broken, broken), visits=broken.served) for broken in BROKEN),
        Disturbance("two deploys at once", operator.deploy_twice_at_once, replaces=True),
        Disturbance(KILLED, operator.kill_worker),
        Disturbance(CERTIFICATE, partial(operator.change_certificate, ["traffic.test", "www.traffic.test"])),
    ]


def of_nginx(operator: Operator, times: int = 20) -> list[Disturbance]:
    """Return the disturbances that reload nginx, by hand and by a playbook."""
    return [
        Disturbance(f"{times} reloads of nginx", partial(operator.reload_nginx, times)),
        Disturbance(CERTIFICATE, partial(operator.change_certificate, ["traffic.test", "www.traffic.test"])),
    ]


def of_stock(site: StockSite, times: int) -> list[Disturbance]:
    return [Disturbance("reload of the stock recipe", partial(reload_in_place, site))] * times


# This list provides the ids of the tests. Its operator runs no playbook.
_PLANNED = of_ours(Operator(OURS, Path(), Path()))
NAMES = [disturbance.name for disturbance in _PLANNED]
REPLACING = [disturbance.name for disturbance in _PLANNED if disturbance.replaces]
LOSSLESS = [name for name in NAMES if name not in (KILLED, CERTIFICATE)]
