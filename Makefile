# Everything a person does here has a target: `make help`.
# The system's Python first, if it can make environments: distributions build it with optimisations that others often lack.
PYTHON ?= $(shell for one in /usr/bin/python3 python3; do $$one -c 'import ensurepip, sys; sys.exit(sys.version_info < (3, 11))' \
	2> /dev/null && echo $$one && exit; done; echo python3)
VENV := .venv
BIN := $(VENV)/bin
RUNNER := operator/runner

.DEFAULT_GOAL := help
.PHONY: help demo test check lint types unit runner generate verify simulate cluster-tests e2e faults bench bench-failover image chart up down

help: ## list the targets
	@grep -hE '^[a-z-]+:.*?## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

venv: $(VENV)/.done ## make the virtual environment

$(VENV)/.done: pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[operator,agent,dev]'
	@touch $@

demo: venv ## a cluster, the operator and the quickstart, from nothing
	@$(BIN)/python -m e2e.demo

test: ## everything, on a real cluster; says at the end what it did and how long it took
	@PYTHON=$(PYTHON) ./e2e/run-all

check: venv lint types unit runner verify ## everything that needs no cluster (before every commit)

lint: venv ## ruff and the import rules
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-logo

types: venv ## mypy, strict
	$(BIN)/mypy

unit: venv ## tests without a cluster
	$(BIN)/pytest -q -m "not cluster" -n auto --dist worksteal

runner: ## vet and test the Go runner
	cd $(RUNNER) && go vet ./... && go test ./...

generate: venv ## write what is generated: CRDs, state tables
	$(BIN)/python -m batchpools crds --write crds
	$(BIN)/python -m batchpools crds --chart charts/batchpools/templates/crds
	$(BIN)/python -m batchpools crds --tables docs/architecture.md

verify: generate ## fail when something generated differs from what is committed
	git diff --exit-code -- crds charts docs

cluster-tests: venv ## contract and CRD tests against a real API server
	$(BIN)/pytest -q -m cluster tests

simulate: venv ## histories of a whole cluster: SEEDS=1..1000, today, or fresh ones for SECONDS=60
	$(BIN)/python -m batchpools.testing.simulation --seeds $(or $(SEEDS),fresh) $(if $(SECONDS),--seconds $(SECONDS))

e2e: venv ## user stories on the cluster
	$(BIN)/pytest -q e2e --ignore=e2e/faults --durations=15

faults: venv ## faults on a cluster of their own, in a fixed order; every task checked
	$(BIN)/pytest -q -p no:randomly e2e/faults

bench: venv ## figures: throughput and writes per task
	$(BIN)/python -m e2e.bench.throughput

bench-failover: venv ## figures: seconds without a dispatch when the leader crashes or leaves
	$(BIN)/python -m e2e.bench.failover

bench-nodes: venv ## figures: what a pool of 1,000 nodes costs the operator while nothing happens
	$(BIN)/python -m e2e.bench.many_nodes

image: venv ## build the images and load them into the cluster
	$(BIN)/python -m e2e.cluster load-image

chart: venv generate ## render tests of the chart
	$(BIN)/pytest -q tests/chart

up: venv ## start (or find) a cluster to run on
	$(BIN)/python -m e2e.cluster up

down: venv ## take the local cluster down
	$(BIN)/python -m e2e.cluster down
