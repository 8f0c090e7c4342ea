# `make help` lists the targets.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

PYTEST_ARGS ?=

.PHONY: help venv lint lint-workflows format unit coverage test cluster-test chart chart-golden bundle packages packages-test image release-check release-image kind kind-env kind-down e2e vmnode vmnode-down vmnode-test kernel-lab soak browser-test demo bench docs plugin crds lock clean
.DEFAULT_GOAL := help

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

venv: $(STAMP)  ## create .venv with everything pinned, oomkeeper and kubectl-oom included

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "oomkeeper needs Python 3.11 or newer; this is $$($(PYTHON) --version). Name another one: make PYTHON=python3.12 ..." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --no-build-isolation --no-deps --editable .
	$(BIN)/python -m compileall -q operator/oomkeeper  # as pip does for a package that is not editable
	@touch $@

lint: venv  ## run ruff, mypy --strict, import-linter, and check that generated files are current
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m oomkeeper.api.generate --check
	$(BIN)/python -m oomkeeper.api.document --check

lint-workflows:  ## check the GitHub workflows with actionlint (needs Go)
	go run github.com/rhysd/actionlint/cmd/actionlint@v1.7.12

format: venv  ## format the code with ruff
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

unit: venv  ## run the unit tests in parallel (under a minute)
	$(BIN)/python -m pytest --numprocesses auto tests/unit $(PYTEST_ARGS)

coverage: venv  ## run the unit tests and report their line and branch coverage (htmlcov/index.html)
	$(BIN)/python -m pytest --numprocesses auto --cov --cov-report=term:skip-covered --cov-report=html --cov-report=xml tests/unit $(PYTEST_ARGS)

test: venv  ## run every test but e2e and vmnode: units, this kernel, a real API server and (as root) a real kubelet
	$(BIN)/python -m pytest $(PYTEST_ARGS)

cluster-test: venv  ## run the tests against this kernel, a real API server and (as root) a real kubelet
	$(BIN)/python -m pytest $(PYTEST_ARGS) tests/kernel tests/kernel_lab tests/fuzz tests/cluster tests/metrics tests/testbed

chart: venv  ## lint the chart, compare its output with the golden files, test its rules, package it into dist/
	$(BIN)/python -m pytest $(PYTEST_ARGS) tests/chart tests/metrics/test_rules.py
	@$(BIN)/python -m tests.testbed.chart dist

packages: venv  ## build a .deb and an .rpm for a single host into dist/ (needs Go and PyPI; about a minute)
	@$(BIN)/python -m tests.testbed.hostpackages dist

packages-test: venv  ## test the .deb under systemd in a virtual machine (as root, needs QEMU; about ten minutes)
	$(BIN)/python -m tests.testbed.hostpackages dist --python 3.11
	$(BIN)/python -m tests.testbed.hostpackages.systemd_guest dist

image: venv  ## build the image with docker, buildah or podman; print its name and the archive's path
	@$(BIN)/python -m tests.testbed.operatorimage

chart-golden: venv  ## write what is generated from the chart: golden files, kustomize/, bundle/, docs/chart-values.md
	@$(BIN)/python -m tests.chart.golden

bundle: venv  ## write the OLM bundle, bundle/, with the image IMAGE
	@$(BIN)/python -m tests.chart.bundle "$(IMAGE)"

release-check: venv  ## check that package, chart and changelog have the version of TAG=vX.Y.Z
	@$(BIN)/python -m tests.testbed.release "$(TAG)"

# The registry must be logged in to. dist/image.json holds the digest, for cosign.
release-image:  ## build for amd64 and arm64 with SBOM and provenance, and push: IMAGE=REGISTRY/NAME:TAG
	@test -n "$(IMAGE)" || { echo "set IMAGE=REGISTRY/NAME:TAG" >&2; exit 1; }
	mkdir -p dist
	docker buildx build --platform linux/amd64,linux/arm64 --sbom=true --provenance=mode=max \
		--tag "$(IMAGE)" --metadata-file dist/image.json --push .

kind: venv  ## start a kind cluster with a control plane, two workers and oomkeeper
	@$(BIN)/python -m tests.testbed.kind up $(KIND_ARGS)

kind-env: venv  ## print the shell lines that point kubectl at it: eval "$(make -s kind-env)"
	@$(BIN)/python -m tests.testbed.kind env

kind-down: venv  ## remove every kind cluster made here and restore the machine's settings
	@$(BIN)/python -m tests.testbed.kind down

e2e: venv  ## test oomkeeper on kind with real OOM kills: on the cluster of `make kind`, else on a new one
	$(BIN)/python -m pytest $(PYTEST_ARGS) -m 'e2e and not vmnode' tests/testbed tests/e2e

vmnode: venv  ## start a virtual machine as a Kubernetes node that may panic, with oomkeeper
	@$(BIN)/python -m tests.testbed up --level vmnode

vmnode-down: venv  ## remove every virtual node made here
	@$(BIN)/python -m tests.testbed down --level vmnode

vmnode-test: venv  ## test oomkeeper on a virtual node that panics and reboots
	$(BIN)/python -m pytest $(PYTEST_ARGS) -m vmnode tests/e2e/vmnode

kernel-lab: venv  ## reproduce every cause on four kernels in virtual machines and check the verdicts (half an hour)
	$(BIN)/python -m tests.kernel_lab $(KERNEL_LAB)

soak: venv  ## kill in cgroups and pods while everything else fails, and check the account (2 minutes; SOAK="--size medium": 8, full: 30)
	$(BIN)/python -m tests.soak $(SOAK)

browser-test: venv  ## test the HTML report in Chromium (Debian: apt-get install chromium, 100 MB)
	$(BIN)/python -m pytest $(PYTEST_ARGS) tests/browser

demo: venv  ## show the main features, first on this host alone, then on a real one-node cluster
	$(BIN)/python -m demo

bench: venv  ## measure, and print the figures that bench/README.md quotes
	$(BIN)/python -m bench

docs: venv  ## build the site of the pages in docs/ into dist/site; any warning is an error
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict

plugin: venv  ## build kubectl oom as one file into dist/, with its krew manifest (PLUGIN_ARGS="--url URL")
	$(BIN)/python -m plugins dist $(PLUGIN_ARGS)

crds: venv  ## generate crds/ and package resources from the models
	$(BIN)/python -m oomkeeper.api.generate
	$(BIN)/python -m oomkeeper.api.document

UV_COMPILE := uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url --no-emit-find-links

# The image's pins are a subset of the others: the versions that were tested are the versions that run.
lock:  ## pin the newest version of every dependency (needs uv)
	$(UV_COMPILE) --all-extras --upgrade -o requirements.lock
	$(UV_COMPILE) --extra agent --extra controller --constraint requirements.lock --no-annotate --upgrade -o requirements-image.lock

clean:  ## remove everything make created here; the testbed's cache stays
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .coverage htmlcov coverage.xml dist
