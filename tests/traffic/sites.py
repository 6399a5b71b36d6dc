"""The containers under load and their sites: ours and the stock recipe."""

from __future__ import annotations

import subprocess
from collections import Counter
from dataclasses import dataclass

from scenario import published_port

from traffic.load import Address


@dataclass(frozen=True)
class Machine:
    """A container with systemd."""

    container: str

    def sh(self, script: str) -> str:
        """Run *script* as root and return its output. Raise if one of its commands fails."""
        command = ["docker", "exec", self.container, "sh", "-euc", script]
        run = subprocess.run(command, capture_output=True, text=True, check=False)
        if run.returncode != 0:
            raise RuntimeError(f"{script!r} on {self.container} ended with {run.returncode}: {run.stderr.strip()}")
        return run.stdout.strip()

    @property
    def ip(self) -> str:
        """Return the IP address of the machine, which is reachable only if Docker runs locally on Linux."""
        template = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
        return subprocess.check_output(["docker", "inspect", "--format", template, self.container], text=True).strip()

    def port(self, inside: int) -> int:
        """Return the published port for a port of the machine."""
        return published_port(self.container, inside)


@dataclass(frozen=True)
class Site:
    """A server name on a machine. Its app records the executed requests in the directory *shared*."""

    label: str
    machine: Machine
    server_name: str
    shared: str

    @property
    def address(self) -> Address:
        return Address(self.machine.port(443), self.server_name)

    @property
    def direct(self) -> Address:
        """Return the site's address that bypasses Docker's proxy for published ports, which fails with some thousand connections."""
        return Address(443, self.server_name, self.machine.ip)

    def serving(self) -> str:
        """Return the current release as the app reports it; empty for a site whose release cannot change."""
        return ""

    def clear_executed(self) -> None:
        # Truncate the files instead of removing them, because the app keeps them open.
        self.machine.sh(f"find {self.shared}/executed -type f -exec truncate --size=0 {{}} + 2>/dev/null || true")

    def executed(self) -> Counter[str]:
        """Return the number of executions of each request."""
        return Counter(self.machine.sh(f"cat {self.shared}/executed/* 2>/dev/null || true").split())

    def master(self) -> int:
        """Return the process id of gunicorn's master."""
        return int(self.machine.sh(f"systemctl show --value --property=MainPID {self.service}"))

    def workers(self) -> set[int]:
        master = self.master()
        return {int(pid) for pid in self.machine.sh(f"cat /proc/{master}/task/{master}/children").split()}

    def nginx_workers(self) -> set[int]:
        """Return the process ids of nginx's workers, including those that are shutting down."""
        script = "master=$(cat /run/nginx.pid); cat /proc/$master/task/$master/children"
        return {int(pid) for pid in self.machine.sh(script).split()}

    @property
    def service(self) -> str:
        raise NotImplementedError


@dataclass(frozen=True)
class OurSite(Site):
    """The app *app* that this collection deployed on the inventory host *host*."""

    app: str = ""
    host: str = ""

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
    """The recipe of common tutorials, with one systemd unit."""

    unit: str = ""

    @property
    def service(self) -> str:
        return self.unit


# The sites of molecule/traffic.
MACHINE = Machine("asgi-traffic-debian13")
OURS = OurSite("ours", MACHINE, "traffic.test", "/srv/traffic/shared", app="traffic", host="debian13-traffic")
# Its nginx keeps idle connections open during a reload.
NEXT = OurSite(
    "Debian 14",
    Machine("asgi-traffic-debian14"),
    "traffic.test",
    "/srv/traffic/shared",
    app="traffic",
    host="debian14-traffic",
)
STOCK = StockSite("stock", MACHINE, "stock.test", "/srv/stock", unit="stock.service")
