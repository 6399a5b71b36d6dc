"""Certificates and keys for the tests, valid and invalid."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat


class Pair:
    """A certificate for *names*, valid from *start* to *end* days from now, and its key."""

    def __init__(
        self,
        names: tuple[str, ...] = (),
        subject: str = "leaf",
        issuer: Pair | None = None,
        private: Any = None,
        start: float = -1,
        end: float = 90,
        extensions: tuple[x509.ExtensionType, ...] = (),
    ) -> None:
        self.private = private or ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, subject)])
        now = datetime.now(UTC)
        builder = x509.CertificateBuilder(
            issuer_name=issuer.name if issuer else self.name,
            subject_name=self.name,
            public_key=self.private.public_key(),
            serial_number=x509.random_serial_number(),
            not_valid_before=now + timedelta(days=start),
            not_valid_after=now + timedelta(days=end),
        )
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), False)
        for extension in extensions:
            builder = builder.add_extension(extension, False)
        signed = builder.sign((issuer or self).private, SHA256())
        self.certificate = signed.public_bytes(Encoding.PEM)

    @property
    def key(self) -> bytes:
        return self.private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    @property
    def locked_key(self) -> bytes:
        return self.private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret"))


def write_pair(directory: Path, certificate: bytes, key: bytes, mode: int = 0o600) -> dict[str, str]:
    """Write certificate and key to *directory*, and return the variables of the role with their paths."""
    directory.mkdir(exist_ok=True)
    paths = {"certificate": directory / "tls.crt", "key": directory / "tls.key"}
    paths["certificate"].write_bytes(certificate)
    paths["key"].write_bytes(key)
    paths["key"].chmod(mode)
    return {f"asgi_proxy_tls_{part}": str(path) for part, path in paths.items()}
