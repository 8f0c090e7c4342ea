"""What a Docker daemon leaves in the firewall when it ends, and how to take exactly that out again."""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Iterator, Mapping

from .commands import run
from .errors import TestbedError

_FAMILIES = ("iptables", "ip6tables")
_DOCKERS = re.compile(r"\bDOCKER|\bdocker0\b|\bbr-[0-9a-f]{12}\b")
_POLICY = re.compile(r"^:(?P<chain>\S+) (?P<policy>ACCEPT|DROP) ")


def dump() -> dict[str, str]:
    """Command (iptables, ip6tables) -> what its -save prints; without those that do not work here."""
    found: dict[str, str] = {}
    for family in _FAMILIES:
        if shutil.which(f"{family}-save") is None:
            continue
        try:
            found[family] = run([f"{family}-save"])
        except TestbedError:
            continue  # no IPv6 here, or not root: then no daemon of ours has written there either
    return found


def remove_docker(before: Mapping[str, str]) -> list[str]:
    """Delete Docker's rules and chains that `before` does not have, and put its policies back.

    Gives what could not be. Call it when the daemon has ended; it would miss them.
    """
    left: list[str] = []
    for family, now in dump().items():
        for command in undoing(before.get(family, ""), now):
            try:
                run([family, *command])
            except TestbedError as error:
                left.append(str(error))
    return left


def undoing(before: str, now: str) -> list[list[str]]:
    """Arguments of iptables that take Docker's additions out of `now`: rules, then chains, then policies."""
    known = set(_by_table(before))
    rules: list[list[str]] = []
    emptied: list[list[str]] = []
    removed: list[list[str]] = []
    policies: list[list[str]] = []
    old_policies = {(table, m["chain"]): m["policy"] for table, line in known if (m := _POLICY.match(line))}
    for table, line in _by_table(now):
        if line.startswith("-A ") and _DOCKERS.search(line) and (table, line) not in known:
            rules.append(["-t", table, "-D", *shlex.split(line)[1:]])
        elif line.startswith(":DOCKER"):
            chain = line[1:].split()[0]
            if not any(t == table and old.startswith(f":{chain} ") for t, old in known):
                emptied.append(["-t", table, "-F", chain])
                removed.append(["-t", table, "-X", chain])
        elif policy := _POLICY.match(line):
            wanted = old_policies.get((table, policy["chain"]), "ACCEPT")
            if policy["policy"] != wanted:
                policies.append(["-t", table, "-P", policy["chain"], wanted])
    return rules + emptied + removed + policies


def _by_table(saved: str) -> Iterator[tuple[str, str]]:
    table = ""
    for line in saved.splitlines():
        if line.startswith("*"):
            table = line[1:].strip()
        elif line.startswith(":"):
            # Its counters change all the time.
            yield table, line.partition("[")[0]
        elif line.startswith("-A "):
            yield table, line
