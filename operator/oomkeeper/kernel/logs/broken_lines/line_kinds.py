"""How the lines of an OOM report begin and end: enough to distinguish one broken line from two lines.

Sources of the texts: mm/oom_kill.c dump_header(), dump_tasks(), __oom_kill_process(); mm/show_mem.c
(lib/show_mem.c and mm/page_alloc.c before 6.4) ; mm/memcontrol.c mem_cgroup_print_oom_meminfo(), from 2.6.32
to 6.18; and wrapped logs that people posted.
"""

import re
from typing import NamedTuple

from ...lazy import lazy

_ROW_START = rb"\[ *\d+\] +\d+ +\d+ "
TABLE_ROW_START = lazy(_ROW_START)
"""How a row of the task table begins, and no stamp does."""
KNOWN_START = lazy(
    _ROW_START + rb"|\[ *pid *\]"
    rb"|(?:CPU: \d+ (?:UID|PID)|Pid: \d+, comm): "
    rb"|(?:Hardware name|Workqueue|Call Trace|Mem-Info|Call trace)\b"
    rb"|Node \d+ "
    rb"|(?:DMA|DMA32|Normal|HighMem|Movable|Device)(?: free:|: \d+\*| per-cpu:)"
    rb"|lowmem_reserve\[\]:"
    rb"|active_anon:\d+ "
    rb"|\d+ (?:total pagecache|pages |slab pages)"
    rb"|(?:Swap cache stats|Free swap|Total swap)\b"
    rb"|Tasks? (?:state|in )|oom-kill:constraint="
    rb"|Out of memory(?: \(|: |\b and no )"
    rb"|Memory cgroup (?:out of memory|stats for(?: |$)|(?:min|low) protection)"
    rb"|Memory limit reached of cgroup |Killed? process \d+"
    rb"|(?:memory|memory\+swap|kmem|swap): usage \d|oom_reaper: |Unreclaimable slab info:|Name +Used +Total"
    rb"|Kernel panic - not syncing|COMPACTION is disabled|sysrq: |SysRq : "
    rb"|.{1,15} invoked oom(?:-killer)?(?::\s|:?$)"
)
"""How only lines of the kernel's OOM report begin; comm is at most 15 bytes (TASK_COMM_LEN)."""

END_BYTES = 200
"""Where the end of a line is searched; bounds the time for very long lines."""


class Line(NamedTuple):
    """A kind of line that is long enough to be broken."""

    opens: bytes
    """Pattern of its beginning."""
    complete: re.Pattern[bytes] | None
    """Matches at its end if nothing is missing; None if the end is open."""
    goes_on: re.Pattern[bytes]
    """Matches a broken-off rest."""
    solid: bool = False
    """True if it has no blanks: every break is inside the text."""

    def is_whole(self, text: bytes) -> bool:
        """Return True unless something is known to be missing at the end of `text`."""
        return self.complete is None or self.complete.search(text, max(0, len(text) - END_BYTES)) is not None


def _line(opens: bytes, complete: bytes | None, goes_on: bytes, *, solid: bool = False) -> Line:
    return Line(opens, lazy(complete + rb"\s*\Z") if complete else None, lazy(goes_on), solid)


_KILL_REST = (
    rb",|\(|\)|process\b|Killed? process|\d|(?:total-?)?(?:vm|-vm)?:\d|(?:anon|file|shmem)-|rss:\d|"
    rb"total-|vm:|UID|pgtables|oom_score_adj|"
    rb"score|or sacrifice|sacrifice|child|kB\b|(?:out )?of memory|out of|memory\b|and no|no killable|killable"
)
_ZONE_REST = (
    rb"(?:(?:[\w]*(?:\(\w+\))?:)?-?\d+ ?[kK]B|[kK]?B|\w+(?:\(\w+\))?:|all_unreclaimable\?|yes|no|"
    rb"pages_scanned:\d+)(?=[ \r]|\Z)"
)

