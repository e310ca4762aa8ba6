# One contract test file, one test (after `make setup`):
#   make contracts-test TESTS=tests/contracts/consent_token
#   make contracts-test TESTS="tests/contracts/consent_token -k revoke -x"
# The same by hand, on Brownie's own port 8545:
#   PATH=$PWD/node_modules/.bin:$PATH SOLCX_BINARY_PATH=$PWD/scripts .venv/bin/brownie test FILE --network ganache-cli

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules

PYTHON := .venv/bin/python
BROWNIE := $(PYTHON) scripts/run_brownie.py
TESTS ?= tests/contracts

.PHONY: help
help: ## This list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# Set-up. Each step leaves a stamp that is newer than what it was made from, so a second run skips it.

.PHONY: setup
setup: .venv/.installed node_modules/.installed ## Python and Node tools at the locked versions (3 minutes at first, then nothing)

.venv/bin/python:
	@echo "setup: virtual environment"
	@python3 -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11) and "Salus needs Python 3.11; python3 is " + sys.version)'
	@python3 -m venv .venv

.venv/.installed: requirements-dev.lock pyproject.toml | .venv/bin/python
	@echo "setup: Python packages (about 2 minutes)"
	@$(PYTHON) -m pip install -qq --disable-pip-version-check -r requirements-dev.lock
	@$(PYTHON) -m pip install -qq --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

node_modules/.installed: package-lock.json package.json
	@echo "setup: compiler, development chain and IPFS daemon (about 30 s)"
	@node -e 'if (+process.versions.node.split(".")[0] < 20) { console.error("Salus needs Node 20; this is " + process.version); process.exit(1) }'
	@npm ci --loglevel=error --no-progress >/dev/null
	@touch $@

.PHONY: compile
compile: setup ## Compile the contracts (15 s when all have changed)
	@$(BROWNIE) compile

.PHONY: abi
abi: compile ## Write the ABIs that the package carries from the compiled contracts
	@$(PYTHON) scripts/export_abi.py

.PHONY: demo
demo: setup ## The main job end to end: four hospitals train one model (5 minutes at first)
	@$(PYTHON) -m protocol.cli demo

.PHONY: demo-records
demo-records: setup ## The same with FHIR records: from import to a released model, and a patient who withdraws
	@$(PYTHON) -m protocol.cli demo --records

# Two at a time, the longest first: none keeps two processors busy by itself. What one says is printed when it ends.
# Compiled before: both would else compile at once, into one folder.
.PHONY: test
test: compile ## Every test, contracts and Python side by side
	@$(MAKE) --no-print-directory --jobs=2 --output-sync=target integration-test contracts-test unit-test fuzz-short

.PHONY: contracts-test
contracts-test: setup ## Contract tests on a Ganache of their own; TESTS=FILE for some of them
	@$(BROWNIE) test $(TESTS) --network ganache-cli

.PHONY: python-test
python-test: setup ## Python and integration tests; PYTESTS=FILE for some of them
ifdef PYTESTS
	@$(PYTHON) -m pytest $(PYTESTS)
else
	@$(MAKE) --no-print-directory unit-test
	@$(MAKE) --no-print-directory integration-test
endif

.PHONY: unit-test
unit-test: setup
	@$(PYTHON) -m pytest -n 2 --dist loadfile tests/protocol

.PHONY: integration-test
integration-test: setup
	@$(PYTHON) -m pytest tests/integration

# forge counts runs by test: one half has the mean, the other the median. The short form belongs to `make test`.
RUNS ?= 200000
.PHONY: fuzz
fuzz: setup ## Fuzz the challenge of merges with forge; RUNS=2000 for a short form
	@if [ "$$(uname -sm)" != "Linux x86_64" ]; then echo "fuzz: skipped, forge comes for Linux on x86-64 alone"; \
	else FOUNDRY_FUZZ_RUNS=$$((($(RUNS) + 1) / 2)) node_modules/.bin/forge test; fi

.PHONY: fuzz-short
fuzz-short:
	@$(MAKE) --no-print-directory fuzz RUNS=2000

.PHONY: chaos
chaos: setup ## A job of 10 rounds under 30 random kills of nodes, chain and IPFS daemon; SEED=n repeats the draws
	@$(PYTHON) -m tests.integration.chaos $(if $(SEED),--seed $(SEED))

.PHONY: stream
stream: setup ## A device streams 500 images into a gateway that is killed 10 times; SEED=n repeats the draws
	@$(PYTHON) -m tests.integration.stream $(if $(SEED),--seed $(SEED))

.PHONY: lint
lint: setup ## Style of Python and Solidity
	@$(PYTHON) -m ruff check .
	@$(PYTHON) -m ruff format --check .

.PHONY: bench
bench: setup ## Gas, round time, accuracy and trace figures
	@$(PYTHON) scripts/bench.py

.PHONY: attacks
attacks: setup ## What attacks achieve, without and with what stands against them; writes docs/ATTACKS.md (5 minutes)
	@$(PYTHON) -m tests.attacks

.PHONY: locks
locks: ## Resolve pyproject.toml anew into the two requirements locks (5 minutes)
	@scripts/lock_requirements

.PHONY: clean
clean: ## Remove what make made: tools, build files, caches. The chain and files in .salus stay
	@rm -rf .venv node_modules build reports salus.egg-info .pytest_cache .ruff_cache .hypothesis
	@find protocol scripts tests -name __pycache__ -type d -prune -exec rm -rf {} +
