# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a certificate and a key will do for a site, found out before either leaves the controller."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime
from itertools import combinations, pairwise
from typing import NamedTuple

# Comes with ansible-core; ansible-test alone imports this file where it is not.
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
# the border of something else, or a character that is in no plain text
_GARBAGE = re.compile(r"-----|[\x00-\x08\x0e-\x1f\x7f\ufffd]")


class Fault(NamedTuple):
    """What is wrong: with the ``certificate`` or with the ``key``, and what would be right. Never says the key."""

    part: str
    fault: str
    remedy: str


def faults(certificate: bytes, key: bytes, names: Iterable[str], now: datetime) -> list[Fault]:
    """Return what speaks against serving *names* with the PEM texts *certificate* and *key* at the time *now*."""
    if x509 is None:
        return [Fault("certificate", "cannot be checked", "install Python's cryptography beside ansible-core")]
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
    """Return what speaks against trusting the authorities in the PEM text *text*."""
    return [] if x509 is None else _read_chain(text)[1]


def covers(pattern: str, name: str) -> bool:
    """Return whether a certificate's name *pattern* stands for the server name *name*, itself perhaps a wildcard."""
    pattern = pattern.lower()
    if pattern == name:
        return True
    # a wildcard stands for exactly one label, and never for another wildcard
    return pattern.startswith("*.") and not name.startswith("*.") and pattern[2:] == name.partition(".")[2]


def _read_chain(text: bytes) -> tuple[list[x509.Certificate], list[Fault]]:
    try:
        chain = x509.load_pem_x509_certificates(text)
    except ValueError:
        return [], [
            Fault(
                "certificate",
                "holds no readable PEM certificate",
                "give the text that starts with -----BEGIN CERTIFICATE-----, or the file that holds it",
            )
        ]
    if b"PRIVATE KEY-----" in text:
        return [], [Fault("certificate", "holds a private key too", "give the certificates alone: the key has its own")]
    if _GARBAGE.search(_CERTIFICATE.sub(b"", text).decode(errors="replace")):
        # OpenSSL skips it, and with it a certificate that was meant to be there
        return [], [
            Fault(
                "certificate",
                "holds something between its certificates that is neither a certificate nor a comment",
                "take out what is between the lines -----END CERTIFICATE----- and -----BEGIN CERTIFICATE-----",
            )
        ]
    return chain, []


def _read_key(text: bytes):
    try:
        private = load_pem_private_key(text, password=None)
    except TypeError:
        return None, [
            Fault(
                "key",
                "is locked with a passphrase",
                "give it without: openssl pkey -in KEY -out OPEN_KEY; nginx could not start by itself otherwise",
            )
        ]
    except (ValueError, UnsupportedAlgorithm):
        # its text is OpenSSL's and says nothing to the reader
        if b"ENCRYPTED" in text:
            return None, [Fault("key", "is locked with a passphrase", "give it without one")]
        return None, [
            Fault(
                "key",
                "holds no readable PEM private key",
                "give the text that starts with -----BEGIN PRIVATE KEY-----, or the file that holds it",
            )
        ]
    return private, []


def _public_bytes(public_key) -> bytes:
    return public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _position(chain: list[x509.Certificate], private) -> int | None:
    """Return which certificate of *chain* was made for the key *private*, None if none was or there is no key."""
    if private is None:
        return None
    wanted = _public_bytes(private.public_key())
    return next((index for index, each in enumerate(chain) if _public_bytes(each.public_key()) == wanted), None)


