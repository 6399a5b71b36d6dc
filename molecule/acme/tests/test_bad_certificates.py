"""Invalid certificates for live sites: each is rejected with its reason, and none is served."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa
from pairs import Pair, write_pair

EXAMPLE = Path(__file__).parents[3] / "examples" / "hello"
NAMES = ("shop.debian12.test",)
CA = Pair(subject="ca", extensions=(x509.BasicConstraints(True, None),))
OTHER_CA = Pair(subject="ca")
LEAF = Pair(NAMES, issuer=CA)
OLD, EARLY = Pair(NAMES, start=-9, end=-1), Pair(NAMES, start=1)
ELSEWHERE, NAMELESS = Pair(("other.test",)), Pair()
RSA_1024 = Pair(NAMES, private=rsa.generate_private_key(public_exponent=65537, key_size=1024))
EC_224 = Pair(NAMES, private=ec.generate_private_key(ec.SECP224R1()))
DSA = Pair(NAMES, private=dsa.generate_private_key(key_size=1024))
AUTHORITY = Pair(NAMES, subject="root", extensions=(x509.BasicConstraints(True, None),))
CLIENT = Pair(NAMES, extensions=(x509.ExtendedKeyUsage([x509.ExtendedKeyUsageOID.CLIENT_AUTH]),))
LATE_CA = Pair(subject="ca", private=CA.private, start=-9, end=-1)


class Case(NamedTuple):
    certificate: bytes
    key: bytes
    # the variable without its prefix, and words of the error message
    part: str
    expected: str
    mode: int = 0o600


CASES = {
    "expired": Case(OLD.certificate, OLD.key, "certificate", "expired on"),
    "issuer_expired": Case(LEAF.certificate + LATE_CA.certificate, LEAF.key, "certificate", "expired on"),
    "not_yet_valid": Case(EARLY.certificate, EARLY.key, "certificate", "is not valid before"),
    "wrong_key": Case(LEAF.certificate, CA.key, "key", "does not fit the certificate of CN=leaf"),
    "wrong_name": Case(
        ELSEWHERE.certificate, ELSEWHERE.key, "certificate", "is for other.test and not for shop.debian12"
    ),
    "no_name": Case(NAMELESS.certificate, NAMELESS.key, "certificate", "is for no DNS name"),
    "no_certificate": Case(b"hello\n", LEAF.key, "certificate", "holds no readable PEM certificate"),
    "key_for_certificate": Case(LEAF.key, LEAF.key, "certificate", "holds no readable PEM certificate"),
    "empty_certificate": Case(b"", LEAF.key, "certificate", "holds no readable PEM certificate"),
    "empty_key": Case(LEAF.certificate, b"", "key", "holds no readable PEM private key"),
    "certificate_for_key": Case(LEAF.certificate, LEAF.certificate, "key", "holds no readable PEM private key"),
    "wrong_order": Case(CA.certificate + LEAF.certificate, LEAF.key, "certificate", "starts with CN=ca"),
    "foreign_issuer": Case(
        LEAF.certificate + CLIENT.certificate, LEAF.key, "certificate", "which that one did not issue"
    ),
    "forged_issuer": Case(LEAF.certificate + OTHER_CA.certificate, LEAF.key, "certificate", "did not issue"),
    "twice": Case(LEAF.certificate * 2 + CA.certificate, LEAF.key, "certificate", "has CN=leaf twice"),
    "authority": Case(AUTHORITY.certificate, AUTHORITY.key, "certificate", "is that of an authority"),
    "for_clients": Case(CLIENT.certificate, CLIENT.key, "certificate", "is not for servers"),
    "garbage_between": Case(
        LEAF.certificate + b"\0\1" + CA.certificate, LEAF.key, "certificate", "neither a certificate"
    ),
    "cut_short": Case(LEAF.certificate[:200], LEAF.key, "certificate", "holds no readable PEM certificate"),
    "key_beside": Case(LEAF.certificate + LEAF.key, LEAF.key, "certificate", "holds a private key too"),
    "weak_rsa": Case(RSA_1024.certificate, RSA_1024.key, "certificate", "has an RSA key of 1024 bits"),
    "weak_curve": Case(EC_224.certificate, EC_224.key, "certificate", "has an elliptic-curve key of 224 bits"),
    "dsa": Case(DSA.certificate, DSA.key, "certificate", "neither RSA nor elliptic curve"),
    "locked": Case(LEAF.certificate, LEAF.locked_key, "key", "is locked with a passphrase"),
    "vault": Case(LEAF.certificate, b"$ANSIBLE_VAULT;1.1;AES256\n6162\n", "key", "which ansible-vault encrypted"),
    "world_readable": Case(LEAF.certificate, LEAF.key, "key", "everybody on the controller can read", mode=0o644),
}


@pytest.fixture(scope="module")
def refusals(shops, playbook, tmp_path_factory):
    """Return the output of one run with an inventory host per case, and the state of the machine before and after it."""
    shop, directory = shops[0], tmp_path_factory.mktemp("bad")
    common = {
        "ansible_connection": "community.docker.docker",
        "ansible_host": shop.machine,
        "asgi_name": shop.app,
        "asgi_module": "main:app",
        "asgi_app_source": {"path": str(EXAMPLE)},
        "asgi_proxy_server_names": list(NAMES),
        "asgi_proxy_tls_provider": "provided",
    }
    hosts = {
        name: {**common, **write_pair(directory / name, case.certificate, case.key, case.mode)}
        for name, case in CASES.items()
    }
    inventory = directory / "hosts.yml"
    inventory.write_text(yaml.safe_dump({"asgi": {"hosts": hosts}}))

    def state():
        live = shop.host.check_output("stat --format='%y %i' /etc/asgi/shop/tls/live.pem")
        return live, shop.fingerprint(), shop.ask("/health").status

    before = state()
    output = playbook.fails("site", inventory=inventory)
    return output, before, state()


@pytest.mark.parametrize("name", CASES)
def test_certificate_is_rejected(refusals, name):
    output, _before, _after = refusals
    # the objections to this host, line by line
    section = re.search(
        rf"variables of {name}; nothing has been changed:(.*?)(?=\n(?:fatal|\[ERROR\]|PLAY|TASK))", output, re.DOTALL
    )
    assert section, output
    objections = [line.strip() for line in section[1].splitlines() if " -> " in line]
    case = CASES[name]
    assert len(objections) == 1, objections
    assert objections[0].startswith(f"asgi_proxy_tls_{case.part} ")
    assert case.expected in objections[0]


def test_no_key_is_printed(refusals):
    output, _before, _after = refusals
    lines = [line for case in CASES.values() for line in case.key.decode().splitlines() if len(line) == 64]
    assert lines
    certificates = b"".join(case.certificate for case in CASES.values() if case.certificate != case.key).decode()
    assert [line for line in lines if line in output and line not in certificates] == []


def test_previous_certificate_is_still_served(refusals):
    _said, before, after = refusals
    assert before == after
    assert after[2] == 200
