"""Lines without kernel framing that another program clearly wrote. Used where nothing better shows the
writer."""

import re

from ...lazy import lazy

_SHAPES = lazy(
    rb"[IWEF]\d{4} \d\d:\d\d:\d\d"  # klog: kubelet, etcd's older logs
    rb"|(?:time|ts|level|msg|logger)=\S"  # logfmt: containerd, dockerd, cri-o
    rb"|\{\s*\""  # JSON
    rb"|\d{4}[-/]\d\d[-/]\d\d[T ]\d\d:\d\d"
    rb"|\[\d{4}[-/]\d\d[-/]\d\d[T ]\d\d:\d\d"
    rb"|\d{1,3}(?:\.\d{1,3}){3} \S+ \S+ \["  # access logs
    rb"|\[?(?:INFO|WARN|WARNING|ERROR|DEBUG|TRACE|FATAL|CRITICAL|NOTICE)\b[\]: \t]"
    rb"|-- (?:Boot|Logs begin|Journal begins|No entries|Reboot|cursor)"
    rb"|(?:Panic|Oops)#\d+ Part"  # pstore's heading of a part
    # a shell's prompt
    rb"|\S+@\S+:\S*[#$] |\[\S+@\S+ \S+\][#$] |[#$] (?:dmesg|journalctl|cat|grep|less|tail)\b"
)
ELISION = lazy(
    rb"\s*(?:\[?\.{3,}\]?|\[?(?:snip|\xe2\x80\xa6|cut)\]?|<snip>|-{3,}|={3,}|\.\.|\*{3,})\s*\Z", re.IGNORECASE
)
"""What people write where they left lines out."""


def looks_foreign(line: bytes) -> bool:
    """Return True if the line is framed as another program's log does it."""
    return _SHAPES.match(line) is not None
