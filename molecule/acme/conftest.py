"""The sites of this scenario, and the ACME server."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import probe
import pytest
import scenario
import testinfra
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from scenario import Playbook, Visitors
from testinfra.host import Host

HERE = Path(__file__).parent
# for pairs.py
sys.path.insert(0, str(HERE))
DEBIANS = ["debian12", "debian13"]
PEBBLE = "asgi-acme-pebble"


@dataclass(frozen=True)
class Site:
    """The site of an app on a machine."""

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
        return scenario.published_port(self.machine, inside)

    def ask(self, path: str, *, name: str | None = None, tls: bool = True) -> probe.Answer:
        return probe.ask(name or self.name, self.port(443 if tls else 80), path, tls=tls)

    def visited(self) -> Visitors:
        """Return clients that each open a connection per request."""
        port = self.port(443)
        return Visitors(lambda: probe.ask(self.name, port, "/health").status, count=3)

    def certificate(self) -> x509.Certificate:
        """Return the certificate that the site serves."""
        with probe.open_socket(self.name, self.port(443)) as connection:
            return x509.load_der_x509_certificate(connection.getpeercert(binary_form=True))

    def fingerprint(self) -> str:
        return self.certificate().fingerprint(SHA256()).hex()

    def names(self) -> set[str]:
        alternatives = self.certificate().extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        return set(alternatives.get_values_for_type(x509.DNSName))

    def make_due(self, due: bool = True) -> None:
        """Make the certificate due for renewal at the next run of certbot, or reset this."""
        setting = f"renew_before_expiry = {9999 if due else 30} days"
        renewal = f"/etc/letsencrypt/renewal/{self.lineage}.conf"
        self.host.check_output(f"sed -i 's/^.*renew_before_expiry.*/{setting}/' {renewal}")

    def issuer(self) -> str:
        return self.certificate().issuer.rfc4514_string()


class Balanced(Site):
    """The site of an app on a balancer."""

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
    """The app with an HTTP redirect, on every machine."""
    return request.param


@pytest.fixture(params=TILES, ids=lambda site: site.name)
def tiles(request: pytest.FixtureRequest) -> Site:
    """The app without a redirect, on every machine."""
    return request.param


@pytest.fixture(params=SHOPS + TILES, ids=lambda site: site.name)
def site(request: pytest.FixtureRequest) -> Site:
    """Every app on every machine."""
    return request.param


@pytest.fixture(params=PLAZAS, ids=lambda site: site.machine)
def plaza(request: pytest.FixtureRequest) -> Balanced:
    """The app with balancers, on each balancer."""
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
        """Return the number of requests that the servers received."""
        return self._count("calling handler")

    def issued(self) -> int:
        """Return the number of issued certificates."""
        return self._count("Issued certificate")

    def _count(self, words: str) -> int:
        journal = "journalctl --sync && journalctl --unit='pebble@*' --output=cat"
        return int(self.host.check_output(f"{journal} | grep -c '{words}'"))

    def close(self) -> None:
        self.host.check_output("systemctl stop proxy.socket proxy.service")

    def open(self) -> None:
        self.host.check_output("systemctl start proxy.socket")


@pytest.fixture
def pebble() -> Pebble:
    return Pebble()


@pytest.fixture(scope="session")
def playbook() -> Playbook:
    return Playbook(HERE / "inventory")
