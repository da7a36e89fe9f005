# What a person or the CI may ask for. `make setup` needs Python 3.11 or newer, git and make.

PYTHON ?= python3
BIN := .venv/bin
UV_PIN := $(shell sed -n 's/^ *"\(uv==[0-9.]*\)".*/\1/p' pyproject.toml)
UV := UV_PROJECT_ENVIRONMENT=.venv UV_PYTHON_DOWNLOADS=never $(BIN)/uv
SETUP := .venv/.setup-stamp
BENCH := .venv/.bench-stamp

.PHONY: help setup foreign demo test check bench soak format

help:
	@echo 'make setup    the tools and libraries, into .venv'
	@echo 'make foreign  other people'"'"'s log clients, where Go is (for the tests)'
	@echo 'make demo     a walk through the ledger (options: ARGS="...")'
	@echo 'make test     all tests (options: ARGS="-k name")'
	@echo 'make check    format, lint, types, imports, docs'
	@echo 'make format   put the code in its one format'
	@echo 'make bench    how fast it is on this machine (options: ARGS="...")'
	@echo 'make soak     hours of faults and load (options: ARGS="...")'

setup: $(SETUP)

$(SETUP): pyproject.toml uv.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	    || { echo 'Tallystick needs Python 3.11 or newer; say which: make setup PYTHON=python3.11' >&2; exit 1; }
	@$(BIN)/python -c 'import pip, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	    || $(PYTHON) -m venv --clear .venv
	@$(BIN)/uv --version 2>/dev/null | grep -q '^$(subst ==, ,$(UV_PIN))\b' \
	    || $(BIN)/python -m pip install --quiet --disable-pip-version-check '$(UV_PIN)'
	@$(UV) sync --frozen --quiet
	@touch $@

$(BENCH): $(SETUP)
	@$(UV) sync --frozen --quiet --extra bench
	@touch $@

# Go keeps what it has fetched; go.sum pins it. Without Go, or too old a one, tests say what they skip.
foreign:
	@command -v go >/dev/null || exit 0; cd tests/foreign/c2sp \
	    && GOTOOLCHAIN=local GOFLAGS=-mod=readonly go build -buildvcs=false -o /dev/null . \
	    || echo 'The Go programs of tests/foreign are not built: their tests will say so.' >&2

demo: setup
	$(BIN)/tally demo $(ARGS)

test: setup foreign
	@tests/system-packages
	$(BIN)/pytest $(ARGS)

check: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest -q tests/test_docs.py

format: setup
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(BENCH)
	$(BIN)/python -m benchmarks $(ARGS)

soak: setup
	PYTHONPATH=tests $(BIN)/python -m tests.soak $(ARGS)
