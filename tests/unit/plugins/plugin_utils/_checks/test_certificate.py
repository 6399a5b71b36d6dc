# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from ansible_collections.asgi.deploy.plugins.plugin_utils._checks import certificate as certificates
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat

NOW = datetime(2026, 11, 21, tzinfo=UTC)
KEY, OTHER_KEY, CA_KEY = (ec.generate_private_key(ec.SECP256R1()) for _each in range(3))


def certificate(
    key=KEY, names=("a.test",), subject="leaf", issuer=None, issuer_key=None, start=-1, end=90, extensions=()
):
    """Return a PEM certificate for *key*, valid from *start* to *end* days from NOW."""
    builder = (
        x509.CertificateBuilder()
        .subject_name(name(subject))
        .issuer_name(name(issuer or subject))
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(NOW + timedelta(days=start))
        .not_valid_after(NOW + timedelta(days=end))
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(each) for each in names]), False)
    for extension in extensions:
        builder = builder.add_extension(extension, False)
    return builder.sign(issuer_key or key, SHA256()).public_bytes(Encoding.PEM)


def name(text):
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])


def pem(key, password=None, form=PrivateFormat.PKCS8):
    locked = BestAvailableEncryption(password) if password else NoEncryption()
    return key.private_bytes(Encoding.PEM, form, locked)


LEAF = certificate(issuer="ca", issuer_key=CA_KEY)
CA = certificate(CA_KEY, names=(), subject="ca")
OLD_PEM = PrivateFormat.TraditionalOpenSSL
WEAK_KEY = rsa.generate_private_key(public_exponent=65537, key_size=1024)
STRONG_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
SMALL_KEY = ec.generate_private_key(ec.SECP224R1())
AUTHORITY = x509.BasicConstraints(ca=True, path_length=None)
CLIENT = x509.ExtendedKeyUsage([x509.ExtendedKeyUsageOID.CLIENT_AUTH])
SERVER = x509.ExtendedKeyUsage([x509.ExtendedKeyUsageOID.SERVER_AUTH])
DSA_KEY = dsa.generate_private_key(key_size=1024)


