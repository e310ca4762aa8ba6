# One contract test file, one test (after `make setup`):
#   make contracts-test TESTS=tests/contracts/test_consent_token.py
#   make contracts-test TESTS="tests/contracts/test_consent_token.py -k revoke -x"
# The same by hand, on Brownie's own port 8545:
#   PATH=$PWD/node_modules/.bin:$PATH SOLCX_BINARY_PATH=$PWD/scripts .venv/bin/brownie test FILE --network ganache-cli

SHELL := bash
.DEFAULT_GOAL := help

PYTHON := .venv/bin/python
BROWNIE := $(PYTHON) scripts/run_brownie.py
TESTS ?= tests/contracts

.PHONY: help
help: ## This list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: compile
compile: ## Compile the contracts (15 s when all have changed)
	@$(BROWNIE) compile

.PHONY: contracts-test
contracts-test: ## Contract tests on a Ganache of their own; TESTS=FILE for some of them
	@$(BROWNIE) test $(TESTS) --network ganache-cli
