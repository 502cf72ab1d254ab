# Two commands matter: `make up` runs everything, `make test` proves it. Only Python >= 3.11 and make are needed.
ROOT := $(patsubst %/,%,$(dir $(abspath $(lastword $(MAKEFILE_LIST)))))
PYTHON ?= python3
VENV := $(ROOT)/.venv
BIN := $(VENV)/bin
UV := $(BIN)/uv
ARGS ?=
# How much `make faults` plays: `small`, or everything.
SIZE ?=
# The broker of the tests: `apache` is Apache Kafka, anything else the embedded one.
KAFKA ?=
export KAFKA
# Where bytecode is forbidden (container images do that) each of the many Pythons that tests start would compile all it imports.
export PYTHONDONTWRITEBYTECODE :=
.DEFAULT_GOAL := help
.PHONY: help up test proofs faults kafka s3 cover bench check fmt lock setup setup-dev

help: ## Say what each verb does.
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

$(UV): $(ROOT)/requirements-bootstrap.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "TaskForge needs Python >= 3.11; set PYTHON=/path/to/python")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@

# The dev lock contains the embedded one, so a tree synced for tests also serves `make up`.
$(VENV)/.synced-dev: $(UV) $(ROOT)/requirements-dev.lock $(ROOT)/pyproject.toml
	@$(UV) pip sync --quiet --python $(BIN)/python --require-hashes $(ROOT)/requirements-dev.lock $(ROOT)/requirements-bootstrap.lock
	@$(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable $(ROOT)
	@touch $@ $(VENV)/.synced-embedded

$(VENV)/.synced-embedded: $(UV) $(ROOT)/requirements-embedded.lock $(ROOT)/pyproject.toml
	@$(UV) pip sync --quiet --python $(BIN)/python --require-hashes $(ROOT)/requirements-embedded.lock $(ROOT)/requirements-bootstrap.lock
	@$(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable $(ROOT)
	@rm -f $(VENV)/.synced-dev
	@touch $@

setup: $(VENV)/.synced-embedded ## Create .venv and sync what running needs.

setup-dev: $(VENV)/.synced-dev ## Create .venv and sync what developing needs.

up: setup ## Run everything: Postgres, Valkey, Kafka-compatible broker, API, worker. ARGS="--demo --workers 2"
	@cd $(ROOT) && exec $(BIN)/taskforge up $(ARGS)

test: setup-dev $(if $(filter apache,$(KAFKA)),kafka) ## Pass every test, in one process per core. ARGS="-k words" narrows, to one process, as does ARGS="-n 0". KAFKA=apache
	@cd $(ROOT) && $(BIN)/python -m pytest -n auto $(ARGS)

proofs: setup-dev ## Pass the tests that play many rounds of a race, or walk long: too long for `make test`.
	@cd $(ROOT) && $(BIN)/python -m pytest -n auto -m proof $(ARGS)

faults: setup-dev ## Do to a whole system what may happen to one: tests/faults, alone on the machine. SIZE=small plays a part of it.
	@cd $(ROOT) && FAULTS=$(or $(SIZE),full) $(BIN)/python -m pytest -n 0 -s tests/faults $(ARGS)

kafka: $(ROOT)/.kafka/.synced ## Get Apache Kafka's jars through Maven (it needs mvn and java), for `make test KAFKA=apache`.

$(ROOT)/.kafka/.synced: $(ROOT)/tests/apache/pom.xml
	@mvn -q -B -f $< dependency:copy-dependencies -DoutputDirectory=$(ROOT)/.kafka/libs -DincludeScope=runtime
	@touch $@

s3: $(ROOT)/.s3proxy/.synced ## Get S3Proxy's jars through Maven (it needs mvn and java), for the tests that ask a real server of S3's interface.

$(ROOT)/.s3proxy/.synced: $(ROOT)/tests/s3proxy/pom.xml
	@mvn -q -B -f $< dependency:copy-dependencies -DoutputDirectory=$(ROOT)/.s3proxy/libs -DincludeScope=runtime
	@touch $@

# Few random lives are enough to reach the lines; `make test` lives them all.
cover: setup-dev ## Fail when the tests of core/ and actors/ cover less than 95 % (lines and branches) of either.
	@cd $(ROOT) && TASKFORGE_PROOF_RUNS=100 $(BIN)/python -m pytest tests/core tests/actors -q --cov=core --cov=actors --cov-branch --cov-report=
	@cd $(ROOT) && for part in core actors; do $(BIN)/python -m coverage report --fail-under=95 --include="$$part/*" || exit; done

bench: setup-dev ## Measure, as ratios in one run; results land in benchmarks/results/.
	@cd $(ROOT) && $(BIN)/python -m benchmarks $(ARGS)

check: setup-dev ## Lint, format, types, layers.
	@cd $(ROOT) && $(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy && $(BIN)/lint-imports

fmt: setup-dev ## Format and fix what can be fixed.
	@cd $(ROOT) && $(BIN)/ruff check --fix-only . && $(BIN)/ruff format .

lock: $(UV) ## Resolve the lock files anew: hashes only, no addresses, nothing younger than 14 days (a cooling-off for bad releases).
	@cd $(ROOT) && for set in ":" "embedded:--extra devstack --extra parquet --extra reports --group build" "dev:--extra devstack --extra parquet --extra reports --group build --group dev"; do \
	  name="$${set%%:*}"; flags="$${set#*:}"; \
	  $(UV) pip compile --quiet --universal --generate-hashes --python-version 3.11 --no-header --no-emit-index-url --exclude-newer "14 days" \
	    $$flags pyproject.toml -o "requirements$${name:+-$$name}.lock"; done
	@cd $(ROOT) && echo uv | $(UV) pip compile --quiet --universal --generate-hashes --python-version 3.11 --no-header --no-emit-index-url --exclude-newer "14 days" - -o requirements-bootstrap.lock
