"""The sites of this scenario as their visitors see them, the ACME server, and what an operator runs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import probe
import pytest
import testinfra
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from testinfra.host import Host

HERE = Path(__file__).parent
# pairs.py, visitors.py
sys.path.insert(0, str(HERE))
INVENTORY = HERE / "inventory"
DEBIANS = ["debian12", "debian13"]
PEBBLE = "asgi-acme-pebble"


@dataclass(frozen=True)
class Site:
    """The site of one app on one machine."""

    app: str
    debian: str

    @property
    def name(self) -> str:
        return f"{self.app}.{self.debian}.test"

    @property
    def machine(self) -> str:
        return f"asgi-acme-{self.debian}"

    @property
    def host(self) -> Host:
        return testinfra.get_host(f"docker://{self.machine}")

    @property
    def lineage(self) -> str:
        return f"asgi-{self.app}"

    def port(self, inside: int) -> int:
        """The port of this computer that leads to a port of the machine."""
        published = subprocess.check_output(["docker", "port", self.machine, str(inside)], text=True)
        return int(published.splitlines()[0].rpartition(":")[2])

    def ask(self, path: str, *, name: str | None = None, tls: bool = True) -> probe.Answer:
        return probe.ask(name or self.name, self.port(443 if tls else 80), path, tls=tls)

    def certificate(self) -> x509.Certificate:
        """The certificate that a visitor gets."""
        with probe.open_socket(self.name, self.port(443)) as connection:
            return x509.load_der_x509_certificate(connection.getpeercert(binary_form=True))

    def fingerprint(self) -> str:
        return self.certificate().fingerprint(SHA256()).hex()

    def names(self) -> set[str]:
        alternatives = self.certificate().extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        return set(alternatives.get_values_for_type(x509.DNSName))

    def make_due(self, due: bool = True) -> None:
        """Have certbot renew the certificate the next time it is asked, or when it is time."""
        setting = f"renew_before_expiry = {9999 if due else 30} days"
        renewal = f"/etc/letsencrypt/renewal/{self.lineage}.conf"
        self.host.check_output(f"sed -i 's/^.*renew_before_expiry.*/{setting}/' {renewal}")

    def issuer(self) -> str:
        return self.certificate().issuer.rfc4514_string()


class Balanced(Site):
    """The site of an app on one of its balancers."""

    @property
    def name(self) -> str:
        return f"{self.app}.test"

    @property
    def machine(self) -> str:
        return f"asgi-acme-{self.debian.replace('debian', 'balancer')}"


SHOPS = [Site("shop", debian) for debian in DEBIANS]
TILES = [Site("tiles", debian) for debian in DEBIANS]


PLAZAS = [Balanced("plaza", debian) for debian in DEBIANS]


@pytest.fixture(params=SHOPS, ids=lambda site: site.name)
def shop(request: pytest.FixtureRequest) -> Site:
    """The app with a redirect, on every machine."""
    return request.param


@pytest.fixture(params=TILES, ids=lambda site: site.name)
def tiles(request: pytest.FixtureRequest) -> Site:
    """The app without one, on every machine."""
    return request.param


@pytest.fixture(params=SHOPS + TILES, ids=lambda site: site.name)
def site(request: pytest.FixtureRequest) -> Site:
    """Every app on every machine."""
    return request.param


@pytest.fixture(params=PLAZAS, ids=lambda site: site.machine)
def plaza(request: pytest.FixtureRequest) -> Balanced:
    """The app with balancers, on each of these."""
    return request.param


@pytest.fixture(scope="session")
def shops() -> list[Site]:
    return SHOPS


@pytest.fixture(scope="session")
def plazas() -> list[Balanced]:
    return PLAZAS


class Pebble:
    """The ACME servers."""

    host = testinfra.get_host(f"docker://{PEBBLE}")

    def requests(self) -> int:
        """How often somebody asked them for something."""
        return self._said("calling handler")

    def issued(self) -> int:
        """How many certificates they have given."""
        return self._said("Issued certificate")

    def _said(self, words: str) -> int:
        journal = "journalctl --sync && journalctl --unit='pebble@*' --output=cat"
        return int(self.host.check_output(f"{journal} | grep -c '{words}'"))

    def close(self) -> None:
        self.host.check_output("systemctl stop door.socket door.service")

    def open(self) -> None:
        self.host.check_output("systemctl start door.socket")


@pytest.fixture
def pebble() -> Pebble:
    return Pebble()


@pytest.fixture(scope="session")
def play() -> Callable[..., tuple[int, str]]:
    """Run a playbook with variables; return its exit status and all it printed."""

    def run(playbook: str, *options: str, inventory: Path = INVENTORY, **variables: Any) -> tuple[int, str]:
        command = ["ansible-playbook", "-i", inventory, *options, playbook, "-e", json.dumps(variables)]
        # Molecule forces colour, which would be in the way of who reads what is printed
        environment = {name: value for name, value in os.environ.items() if name != "ANSIBLE_FORCE_COLOR"}
        done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
        return done.returncode, done.stdout + done.stderr

    return run


@pytest.fixture
def expose(play: Callable[..., tuple[int, str]]) -> Callable[..., tuple[int, str]]:
    """Run the role asgi_proxy for the shops."""

    def run(*options: str, **variables: Any) -> tuple[int, str]:
        # of several limits the last one counts
        return play(str(HERE / "expose.yml"), "--limit=shop", *options, **variables)

    return run
