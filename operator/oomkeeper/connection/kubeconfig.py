"""Read kubeconfig files: the current context's cluster and user.

Every field that client-go acts on is either supported or refused with a clear message, so that agent and
controller never reach another server, or with other rights, than kubectl with the same file
(k8s.io/client-go/tools/clientcmd/api/v1/types.go).
"""

import base64
import binascii
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from .config import ApiConfig, ApiConfigError, ExecPlugin
from .proxies import proxy_from_environment

_EXEC_VERSIONS = ("client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1")
_UNSUPPORTED_USER_FIELDS = {
    "auth-provider": "was removed from kubectl 1.26: use an exec plugin",
    "as": "impersonation is not supported",
    "as-uid": "impersonation is not supported",
    "as-groups": "impersonation is not supported",
    "as-user-extra": "impersonation is not supported",
}


class _Section(dict[str, Any]):
    """One cluster, user or context, and the file that it is from."""

    def __init__(self, fields: Mapping[str, Any], *, file: Path, where: str) -> None:
        super().__init__(fields)
        self.file = file
        self.where = where

    def error(self, field: str, problem: str) -> ApiConfigError:
        return ApiConfigError(f"{self.file}: {self.where}: {field}: {problem}")

    def text(self, field: str) -> str | None:
        """Return a text field, None where it is absent or empty. Raises ApiConfigError."""
        value = self.get(field)
        if value is None or value == "":
            return None
        if not isinstance(value, str):
            raise self.error(field, f"write a text in quotes, not {value!r}")
        return value

    def flag(self, field: str) -> bool:
        """Return a boolean field. Raises ApiConfigError."""
        value = self.get(field, False)
        if not isinstance(value, bool):
            raise self.error(field, f"write true or false, not {value!r}")
        return value

    def path(self, field: str) -> Path | None:
        """Return a path field; a relative path is relative to the kubeconfig's folder."""
        value = self.text(field)
        return None if value is None else self.file.parent / Path(value)

    def data(self, field: str) -> bytes | None:
        """Return a base64 field. Raises ApiConfigError."""
        value = self.text(field)
        if value is None:
            return None
        try:
            return base64.b64decode("".join(value.split()), validate=True)
        except binascii.Error as error:
            raise self.error(field, "is not base64") from error


def kubeconfig_files(variable: str) -> list[Path]:
    """Return the files that $KUBECONFIG names, separated by colons."""
    return [Path(part).expanduser() for part in variable.split(os.pathsep) if part.strip()]


class Context(NamedTuple):
    """A context of a kubeconfig."""

    config: ApiConfig
    namespace: str
    """Its default namespace."""


def read_kubeconfig(files: Sequence[Path], *, environ: Mapping[str, str]) -> ApiConfig:
    """Return the configuration of the current context; of entries with the same name the first file's counts.

    `environ` decides on a proxy where the cluster names none. Raises ApiConfigError.
    """
    return read_context(files, environ=environ).config


def read_context(
    files: Sequence[Path], *, environ: Mapping[str, str], context_name: str | None = None
) -> Context:
    """Return the context of this name, the current one by default; see read_kubeconfig()."""
    current = context_name or ""
    entries: dict[str, dict[str, _Section]] = {"contexts": {}, "clusters": {}, "users": {}}
    for file in files:
        document = _load(file)
        current = current or str(document.get("current-context") or "")
        for kind, known in entries.items():
            for section in _sections(document, kind=kind, file=file):
                known.setdefault(section.where.partition(" ")[2], section)
    names = ", ".join(map(str, files))
    if not current:
        raise ApiConfigError(f"{names}: current-context is not set")
    what = f"{names}: current-context" if context_name is None else f"{names}: --context"
    context = _find(entries["contexts"], current, what=what)
    cluster = _find(
        entries["clusters"], context.text("cluster") or "", what=f"{context.file}: {context.where}: cluster"
    )
    user = _find(entries["users"], context.text("user") or "", what=f"{context.file}: {context.where}: user")
    return Context(_config(cluster, user, environ=environ), context.text("namespace") or "default")