LINES = (
    _line(
        rb".{1,20} invoked(?: oom.*|\s*)\Z",
        rb"(?:oom_score_adj=-?\d+|oomkilladj=-?\d+|(?<=\d, )order=-?\d+|\), ?order=-?\d+)",
        rb"(?:oom-?)?kill(?:er)?:|er:|oom\b|oom-|gfp_mask|order=|nodemask=|oom_|adj=|score_adj|[|(]|"
        rb"\|?(?:__)?GFP_|0x[0-9a-f]|-?\d+(?:,|\Z)",
    ),
    _line(rb"oom-(?:kill.*)?\Z", rb",uid=\d+", rb"kill:|kill\Z|[^\s]*[,=]|[\w./:@()-]+\Z", solid=True),
    _line(
        rb"(?:Memory cgroup(?: out\b|\s*\Z)|Out(?: of|\s*\Z)|Killed?\b(?= process|\s*\Z))",
        rb"(?:oom_score_adj:-?\d+|rss:\d+kB|sacrifice child|killable processes\.*|is enabled|OOM victim .*)",
        _KILL_REST,
    ),
    _line(
        rb"(?:Node \d+ (?:\w+ )?|\w+ )(?:free|active_anon):|Node \d+(?: \w+)?\s*\Z",
        None,
        _ZONE_REST + rb"|hugepages_total=\d",
    ),
    _line(
        rb"\s*(?:active_anon|active_file|unevictable|slab_reclaimable|mapped|kernel_misc_reclaimable|"
        rb"sec_pagetables|free):\d+(?!\d|kB)",
        None,
        rb"\s*[a-z_]+(?:\(\w+\))?:(?:\d+)?(?=[\s#]|\Z)",
    ),
    _line(
        rb"(?:Node \d+ )?(?:\w+: \d+\*\d+kB|(?:DMA|DMA32|Normal|HighMem|Movable|Device):\s*\Z)",
        rb"= \d+kB",
        rb"\d+\*\d+kB|\([A-Z]+\)|= ?\d+kB|\d+kB|\*\d|kB\b|=\Z",
    ),
    _line(rb"lowmem_reserve\[\]:", None, rb"\d+(?: \d+)*\s*\Z"),
    _line(
        rb"\d+ (?:total|pages)\b",
        rb"(?:pages|RAM|reserved|cma|cache|Only|poisoned)",
        rb"pages|in swap|[\w/]+\s*\Z",
    ),
    _line(rb"(?:Free|Total) swap\b", rb"\d+kB", rb"swap\b|= ?\d|\d+kB"),
    _line(rb"Node \d+ hugepages_total=\d", rb"hugepages_size=\d+kB", rb"hugepages_\w+=|\d*kB\Z|=\d|\w+=\d"),
    _line(rb"Task in /", rb"limit of \S+", rb"killed|as a |a result|result|limit|of |/|in /"),
    _line(rb"Memory cgroup stats", None, rb"for |/\S*:|\w+:\d+[KM]B|for\Z|[KM]B\b"),
    _line(
        rb"(?:memory|memory\+swap|kmem|swap):(?= |\Z)",
        rb"failcnt \d+",
        rb"usage|limit|failcnt|:? ?\d+kB|\d+\Z",
    ),
    _line(rb"[a-z][a-z0-9_]{2,40}(?: \d+)?\s*\Z", rb" \d+", rb"\d{1,20}\s*\Z"),
    _line(rb"\[ *pid *\]", rb" name", rb"[a-z_][a-z_ ]*\Z"),
    _line(
        rb"CPU: \d+ ",
        rb"#\d+.*",
        rb"(?:\d+ )?(?:UID|PID|Comm): |Tainted|Not |tainted|Kdump|\d+\.\d+[.-]|#\d|[A-Z] +[A-Z ]*\d+\.\d+",
    ),
    _line(
        rb"Tasks in ",
        rb"oom\.group set\.?",
        rb"are going|going|to be|be killed|killed|due|memory\.oom|set\b|/",
    ),
    _line(rb"oom_reaper:", rb"shmem-rss:\d+kB", rb"reaped|process|\d|\(|now|" + _KILL_REST),
    _line(
        rb"Kernel panic\b",
        rb"(?:enabled|memory\.*|processes\.*)",
        rb"- not\b|not syncing|syncing|[a-z_]+ |enabled\b|memory\b",
    ),
)

_OPENS = lazy(b"|".join(b"(" + line.opens + b")" for line in LINES))
"""Group n matches the beginning of `LINES[n - 1]`."""
_OPENS_ANY = lazy(b"|".join(line.opens for line in LINES))
"""The same without groups, which the engine rejects by the first byte: most texts are no such line."""

MEM_INFO_REST_TEXT = (
    rb"\s*(?:active_file|unevictable|slab_reclaimable|mapped|kernel_misc_reclaimable|sec_pagetables|"
    rb"free):\d+(?!\d|kB)"
)
MEM_INFO_REST = lazy(MEM_INFO_REST_TEXT)
"""The further lines of the Mem-Info record."""
STATISTIC = lazy(rb"\s*[a-z][a-z0-9_]* \d+\s*\Z")
"""One line of a cgroup v2 memory.stat, as reports before 6.5 print them in one record."""
TABLE_HEADER = lazy(rb"\[ *pid *\]((?: +[a-z_]+)*) +name\s*\Z")
TABLE_ROW = lazy(rb"\[ *\d+\](?: +-?\d+)* *\Z|\[ *\d+\]((?: +-?\d+)*)(?: +(\S.*))?\Z")
NUMBERS = lazy(rb" *-?\d+(?: +-?\d+)*(?: +\S.*)?\Z")


_TASK_IN = lazy(rb"Task in (?P<task>/\S*) killed as a result of limit of (?P<limit>/\S*)\s*\Z")


def limit_goes_on(text: bytes, rest: bytes) -> bool:
    """Return True if `Task in V killed as a result of limit of B` breaks off inside B: B is V or a parent of
    it, so where B ends inside a name of V, the rest of the name follows."""
    if not text.startswith(b"Task in ") or (found := _TASK_IN.match(text)) is None:
        return False
    task, limit = found["task"], found["limit"]
    missing = task[len(limit) :]
    if not task.startswith(limit) or not missing or missing[:1] == b"/":
        return False
    more = rest.strip()
    return missing == more or missing.startswith(more + b"/")


def row_rest(text: bytes, rest: bytes, columns: int) -> bool:
    """Return True if `rest` continues the row `text` of the task table, which has `columns` numbers after the
    pid in brackets."""
    found = TABLE_ROW.match(text)
    if found is None or columns == 0:
        return False
    numbers = len(text[text.index(b"]") + 1 :].split())
    if numbers > columns:
        return False
    if numbers == columns:  # only the name is missing; it may be anything, but is short
        return len(rest.strip()) <= 15
    return NUMBERS.match(rest) is not None


def is_further_line(text: bytes, line: bytes) -> bool:
    """Return True for an unindented further line of the record `text`, as old journalctl prints it."""
    if text.startswith(b"Memory cgroup stats for") or b"\nanon " in text[:40]:
        return STATISTIC.match(line) is not None
    return text.startswith(b"active_anon:") and MEM_INFO_REST.match(line) is not None


def find_line(text: bytes) -> Line | None:
    """Return the kind of breakable line that `text` is, or None."""
    if _OPENS_ANY.match(text) is None:
        return None
    found = _OPENS.match(text)
    return LINES[found.lastindex - 1] if found is not None and found.lastindex else None
