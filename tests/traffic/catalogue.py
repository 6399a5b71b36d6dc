"""What is done to the sites under load. The order matters: a rollback goes back to what the one before has left."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from traffic.broken import BROKEN
from traffic.load import Shape
from traffic.playbooks import Operator, reload_in_place
from traffic.session import Disturbance
from traffic.sites import OURS, StockSite

# so many requests of one worker: some seconds, with the shape that load.py has by default
RECYCLE_AFTER = {"asgi_server_max_requests": 1200, "asgi_server_max_requests_jitter": 400}

# Kind to the stock recipe: its reload waits for ever for WebSockets and streams, and then cuts them.
STOCK_SHAPE = Shape(websockets=0, streams=0)

# These are told apart, as they lose requests and must: a process that is killed takes with it what it was answering,
# and nginx before 1.27.4 closes idle connections of clients when it is reloaded.
KILLED = "a worker is killed"
CERTIFICATE = "certificate change"


def of_ours(operator: Operator) -> list[Disturbance]:
    """Return all that our site has to stand, each once."""
    play, deploy = operator.play, operator.deploy
    second = {"asgi_server_workers": 3, "asgi_env": {"TRAFFIC_SETTING": "second"}, **RECYCLE_AFTER}
    return [
        Disturbance("reload", partial(play, "reload")),
        Disturbance("code deploy", deploy, replaces=True),
        Disturbance("deploy that boots slowly", partial(deploy, boot=3), replaces=True),
        Disturbance("dependency upgrade", operator.upgrade, replaces=True),
        Disturbance("configuration change", partial(play, "deploy", **second), replaces=True),
        Disturbance("worker recycling", partial(operator.see_recycled, 4)),
        Disturbance("rollback", operator.roll_back, replaces=True),
        *(
            Disturbance(broken.name, partial(operator.deploy_refused, broken), visits=broken.served)
            for broken in BROKEN
        ),
        Disturbance("two deploys at once", operator.deploy_twice_at_once, replaces=True),
        Disturbance(KILLED, operator.kill_worker),
        Disturbance(CERTIFICATE, partial(operator.change_certificate, ["traffic.test", "www.traffic.test"])),
    ]


def of_stock(site: StockSite, times: int) -> list[Disturbance]:
    return [Disturbance("reload of the stock recipe", partial(reload_in_place, site))] * times


# What tests are named after. Nothing runs with this operator.
_PLANNED = of_ours(Operator(OURS, Path(), Path()))
NAMES = [disturbance.name for disturbance in _PLANNED]
REPLACING = [disturbance.name for disturbance in _PLANNED if disturbance.replaces]
LOSSLESS = [name for name in NAMES if name not in (KILLED, CERTIFICATE)]
