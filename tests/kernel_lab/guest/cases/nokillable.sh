#: panics: System is deadlocked on memory
# Every process is exempt: nothing is left but a panic.
expect cause=NoKillableProcess outcome=Panicked
start memhog - -a -1000 anon 400
await
