# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check a certificate and its key on the controller, before they are copied to a host."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime
from itertools import combinations, pairwise
from typing import NamedTuple

# ansible-core depends on cryptography; ansible-test imports this file without it.
try:
    from cryptography import x509
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
except ImportError:
    x509 = None

RSA_BITS = 2048
EC_BITS = 256
BROKEN_HASHES = ("md5", "sha1")

_CERTIFICATE = re.compile(rb"-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----")
# The delimiter of another PEM block, or a character that plain text does not contain.
_GARBAGE = re.compile(r"-----|[\x00-\x08\x0e-\x1f\x7f\ufffd]")


class Fault(NamedTuple):
    """A fault and its code. ``part`` is ``certificate`` or ``key``. The text of the fault never contains the key."""

    code: str
    part: str
    fault: str
    remedy: str = ""


def faults(certificate: bytes, key: bytes, names: Iterable[str], now: datetime) -> list[Fault]:
    """Return the faults of the PEM texts *certificate* and *key* for a site with *names* at the time *now*."""
    if x509 is None:
        return [Fault("cryptography-missing", "certificate", "cannot be checked without Python's cryptography")]
    chain, found = _read_chain(certificate)
    private, key_faults = _read_key(key)
    found += key_faults
    if chain:
        found += _order_faults(chain, private)
        found += _time_faults(chain, now)
        leaf = chain[_position(chain, private) or 0]
        found += _purpose_faults(leaf)
        found += _name_faults(leaf, names)
        found += _strength_faults(leaf)
    return found


def bundle_faults(text: bytes) -> list[Fault]:
    """Return the faults of the CA bundle *text*."""
    return [] if x509 is None else _read_chain(text)[1]


def covers(pattern: str, name: str) -> bool:
    """Return whether a certificate for *pattern* is valid for the server name *name*, which may be a wildcard itself."""
    pattern = pattern.lower()
    if pattern == name:
        return True
    # A wildcard matches exactly one label, but never another wildcard.
    return pattern.startswith("*.") and not name.startswith("*.") and pattern[2:] == name.partition(".")[2]


def _read_chain(text: bytes) -> tuple[list[x509.Certificate], list[Fault]]:
    try:
        chain = x509.load_pem_x509_certificates(text)
    except ValueError:
        return [], [Fault("certificate-not-pem", "certificate", "contains no readable PEM certificate")]
    if b"PRIVATE KEY-----" in text:
        return [], [Fault("certificate-contains-key", "certificate", "contains a private key too")]
    if _GARBAGE.search(_CERTIFICATE.sub(b"", text).decode(errors="replace")):
        # OpenSSL skips this text, which may be a damaged certificate.
        fault = "contains text between its certificates that is neither a certificate nor a comment"
        return [], [Fault("certificate-contains-garbage", "certificate", fault)]
    return chain, []


def _read_key(text: bytes):
    try:
        private = load_pem_private_key(text, password=None)
    except TypeError:
        return None, [Fault("key-encrypted", "key", "is protected with a passphrase")]
    except (ValueError, UnsupportedAlgorithm):
        # OpenSSL's own message does not help the user.
        if b"ENCRYPTED" in text:
            return None, [Fault("key-encrypted", "key", "is protected with a passphrase")]
        return None, [Fault("key-not-pem", "key", "contains no readable PEM private key")]
    return private, []


def _public_bytes(public_key) -> bytes:
    return public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _position(chain: list[x509.Certificate], private) -> int | None:
    """Return the index of the certificate in *chain* that belongs to the key *private*; None if there is no such certificate."""
    if private is None:
        return None
    wanted = _public_bytes(private.public_key())
    return next((index for index, each in enumerate(chain) if _public_bytes(each.public_key()) == wanted), None)


