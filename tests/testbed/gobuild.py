"""`go build` of one recipe into a folder, with progress."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from .cache import Say
from .errors import BuildError
from .progress import Progress
from .recipes import Recipe


def go_build(recipe: Recipe, *, go: Path, target: Path, say: Say) -> float:
    """Build the recipe's binaries into `target`; gives the seconds it took.

    Raises BuildError with the compiler's last lines.
    """
    environment = {**os.environ, "CGO_ENABLED": "0"}
    flags = ["-trimpath", "-tags", recipe.tags]
    packages = sorted(recipe.packages.values())
    # -mod=readonly: a build may never touch the committed go.mod and go.sum.
    listed = subprocess.run(
        [go, "list", "-mod=readonly", "-deps", *flags, *packages],
        cwd=recipe.folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode != 0:
        raise BuildError(_failure(recipe, listed.stderr.splitlines()))
    title = ", ".join(sorted(recipe.packages))
    say(
        f"building {title} {recipe.version} from Go modules: "
        f"about {recipe.typical_seconds} s on two cores, once (less where Go has compiled parts of it)"
    )
    with Progress(title=title, total=len(listed.stdout.split()), say=say) as progress:
        for name, package in sorted(recipe.packages.items()):
            build = [str(go), "build", "-mod=readonly", "-v", *flags, "-ldflags", recipe.ldflags]
            _run(recipe, [*build, "-o", str(target / name), package], environment, progress)
        return progress.seconds


def _run(recipe: Recipe, command: list[str], environment: dict[str, str], progress: Progress) -> None:
    last: list[str] = []
    with subprocess.Popen(
        command,
        cwd=recipe.folder,
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
    ) as build:
        # Should we be killed, the next line that it prints ends it too (SIGPIPE).
        assert build.stderr is not None
        for line in build.stderr:
            text = line.rstrip()
            last = [*last[-20:], text]
            # -v prints one import path a line; what the module cache fetches is announced too.
            if text.startswith("go: "):
                progress.now(text.removeprefix("go: "))
            else:
                progress.step(text)
    if build.returncode != 0:
        raise BuildError(_failure(recipe, last))


def _failure(recipe: Recipe, lines: list[str]) -> str:
    tail = "\n".join(lines[-12:])
    return (
        f"go build of {recipe.name} {recipe.version} failed; is the Go module proxy reachable "
        f"(go env GOPROXY), and is there disk space (about 6 GB for Go's caches)?\n{tail}"
    )
