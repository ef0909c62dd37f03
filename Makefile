# Every target sets itself up first. `make help` lists them.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
ARGS   ?=

.PHONY: help setup servers demo test lint check bench torture format clean

help:
	@echo 'make demo [ARGS="--seconds 20 --json"]  run a small district in one go'
	@echo 'make test [ARGS="-k spool"]             every test, real broker and database included'
	@echo 'make check                              lint, types, layers, tests: what CI runs'
	@echo 'make bench                              the benchmarks, a table at the end'
	@echo 'make torture [ARGS="--rounds 50"]       faults for as long as you like, with a seed'
	@echo 'make setup / servers / lint / format / clean'

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo 'Python 3.11 or later is needed: make PYTHON=/path/to/python3.11'; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $@

setup: $(STAMP)

servers: $(STAMP)
	@tests/servers/install

demo: $(STAMP)
	$(BIN)/nenghao demo $(ARGS)

test: $(STAMP) servers
	$(BIN)/pytest --numprocesses $(WORKERS) --dist loadfile $(ARGS)

lint: $(STAMP)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

check: lint
	$(MAKE) test ARGS='--cov --cov-report=term:skip-covered --cov-fail-under=$(COVERAGE)'

# Most of an end-to-end test is waiting: two at a time, whole files each.
WORKERS := 2

# The floor rises with the tests; it never falls.
COVERAGE := 90

bench: $(STAMP) servers
	$(BIN)/python -m benchmarks $(ARGS)

torture: $(STAMP) servers
	$(BIN)/python -m tests.torture $(ARGS)

format: $(STAMP)
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

clean:
	rm -rf $(VENV) build var *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage*