def _config(cluster: _Section, user: _Section, *, environ: Mapping[str, str]) -> ApiConfig:
    for field, problem in _UNSUPPORTED_USER_FIELDS.items():
        if user.get(field):
            raise user.error(field, problem)
    server = cluster.text("server")
    if server is None:
        raise cluster.error("server", "is not set")
    # As in client-go, the data wins over the file.
    ca_data = cluster.data("certificate-authority-data")
    cert_data, key_data = user.data("client-certificate-data"), user.data("client-key-data")
    cert, key = user.path("client-certificate"), user.path("client-key")
    if (cert_data is None) != (key_data is None):
        # One as data, one as a file: OpenSSL wants both in the same form.
        try:
            cert_data = cert_data or (cert.read_bytes() if cert else None)
            key_data = key_data or (key.read_bytes() if key else None)
        except OSError as error:
            raise ApiConfigError(f"{error.filename}: {error.strerror}") from error
    config = ApiConfig(
        server=server,
        ca_file=cluster.path("certificate-authority") if ca_data is None else None,
        ca_data=ca_data,
        insecure=cluster.flag("insecure-skip-tls-verify"),
        tls_server_name=cluster.text("tls-server-name"),
        proxy_url=cluster.text("proxy-url"),
        token=user.text("token"),
        token_file=user.path("tokenFile"),
        username=user.text("username"),
        password=user.text("password"),
        client_cert=cert if cert_data is None else None,
        client_key=key if cert_data is None else None,
        client_cert_data=cert_data,
        client_key_data=key_data,
        exec_plugin=_exec_plugin(user),
    )
    try:
        config.check()
        if config.proxy_url is None:
            proxy = proxy_from_environment(server, environ=environ)
            config = replace(config, proxy_url=proxy)
            config.check()
    except ApiConfigError as error:
        raise ApiConfigError(f"{cluster.file}: {error}") from error
    return config


def _exec_plugin(user: _Section) -> ExecPlugin | None:
    fields = user.get("exec")
    if fields is None:
        return None
    if not isinstance(fields, dict):
        raise user.error("exec", "is not a mapping")
    section = _Section(fields, file=user.file, where=f"{user.where}: exec")
    command, version = section.text("command"), section.text("apiVersion")
    if command is None:
        raise section.error("command", "is not set")
    if version not in _EXEC_VERSIONS:
        raise section.error("apiVersion", f"write one of {', '.join(_EXEC_VERSIONS)}, not {version!r}")
    if section.text("interactiveMode") == "Always":
        raise section.error("interactiveMode", "Always is not supported: there is no terminal")
    if "/" in command:
        command = str(section.file.parent / command)
    arguments, environment = section.get("args") or [], section.get("env") or []
    try:
        return ExecPlugin(
            command=command,
            arguments=tuple(str(argument) for argument in arguments),
            environment=tuple((str(one["name"]), str(one.get("value", ""))) for one in environment),
            api_version=version,
            provide_cluster_info=section.flag("provideClusterInfo"),
            install_hint=section.text("installHint") or "",
        )
    except (TypeError, KeyError, AttributeError) as error:
        raise section.error("args, env", "write a list of texts, and a list of name and value") from error


def _load(file: Path) -> dict[str, Any]:
    try:
        document = yaml.safe_load(file.read_text())
    except OSError as error:
        raise ApiConfigError(f"{file}: {error.strerror or error}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ApiConfigError(f"{file}: not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(document, dict):
        raise ApiConfigError(f"{file}: not a kubeconfig")
    return document


def _sections(document: Mapping[str, Any], *, kind: str, file: Path) -> list[_Section]:
    single = kind.removesuffix("s")
    found = document.get(kind) or []
    if not isinstance(found, list):
        raise ApiConfigError(f"{file}: {kind}: is not a list")
    sections = []
    for entry in found:
        if (
            not isinstance(entry, dict)
            or "name" not in entry
            or not isinstance(entry.get(single) or {}, dict)
        ):
            raise ApiConfigError(f"{file}: {kind}: each entry needs a name and a {single}")
        sections.append(_Section(entry.get(single) or {}, file=file, where=f"{single} {entry['name']}"))
    return sections


def _find(known: Mapping[str, _Section], name: str, *, what: str) -> _Section:
    if name not in known:
        raise ApiConfigError(f"{what}: {name or 'nothing'!r} is not defined")
    return known[name]
