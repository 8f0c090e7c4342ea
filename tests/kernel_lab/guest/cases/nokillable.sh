#: panics: System is deadlocked on memory
# Every process is exempt: only a panic is left.
expect cause=NoKillableProcess outcome=Panicked
start memhog - -a -1000 anon 400
await
