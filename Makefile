# `make help` lists the targets. Each does its own set-up; nothing is installed twice.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# Debian's own interpreter is built with profile-guided optimisation, which many others are not: a fifth faster here.
PYTHON ?= $(shell /usr/bin/python3 -c 'import sys, ensurepip; sys.version_info >= (3, 11) or sys.exit(1)' 2>/dev/null \
	&& echo /usr/bin/python3 || echo python3)
VENV := .venv
BIN := $(VENV)/bin
# Tests run in this many processes; make test WORKERS=0 runs them in one.
WORKERS ?= 2
PYTEST_ARGS ?=
DEMO_ARGS ?=
SERVE_ARGS ?=
FUZZ_SECONDS ?= 600
BENCH_ARGS ?=
# The packages with what each SIP message, routing decision and relayed packet passes through compiled; not there without a C compiler.
COMPILED := $(CURDIR)/build/compiled
IF_COMPILED = if [ -e $(COMPILED).done ]; then export PYTHONPATH=$(COMPILED);

# Exit 3 of the script is "something is missing and only root can install it": said, and gone on without.
packages = PYTHON=$(PYTHON) scripts/system-packages $(1) || [ $$? -eq 3 ]

.PHONY: help
help:  ## this list
	@sed -n 's/^\([a-z-]*\):.*##  */\1|/p' Makefile | while IFS='|' read -r name text; do printf '  make %-14s %s\n' "$$name" "$$text"; done

.PHONY: demo
demo: packages-demo $(VENV)/.installed-demo  ## five callers and two agents on the demo configuration, then a summary
	$(BIN)/ims-acd demo $(DEMO_ARGS)

.PHONY: run
run: $(VENV)/.installed-demo  ## the server on configs/demo.toml, until Ctrl-C
	$(BIN)/ims-acd serve --config configs/demo.toml $(SERVE_ARGS)

.PHONY: test
test: packages-test $(VENV)/.installed-dev browser-phones  ## everything that is checked before a change lands
	@$(MAKE) --jobs 2 --output-sync compiled lint types rules
	@$(MAKE) test-compiled
	$(BIN)/pytest -n $(WORKERS) --dist loadgroup $(PYTEST_ARGS)

.PHONY: test-compiled
test-compiled:  ## the tests of the three packages, with what is compiled of them
	@$(IF_COMPILED) $(BIN)/pytest -n $(WORKERS) --dist loadgroup -m "not interpreted" $(PYTEST_ARGS) tests/ims_core tests/acd tests/media; fi

.PHONY: compiled
compiled: $(VENV)/.installed-dev $(COMPILED).done  ## compile what each SIP message, routing decision and relayed packet passes through

$(COMPILED).done: scripts/compile benchmarks/training.py pyproject.toml $(shell find ims_core acd media -name '*.py')
	@rm -f $@
	@scripts/compile $(BIN)/python $(COMPILED) && touch $@ || [ $$? -eq 3 ]

.PHONY: fuzz
fuzz: $(VENV)/.installed-dev  ## search for bytes that the SIP stack and the media cannot bear, for FUZZ_SECONDS each
	$(BIN)/python -m tests.fuzz.fuzz_sip -max_total_time=$(FUZZ_SECONDS)
	$(BIN)/python -m tests.fuzz.fuzz_media -max_total_time=$(FUZZ_SECONDS)
	$(BIN)/python -m tests.fuzz.fuzz_rtp -max_total_time=$(FUZZ_SECONDS)

.PHONY: browser-phones
browser-phones: tests/js/node_modules/.installed  ## the SIP stack of web pages under Node, for the tests over WebSocket

tests/js/node_modules/.installed: tests/js/package.json
	@if ! command -v npm >/dev/null; then echo "npm is not installed: make test skips the calls of web pages"; \
	elif npm install --prefix tests/js --silent --no-audit --no-fund --no-package-lock --ignore-scripts; then touch $@; \
	else echo "npm cannot install jssip and ws: make test skips the calls of web pages"; fi

.PHONY: lint
lint: $(VENV)/.installed-dev  ## formatting and static checks
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	@if [ -x $(BIN)/hadolint ]; then echo "hadolint deploy/Dockerfile"; $(BIN)/hadolint deploy/Dockerfile; fi

.PHONY: format
format: $(VENV)/.installed-dev  ## format the code and apply the safe fixes
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

.PHONY: types
types: $(VENV)/.installed-dev  ## mypy, strict
	$(BIN)/mypy

.PHONY: rules
rules:  ## Prometheus scrape file, alert rules and the tests of the rules
	@if command -v promtool >/dev/null; then scripts/check-rules; else echo "promtool is not installed: alert rules not checked"; fi

.PHONY: bench
bench: packages-bench $(VENV)/.installed-bench $(COMPILED).done  ## the table of figures next to the peers'
	@$(IF_COMPILED) fi; $(BIN)/python -P -m benchmarks $(BENCH_ARGS)

.PHONY: soak
soak: packages-test $(VENV)/.installed-dev  ## ten minutes of calls over a bad network: nothing may be left
	$(BIN)/python -m tests.soak $(SOAK_ARGS)

.PHONY: prompts
prompts: packages-prompts $(VENV)/.installed-dev  ## make the spoken prompts, the music and the tones anew
	$(BIN)/python scripts/make_prompts.py
	$(BIN)/python scripts/make_music.py
	$(BIN)/python scripts/make_tones.py

.PHONY: conformance
conformance: $(VENV)/.installed-dev  ## write docs/conformance.md from the marks of the tests
	$(BIN)/python scripts/conformance.py

.PHONY: constraints
constraints:  ## resolve the dependencies anew and write constraints.txt
	PYTHON=$(PYTHON) scripts/freeze constraints.txt

.PHONY: clean
clean:  ## remove what these targets made, but no data under var/
	rm -rf $(VENV) tests/js/node_modules build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find ims_core acd media tests benchmarks scripts -name __pycache__ -prune -exec rm -rf {} +

.PHONY: packages-demo packages-test packages-bench packages-prompts
packages-demo packages-test packages-bench packages-prompts: packages-%:
	@$(call packages,$*)

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("ims-acd needs Python 3.11 or newer, and " + sys.executable + " is " + sys.version.split()[0] + ". Name another one: make PYTHON=/path/to/python3.11 ...")'
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || $(call packages,venv)
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed-%: pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[$*]'
	@touch $@
