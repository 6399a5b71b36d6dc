"""The machine of the scenario security and its two apps: the victim, and the intruder, which runs the code of attacks."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import probe
import testinfra
from scenario import published_port
from testinfra.host import Host

MACHINE = "asgi-security-debian13"
HOST = testinfra.get_host(f"docker://{MACHINE}")
# A successful attack creates a file with this name, in any directory and as any account.
MARK = "pwned"


def port(inside: int) -> int:
    """Return the published port for a port of the machine."""
    return published_port(MACHINE, inside)


@dataclass(frozen=True)
class App:
    """An app on the machine."""

    name: str
    host: Host = field(default=HOST)

    @property
    def live(self) -> str:
        """The slot that receives traffic."""
        return Path(self.host.file(f"/run/{self.name}/live.sock").linked_to).stem

    @property
    def service(self) -> str:
        return f"{self.name}@{self.live}.service"

    @property
    def release(self) -> str:
        return Path(self.host.file(f"/srv/{self.name}/current").linked_to).name

    def ask(self, path: str = "/", **options: Any) -> probe.Answer:
        """Send a request from outside the machine, over HTTPS unless `tls=False`."""
        return probe.ask(f"{self.name}.test", port(443 if options.get("tls", True) else 80), path, **options)

    def run(self, code: str) -> Any:
        """Run *code* in a worker of the intruder and return its variable `result`."""
        answer = self.ask("/run", method="POST", body=textwrap.dedent(code).encode()).json()
        if "error" in answer:
            raise Failed(answer["error"])
        return answer["result"]

    def fingerprint(self) -> tuple[str, str]:
        """Return the state of the app's files and processes."""
        files = self.host.check_output(
            f"find /srv/{self.name} /etc/asgi/{self.name} /etc/systemd/system/{self.name}* -printf '%p %u:%g %m %s %T@ %l\\n' "
            f"| grep -v __pycache__ | sort"
        )
        return files, self.host.check_output(f"systemctl show --property=MainPID,NRestarts {self.service}")


class Failed(Exception):
    """The code of the attack raised an exception; contains its traceback."""
