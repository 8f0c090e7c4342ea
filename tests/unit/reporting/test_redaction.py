"""What a bundle must not contain."""

from __future__ import annotations

import pytest

from oomkeeper.reporting.redaction import Names, names_in, redact_object, without_credentials

from .incident_samples import incident


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("Authorization: Bearer abcdefgh12345678", "abcdefgh12345678"),
        ("token=eyJhbGciOi.eyJzdWIiOi.c2lnbmF0dXJl rest", "eyJhbGciOi"),
        ('{"clientToken": "s3cr3t-value", "a": 1}', "s3cr3t-value"),
        ("DB_PASSWORD='hunter two' x", "hunter two"),
        ("proxy https://user:hunter2@proxy:3128/", "hunter2"),
        ("-----BEGIN EC PRIVATE KEY-----\nMHcCAQ\n-----END EC PRIVATE KEY-----", "MHcCAQ"),
        ('apiKey: "q\\"uoted hunter2"', "hunter2"),
    ],
)
def test_credentials_are_redacted(text: str, secret: str) -> None:
    redacted = without_credentials(text)
    assert secret not in redacted
    assert "REDACTED" in redacted


@pytest.mark.parametrize(
    "text",
    [
        "the token was renewed",
        "automountServiceAccountToken: true",
        "http://10.0.0.1:8080/metrics",
        "limit=64",
    ],
)
def test_other_text_is_kept(text: str) -> None:
    assert without_credentials(text) == text


def test_environment_and_last_applied_configuration_are_left_out() -> None:
    env = [{"name": "A", "value": "b"}, {"name": "C", "valueFrom": {"fieldRef": {"fieldPath": "x"}}}]
    annotations = {"kubectl.kubernetes.io/last-applied-configuration": "{}", "kept": "1"}
    obj = {
        "metadata": {"name": "a", "managedFields": [], "annotations": annotations},
        "spec": {"containers": [{"env": env}]},
    }
    redacted = redact_object(obj)
    assert redacted["metadata"] == {"name": "a", "annotations": {"kept": "1"}}
    shown = redacted["spec"]["containers"][0]["env"]
    assert shown == [{"name": "A", "value": "REDACTED"}, env[1]]
    assert obj["spec"]["containers"][0]["env"][0]["value"] == "b"  # type: ignore[index]


def test_names_become_equal_hashes_and_keys_stay() -> None:
    names = Names(names_in([incident()], nodes=["n1"]), key=b"k")
    redacted = names.value(incident())
    text = str(redacted)
    for name in ("shop", "web-5d4f7c9b8-x2x7k", "'app'", "java", "'n1'", "web-app-0123456789"):
        assert name not in text
    node = redacted["spec"]["nodeName"]
    assert node.startswith("node-")
    assert redacted["metadata"]["labels"]["oomkeeper.dev/node"] == node
    assert redacted["status"]["cause"] == "ContainerLimit"
    assert Names([("node", "n1")], key=b"other").text("n1") != node


def test_log_keeps_message_and_numbers_alone() -> None:
    names = Names([("node", "n1")], key=b"k")
    line = 'time=2026-11-23T09:00:00Z level=info logger=a msg="kill recorded" node=n1 pod="a b" bytes=12'
    shown = names.log(line)
    assert shown.startswith('time=2026-11-23T09:00:00Z level=info logger=a msg="kill recorded" node=node-')
    assert "a b" not in shown
    assert shown.endswith("bytes=12")
    assert names.log("Traceback of a secret process").startswith("text-")
    assert '"msg": "x"' in names.log('{"msg": "x", "pod": "web", "kills": 3}')
    assert "web" not in names.log('{"msg": "x", "pod": "web", "list": ["web"]}')