def _order_faults(chain: list[x509.Certificate], private) -> list[Fault]:
    if private is not None:
        position = _position(chain, private)
        if position is None:
            return [
                Fault(
                    "key",
                    f"does not fit the certificate of {_subject(chain[0])}",
                    "give the key that this certificate was made for",
                )
            ]
        if position > 0:
            return [
                Fault(
                    "certificate",
                    f"starts with {_subject(chain[0])}, and the key is of certificate {position + 1}",
                    "put the server's own certificate first, then its issuer, and so on",
                )
            ]
    for one, other in combinations(chain, 2):
        if one == other:
            return [Fault("certificate", f"has {_subject(one)} twice", "take one of the two out")]
    for lower, upper in pairwise(chain):
        if not _issued(lower, upper):
            return [
                Fault(
                    "certificate",
                    f"has {_subject(upper)} after {_subject(lower)}, which that one did not issue",
                    "put the server's own certificate first, then its issuer, and so on",
                )
            ]
    return []


def _issued(lower: x509.Certificate, upper: x509.Certificate) -> bool:
    try:
        lower.verify_directly_issued_by(upper)
    except (ValueError, TypeError, InvalidSignature):
        # another name, another kind of key, or another key
        return False
    except UnsupportedAlgorithm:
        return lower.issuer == upper.subject
    return True


def _time_faults(chain: list[x509.Certificate], now: datetime) -> list[Fault]:
    found = []
    for each in chain:
        if each.not_valid_after_utc <= now:
            found.append(
                Fault(
                    "certificate",
                    f"expired on {each.not_valid_after_utc:%Y-%m-%d} ({_subject(each)})",
                    "give a renewed one",
                )
            )
        if each.not_valid_before_utc > now:
            found.append(
                Fault(
                    "certificate",
                    f"is not valid before {each.not_valid_before_utc:%Y-%m-%d %H:%M} UTC ({_subject(each)})",
                    "wait, or correct the controller's clock",
                )
            )
    return found


def _purpose_faults(leaf: x509.Certificate) -> list[Fault]:
    constraints, usage = (_extension(leaf, kind) for kind in (x509.BasicConstraints, x509.ExtendedKeyUsage))
    if constraints is not None and constraints.ca:
        return [
            Fault(
                "certificate",
                f"is that of an authority ({_subject(leaf)}), which browsers refuse as a server's",
                "give one that the authority has signed, or make a self-signed one with basicConstraints=CA:FALSE",
            )
        ]
    servers = {x509.ExtendedKeyUsageOID.SERVER_AUTH, x509.ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE}
    if usage is not None and not servers & set(usage):
        return [
            Fault(
                "certificate",
                f"is not for servers ({_subject(leaf)})",
                "get one with the extended key usage serverAuth",
            )
        ]
    return []


def _extension(certificate: x509.Certificate, kind):
    """Return the extension of the class *kind*, None if there is none."""
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
    return [
        Fault(
            "certificate",
            f"is for {', '.join(patterns) or 'no DNS name'} and not for {', '.join(missing)}",
            "get one with every name of asgi_proxy_server_names and asgi_proxy_redirect_names, or take the name out there",
        )
    ]


def _strength_faults(leaf: x509.Certificate) -> list[Fault]:
    public_key, digest = leaf.public_key(), leaf.signature_hash_algorithm
    if digest is not None and digest.name in BROKEN_HASHES:
        return [Fault("certificate", f"is signed with {digest.name.upper()}", "get one that is signed with SHA-256")]
    if isinstance(public_key, (ed25519.Ed25519PublicKey, ed448.Ed448PublicKey)):
        return []
    if isinstance(public_key, rsa.RSAPublicKey):
        kind, least = "an RSA key", RSA_BITS
    elif isinstance(public_key, ec.EllipticCurvePublicKey):
        kind, least = "an elliptic-curve key", EC_BITS
    else:
        return [Fault("certificate", "has a key that is neither RSA nor elliptic curve", "get one with an ECDSA key")]
    if public_key.key_size >= least:
        return []
    return [
        Fault(
            "certificate",
            f"has {kind} of {public_key.key_size} bits",
            f"get one with {least} bits or more" + ("" if least == EC_BITS else ", or with an ECDSA key"),
        )
    ]


def _subject(certificate: x509.Certificate) -> str:
    return certificate.subject.rfc4514_string() or "a certificate without a subject"
