# The same targets at home and in CI. `make setup` once, then `make check`.

PYTHON ?= python3
VENV ?= .venv
UV ?= uv
BIN := $(VENV)/bin

.PHONY: help setup check format format-check lint types test test-3.13 docs docs-check demo hostile bench lock

help:  ## say what there is to make
	@sed -n 's/^\([a-z-]*\):.*## /\1: /p' $(MAKEFILE_LIST) | awk -F': ' '{printf "%-13s %s\n", $$1, $$2}'

setup: $(VENV)/.ready  ## make .venv with the pinned tools and this checkout

$(VENV)/.ready: requirements-dev.txt pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q -r requirements-dev.txt
	$(BIN)/pip install -q --no-deps --no-build-isolation -e .
	@touch $@

check: format-check lint types test docs-check  ## all that CI checks

format: setup  ## lay out the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix-only .

format-check: setup
	$(BIN)/ruff format --check .

lint: setup
	$(BIN)/ruff check .

types: setup
	$(BIN)/mypy

test: setup
	$(BIN)/python -m pytest

test-3.13:  ## the tests with the newest Python that all libraries have wheels for
	$(MAKE) test PYTHON=python3.13 VENV=.venv-3.13

docs: setup  ## write docs/rules.md anew
	$(BIN)/python docs/make_rules.py

docs-check: setup
	$(BIN)/python docs/make_rules.py --check
	$(BIN)/python sample_data/make.py --check

demo: setup  ## scan both editions of the sample data
	$(BIN)/dataguard scan sample_data/clean --out runs/clean
	$(BIN)/dataguard scan sample_data/poisoned --out runs/poisoned || test $$? -eq 1

hostile: setup  ## all hostile files that can be found or made, one by one
	$(BIN)/python -m pytest tests/hostile --all-hostile

bench: setup  ## measure scanning beside reading and hashing
	$(BIN)/python benchmarks/scan.py --work build/bench

EXPORT = $(UV) export -q --no-config --locked --no-emit-project --no-header --no-annotate --format requirements-txt

lock:  ## resolve the requirements anew and pin them, for every Python that pyproject.toml allows (needs uv)
	$(UV) lock -q --no-config --upgrade
	$(EXPORT) --no-default-groups --group build -o requirements.txt
	$(EXPORT) --group dev -o requirements-dev.txt
	@rm uv.lock  # names the registry in every line; the pins and hashes are all we keep
	sed -i '1i # Written by `make lock`: pins and hashes for every Python that pyproject.toml allows.' requirements.txt requirements-dev.txt
