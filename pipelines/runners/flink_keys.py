"""A key for one Flink, so that its parts accept connections only from each other.

Imports neither Beam nor any part of the pipeline, because `deploy/flink/cluster.py` uses it too.
"""

from __future__ import annotations

import datetime
import ipaddress
import os
import secrets
from collections.abc import Mapping

# Beam depends on it.
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import NameOID

# Certificate and key of a client of Flink's REST API, which it also checks Flink against.
CLIENT = "client.pem"
_STORE = "key.p12"
_DAYS = 3650
_CIPHER = "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"


def make(folder: str) -> Mapping[str, object]:
    """Makes a key and its certificate, for Flink on this machine and for its clients.

    Args:
      folder: gets the key for Java, and `CLIENT` for others; nobody else may enter it.

    Returns:
      Flink's settings that make its parts and its REST API accept only holders of the key.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    hosts = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=_DAYS))
        .add_extension(x509.SubjectAlternativeName(hosts), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    password = secrets.token_urlsafe(32)
    store = os.path.join(folder, _STORE)
    # The password is random, so deriving a key from it needn't be slow; Flink does that for each
    # of the 160 jars that a TaskManager fetches for a job.
    encryption = (
        serialization.PrivateFormat.PKCS12.encryption_builder()
        .kdf_rounds(1)
        .key_cert_algorithm(pkcs12.PBES.PBESv2SHA256AndAES256CBC)
        .hmac_hash(hashes.SHA256())
        .build(password.encode())
    )
    _write(
        store,
        pkcs12.serialize_key_and_certificates(b"flink", key, certificate, None, encryption),
    )
    _write(
        os.path.join(folder, CLIENT),
        certificate.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ),
    )
    settings: dict[str, object] = {
        "security.ssl.rest.authentication-enabled": True,
        # Flink's default is for RSA keys.
        "security.ssl.algorithms": _CIPHER,
    }
    for part in ("internal", "rest"):
        prefix = f"security.ssl.{part}"
        settings[f"{prefix}.enabled"] = True
        for kind in ("keystore", "truststore"):
            settings[f"{prefix}.{kind}"] = store
            settings[f"{prefix}.{kind}-password"] = password
        settings[f"{prefix}.key-password"] = password
    return settings


def _write(path: str, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with open(descriptor, "wb") as file:
        file.write(content)
