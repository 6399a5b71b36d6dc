"""Who disturbs our site: runs the shipped playbooks as a user would, and does to the machine what befalls one."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from traffic.broken import Broken
from traffic.load import tls
from traffic.sites import OurSite, Site

APP = Path(__file__).parent / "app"
# what an upgrade of the dependencies brings, other than the newest that are there otherwise
UPGRADED = {"fastapi": "0.163.2", "uvicorn": "0.53.0"}

# what Ansible says of a task that fails, without its own words around it
ERROR = re.compile(
    r"^\[ERROR\]: (?:Task failed: )?(?:Module failed: |Action failed: )?(.*?)\n(?:Origin: |\n)",
    re.DOTALL | re.MULTILINE,
)
# A controller is another computer, and takes no CPU time from the app. Where Linux shares that out by session first,
# niceness counts within a session only, and the session has one of its own.
POLITELY = ["sh", "-c", '{ echo 19 >/proc/self/autogroup; } 2>/dev/null; exec nice -n 19 "$@"', "sh"]


class Operator:
    """Holds what the inventory would say by now, and runs playbooks with it."""

    def __init__(self, site: OurSite, inventory: Path, work: Path) -> None:
        self.site = site
        self.inventory = inventory
        self.work = work
        self.variables: dict[str, Any] = {}
        self._earlier: dict[str, Any] = {}
        self._count = 0

    # ---- playbooks

    def play(self, playbook: str, **changes: Any) -> None:
        """Run a playbook of the collection with *changes* of the variables, which stay if it succeeds."""
        variables = {**self.variables, **changes}
        status, said = self.start(playbook, variables)()
        if status != 0:
            raise AssertionError(f"{playbook} failed: {said[-2000:]}")
        if changes:
            self._earlier, self.variables = self.variables, variables

    def play_refused(self, playbook: str, *words: str, **changes: Any) -> str:
        """Run a playbook that has to fail with these *words*, and return what it says."""
        status, said = self.start(playbook, {**self.variables, **changes})()
        missing = [word for word in words if word not in said]
        if status == 0 or missing:
            raise AssertionError(f"{playbook} ended with {status} and did not say {missing}: {said[-2000:]}")
        return ERROR.findall(said)[-1]

    def start(self, playbook: str, variables: dict[str, Any]) -> Callable[[], tuple[int, str]]:
        """Start a playbook; what is returned waits for it and gives its status and what it said."""
        self._count += 1
        settings = self.work / f"variables-{self._count}.json"
        settings.write_text(json.dumps(variables))
        process = subprocess.Popen(
            [*POLITELY, "ansible-playbook", "-i", self.inventory, f"asgi.deploy.{playbook}", "-e", f"@{settings}"],
            start_new_session=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "ANSIBLE_NOCOLOR": "1", "ANSIBLE_FORCE_COLOR": "0"},
        )

        def wait() -> tuple[int, str]:
            said, _nothing = process.communicate()
            return process.returncode, said

        return wait

    def start_over(self) -> None:
        """Bring the site to what the inventory says, whatever it was left with."""
        self.variables, self._earlier = {}, {}
        self.play("site")

    # ---- releases

    def source(self, *, requirements: str = "", **variant: Any) -> dict[str, str]:
        """Return the source of a release that differs from all others by its *variant*, and maybe its *requirements*."""
        self._count += 1
        directory = self.work / f"source-{self._count}"
        shutil.copytree(APP, directory, ignore=shutil.ignore_patterns("__pycache__"))
        (directory / "variant.json").write_text(json.dumps({"label": str(self._count), **variant}))
        if requirements:
            (directory / "requirements.txt").write_text(f"{requirements}\n")
        return {"path": str(directory)}

    def deploy(self, **variant: Any) -> None:
        self.play("deploy", asgi_app_source=self.source(**variant))

    def upgrade(self) -> None:
        """Deploy the same code with another FastAPI and another uvicorn."""
        server = ["gunicorn>=23,<28", f"uvicorn=={UPGRADED['uvicorn']}", "uvicorn-worker", "uvloop", "httptools"]
        self.play(
            "deploy",
            asgi_app_source=self.source(requirements=f"fastapi=={UPGRADED['fastapi']}"),
            asgi_app_server_requirements=[*server, "websockets"],
        )
        packages = json.loads(self.site.machine.sh(f"cat /srv/{self.site.app}/current/release.json"))["packages"]
        if {name: packages[name] for name in UPGRADED} != UPGRADED:
            raise AssertionError(f"these packages are live: {packages}")

    def roll_back(self) -> None:
        """Go back to what was live before, which is what the inventory shall say then, too."""
        self.play("rollback")
        self._earlier, self.variables = self.variables, self._earlier

    def deploy_refused(self, broken: Broken) -> str:
        """Deploy a release that cannot serve, and return what the user is told."""
        source = self.source(fault=broken.fault, requirements=broken.requirements)
        return self.play_refused("deploy", *broken.words, asgi_app_source=source, **broken.variables)

    def deploy_twice_at_once(self) -> None:
        """Deploy two releases at the same time: one of them becomes live, and one is told who is in its way.

        They boot slowly, so that the second activation begins before the first one ends.
        """
        wanted = [{**self.variables, "asgi_app_source": self.source(boot=5)} for _number in range(2)]
        waiting = [self.start("deploy", variables) for variables in wanted]
        outcomes = [wait() for wait in waiting]
        if sorted(bool(status) for status, _said in outcomes) != [False, True]:
            raise AssertionError(f"not one of two came through: {outcomes}")
        winner = [status for status, _said in outcomes].index(0)
        refusal = outcomes[1 - winner][1]
        if "is being changed by " not in refusal:
            raise AssertionError(f"the owner of the lock is not named: {refusal[-2000:]}")
        self.variables = wanted[winner]
        live = self.site.machine.sh(f"cat /srv/{self.site.app}/current/code/variant.json")
        if live != (Path(self.variables["asgi_app_source"]["path"]) / "variant.json").read_text():
            raise AssertionError("the deploy that came through has activated the release of the other one")

    # ---- what befalls a machine

    def kill_worker(self) -> None:
        before = self.site.workers()
        self.site.machine.sh(f"kill -KILL {min(before)}")
        wait_for(lambda: len(self.site.workers() - {min(before)}) == len(before), "another worker")

    def see_recycled(self, workers: int) -> None:
        """Wait until so many workers have been replaced by themselves."""
        known = self.site.workers()
        fresh: set[int] = set()

        def recycled() -> bool:
            fresh.update(self.site.workers() - known)
            return len(fresh) >= workers

        wait_for(recycled, f"{workers} recycled workers")

    def change_certificate(self, names: list[str]) -> None:
        before = fingerprint(self.site)
        self.play("site", asgi_proxy_server_names=names)
        if fingerprint(self.site) == before:
            raise AssertionError("the certificate is still the same")


def reload_in_place(site: Site) -> None:
    """Reload as an administrator does (HUP), and wait until all workers have been replaced."""
    before = site.workers()
    site.machine.sh(f"systemctl reload {site.service}")
    wait_for(lambda: not site.workers() & before and len(site.workers()) == len(before), "the new workers")


def wait_for(done: Callable[[], bool], what: str, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not done():
        if time.monotonic() > end:
            raise AssertionError(f"waited {seconds:.0f} s in vain for {what}")
        time.sleep(0.2)


def fingerprint(site: Site) -> str:
    """Return what identifies the certificate that *site* shows."""
    address = site.address
    with (
        socket.create_connection(("127.0.0.1", address.port), 15) as plain,
        tls().wrap_socket(plain, server_hostname=address.name) as encrypted,
    ):
        return hashlib.sha256(encrypted.getpeercert(binary_form=True) or b"").hexdigest()
