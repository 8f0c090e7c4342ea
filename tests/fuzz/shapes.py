"""New logs out of real ones: lines left out, doubled, moved, cut and altered, as pagers, lost records and
forgers do. Fed by the fuzzer's bytes, so that what it learns of coverage steers the shape."""

from random import Random

from . import seeds

_WORDS = (
    b"oom-kill:",
    b"Killed process ",
    b" invoked oom-killer: ",
    b",pid=1,uid=0",
    b",task=",
    b"\\x0a",
    b"#012",
    b"\n",
    b"\r\n",
    b"\x00",
    b"\xff\xfe",
    b"99999999999999999999",
    b"-1",
    b"kB",
    b"[",
    b"]",
    b";",
    b"4,1,1,-;",
    b"12,1,1,-;",
    b"<4>",
    b"kernel: ",
)
_MOST_LINES = 240


def alter(data: bytes, random: Random) -> bytes:
    """`data` a few steps further from what it was."""
    lines = data.split(b"\n")[:_MOST_LINES]
    pool = seeds.lines()
    for _ in range(random.randrange(1, 8)):
        at = random.randrange(len(lines)) if lines else 0
        step = random.randrange(8)
        if step == 0 and lines:
            del lines[at : at + random.randrange(1, 30)]
        elif step == 1:
            lines.insert(at, random.choice(pool))
        elif step == 2:
            first = random.randrange(len(pool))
            lines[at:at] = pool[first : first + random.randrange(1, 25)]
        elif step == 3 and lines:
            other = random.randrange(len(lines))
            lines[at], lines[other] = lines[other], lines[at]
        elif step == 4 and lines:
            lines[at] = lines[at][: random.randrange(len(lines[at]) + 1)]
        elif step == 5 and lines:
            lines[at : at + 2] = [b"".join(lines[at : at + 2])]
        elif lines:
            lines[at] = _altered(lines[at], random)
    return b"\n".join(lines)


def _altered(line: bytes, random: Random) -> bytes:
    at = random.randrange(len(line) + 1)
    end = at if random.random() < 0.5 else min(len(line), at + random.randrange(1, 9))
    new = random.choice(_WORDS) if random.random() < 0.7 else random.randbytes(random.randrange(1, 6))
    return line[:at] + new + line[end:]


def start(random: Random) -> bytes:
    """A window of a real log, or a handful of lines."""
    if random.random() < 0.2:
        return b"\n".join(random.choices(seeds.lines(), k=random.randrange(1, 12)))
    lines = random.choice(seeds.logs()).split(b"\n")
    size = random.randrange(1, 160)
    first = random.randrange(max(1, len(lines) - size))
    return b"\n".join(lines[first : first + size])
