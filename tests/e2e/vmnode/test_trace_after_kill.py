"""What a killed agent had read of the kernel's trace is there for the next one, on a kernel older than this
machine's."""

from __future__ import annotations

import base64
import struct
from typing import NamedTuple

from oomkeeper.kernel.tracefs.spool import HALF_BYTES

from .harness import Harness, container, eventually

SPOOL = "/var/lib/oomkeeper/cgroup-trace"
HEADER = struct.Struct("<8s36sQQQ")


class Half(NamedTuple):
    """The beginning of a half of the file."""

    magic: bytes
    boot: bytes
    generation: int
    since_ns: int
    read_before: int


def newest_half(harness: Harness) -> Half:
    found = []
    for at in (0, HALF_BYTES):
        text = harness.node.sh(f"dd if={SPOOL} bs=64 skip={at // 64} count=2 2>/dev/null | busybox base64")
        found.append(Half(*HEADER.unpack_from(base64.b64decode(text))))
    return max(found, key=lambda half: half.generation)


def agent_pid(harness: Harness) -> int:
    looks = "tr '\\0' ' ' < $file | grep -q '[o]omkeeper agent' && echo $file"
    found = harness.node.sh(f"for file in /proc/[0-9]*/cmdline; do {{ {looks}; }} 2> /dev/null; done; true")
    return int(found.split("/")[2])


def test_next_agent_continues_the_file_of_a_killed_one(harness: Harness) -> None:
    harness.pod("before", container("app", "exec tail /dev/zero", limit="16Mi"))
    eventually(lambda: len(harness.items("oomincidents")) == 1)
    half, pid = newest_half(harness), agent_pid(harness)
    assert half.magic == b"oomspool"
    harness.node.sh(f"kill -9 {pid}")
    eventually(lambda: agent_pid(harness) != pid)
    harness.pod("after", container("app", "exec tail /dev/zero", limit="16Mi"))
    found = eventually(lambda: {one["spec"]["workload"]["name"] for one in harness.items("oomincidents")})
    eventually(lambda: len(harness.items("oomincidents")) == 2)
    assert found <= {"before", "after"}
    # Begun anew, it would begin at the new agent's start.
    assert newest_half(harness)._replace(generation=0) == half._replace(generation=0)
    harness.counters()
