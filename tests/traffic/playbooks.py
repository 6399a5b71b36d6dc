"""The operator of our site, who runs the shipped playbooks, and the failures of a machine."""

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
from traffic.idle import hold
from traffic.load import tls
from traffic.sites import OurSite, Site

APP = Path(__file__).parent / "app"
# The versions of the upgrade; other releases use the newest ones.
UPGRADED = {"fastapi": "0.163.2", "uvicorn": "0.53.0"}

# between two reloads of nginx, so that every client has sent a request to the new workers
NGINX_RELOAD_SECONDS = 0.5

# The message of a failed task in the output of Ansible, without the text around it
ERROR = re.compile(
    r"^\[ERROR\]: (?:Task failed: )?(?:Module failed: |Action failed: )?(.*?)\n(?:Origin: |\n)",
    re.DOTALL | re.MULTILINE,
)
# A real controller is another computer and uses no CPU time of the app's host. With autogroups, Linux applies niceness within a session
# only, so the session's own niceness is set too.
LOW_PRIORITY = ["sh", "-c", '{ echo 19 >/proc/self/autogroup; } 2>/dev/null; exec nice -n 19 "$@"', "sh"]


class Operator:
    """Runs playbooks with the current variables of the inventory. The releases differ in the file variant.json of *app*."""

    def __init__(self, site: OurSite, inventory: Path, work: Path, app: Path = APP) -> None:
        self.site = site
        self.inventory = inventory
        self.work = work
        self.app = app
        self.variables: dict[str, Any] = {}
        self._earlier: dict[str, Any] = {}
        self._count = 0

    # ---- playbooks

    def play(self, playbook: str, **changes: Any) -> None:
        """Run a playbook of the collection with *changes* of the variables, and keep them if it succeeds."""
        variables = {**self.variables, **changes}
        status, output = self.start(playbook, variables)()
        if status != 0:
            raise AssertionError(f"{playbook} failed: {output[-2000:]}")
        if changes:
            self._earlier, self.variables = self.variables, variables

    def play_failing(self, playbook: str, *words: str, **changes: Any) -> str:
        """Run a playbook that must fail with these *words* in its output, and return the error message."""
        status, output = self.start(playbook, {**self.variables, **changes})()
        missing = [word for word in words if word not in output]
        if status == 0 or missing:
            raise AssertionError(f"{playbook} ended with {status}, and its output lacks {missing}: {output[-2000:]}")
        return ERROR.findall(output)[-1]

    def start(self, playbook: str, variables: dict[str, Any]) -> Callable[[], tuple[int, str]]:
        """Start a playbook, and return a function that waits for it and returns its status and its output."""
        process = self.popen(playbook, variables)

        def wait() -> tuple[int, str]:
            output, _none = process.communicate()
            return process.returncode, output

        return wait

    def popen(self, playbook: str, variables: dict[str, Any]) -> subprocess.Popen[str]:
        """Start a playbook in its own process group."""
        self._count += 1
        settings = self.work / f"variables-{self._count}.json"
        settings.write_text(json.dumps(variables))
        return subprocess.Popen(
            [
                *(*LOW_PRIORITY, "ansible-playbook", "-i", self.inventory, "--limit", self.site.host or "all"),
                *(f"asgi.deploy.{playbook}", "-e", f"@{settings}"),
            ],
            start_new_session=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "ANSIBLE_NOCOLOR": "1", "ANSIBLE_FORCE_COLOR": "0"},
        )

    def start_over(self) -> None:
        """Reset the site to the variables of the inventory."""
        self.variables, self._earlier = {}, {}
        self.play("site")

    # ---- releases

    def source(self, *, requirements: str = "", **variant: Any) -> dict[str, str]:
        """Return the source of a new release with this *variant* and, optionally, *requirements*."""
        self._count += 1
        directory = self.work / f"source-{self._count}"
        shutil.copytree(self.app, directory, ignore=shutil.ignore_patterns("__pycache__"))
        (directory / "variant.json").write_text(json.dumps({"label": str(self._count), **variant}))
        if requirements:
            (directory / "requirements.txt").write_text(f"{requirements}\n")
        return {"path": str(directory)}

    def deploy(self, **variant: Any) -> None:
        self.play("deploy", asgi_app_source=self.source(**variant))

    def upgrade(self) -> None:
        """Deploy the same code with other versions of FastAPI and uvicorn."""
        server = ["gunicorn>=23,<28", f"uvicorn=={UPGRADED['uvicorn']}", "uvicorn-worker", "uvloop", "httptools"]
        self.play(
            "deploy",
            asgi_app_source=self.source(requirements=f"fastapi=={UPGRADED['fastapi']}"),
            asgi_app_server_requirements=[*server, "websockets"],
        )
        packages = json.loads(self.site.machine.sh(f"cat /srv/{self.site.app}/current/release.json"))["packages"]
        if {name: packages[name] for name in UPGRADED} != UPGRADED:
            raise AssertionError(f"these packages are live: {packages}")

    def deploy_beside_idle(self, number: int, direct: bool = False, **changes: Any) -> str:
        """Deploy with *number* idle WebSockets open: each is closed with 1012 and reconnects."""
        address = self.site.direct if direct else self.site.address
        source = self.source()
        clients = hold(address, number, lambda: self.play("deploy", asgi_app_source=source, **changes))
        if clients.failure:
            raise AssertionError(f"{clients}: {clients.failure}")
        return str(clients)

    def roll_back(self) -> None:
        """Activate the previous release, and restore its variables."""
        self.play("rollback")
        self._earlier, self.variables = self.variables, self._earlier

    def deploy_broken(self, broken: Broken) -> str:
        """Deploy a release that cannot serve, and return the error message."""
        source = self.source(fault=broken.fault, requirements=broken.requirements)
        return self.play_failing("deploy", *broken.words, asgi_app_source=source, **broken.variables)

    def deploy_twice_at_once(self) -> None:
        """Deploy two releases at the same time: one becomes live, and the other fails and names the owner of the lock.

        They boot slowly, so that the second activation starts before the first one ends.
        """
        wanted = [{**self.variables, "asgi_app_source": self.source(boot=5)} for _number in range(2)]
        waiting = [self.start("deploy", variables) for variables in wanted]
        outcomes = [wait() for wait in waiting]
        if sorted(bool(status) for status, _output in outcomes) != [False, True]:
            raise AssertionError(f"not exactly one of two deploys succeeded: {outcomes}")
        winner = [status for status, _output in outcomes].index(0)
        error = outcomes[1 - winner][1]
        if "is being changed by " not in error:
            raise AssertionError(f"the owner of the lock is not named: {error[-2000:]}")
        self.variables = wanted[winner]
        live = self.site.machine.sh(f"cat /srv/{self.site.app}/current/code/variant.json")
        if live != (Path(self.variables["asgi_app_source"]["path"]) / "variant.json").read_text():
            raise AssertionError("the successful deploy activated the release of the other one")

    # ---- failures of a machine

    def kill_worker(self) -> None:
        before = self.site.workers()
        self.site.machine.sh(f"kill -KILL {min(before)}")
        wait_for(lambda: len(self.site.workers() - {min(before)}) == len(before), "a new worker")

    def exit_worker(self) -> None:
        """Make a worker exit with status 3 after its last response, and check that the master replaces it."""
        master, before = self.site.master(), self.site.workers()
        leaving = f"{self.site.shared}/exit-with-3"
        self.site.machine.sh(f"touch {leaving}; kill -TERM {min(before)}")
        wait_for(lambda: len(self.site.workers() - {min(before)}) == len(before), "a new worker")
        wait_for(lambda: min(before) not in self.site.workers(), "the exit of the worker")
        self.site.machine.sh(f"if [ -e {leaving} ]; then exit 1; fi")
        if self.site.master() != master:
            raise AssertionError("the whole service was restarted")

    def wait_until_recycled(self, workers: int) -> None:
        """Wait until this number of workers has been replaced through max_requests."""
        known = self.site.workers()
        fresh: set[int] = set()

        def recycled() -> bool:
            fresh.update(self.site.workers() - known)
            return len(fresh) >= workers

        wait_for(recycled, f"{workers} recycled workers")

    def reload_nginx(self, times: int) -> None:
        """Reload nginx *times* times, and wait for its new workers each time."""
        for _number in range(times):
            before = self.site.nginx_workers()
            self.site.machine.sh("systemctl reload nginx.service")
            wait_for(lambda before=before: self.site.nginx_workers() - before, "the new workers of nginx")
            time.sleep(NGINX_RELOAD_SECONDS)

    def change_certificate(self, names: list[str]) -> None:
        before = fingerprint(self.site)
        self.play("site", asgi_proxy_server_names=names)
        if fingerprint(self.site) == before:
            raise AssertionError("the certificate has not changed")


def reload_in_place(site: Site) -> None:
    """Reload as an administrator does (HUP), and wait until all workers have been replaced."""
    before = site.workers()
    site.machine.sh(f"systemctl reload {site.service}")
    wait_for(lambda: not site.workers() & before and len(site.workers()) == len(before), "the new workers")


def wait_for(done: Callable[[], bool], what: str, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not done():
        if time.monotonic() > end:
            raise AssertionError(f"waited {seconds:.0f} s for {what}")
        time.sleep(0.2)


def fingerprint(site: Site) -> str:
    """Return the fingerprint of the certificate of *site*."""
    address = site.address
    with (
        socket.create_connection(("127.0.0.1", address.port), 15) as plain,
        tls().wrap_socket(plain, server_hostname=address.name) as encrypted,
    ):
        return hashlib.sha256(encrypted.getpeercert(binary_form=True) or b"").hexdigest()
