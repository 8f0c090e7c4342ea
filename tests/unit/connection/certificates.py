"""Certificates of the shapes that clusters have, made with the openssl program."""

from __future__ import annotations

import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path

_SIGNS = "keyUsage=critical,keyCertSign"
_EXTENSIONS = {
    "modern CA": f"basicConstraints=critical,CA:TRUE\n{_SIGNS}\nsubjectKeyIdentifier=hash",
    "CA not critical": f"basicConstraints=CA:TRUE\n{_SIGNS}\nsubjectKeyIdentifier=hash",
    "CA without identifiers": "basicConstraints=critical,CA:TRUE\nsubjectKeyIdentifier=none",
    "leaf": "basicConstraints=critical,CA:FALSE\nsubjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid",
    "leaf without AKI": "subjectKeyIdentifier=none\nauthorityKeyIdentifier=none",
}

SHAPES = {
    "as the RFC wants it": ("modern CA", "leaf"),
    "no authority key identifier": ("modern CA", "leaf without AKI"),
    "basicConstraints of the CA not critical": ("CA not critical", "leaf"),
    "CA without key usage and identifiers": ("CA without identifiers", "leaf without AKI"),
}
"""Extensions of the CA and of the API server's certificate."""
REFUSED_BY_STRICT = tuple(SHAPES)[1:]


@dataclass(frozen=True, kw_only=True)
class Pair:
    """A certificate and its key."""

    certificate: Path
    key: Path

    def server_context(self, *, client_ca: Path | None = None) -> ssl.SSLContext:
        """Return the context of a server with this certificate; `client_ca` makes it ask for the client's."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, self.key)
        if client_ca is not None:
            context.load_verify_locations(client_ca)
            context.verify_mode = ssl.CERT_REQUIRED
        return context


def make_ca(folder: Path, *, shape: str = "modern CA", name: str = "ca", issuer: Pair | None = None) -> Pair:
    """Make a CA, self-signed or issued by another one."""
    return _make(folder, name=name, extensions=_EXTENSIONS[shape], issuer=issuer)


def make_leaf(
    folder: Path,
    *,
    issuer: Pair,
    shape: str = "leaf",
    name: str = "server",
    names: str = "IP:127.0.0.1",
    usage: str = "serverAuth",
) -> Pair:
    """Make a certificate for `names` (subjectAltName)."""
    extensions = f"{_EXTENSIONS[shape]}\nsubjectAltName={names}\nextendedKeyUsage={usage}"
    return _make(folder, name=name, extensions=extensions, issuer=issuer)


def _make(folder: Path, *, name: str, extensions: str, issuer: Pair | None) -> Pair:
    pair = Pair(certificate=folder / f"{name}.crt", key=folder / f"{name}.key")
    config = folder / f"{name}.cnf"
    config.write_text(f"[req]\ndistinguished_name=dn\nprompt=no\n[dn]\nCN={name}\n[ext]\n{extensions}\n")
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-config", config]
    signer = [] if issuer is None else ["-CA", issuer.certificate, "-CAkey", issuer.key]
    output = ["-x509", "-days", "2", "-extensions", "ext", "-keyout", pair.key, "-out", pair.certificate]
    command = ["openssl", "req", *curve, *signer, *output]
    subprocess.run([*map(str, command)], check=True, capture_output=True)
    return pair
