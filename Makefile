# `make serve` runs Netra with the docs agent; `make test` proves it. Both need only Python 3.11+.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
EXTRAS := ag2,agno,langgraph,openai,openai-agents,pydantic-ai,remote,strands
HOST ?= 127.0.0.1
PORT ?= 8000
# A file, or all files of one set-up (tests/scheduling.py), at a time to each of five workers, in the
# order that tests/conftest.py gives them: on two cores, most of them wait for a browser, a proxy or
# a dead line at most times.
BY_FILE := -n 5 --dist loadfile --no-loadscope-reorder
# Where it is a matter of numbers how well something is tried.
BY_NUMBER := $(addprefix tests/,agents core faults jsonlog scan security server test_strategies.py \
  cli/test_scan_cache.py cli/test_scan_source.py stores/test_seats.py stores/test_tallies.py \
  testing/test_reference_contract.py)

# What pytest and Python made of a source once, they keep.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: serve test nightly lint bench clean
.DEFAULT_GOAL := help

help:
	@echo "make serve   install and run the server with its chat page on http://$(HOST):$(PORT)"
	@echo "make test    install and pass the whole suite"
	@echo "make nightly the long proofs: every agent through every client, thousands of generated cases of each law"
	@echo "make lint    ruff, mypy --strict, the import contracts and netra scan"
	@echo "make bench   print speed and memory beside a C baseline"

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Netra needs Python 3.11 or later; $(PYTHON) is $$($(PYTHON) -V). Try: make $(MAKECMDGOALS) PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip

$(VENV)/.serve: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable .
	@touch $@

$(VENV)/.test: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable '.[test,$(EXTRAS)]'
	@touch $@ $(VENV)/.serve

$(VENV)/.bench: $(VENV)/.test
	$(BIN)/python -m pip install --quiet --editable '.[bench]'
	@touch $@

serve: $(VENV)/.serve
	$(BIN)/netra serve --host $(HOST) --port $(PORT)

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/netra scan src

test: $(VENV)/.test
	$(BIN)/python -m pytest $(BY_FILE)

nightly: $(VENV)/.test
	$(BIN)/python -m pytest $(BY_FILE) -m nightly
	$(BIN)/python -m pytest $(BY_NUMBER) -n 2 --dist loadgroup --hypothesis-profile=nightly --timeout=1800

bench: $(VENV)/.bench
	$(BIN)/python -m bench

clean:
	rm -rf $(VENV)
