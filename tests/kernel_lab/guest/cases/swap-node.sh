# Memory and swap are both full.
use_swap
expect cause=NodeMemory outcome=Killed contributor=Anonymous swap_full=1
start memhog - anon 500
await
