# oomkeeper: `make help` lists what there is.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: help venv lint format test kernel-lab demo bench crds lock clean
.DEFAULT_GOAL := help

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

venv: $(STAMP)  ## everything at .venv/bin, oomkeeper and kubectl-oom among it

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "oomkeeper needs Python 3.11 or newer; this is $$($(PYTHON) --version). Name another one: make PYTHON=python3.12 ..." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --no-build-isolation --no-deps --editable .
	@touch $@

lint: venv  ## ruff, mypy --strict, the one-way imports, crds/ against its models
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m oomkeeper.api.generate --check

format: venv  ## let ruff lay out the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

test: venv  ## every test: units, this kernel, a real API server and (as root) a real kubelet
	$(BIN)/python -m pytest

kernel-lab: venv  ## every cause anew on four kernels in virtual machines, against what was done (half an hour)
	$(BIN)/python -m tests.kernel_lab $(KERNEL_LAB)

demo: venv  ## the main job, first on this host alone, then on a real one-node cluster
	$(BIN)/python -m demo

bench: venv  ## measure, and print what bench/README.md quotes
	$(BIN)/python -m bench

crds: venv  ## write crds/ anew from the models
	$(BIN)/python -m oomkeeper.api.generate

lock:  ## pin every dependency anew (needs uv)
	uv pip compile pyproject.toml --all-extras --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url --no-emit-find-links --upgrade -o requirements.lock

clean:  ## remove what make made here; the testbed's cache stays
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
