# The first Python that runs and is one of 3.10 to 3.14; python3 if none is, for which setup_env.py gets one.
PYTHON ?= $(shell for python in .venv/bin/python python3 python3.11 python3.13 python3.12 python3.10 python3.14; do \
	$$python -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 14))' 2>/dev/null \
	&& echo $$python && exit; done; echo python3)

.PHONY: help setup demo test test-slow test-all mutants lint docs clean

help:
	@echo 'make demo       make a small data set, train Mask R-CNN with RSIR on it, draw what it detects'
	@echo 'make test       run the quick tests: minutes'
	@echo 'make test-slow  run the slow tests'
	@echo 'make test-all   run all tests'
	@echo 'make mutants    break the core by small patches, each of which the tests must notice: minutes'
	@echo 'make lint       check style, types and the direction of imports'
	@echo 'make docs       build the documentation as a site, into site/'
	@echo 'make setup      make or update .venv, which the targets above do first: about 3 minutes, 8 GB'
	@echo 'make clean      remove caches and build products; .venv, data/ and work_dirs/ stay'
	@echo 'PYTHON=python3.12 after any of them makes .venv with that Python (3.10 to 3.14).'

setup:
	@command -v $(PYTHON) > /dev/null || { echo 'There is no Python ($(PYTHON)): install Python 3.11.'; exit 1; }
	@$(PYTHON) dev/setup_env.py

demo: setup
	@.venv/bin/python tools/demo.py

test: setup
	@echo 'Running the quick tests, two at a time.'
	@OMP_NUM_THREADS=1 .venv/bin/python -m pytest -n 2 --dist worksteal

test-slow: setup
	@echo 'Running the slow tests, one after the other: minutes.'
	@.venv/bin/python -m pytest -m slow

test-all: setup
	@echo 'Running all tests, two at a time.'
	@OMP_NUM_THREADS=1 .venv/bin/python -m pytest -n 2 -m "slow or not slow"

mutants: setup
	@OMP_NUM_THREADS=1 .venv/bin/python dev/mutation_check.py

lint: setup
	@echo 'Checking style (ruff).'
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .
	@echo 'Checking spelling (codespell).'
	@.venv/bin/codespell benchmarks configs demo dev docs mmrsir tests tools *.md *.toml *.yml Makefile Dockerfile
	@echo 'Checking types (mypy): a minute the first time.'
	@.venv/bin/mypy mmrsir tools benchmarks dev
	@echo 'Checking the direction of imports (import-linter).'
	@.venv/bin/lint-imports --no-cache

docs: setup
	@NO_MKDOCS_2_WARNING=1 .venv/bin/mkdocs build --strict

clean:
	@echo 'Removing caches and build products.'
	@rm -rf build dist site *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	@find benchmarks configs dev mmrsir tests tools -name __pycache__ -type d -prune -exec rm -rf {} +