def _order_faults(chain: list[x509.Certificate], private) -> list[Fault]:
    if private is not None:
        position = _position(chain, private)
        if position is None:
            return [Fault("key-mismatch", "key", f"does not belong to the certificate of {_subject(chain[0])}")]
        if position > 0:
            fault = f"starts with {_subject(chain[0])}, but the key belongs to certificate {position + 1}"
            return [Fault("certificate-order-wrong", "certificate", fault)]
    for one, other in combinations(chain, 2):
        if one == other:
            return [Fault("certificate-duplicate", "certificate", f"contains {_subject(one)} twice")]
    for lower, upper in pairwise(chain):
        if not _issued(lower, upper):
            fault = f"contains {_subject(upper)} after {_subject(lower)}, which it did not issue"
            return [Fault("certificate-order-wrong", "certificate", fault)]
    return []


def _issued(lower: x509.Certificate, upper: x509.Certificate) -> bool:
    try:
        lower.verify_directly_issued_by(upper)
    except (ValueError, TypeError, InvalidSignature):
        # The issuer's name, the key type or the signature does not match.
        return False
    except UnsupportedAlgorithm:
        return lower.issuer == upper.subject
    return True


def _time_faults(chain: list[x509.Certificate], now: datetime) -> list[Fault]:
    found = []
    for each in chain:
        end, start = each.not_valid_after_utc, each.not_valid_before_utc
        if end <= now:
            found.append(Fault("certificate-expired", "certificate", f"expired on {end:%Y-%m-%d} ({_subject(each)})"))
        if start > now:
            fault = f"is not valid before {start:%Y-%m-%d %H:%M} UTC ({_subject(each)})"
            found.append(Fault("certificate-not-yet-valid", "certificate", fault))
    return found


def _purpose_faults(leaf: x509.Certificate) -> list[Fault]:
    constraints, usage = (_extension(leaf, kind) for kind in (x509.BasicConstraints, x509.ExtendedKeyUsage))
    if constraints is not None and constraints.ca:
        fault = f"is that of a certificate authority ({_subject(leaf)}), which browsers reject for a server"
        return [Fault("certificate-is-ca", "certificate", fault)]
    servers = {x509.ExtendedKeyUsageOID.SERVER_AUTH, x509.ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE}
    if usage is not None and not servers & set(usage):
        return [Fault("certificate-not-for-servers", "certificate", f"is not for servers ({_subject(leaf)})")]
    return []


def _extension(certificate: x509.Certificate, kind):
    """Return the extension of the class *kind*; None if the certificate does not have it."""
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def _name_faults(leaf: x509.Certificate, names: Iterable[str]) -> list[Fault]:
    alternatives = _extension(leaf, x509.SubjectAlternativeName)
    patterns = [] if alternatives is None else alternatives.get_values_for_type(x509.DNSName)
    missing = [name for name in names if not any(covers(pattern, name) for pattern in patterns)]
    if not missing:
        return []
    fault = f"is for {', '.join(patterns) or 'no DNS name'} and not for {', '.join(missing)}"
    return [Fault("certificate-name-missing", "certificate", fault)]


def _strength_faults(leaf: x509.Certificate) -> list[Fault]:
    public_key, digest = leaf.public_key(), leaf.signature_hash_algorithm
    if digest is not None and digest.name in BROKEN_HASHES:
        return [Fault("certificate-hash-weak", "certificate", f"is signed with {digest.name.upper()}")]
    if isinstance(public_key, (ed25519.Ed25519PublicKey, ed448.Ed448PublicKey)):
        return []
    if isinstance(public_key, rsa.RSAPublicKey):
        kind, least = "an RSA key", RSA_BITS
    elif isinstance(public_key, ec.EllipticCurvePublicKey):
        kind, least = "an elliptic-curve key", EC_BITS
    else:
        fault = "has a key that is neither RSA nor elliptic curve"
        return [Fault("certificate-key-unsupported", "certificate", fault)]
    if public_key.key_size >= least:
        return []
    remedy = f"request one with at least {least} bits" + ("" if least == EC_BITS else ", or with an ECDSA key")
    return [Fault("certificate-key-weak", "certificate", f"has {kind} of {public_key.key_size} bits", remedy)]


def _subject(certificate: x509.Certificate) -> str:
    return certificate.subject.rfc4514_string() or "a certificate without a subject"