@pytest.mark.parametrize(
    ("text", "key", "names", "part", "code"),
    [
        (LEAF, pem(KEY), ["a.test"], None, None),
        (LEAF + CA, pem(KEY), ["a.test"], None, None),
        (LEAF + CA, pem(KEY, form=OLD_PEM), ["a.test"], None, None),
        (certificate(STRONG_KEY), pem(STRONG_KEY), ["a.test"], None, None),
        ("ein schöner Kommentar\n".encode() + LEAF + b"subject=CN = ca\n" + CA, pem(KEY), ["a.test"], None, None),
        (certificate(extensions=[x509.BasicConstraints(False, None), SERVER]), pem(KEY), ["a.test"], None, None),
        (b"nothing", pem(KEY), ["a.test"], "certificate", "certificate-not-pem"),
        (b"", pem(KEY), ["a.test"], "certificate", "certificate-not-pem"),
        (pem(KEY), pem(KEY), ["a.test"], "certificate", "certificate-not-pem"),
        (LEAF, b"nothing", ["a.test"], "key", "key-not-pem"),
        (LEAF, LEAF, ["a.test"], "key", "key-not-pem"),
        (LEAF, pem(KEY, b"secret"), ["a.test"], "key", "key-encrypted"),
        (LEAF, pem(KEY, b"secret", OLD_PEM), ["a.test"], "key", "key-encrypted"),
        (LEAF, pem(OTHER_KEY), ["a.test"], "key", "key-mismatch"),
        (CA + LEAF, pem(KEY), ["a.test"], "certificate", "certificate-order-wrong"),
        (LEAF + certificate(OTHER_KEY, subject="x"), pem(KEY), ["a.test"], "certificate", "certificate-order-wrong"),
        (certificate(start=-9, end=-1), pem(KEY), ["a.test"], "certificate", "certificate-expired"),
        (certificate(start=-9, end=0), pem(KEY), ["a.test"], "certificate", "certificate-expired"),
        (certificate(start=1), pem(KEY), ["a.test"], "certificate", "certificate-not-yet-valid"),
        (
            LEAF + certificate(CA_KEY, (), "ca", start=-9, end=-1),
            pem(KEY),
            ["a.test"],
            "certificate",
            "certificate-expired",
        ),
        (LEAF, pem(KEY), ["a.test", "b.test"], "certificate", "certificate-name-missing"),
        (certificate(names=()), pem(KEY), ["a.test"], "certificate", "certificate-name-missing"),
        (LEAF + pem(KEY), pem(KEY), ["a.test"], "certificate", "certificate-contains-key"),
        (LEAF + b"\x00" + CA, pem(KEY), ["a.test"], "certificate", "certificate-contains-garbage"),
        (LEAF + b"\xff\xfe" + CA, pem(KEY), ["a.test"], "certificate", "certificate-contains-garbage"),
        (
            LEAF + CA.replace(b"-----BEGIN", b"----BEGIN"),
            pem(KEY),
            ["a.test"],
            "certificate",
            "certificate-contains-garbage",
        ),
        (LEAF + CA.replace(b"MII", b"M!I"), pem(KEY), ["a.test"], "certificate", "certificate-not-pem"),
        (LEAF[: len(LEAF) // 2], pem(KEY), ["a.test"], "certificate", "certificate-not-pem"),
        (LEAF + LEAF + CA, pem(KEY), ["a.test"], "certificate", "certificate-duplicate"),
        (LEAF + CA + CA, pem(KEY), ["a.test"], "certificate", "certificate-duplicate"),
        (LEAF + certificate(OTHER_KEY, (), "ca"), pem(KEY), ["a.test"], "certificate", "certificate-order-wrong"),
        (LEAF + certificate(STRONG_KEY, (), "ca"), pem(KEY), ["a.test"], "certificate", "certificate-order-wrong"),
        (certificate(extensions=[AUTHORITY]), pem(KEY), ["a.test"], "certificate", "certificate-is-ca"),
        (certificate(extensions=[CLIENT]), pem(KEY), ["a.test"], "certificate", "certificate-not-for-servers"),
        (certificate(SMALL_KEY), pem(SMALL_KEY), ["a.test"], "certificate", "certificate-key-weak"),
        (certificate(WEAK_KEY), pem(WEAK_KEY), ["a.test"], "certificate", "certificate-key-weak"),
        (certificate(DSA_KEY), pem(DSA_KEY), ["a.test"], "certificate", "certificate-key-unsupported"),
    ],
)
def test_certificates_and_keys_are_checked(text, key, names, part, code):
    found = certificates.faults(text, key, names, NOW)
    assert [(each.part, each.code) for each in found] == ([] if part is None else [(part, code)])
    assert key.decode() not in str(found)


def test_broken_hashes_are_rejected(monkeypatch):
    # cryptography cannot sign with a broken hash, so treat a strong one as broken.
    monkeypatch.setattr(certificates, "BROKEN_HASHES", ("sha256",))
    found = certificates.faults(LEAF, pem(KEY), ["a.test"], NOW)
    assert [each.code for each in found] == ["certificate-hash-weak"]


@pytest.mark.parametrize(("text", "expected"), [(CA, 0), (CA + LEAF, 0), (b"", 1), (pem(KEY), 1), (CA + pem(KEY), 1)])
def test_ca_bundles_are_checked(text, expected):
    assert len(certificates.bundle_faults(text)) == expected


def test_all_faults_are_reported():
    found = certificates.faults(certificate(end=0), pem(OTHER_KEY), ["b.test"], NOW)
    assert [each.part for each in found] == ["key", "certificate", "certificate"]


@pytest.mark.parametrize(
    ("pattern", "wanted", "expected"),
    [
        ("a.test", "a.test", True),
        ("A.Test", "a.test", True),
        ("*.a.test", "b.a.test", True),
        ("*.a.test", "*.a.test", True),
        ("*.a.test", "a.test", False),
        ("*.a.test", "c.b.a.test", False),
        ("*.test", "*.a.test", False),
        ("b.a.test", "*.a.test", False),
    ],
)
def test_wildcards_cover_one_label(pattern, wanted, expected):
    assert certificates.covers(pattern, wanted) is expected
