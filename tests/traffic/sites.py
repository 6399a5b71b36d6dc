"""A machine in a container, and the sites on it that are under load: ours and the stock recipe."""

from __future__ import annotations

import subprocess
from collections import Counter
from dataclasses import dataclass

from traffic.load import Address


@dataclass(frozen=True)
class Machine:
    """A container that is a machine with systemd."""

    container: str

    def sh(self, script: str) -> str:
        """Run *script* as root and return what it wrote; raise if any of its commands fails."""
        command = ["docker", "exec", self.container, "sh", "-euc", script]
        run = subprocess.run(command, capture_output=True, text=True, check=False)
        if run.returncode != 0:
            raise RuntimeError(f"{script!r} on {self.container} ended with {run.returncode}: {run.stderr.strip()}")
        return run.stdout.strip()

    def port(self, inside: int) -> int:
        """Return the port of this computer that leads to a port of the machine."""
        published = subprocess.check_output(["docker", "port", self.container, str(inside)], text=True)
        return int(published.splitlines()[0].rpartition(":")[2])


@dataclass(frozen=True)
class Site:
    """What is asked: a name on a machine; the app behind it notes in *shared* what it executes."""

    label: str
    machine: Machine
    server_name: str
    shared: str

    @property
    def address(self) -> Address:
        return Address(self.machine.port(443), self.server_name)

    def serving(self) -> str:
        """Return what has to answer now, as the app says it; empty if that cannot change."""
        return ""

    def forget_executed(self) -> None:
        # emptied and not removed: the app keeps its files open
        self.machine.sh(f"find {self.shared}/executed -type f -exec truncate --size=0 {{}} + 2>/dev/null || true")

    def executed(self) -> Counter[str]:
        """Return how often each request was executed."""
        return Counter(self.machine.sh(f"cat {self.shared}/executed/* 2>/dev/null || true").split())

    def master(self) -> int:
        """Return the process id of gunicorn's master."""
        return int(self.machine.sh(f"systemctl show --value --property=MainPID {self.service}"))

    def workers(self) -> set[int]:
        master = self.master()
        return {int(pid) for pid in self.machine.sh(f"cat /proc/{master}/task/{master}/children").split()}

    @property
    def service(self) -> str:
        raise NotImplementedError


@dataclass(frozen=True)
class OurSite(Site):
    """An app that this collection has deployed under the name *app*."""

    app: str = ""

    @property
    def live(self) -> str:
        return self.machine.sh(f"basename $(readlink /run/{self.app}/live.sock) .sock")

    @property
    def idle(self) -> str:
        return {"blue": "green", "green": "blue"}[self.live]

    @property
    def service(self) -> str:
        return f"{self.app}@{self.live}.service"

    def serving(self) -> str:
        slot = f"/srv/{self.app}/slots/{self.live}"
        release = self.machine.sh(f"basename $(readlink {slot}/release)")
        setting = self.machine.sh(f"sed -n 's/^TRAFFIC_SETTING=//p' {slot}/config/env").strip("\"'")
        return f"{release}:{setting}"


@dataclass(frozen=True)
class StockSite(Site):
    """The recipe that tutorials give, one systemd unit."""

    unit: str = ""

    @property
    def service(self) -> str:
        return self.unit


# what molecule/traffic sets up
MACHINE = Machine("asgi-traffic-debian13")
OURS = OurSite("ours", MACHINE, "traffic.test", "/srv/traffic/shared", app="traffic")
STOCK = StockSite("stock", MACHINE, "stock.test", "/srv/stock", unit="stock.service")
