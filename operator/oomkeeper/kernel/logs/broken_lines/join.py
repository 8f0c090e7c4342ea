"""Join the pieces of a broken line, with the blanks that were dropped at the breaks.

Mailers break at a blank and drop it. PDFs and browsers break at a blank and keep it, or after a hyphen, or
anywhere in a long word. Terminals break at their width, wherever that is. The text around a break shows
whether a blank is missing.
"""

from ...lazy import lazy
from .line_kinds import Line, limit_goes_on

_WORD_END = lazy(
    rb"(?:kB|KB|\)|,|[:=]\d+(?=\Z)|\b(?:invoked|[Kk]ill(?:ed)?|process|[Oo]ut|of|[Mm]emory:?|cgroup|"
    rb"reaped|now|as|result|limit|usage|"
    rb"failcnt|score|or|sacrifice|Task|Node|Node \d+))\Z"
)
_WORD_START = lazy(rb"(?!kB|KB)[A-Za-z_(=]")
_BEFORE_NUMBER = lazy(rb"(?:kB|KB|\)| =|,|\b(?:process|failcnt|limit|usage|score|Node))\Z")
"""Before these and a number a report always has a blank, so one was dropped even if the width suggests that a
terminal cut the line."""
TERMINAL_WIDTHS = frozenset({80, 100, 120, 132, 160})
_IN_COMM = lazy(rb",task=[^,]{1,15}\Z")
_PAGE_WIDTH = 120
"""A mailer, which breaks at blanks only, left longer lines; and in an oom-kill line only comm has blanks."""
_INSIDE_BEFORE = lazy(rb"(?:[=|(/]|(?<=[a-z])-|\d-)\Z")
_WORDS = frozenset(
    (
        b"invoked oom-killer gfp_mask nodemask order oom_score_adj memory cgroup process killed limit "
        b"result usage failcnt total-vm anon-rss file-rss shmem-rss pgtables score sacrifice child "
        b"killable processes oom_kill_allocating_task compulsory system-wide panic_on_oom enabled "
        b"deadlocked syncing kernel panic going memory.oom.group group oom_reaper reaped free boost "
        b"min low high reserved_highatomic free_highatomic active_anon inactive_anon isolated_anon "
        b"active_file inactive_file isolated_file unevictable writepending present managed mlocked "
        b"bounce free_pcp local_pcp free_cma slab_reclaimable slab_unreclaimable mapped shmem "
        b"pagetables sec_pagetables kernel_misc_reclaimable dirty writeback hugepages_total "
        b"hugepages_free hugepages_surp hugepages_size total_vm rss_anon rss_file rss_shmem "
        b"pgtables_bytes nr_ptes nr_pmds swapents tainted"
    ).split()
)
"""Words of the lines that are long enough to be broken."""
_GFP_FLAG = lazy(rb"_{0,2}gfp_[a-z_]+")
_LETTERS_BEFORE = lazy(rb"[A-Za-z_.-]+\Z")
_LETTERS_AFTER = lazy(rb"[A-Za-z_.-]+")
_HEX_BEFORE, _HEX_AFTER = lazy(rb"=0(?:x[0-9a-fA-F]*)?\Z"), lazy(rb"x?[0-9a-fA-F]+(?:[(,]|\Z)")
_NUMBER_BEFORE = lazy(rb"(?:[:=(]-?|\b(?:process|usage|limit|failcnt|score) )\d+\Z")
"""A number that no other number follows directly."""
_INSIDE_AFTER = lazy(rb"(?:,|\)|\||[kK]?B\b|:\d|=(?=\S))")


def join(pieces: list[bytes], widths: list[int], *, line: Line | None, cut_at: int | None) -> bytes:
    """Return the text of one line from its pieces.

    `widths` are the lengths in bytes of the physical lines that the pieces came from; `cut_at` is the width
    at which a terminal cut the lines of this stream, or None.
    """
    text = pieces[0]
    for width, piece in zip(widths, pieces[1:], strict=False):
        solid = line is not None and line.solid and not (width > _PAGE_WIDTH and _IN_COMM.search(text))
        text += _between(text, piece, solid=solid, cut=width == cut_at) + piece
    return text


def breaks_token(before: bytes, after: bytes) -> bool:
    """Return True if the break is inside a word or number of a report: `or` before `der=0`, `free:14` before
    `96kB`."""
    near = max(0, len(before) - 40)
    if _HEX_AFTER.match(after) and _HEX_BEFORE.search(before, near):
        return True
    if after[:1].isdigit():
        return _NUMBER_BEFORE.search(before, near) is not None
    head, tail = _LETTERS_BEFORE.search(before, near), _LETTERS_AFTER.match(after)
    if head is None or tail is None:
        return False
    word = (head[0] + tail[0]).lower()
    return word in _WORDS or _GFP_FLAG.fullmatch(word) is not None


def _between(before: bytes, after: bytes, *, solid: bool, cut: bool) -> bytes:
    if not before or before[-1:].isspace() or after[:1].isspace():
        return b""
    if solid or breaks_token(before, after) or limit_goes_on(before, after):
        return b""
    near = max(0, len(before) - 40)
    if (_WORD_START.match(after) and _WORD_END.search(before, near)) or (
        after[:1].isdigit() and _BEFORE_NUMBER.search(before, near)
    ):
        return b" "
    if cut or _INSIDE_BEFORE.search(before, near) or _INSIDE_AFTER.match(after):
        return b""
    return b" "
