# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Certificates and their keys, for measuring alone."""

import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID


def certificate(folder: Path, studio: str) -> tuple[Path, Path, Path]:
    """Writes a chain of one signer under a root, the signer's key, and the root; gives their paths.

    Args:
        studio: whose; begins the files' names.
    """
    keys = {role: ec.generate_private_key(ec.SECP256R1()) for role in ("root", "signer")}
    made = {role: _signed(studio, role, keys) for role in keys}
    chain, key, root = (folder / f"{studio}-{name}.pem" for name in ("chain", "key", "root"))
    chain.write_bytes(made["signer"].public_bytes(serialization.Encoding.PEM))
    root.write_bytes(made["root"].public_bytes(serialization.Encoding.PEM))
    key.write_bytes(
        keys["signer"].private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return chain, key, root


def _name(studio: str, role: str) -> x509.Name:
    organization = x509.NameAttribute(NameOID.ORGANIZATION_NAME, studio)
    return x509.Name([organization, x509.NameAttribute(NameOID.COMMON_NAME, f"{studio} {role}")])


def _signed(
    studio: str, role: str, keys: dict[str, ec.EllipticCurvePrivateKey]
) -> x509.Certificate:
    """The certificate of a role, signed by the root."""
    present, root = datetime.datetime.now(datetime.UTC), role == "root"
    public = keys[role].public_key()
    usage = x509.KeyUsage(not root, False, False, False, False, root, root, False, False)
    issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(keys["root"].public_key())
    made = (
        x509.CertificateBuilder()
        .subject_name(_name(studio, role))
        .issuer_name(_name(studio, "root"))
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(present - datetime.timedelta(hours=1))
        .not_valid_after(present + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(root, None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), False)
        .add_extension(issuer, False)
    )
    if not root:
        purpose = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION])
        made = made.add_extension(purpose, False)
    return made.sign(keys["root"], hashes.SHA256())
