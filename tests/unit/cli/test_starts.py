"""What each verb of `kubectl oom` imports before its first request: it decides how long a start takes
(`python -m bench.start`)."""

import subprocess
import sys
from pathlib import Path

import pytest

from oomkeeper.cli.kubectl_oom import VERBS

from .running import environment

ROOT = Path(__file__).resolve().parents[3]
WORDS = {
    "report": ["-A"],
    "incidents": ["-A"],
    "explain": ["deploy/web"],
    "why": ["web-0"],
    "recommend": ["deploy/web"],
    "policy": [],
    "nodes": [],
    "doctor": [],
    "drill": [],
    "bundle": [],
    "plan": ["-f", str(ROOT / "examples" / "keep-defaults.yaml")],
    "rollout": ["status", "web", "--timeout=1m"],
}
PROGRAM = """
import sys
from oomkeeper.agent.kube import transport

def first_request(*_words, **_options):
    print(*sys.modules, sep="\\n", file=sys.stderr)
    sys.exit(7)

transport.Transport._send = first_request
from oomkeeper.cli.kubectl_oom import main
main(sys.argv[1:])
"""
SLOW = {
    "pydantic",
    "jinja2",
    "kopf",
    "asyncio",
    "sqlite3",
    "oomkeeper.reporting.cluster_report_html",
    "oomkeeper.reporting.incident_page",
    "oomkeeper.diagnosis.whatif",
}


def loaded_before_first_request(verb: str, folder: Path) -> set[str]:
    kubeconfig = folder / "kubeconfig"
    kubeconfig.write_text(
        "current-context: a\n"
        "contexts: [{name: a, context: {cluster: c, user: u}}]\n"
        "clusters: [{name: c, cluster: {server: 'http://127.0.0.1:9'}}]\n"
        "users: [{name: u, user: {token: t}}]\n"
    )
    # A coverage measurement would import modules of its own.
    env = {key: value for key, value in environment().items() if not key.startswith("COVERAGE_")}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, verb, *WORDS[verb]],
        capture_output=True,
        cwd=folder,
        env={**env, "KUBECONFIG": str(kubeconfig)},
        timeout=60,
        check=False,
    )
    assert done.returncode == 7, done.stderr.decode()
    return set(done.stderr.decode().split())


def test_words_of_every_verb_that_asks_the_api_server_are_known() -> None:
    assert set(WORDS) == set(VERBS) - {"log"}


@pytest.mark.parametrize("verb", sorted(set(WORDS) - {"plan"}))
def test_verb_imports_no_slow_module_before_its_first_request(verb: str, tmp_path: Path) -> None:
    loaded = loaded_before_first_request(verb, tmp_path)

    assert "oomkeeper.cli.cluster_client" in loaded
    assert not loaded & SLOW
    assert not {name for name in loaded if name.startswith("oomkeeper.api")}


def test_plan_imports_one_of_the_models(tmp_path: Path) -> None:
    loaded = loaded_before_first_request("plan", tmp_path)

    kinds = {"oompolicy", "oomnode", "oomincident", "containerkill", "oomreport"}
    assert {name for name in kinds if f"oomkeeper.api.{name}" in loaded} == {"oompolicy"}
    assert not loaded & (SLOW - {"pydantic"})
    assert "oomkeeper.reporting.plan_text" not in loaded
