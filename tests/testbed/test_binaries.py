"""Where the binaries come from, and in which order."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import tarfile
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.testbed import envtest, golang, recipes
from tests.testbed.binaries import binaries
from tests.testbed.cache import drop_old, locked, silent
from tests.testbed.errors import BuildError
from tests.testbed.images import image_archive
from tests.testbed.progress import Progress
from tests.waiting import eventually

INDEX = """\
releases:
  v1.36.0:
    envtest-v1.36.0-linux-{machine}.tar.gz:
      hash: {hash}
      selfLink: {url}/other.tar.gz
  v1.37.0:
    envtest-v1.37.0-darwin-{machine}.tar.gz:
      hash: {hash}
      selfLink: {url}/other.tar.gz
    envtest-v1.37.0-linux-{machine}.tar.gz:
      hash: {hash}
      selfLink: {url}/envtest.tar.gz
"""
EVERY_RECIPE = (*recipes.KIND_NODE, recipes.KIND, recipes.HELM)


@pytest.fixture
def web(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A folder and the URL under which it is served."""
    folder = tmp_path / "web"
    folder.mkdir()

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield folder, f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def write_archive(path: Path, *, names: frozenset[str]) -> str:
    """Write an archive as envtest's are laid out; gives its SHA-512."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as archive:
        for name in sorted(names):
            member = tarfile.TarInfo(f"controller-tools/envtest/{name}")
            member.size = len(name)
            archive.addfile(member, io.BytesIO(name.encode()))
    path.write_bytes(content.getvalue())
    return hashlib.sha512(content.getvalue()).hexdigest()


def test_download_takes_newest_patch_of_the_minor_version(web: tuple[Path, str], tmp_path: Path) -> None:
    folder, url = web
    digest = write_archive(folder / "envtest.tar.gz", names=envtest.BINARIES)
    (folder / "index").write_text(INDEX.format(machine=envtest.machine(), hash=digest, url=url))
    target = tmp_path / "target"
    target.mkdir()
    assert envtest.download(version="v1.37.2", target=target, index_url=f"{url}/index") == "v1.37.0"
    assert {path.name for path in target.iterdir()} == envtest.BINARIES
    assert (target / "kubectl").read_text() == "kubectl"
    assert (target / "kubectl").stat().st_mode & 0o777 == 0o755


@pytest.mark.parametrize(
    ("names", "digest", "refusal"),
    [
        (envtest.BINARIES, "0" * 128, "not what the index says"),
        (frozenset({"etcd", "kubectl"}), None, "holds no kube-apiserver"),
    ],
)
def test_download_with_wrong_checksum_is_refused(
    web: tuple[Path, str], tmp_path: Path, names: frozenset[str], digest: str | None, refusal: str
) -> None:
    folder, url = web
    real = write_archive(folder / "envtest.tar.gz", names=names)
    (folder / "index").write_text(INDEX.format(machine=envtest.machine(), hash=digest or real, url=url))
    with pytest.raises(envtest.DownloadRefusedError, match=refusal):
        envtest.download(version="v1.37.2", target=tmp_path, index_url=f"{url}/index")


def test_unreachable_index_is_a_refusal_not_a_crash(tmp_path: Path) -> None:
    with pytest.raises(envtest.DownloadRefusedError, match="refused"):
        envtest.download(version="v1.37.2", target=tmp_path, index_url="http://127.0.0.1:1/index")


def test_kubebuilder_assets_have_precedence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("etcd", "kube-apiserver", "kubectl"):
        (tmp_path / name).touch(mode=0o755)
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(tmp_path))
    found = binaries(recipes.CONTROL_PLANE, say=silent)
    assert {path.parent for path in found.values()} == {tmp_path}


def test_failed_build_names_its_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OOMKEEPER_CACHE", str(tmp_path))
    monkeypatch.setenv("GOPROXY", "off")
    monkeypatch.setenv("GOMODCACHE", str(tmp_path / "modules"))
    monkeypatch.setattr(envtest, "INDEX_URL", "http://127.0.0.1:1/index")
    monkeypatch.delenv("KUBEBUILDER_ASSETS", raising=False)
    with pytest.raises(BuildError, match=r"Go module proxy reachable(.|\n)*GOPROXY=off"):
        binaries((recipes.ETCD,), say=silent)
    assert list((tmp_path / "bin").iterdir()) == []  # nothing half done is found later


def test_go_modules_have_the_versions_of_the_recipes() -> None:
    for recipe in EVERY_RECIPE:
        text = (recipe.folder / "go.mod").read_text()
        for package in recipe.packages.values():
            own_module = f"module {package}\n" in text
            assert own_module or f"\t{package}\n" in text or f"tool {package}\n" in text
        assert re.search(rf"{re.escape(recipe.version)}\b", text)
        [wanted] = re.findall(r"^go (\S+)$", text, re.MULTILINE)
        assert [int(part) for part in wanted.split(".")] <= [int(p) for p in recipes.GO_VERSION.split(".")]


def test_changed_version_or_flag_changes_the_stamp() -> None:
    assert len({recipe.stamp() for recipe in EVERY_RECIPE}) == len(EVERY_RECIPE)
    changed = recipes.Recipe(name="etcd", version="v3.0.0", module="etcd", packages=recipes.ETCD.packages)
    assert changed.stamp() != recipes.ETCD.stamp()


def test_too_old_go_is_not_used(tmp_path: Path) -> None:
    go = tmp_path / "go"
    go.write_text("#!/bin/sh\necho 'go: go.mod requires go >= 99' >&2\nexit 1\n")
    go.chmod(0o755)
    assert not golang.is_usable(go)
    go.write_text("#!/bin/sh\nexit 0\n")
    assert golang.is_usable(go)


def test_progress_shows_seconds_packages_and_current_package() -> None:
    with Progress(title="etcd", total=300, say=silent, live=False) as progress:
        progress.step("go.etcd.io/bbolt")
        assert re.fullmatch(
            r"building etcd: \d+ s, 1 of at most 300 packages, now go\.etcd\.io/bbolt", progress.line()
        )


def test_most_recently_used_files_are_kept(tmp_path: Path) -> None:
    for age, name in enumerate(("a-1.tar", "a-2.tar", "a-3.tar", "other.tar")):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (1000 - age, 1000 - age))
    (tmp_path / "a-3.tar").touch()
    drop_old(tmp_path, "a-*.tar", keep=2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a-1.tar", "a-3.tar", "other.tar"]


def test_waiting_for_a_lock_is_reported(tmp_path: Path) -> None:
    said: list[str] = []
    with locked(tmp_path / "lock", say=said.append, waiting_for="a build"):
        assert said == []
        waiter = threading.Thread(target=_lock, args=(tmp_path / "lock", said))
        waiter.start()
        eventually(lambda: said == ["waiting: a build"])
        waiter.join(0.3)
        assert waiter.is_alive()
    waiter.join(60)
    assert said == ["waiting: a build", "had it"]


def _lock(path: Path, said: list[str]) -> None:
    with locked(path, say=said.append, waiting_for="a build"):
        said.append("had it")


def test_same_content_gives_the_same_image_archive(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "tool").write_text("x")
    (tmp_path / "bin" / "link").symlink_to("tool")
    first = image_archive(tmp_path, name="oomkeeper.local/x:1", entrypoint=["/bin/tool"])
    (tmp_path / "bin" / "tool").touch()
    assert image_archive(tmp_path, name="oomkeeper.local/x:1", entrypoint=["/bin/tool"]) == first
    with tarfile.open(fileobj=io.BytesIO(first)) as archive:
        files = {name: archive.extractfile(name) for name in archive.getnames()}
        content = {name: file.read() for name, file in files.items() if file}
    for name, blob in content.items():
        if name.startswith("blobs/sha256/"):
            assert hashlib.sha256(blob).hexdigest() == name.rpartition("/")[2]
    [manifest] = json.loads(content["index.json"])["manifests"]
    assert manifest["annotations"]["io.containerd.image.name"] == "oomkeeper.local/x:1"
