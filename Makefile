# Everything a person does here has a target: `make help`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RUNNER := operator/runner

.DEFAULT_GOAL := help
.PHONY: help venv check lint types unit runner generate verify up down

help: ## list the targets
	@grep -hE '^[a-z-]+:.*?## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

venv: $(VENV)/.done ## make the virtual environment

$(VENV)/.done: pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[operator,agent,dev]'
	@touch $@

check: venv lint types unit runner verify ## everything that needs no cluster (before every commit)

lint: venv ## ruff and the import rules
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-logo

types: venv ## mypy, strict
	$(BIN)/mypy

unit: venv ## tests without a cluster
	$(BIN)/pytest -q -m "not cluster"

runner: ## vet and test the Go runner
	cd $(RUNNER) && go vet ./... && go test ./...

generate: venv ## write what is generated: CRDs, state tables
	$(BIN)/python -m batchpools crds --write crds
	$(BIN)/python -m batchpools crds --chart charts/batchpools/templates/crds

verify: generate ## fail when something generated differs from what is committed
	git diff --exit-code -- crds charts docs

up: venv ## start (or find) a cluster to run on
	$(BIN)/python -m e2e.cluster up

down: venv ## take the local cluster down
	$(BIN)/python -m e2e.cluster down
