"""Settings of the connection that cannot be used: one line that names them, exit 2."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

AGENT = ("oomkeeper", "agent", "--node-name", "n")
CONTROLLER = ("oomkeeper", "controller")


@pytest.mark.parametrize("command", [AGENT, CONTROLLER], ids=["agent", "controller"])
@pytest.mark.parametrize(
    ("cluster", "said"),
    [
        ({"server": "ftp://a"}, "server 'ftp://a': write a URL such as https://10.0.0.1:6443"),
        ({"server": "https://a", "certificate-authority": "none.crt"}, "none.crt: No such file or directory"),
        (
            {"server": "https://a", "certificate-authority-data": "eA=="},
            "certificate-authority-data: not a PEM",
        ),
        ({"server": "https://a", "proxy-url": "socks5://p"}, "proxy 'socks5://p': only http://host:port"),
    ],
)
def test_unusable_connection_settings_are_one_line(
    command: tuple[str, ...], cluster: dict[str, str], said: str, tmp_path: Path
) -> None:
    kubeconfig = tmp_path / "kubeconfig"
    document = {
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "c"}}],
        "clusters": [{"name": "c", "cluster": cluster}],
        "users": [{"name": "c", "user": {"token": "t"}}],
    }
    kubeconfig.write_text(yaml.safe_dump(document))
    arguments = [*command, "--kubeconfig", str(kubeconfig)]
    if command is AGENT:
        arguments += ["--state-dir", str(tmp_path / "state")]
    done = subprocess.run(
        [sys.executable, "-m", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env=os.environ,
    )
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    assert said in done.stderr
    assert str(kubeconfig) in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "state").exists()
