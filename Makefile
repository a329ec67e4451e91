# `make run` and `make test` need Python 3.11+, git and make; everything else they set up in .venv.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet install
CODE := reconciler collectors tests

.PHONY: help run page test check docs cover bench bench-goals bench-plots storm screenshots dist bundle fmt lock clean
help:  ## show this list
	@grep -hE '^[a-z-]+:.*##' Makefile | sed 's/:.*##/\t/' | expand -t 16

.venv/run.stamp: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "daq needs Python 3.11 or newer; say PYTHON=python3.12 or alike")'
	@echo "setting up .venv (once)"
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(PIP) --require-hashes -r requirements.lock
	@$(PIP) --no-deps --editable .
	@touch $@

.venv/test.stamp: tests/requirements.lock .venv/run.stamp
	@$(PIP) --require-hashes -r tests/requirements.lock
	@touch $@

.venv/page.stamp: reconciler/web/requirements.lock .venv/run.stamp
	@$(PIP) --require-hashes -r $<
	@touch $@

run: .venv/run.stamp  ## the demo plant: simulated devices, collectors, embedded database; Ctrl-C ends all of it
	@$(MAKE) --no-print-directory page & $(BIN)/daq run --stop-on-exit

page: .venv/page.stamp  ## build the live page, if its sources changed
	@$(BIN)/python reconciler/web/build.py

test: .venv/test.stamp page  ## every test
	@$(BIN)/pytest -n 3 --dist worksteal

check: .venv/test.stamp page  ## format, lint, types, import rules, documents fresh
	@$(BIN)/ruff format --check $(CODE)
	@$(BIN)/ruff check $(CODE)
	@$(BIN)/mypy
	@$(BIN)/python reconciler/web/build.py npm run types
	@$(BIN)/lint-imports --no-logo
	@$(BIN)/python -m tests.documents --check

docs: .venv/test.stamp  ## the documents that are made from tables
	@$(BIN)/python -m tests.documents

cover: .venv/test.stamp  ## lines that no test reaches in its own process (children are not counted)
	@$(BIN)/coverage run -m pytest -m "not e2e"
	@$(BIN)/coverage report --skip-covered --show-missing

bench: .venv/test.stamp  ## what things cost, beside a baseline run in the same minute
	@$(BIN)/python -m tests.bench

bench-goals: .venv/test.stamp  ## those with a goal, as the table of docs/performance.md
	@$(BIN)/python -m tests.bench --goals

bench-plots: .venv/test.stamp  ## 10 to 1,000 collectors: docs/scaling.csv and its picture
	@$(BIN)/python -m tests.bench.scaling

KILLS ?= 10000
STORM_S ?= 300
SEED ?= 7
storm: .venv/test.stamp  ## kill everything at any time: a reconciler at each step, KILLS at random, sinks for STORM_S
	@$(BIN)/python -m tests.crashing --all
	@$(BIN)/python -m tests.storm --kills $(KILLS) --seed $(SEED)
	@$(BIN)/python -m tests.storm --kills $$(($(KILLS) / 5)) --seed $(SEED) --git
	@DAQ_IDENTITY_S=$(STORM_S) $(BIN)/pytest tests/e2e/test_identity.py -s

VERSION = $(shell sed -n 's/^__version__ = "\(.*\)"/\1/p' reconciler/__init__.py)
dist: .venv/test.stamp .venv/page.stamp  ## wheel and sdist, the page inside
	@rm -rf dist
	@$(BIN)/python -m build --no-isolation --outdir dist . >/dev/null
	@ls dist

bundle: dist  ## one archive that installs without a network: wheels of everything, unit, install.sh
	@deploy/bundle/build.sh $(BIN)/python $(VERSION)

screenshots: .venv/test.stamp page  ## pictures of the live page over the demo plant, into docs/
	@$(BIN)/python -m tests.browser

fmt: .venv/test.stamp  ## format and fix what can be fixed
	@$(BIN)/ruff check --fix --quiet $(CODE)
	@$(BIN)/ruff format --quiet $(CODE)

UV := $(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --quiet
lock: .venv/test.stamp  ## pin the newest versions that fit
	@$(UV) --upgrade pyproject.toml -o requirements.lock
	@$(UV) --upgrade --extra dev pyproject.toml -o tests/requirements.lock
	@$(UV) --upgrade --group page -o reconciler/web/requirements.lock

clean:  ## remove what was set up; manifests and data in .daq stay
	@rm -rf .venv dist build reconciler/web/dist reconciler/web/node_modules .mypy_cache .ruff_cache .import_linter_cache .hypothesis
