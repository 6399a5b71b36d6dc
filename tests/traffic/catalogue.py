"""What is done to the sites under load. The order matters: a rollback goes back to what the one before has left."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from traffic.playbooks import Operator, reload_in_place
from traffic.session import Disturbance
from traffic.sites import Machine, OurSite, StockSite

# so many requests of one worker: some seconds, with the shape that load.py has by default
RECYCLE_AFTER = {"asgi_server_max_requests": 1200, "asgi_server_max_requests_jitter": 400}

# These are told apart, as they lose requests and must: a process that is killed takes with it what it was answering,
# and nginx before 1.27.4 closes idle connections of clients when it is reloaded.
KILLED = "a worker is killed"
CERTIFICATE = "certificate change"


def of_ours(operator: Operator) -> list[Disturbance]:
    """Return all that our site has to stand, each once."""
    still = "goes on serving"
    play, deploy, refused = operator.play, operator.deploy, operator.deploy_refused
    second = {"asgi_server_workers": 3, "asgi_env": {"TRAFFIC_SETTING": "second"}, **RECYCLE_AFTER}
    return [
        Disturbance("reload", partial(play, "reload")),
        Disturbance("code deploy", deploy, replaces=True),
        Disturbance("deploy that boots slowly", partial(deploy, boot=3), replaces=True),
        Disturbance("dependency upgrade", operator.upgrade, replaces=True),
        Disturbance("configuration change", partial(play, "deploy", **second), replaces=True),
        Disturbance("worker recycling", partial(operator.see_recycled, 4)),
        Disturbance("rollback", operator.roll_back, replaces=True),
        Disturbance("does not import", partial(refused, "import", "this release does not import")),
        Disturbance("does not import in its slot", partial(refused, "import in its slot", "in its slot", still)),
        Disturbance("fails in lifespan", partial(refused, "lifespan", "this release does not start", still)),
        Disturbance("health is 500", partial(refused, "health", "this release is not healthy", still)),
        Disturbance("hangs at boot", partial(refused, "hang", still, asgi_server_boot_timeout=4)),
        Disturbance("two deploys at once", operator.deploy_twice_at_once, replaces=True),
        Disturbance(KILLED, operator.kill_worker),
        Disturbance(CERTIFICATE, partial(operator.change_certificate, ["traffic.test", "www.traffic.test"])),
    ]


def of_stock(site: StockSite, times: int) -> list[Disturbance]:
    return [Disturbance("reload of the stock recipe", partial(reload_in_place, site))] * times


# What tests are named after. Nothing runs with this operator.
_PLANNED = of_ours(Operator(OurSite("", Machine(""), "", ""), Path(), Path()))
NAMES = [disturbance.name for disturbance in _PLANNED]
REPLACING = [disturbance.name for disturbance in _PLANNED if disturbance.replaces]
LOSSLESS = [name for name in NAMES if name not in (KILLED, CERTIFICATE)]
