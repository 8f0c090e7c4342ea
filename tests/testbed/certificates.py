"""A certificate authority for one run, so that every client verifies TLS as it would in production."""

from __future__ import annotations

import subprocess
from pathlib import Path

from .errors import StartError
from .packages import OPENSSL

_CONFIG = """\
[req]
distinguished_name = name
prompt = no
[name]
CN = replaced by -subj
[ca]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[old-ca]
basicConstraints = CA:TRUE
subjectKeyIdentifier = none
authorityKeyIdentifier = none
[apiserver]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
subjectAltName = IP:127.0.0.1, IP:10.0.2.2, IP:10.96.0.1, DNS:localhost, DNS:kubernetes.default.svc
[kubelet-client]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = clientAuth
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
"""
_DAYS = "365"


def make_certificates(folder: Path) -> None:
    """Write ca, apiserver and kubelet-client (.crt, .key) and the service accounts' sa.key into `folder`.

    The kubelet-client certificate is the API server's at the kubelet (logs, exec), member of system:masters.
    """
    config = _write_config(folder)
    curve = _new_key(config)
    _make_ca(folder, config, extensions="ca")
    for name, subject in (
        ("apiserver", "/CN=kube-apiserver"),
        ("kubelet-client", "/O=system:masters/CN=kube-apiserver-kubelet-client"),
    ):
        _openssl(folder, "req", *curve, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", subject)
        sign = ["-in", f"{name}.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-days", _DAYS]
        extensions = ["-extfile", str(config), "-extensions", name]
        _openssl(folder, "x509", "-req", *sign, *extensions, "-out", f"{name}.crt")
    _openssl(folder, "genrsa", "-out", "sa.key", "2048")


def make_old_ca(folder: Path) -> None:
    """Write ca.crt and ca.key in the shape of older clusters: basicConstraints is not critical, and there is
    no key identifier for the certificates of this CA to refer to."""
    _make_ca(folder, _write_config(folder), extensions="old-ca")


def _write_config(folder: Path) -> Path:
    config = folder / "openssl.cnf"
    config.write_text(_CONFIG)
    return config


def _new_key(config: Path) -> list[str]:
    return ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-config", str(config)]


def _make_ca(folder: Path, config: Path, *, extensions: str) -> None:
    pair = ["-keyout", "ca.key", "-out", "ca.crt", "-subj", "/CN=oomkeeper-testbed", "-days", _DAYS]
    _openssl(folder, "req", "-x509", *_new_key(config), *pair, "-extensions", extensions)


def _openssl(folder: Path, *arguments: str) -> None:
    program = str(OPENSSL.find() or OPENSSL.program)
    done = subprocess.run([program, *arguments], cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise StartError(f"openssl {arguments[0]} failed; is {program} whole? {done.stderr.strip()[-400:]}")
