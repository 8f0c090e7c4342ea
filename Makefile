# oomkeeper: `make help` lists what there is.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: help venv lint format unit test image kind kind-env kind-down e2e vmnode vmnode-down vmnode-test kernel-lab demo bench crds lock clean
.DEFAULT_GOAL := help

help:  ## this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

venv: $(STAMP)  ## everything at .venv/bin, oomkeeper and kubectl-oom among it

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "oomkeeper needs Python 3.11 or newer; this is $$($(PYTHON) --version). Name another one: make PYTHON=python3.12 ..." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --no-build-isolation --no-deps --editable .
	$(BIN)/python -m compileall -q operator/oomkeeper  # as pip does for a package that is not editable
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

unit: venv  ## the unit tests alone, in parallel: under a minute
	$(BIN)/python -m pytest --numprocesses auto tests/unit $(PYTEST_ARGS)

test: venv  ## every test: units, this kernel, a real API server and (as root) a real kubelet
	$(BIN)/python -m pytest $(PYTEST_ARGS)

image: venv  ## oomkeeper's image, with docker, buildah or podman; prints its name and the archive's path
	@$(BIN)/python -m tests.testbed.operatorimage

kind: venv  ## a kind cluster with a control plane, two workers and oomkeeper in it
	@$(BIN)/python -m tests.testbed.kind up

kind-env: venv  ## what points a shell at it: eval "$$(make -s kind-env)"
	@$(BIN)/python -m tests.testbed.kind env

kind-down: venv  ## remove every kind cluster made here, and put the machine back
	@$(BIN)/python -m tests.testbed.kind down

e2e: venv  ## oomkeeper on kind, killed for real: on the cluster of `make kind`, else on one of its own
	$(BIN)/python -m pytest $(PYTEST_ARGS) -m 'e2e and not vmnode' tests/testbed tests/e2e

vmnode: venv  ## a virtual machine as a Kubernetes node that may panic, with oomkeeper in it
	@$(BIN)/python -m tests.testbed up --level vmnode

vmnode-down: venv  ## remove every virtual node made here
	@$(BIN)/python -m tests.testbed down --level vmnode

vmnode-test: venv  ## oomkeeper on a virtual node that is made to panic and comes back
	$(BIN)/python -m pytest $(PYTEST_ARGS) -m vmnode tests/e2e/vmnode

kernel-lab: venv  ## every cause anew on four kernels in virtual machines, against what was done (half an hour)
	$(BIN)/python -m tests.kernel_lab $(KERNEL_LAB)

demo: venv  ## the main job, first on this host alone, then on a real one-node cluster
	$(BIN)/python -m demo

bench: venv  ## measure, and print what bench/README.md quotes
	$(BIN)/python -m bench

crds: venv  ## write crds/ anew from the models
	$(BIN)/python -m oomkeeper.api.generate

UV_COMPILE := uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url --no-emit-find-links

# The image's pins are a part of the others: what was tested is what runs.
lock:  ## pin every dependency anew (needs uv)
	$(UV_COMPILE) --all-extras --upgrade -o requirements.lock
	$(UV_COMPILE) --extra agent --extra controller --constraint requirements.lock --no-annotate --upgrade -o requirements-image.lock

clean:  ## remove what make made here; the testbed's cache stays
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
