"""Keys that sign packages: Ed25519 (RFC 8032), as PEM files.

Signed is the manifest's bytes behind a prefix of ours, so that a signature of anything else is none of a package. A
key is named by its fingerprint: the first 16 hexadecimal digits of the SHA-256 of its 32 bytes.
"""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.util
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

from nrt.daemon.models.package import Package, Signature
from nrt.errors import BadPackage, ConfigError, MissingDependency

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

_PREFIX: Final = b"nrt model package\0"


def generate(path: Path) -> Path:
    """A new private key in `path` (readable by its owner alone), its public one beside it; returns the latter's path.

    Raises ConfigError where a file stands already.
    """
    _cryptography()
    from cryptography.hazmat.primitives import serialization as pem
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(pem.Encoding.PEM, pem.PrivateFormat.PKCS8, pem.NoEncryption())
    public = key.public_key().public_bytes(pem.Encoding.PEM, pem.PublicFormat.SubjectPublicKeyInfo)
    other = path.with_suffix(".pub")
    for file, data, mode in ((path, private, 0o600), (other, public, 0o644)):
        try:
            descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        except FileExistsError as error:
            raise ConfigError(f"{file} is there already, and a key is never written over") from error
        with os.fdopen(descriptor, "wb") as out:
            out.write(data)
    return other


def signed(package: Package, private: Path) -> Package:
    """`package`, signed with the key in `private`. Raises ConfigError for a file that holds none."""
    key = _private(private)
    value = key.sign(_PREFIX + package.manifest.to_bytes())
    return dataclasses.replace(package, signature=Signature(fingerprint(key.public_key()), value))


def trusted(files: Iterable[Path]) -> Mapping[str, Ed25519PublicKey]:
    """Public keys by fingerprint. Raises ConfigError for a file that holds none."""
    found: dict[str, Ed25519PublicKey] = {}
    for file in files:
        key = _public(file)
        found[fingerprint(key)] = key
    return found


def verify(package: Package, keys: Mapping[str, Ed25519PublicKey]) -> None:
    """Raises BadPackage unless one of `keys` signed it."""
    from cryptography.exceptions import InvalidSignature

    signature = package.signature
    if signature is None:
        raise BadPackage(package.label, "nobody signed it")
    key = keys.get(signature.key)
    if key is None:
        known = ", ".join(keys) or "none"
        raise BadPackage(package.label, f"it is signed with the key {signature.key}; trusted here is {known}")
    try:
        key.verify(signature.value, _PREFIX + package.manifest.to_bytes())
    except InvalidSignature:
        raise BadPackage(package.label, "its signature is wrong: the package was changed") from None


def fingerprint(key: Ed25519PublicKey) -> str:
    """What names a public key."""
    return hashlib.sha256(key.public_bytes_raw()).hexdigest()[:16]


def _private(file: Path) -> Ed25519PrivateKey:
    _cryptography()
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(file.read_bytes(), None)
    except (OSError, ValueError, TypeError) as error:
        raise ConfigError(f"{file}: no private key in it: {error}") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise ConfigError(f"{file}: the key is not of Ed25519")
    return key


def _public(file: Path) -> Ed25519PublicKey:
    _cryptography()
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        key = load_pem_public_key(file.read_bytes())
    except (OSError, ValueError) as error:
        raise ConfigError(f"{file}: no public key in it: {error}") from error
    if not isinstance(key, Ed25519PublicKey):
        raise ConfigError(f"{file}: the key is not of Ed25519")
    return key


def _cryptography() -> None:
    if importlib.util.find_spec("cryptography") is None:
        raise MissingDependency("signing packages", "cryptography", "daemon")
