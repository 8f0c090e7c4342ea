"""Hostile logs. The tests here run always, in seconds; `python -m tests.fuzz --runs 1000000` runs the
coverage-guided fuzzer over the same properties for as long as it takes."""
