# Two commands for a newcomer: `make run` and `make test`. Everything else is below; `make help` lists it.
# Needs make and Python 3.11 or newer. What it sets up stays in .venv; system packages are for tests only.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

VENV := .venv
BIN := $(VENV)/bin
CONFIG ?= config/aggregator.yaml
SHARED ?= $(or $(BMN_SHARED),../shared)
JOBS ?= $(shell n=$$(nproc 2>/dev/null || echo 2); echo $$((n > 4 ? 4 : n)))
PYTEST = $(BIN)/python -m pytest
PIP = $(BIN)/python -m pip --disable-pip-version-check --no-input
PINS := pyproject.toml constraints.txt

.PHONY: help install dev tools run demo test lint types check soak bench bench-schedule audit score wheel deb deb-check unit-check container-check fuzz clean

help: ## list these commands
	@grep -hE '^[a-z-]+:.*## ' Makefile | sed -E 's/:.*## /\t/' | expand -t 18

install: $(VENV)/installed ## build .venv with `bmn` in it
dev: $(VENV)/installed-dev

$(VENV)/made:
	@deploy/find-python $(PYTHON) > /dev/null
	python=$$(deploy/find-python $(PYTHON))
	[ -x $(BIN)/python ] || "$$python" -m venv $(VENV)
	"$(BIN)/python" -m pip --version > /dev/null
	touch $@

# The build tools come first and pinned, so that pip builds with them instead of fetching its own.
$(VENV)/installed: $(VENV)/made $(PINS)
	@$(PIP) install --quiet -c constraints.txt hatchling editables
	$(PIP) install --quiet -c constraints.txt --no-build-isolation -e .
	touch $@
	echo "$(BIN)/bmn is ready" >&2

$(VENV)/installed-dev: $(VENV)/installed
	@$(PIP) install --quiet -c constraints.txt --no-build-isolation -e '.[dev]'
	touch $@

tools:
	@tests/tools.sh

run: install ## run the daemon with config/ (CONFIG=FILE for another)
	@exec $(BIN)/bmn run --config $(CONFIG)

demo: install ## run it against an invented newsroom, without a network
	@exec $(BIN)/bmn demo

test: dev tools ## run every test but the soak (ARGS="-k fetch" for some)
	@$(PYTEST) -m "not soak" -n $(JOBS) --dist loadfile $(ARGS)

lint: dev ## ruff: rules and layout
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: dev ## mypy, strict
	@$(BIN)/mypy -p aggregator -m scheduler

check: lint types test ## lint, types and tests: what CI runs

soak: dev tools ## the longer proofs
	@$(PYTEST) -m soak --timeout 3600 $(ARGS)

bench: dev ## every benchmark in bench/, one after the other
	@for file in bench/*.py; do
		name=$$(basename "$$file" .py)
		case "$$name" in __init__ | audit) continue ;; esac
		echo "== $$name" >&2
		$(BIN)/python -m "bench.$$name"
	done

bench-schedule: dev ## how punctual and how patient the schedule is, simulated
	@$(BIN)/python -m bench.schedule

audit: dev ## what the Nu HTML checker, Lighthouse and the W3C feed validator say of a running site (SITE=URL)
	@$(BIN)/python -m bench.audit $(or $(SITE),http://127.0.0.1:8080)

score: install ## how good sections, pairs, stories and event labels are, on labelled data (SHARED=DIR)
	@[ -d "$(SHARED)/data" ] || { echo "no labelled data in $(SHARED)/data: give SHARED=DIR" >&2; exit 1; }
	$(BIN)/python -m bench.score "$(SHARED)/data"
	printf 'events '; $(BIN)/python -m aggregator.stories.evaluate_events --data "$(SHARED)/data" --json

wheel: dev ## a wheel in dist/, configuration and models inside
	@$(PIP) wheel --quiet --no-deps --no-build-isolation --wheel-dir dist .
	ls -l dist/*.whl

deb: wheel ## a Debian package in dist/, for the release it is built on
	@PYTHON=$(or $(DEB_PYTHON),/usr/bin/python3) deploy/debian/build $(BIN)/python "$$(ls -t dist/*.whl | head -n 1)"

deb-check: ## install, upgrade, remove and purge that package in a root of its own (as root)
	@deploy/debian/check "$$(ls -t dist/bmn_*.deb | head -n 1)"
	if command -v lintian > /dev/null; then lintian --fail-on error,warning "$$(ls -t dist/bmn_*.deb | head -n 1)"; fi

unit-check: wheel ## see deploy/bmn.service work under a systemd of its own (as root; ROOT=DIR, MODE=hybrid)
	@deploy/unit-check $(or $(ROOT),build/unit-check) $(MODE)

container-check: ## build the image, poll with it, stop and restart it (IMAGE=NAME: one that is there)
	@deploy/container-check $(IMAGE)

fuzz: dev ## look for documents, addresses and configurations that break us (MINUTES=10)
	@BMN_FUZZ_MINUTES=$(or $(MINUTES),10) nice $(PYTEST) -m soak -s --timeout 36000 tests/test_fuzz.py $(ARGS)

clean: ## remove .venv, caches and what was built; var/ (the database) stays
	@rm -rf $(VENV) dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
