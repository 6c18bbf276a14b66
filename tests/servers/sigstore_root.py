"""A Sigstore of our own: an authority, a certificate log and a transparency log, by their keys.

What it signs is what the public one signs, byte for byte in form: certificates with the
identity of a build and a timestamp of the certificate log, entries of kind ``dsse`` 0.0.1 with
a promise, a proof of inclusion and a signed checkpoint. No server is needed.
"""

from __future__ import annotations

import base64
import hashlib
import json
import struct
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import rfc8785
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from pypi_attestations import AttestationType

PUBLISH = AttestationType.PYPI_PUBLISH_V1.value
SLSA = AttestationType.SLSA_PROVENANCE_V1.value
_TYPE = "application/vnd.in-toto+json"
_FULCIO = "1.3.6.1.4.1.57264.1."
_SCTS = "1.3.6.1.4.1.11129.2.4.2"


def _spki(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def _log_id(key: ec.EllipticCurvePrivateKey) -> bytes:
    return hashlib.sha256(_spki(key)).digest()


def _b64(value: bytes) -> str:
    return base64.b64encode(value).decode()


def _text(value: str) -> bytes:
    """A DER UTF8String."""
    return _der(0x0C, value.encode())


def _der(tag: int, value: bytes) -> bytes:
    size = len(value)
    length = bytes([size]) if size < 128 else b"\x82" + size.to_bytes(2)
    return bytes([tag]) + length + value


def _sign(key: ec.EllipticCurvePrivateKey, message: bytes) -> bytes:
    return key.sign(message, ec.ECDSA(hashes.SHA256()))


class Sigstore:
    """Roots, and what is signed under them."""

    def __init__(self) -> None:
        self._ca, self._ct, self._log = (ec.generate_private_key(ec.SECP256R1()) for _ in "123")
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sigstore of tests")])
        now = datetime.now(UTC)
        self._authority = (
            x509.CertificateBuilder()
            .subject_name(self._name)
            .issuer_name(self._name)
            .public_key(self._ca.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=True, path_length=1), critical=True)
            .add_extension(_usage(key_cert_sign=True, crl_sign=True), critical=True)
            .add_extension(self._subject_key(), critical=False)
            .sign(self._ca, hashes.SHA256())
        )

    def write(self, path: Path) -> Path:
        """The trusted root, as the library reads it."""
        begun = {"start": "2020-01-01T00:00:00Z"}

        def log(key: ec.EllipticCurvePrivateKey) -> dict[str, Any]:
            public = {
                "rawBytes": _b64(_spki(key)),
                "keyDetails": "PKIX_ECDSA_P256_SHA_256",
                "validFor": begun,
            }
            return {
                "baseUrl": "https://log.invalid",
                "hashAlgorithm": "SHA2_256",
                "publicKey": public,
                "logId": {"keyId": _b64(_log_id(key))},
            }

        der = self._authority.public_bytes(serialization.Encoding.DER)
        root = {
            "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
            "tlogs": [log(self._log)],
            "ctlogs": [log(self._ct)],
            "certificateAuthorities": [
                {
                    "subject": {"organization": "tests", "commonName": "sigstore of tests"},
                    "uri": "https://ca.invalid",
                    "certChain": {"certificates": [{"rawBytes": _b64(der)}]},
                    "validFor": begun,
                }
            ],
            "timestampAuthorities": [],
        }
        path.write_text(json.dumps(root))
        return path

    def attest(
        self,
        filename: str,
        sha256: str,
        identity: Mapping[str, str],
        *,
        predicate: str = PUBLISH,
        statement: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """An attestation of a file by a build. ``identity`` has Fulcio's extensions by number."""
        about = {
            "_type": "https://in-toto.io/Statement/v1",
            "subject": [{"name": filename, "digest": {"sha256": sha256}}],
            "predicateType": predicate,
            "predicate": None,
            **(statement or {}),
        }
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = self._certificate(key, identity)
        payload = json.dumps(about).encode()
        pae = f"DSSEv1 {len(_TYPE)} {_TYPE} {len(payload)} ".encode() + payload
        signed = _sign(key, pae)
        return {
            "version": 1,
            "verification_material": {
                "certificate": _b64(certificate.public_bytes(serialization.Encoding.DER)),
                "transparency_entries": [self._entry(certificate, payload, signed)],
            },
            "envelope": {"statement": _b64(payload), "signature": _b64(signed)},
        }

    def _entry(
        self, certificate: x509.Certificate, payload: bytes, signed: bytes
    ) -> dict[str, Any]:
        pem = certificate.public_bytes(serialization.Encoding.PEM)
        spec: dict[str, Any] = {
            "envelopeHash": {"algorithm": "sha256", "value": "0" * 64},
            "payloadHash": {"algorithm": "sha256", "value": hashlib.sha256(payload).hexdigest()},
            "signatures": [{"signature": _b64(signed), "verifier": _b64(pem)}],
        }
        body = rfc8785.dumps({"apiVersion": "0.0.1", "kind": "dsse", "spec": spec})
        root, now = hashlib.sha256(b"\0" + body).digest(), int(time.time())
        identity = _log_id(self._log)
        note = f"log.invalid\n1\n{_b64(root)}\n"
        line = _b64(identity[:4] + _sign(self._log, note.encode()))
        promise: dict[str, Any] = {
            "body": _b64(body),
            "integratedTime": now,
            "logID": identity.hex(),
            "logIndex": 0,
        }
        return {
            "logIndex": "0",
            "logId": {"keyId": _b64(identity)},
            "kindVersion": {"kind": "dsse", "version": "0.0.1"},
            "integratedTime": str(now),
            "inclusionPromise": {
                "signedEntryTimestamp": _b64(_sign(self._log, rfc8785.dumps(promise)))
            },
            "inclusionProof": {
                "logIndex": "0",
                "rootHash": _b64(root),
                "treeSize": "1",
                "hashes": [],
                "checkpoint": {"envelope": f"{note}\n\u2014 log.invalid {line}\n"},
            },
            "canonicalizedBody": _b64(body),
        }

    def _certificate(
        self, key: ec.EllipticCurvePrivateKey, identity: Mapping[str, str]
    ) -> x509.Certificate:
        now = datetime.now(UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([]))
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(minutes=5))
            .not_valid_after(now + timedelta(minutes=5))
            .add_extension(_usage(digital_signature=True), critical=True)
            .add_extension(
                x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING]), critical=False
            )
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(self._subject_key()),
                critical=False,
            )
            .add_extension(
                x509.SubjectAlternativeName(
                    [x509.UniformResourceIdentifier(identity.get("18", "https://build.invalid"))]
                ),
                critical=True,
            )
        )
        for number, value in identity.items():
            oid = x509.ObjectIdentifier(f"{_FULCIO}{number}")
            builder = builder.add_extension(
                x509.UnrecognizedExtension(oid, _text(value)), critical=False
            )

        def sealed(timestamps: bytes) -> x509.Certificate:
            # What is signed of a certificate leaves the timestamp out, so any will do first.
            oid = x509.ObjectIdentifier(_SCTS)
            value = _der(0x04, timestamps)
            extension = x509.UnrecognizedExtension(oid, value)
            return builder.add_extension(extension, critical=False).sign(self._ca, hashes.SHA256())

        return sealed(self._timestamp(sealed(self._timestamp(None))))

    def _timestamp(self, certificate: x509.Certificate | None) -> bytes:
        now = int(time.time()) * 1000
        tbs = certificate.tbs_precertificate_bytes if certificate else b""
        entry = _log_id(self._ca) + len(tbs).to_bytes(3) + tbs
        signed = _sign(self._ct, struct.pack("!BBQH", 0, 0, now, 1) + entry + b"\0\0")
        one = struct.pack("!B32sQH", 0, _log_id(self._ct), now, 0) + struct.pack(
            f"!BBH{len(signed)}s", 4, 3, len(signed), signed
        )
        listed = struct.pack(f"!H{len(one)}s", len(one), one)
        return struct.pack("!H", len(listed)) + listed

    def _subject_key(self) -> x509.SubjectKeyIdentifier:
        return x509.SubjectKeyIdentifier.from_public_key(self._ca.public_key())


def _usage(**wanted: bool) -> x509.KeyUsage:
    names = (
        *("digital_signature", "content_commitment", "key_encipherment", "data_encipherment"),
        *("key_agreement", "key_cert_sign", "crl_sign", "encipher_only", "decipher_only"),
    )
    return x509.KeyUsage(**{name: wanted.get(name, False) for name in names})
