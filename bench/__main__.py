"""`make bench`: every bench, one after the other."""

import sys

from . import latency, memory, parse, reconnect, report, rollout, scale, start, storms, tracing, writes


def main() -> int:
    """Each prints its own figures; one that cannot run here says why."""
    for bench in (parse, start, latency, memory, reconnect, storms, tracing, scale, rollout, writes, report):
        print(f"== {bench.__name__}", flush=True)
        bench.main()
    return 0


if __name__ == "__main__":
    sys.exit(main())
