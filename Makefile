# The two commands: `make demo` and `make test`. Both do all the set-up themselves.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
# More tests side by side than two cores have room for: most of a test's time is spent in waiting for a server or a clock.
SIDE_BY_SIDE ?= --numprocesses 6 --dist loadgroup --no-loadscope-reorder

.PHONY: demo test unit servers check lint types bench survival calibration lock sbom audit docs clean format

demo: $(VENV)/.demo
	$(BIN)/verdictd demo$(if $(MESH), --mesh $(MESH))

test: $(VENV)/.dev
	$(BIN)/python -m tests.servers status
	$(BIN)/pytest $(SIDE_BY_SIDE) --cov --cov-report=term:skip-covered --cov-fail-under=90
	$(BIN)/coverage report --include='analyzers/*' --skip-covered --fail-under=100

# A newcomer's loop: no server but what a wheel brings, no coverage.
unit: $(VENV)/.dev
	$(BIN)/pytest $(SIDE_BY_SIDE) -m "not live and not mesh"

# `make servers ALL=1`: those too that the catalog calls optional, whose builds take minutes each.
servers: $(VENV)/.dev
	$(BIN)/python -m tests.servers build $(if $(ALL),--all)

check: lint types
	$(BIN)/lint-imports
	$(BIN)/hadolint --failure-threshold info Dockerfile
	$(BIN)/python -m tests.docs
	$(BIN)/python -m tests.docs.site dist/site

lint: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(VENV)/.dev
	$(BIN)/mypy

bench: $(VENV)/.dev
	$(BIN)/python -m tests.bench

# Some eight minutes. `make survival KILLS=1000`: an hour; SEED=... as an earlier run was struck.
survival: $(VENV)/.dev
	$(BIN)/python -m tests.survival $(ARRANGEMENTS:%=--arrangement %) $(if $(KILLS),--kills $(KILLS)) $(if $(SEED),--seed $(SEED)) $(if $(REPLICAS),--replicas $(REPLICAS)) $(if $(STEADY_CLOCKS),--steady-clocks) $(if $(SAMPLERS),--samplers)

# About an hour of two cores the first time (CALIBRATION="--processes 2"); then only what a change of the judge has made stale.
# CALIBRATION=--quick: two minutes. CALIBRATION="--only REGEX --n 300": some rows, printed and written to no page.
calibration: $(VENV)/.dev
	$(BIN)/python -m tests.bench.calibration $(CALIBRATION)

format: $(VENV)/.dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed, this is %s; set PYTHON=" % sys.version.split()[0] if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)

# A lock holds every package there is to install, so that nothing is resolved again: a newer release of anything cannot interfere.
$(VENV)/.demo: requirements/demo.lock pyproject.toml | $(BIN)/python
	$(BIN)/pip install --quiet --no-deps --require-hashes -r requirements/demo.lock
	$(BIN)/pip install --quiet --no-deps --no-build-isolation -e .
	$(BIN)/pip check
	touch $@

$(VENV)/.dev: requirements/dev.lock pyproject.toml | $(BIN)/python
	$(BIN)/pip install --quiet --no-deps --require-hashes -r requirements/dev.lock
	$(BIN)/pip install --quiet --no-deps --no-build-isolation -e .
	$(BIN)/pip check
	touch $@ $(VENV)/.demo

# Pinned with hashes for every platform; no index address is written into the files.
lock: | $(BIN)/python
	requirements/lock $(BIN)

# The documents as a site: open dist/site/index.html.
docs: $(VENV)/.dev
	$(BIN)/python -m tests.docs.site dist/site

# What is in each image, as CycloneDX, into dist/.
sbom: $(VENV)/.dev
	requirements/sbom $(BIN) dist

# Whether something is known against what is in the images; asks PyPI, or OSV where AUDIT="-s osv".
audit: $(BIN)/python
	requirements/audit $(VENV) $(AUDIT)

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage* htmlcov demo-out dist
