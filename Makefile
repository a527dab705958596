# Each target sets up what it needs in a virtual environment of its own. PYTHON and VENV can be given.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: demo tour test lint bench regress suites clean

$(VENV)/.ready: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch $@

demo: $(VENV)/.ready
	$(BIN)/hoop demo

tour: $(VENV)/.ready
	$(BIN)/hoop demo --tour

test: $(VENV)/.ready
	$(BIN)/python -m pytest -q

lint: $(VENV)/.ready
	$(BIN)/ruff format --check gateway bots tests bench
	$(BIN)/ruff check gateway bots tests bench
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/hoop check policies.yaml

bench: $(VENV)/.ready
	$(BIN)/python -m bench

# PostgreSQL's own regression SQL, direct and through the gateway: half an hour. The sdist of pglast ships the files.
regress: $(VENV)/.ready
	mkdir -p artifacts/pglast
	$(BIN)/pip download --quiet --disable-pip-version-check --no-deps --no-binary :all: --dest artifacts/pglast 'pglast==8.8'
	tar -xzf artifacts/pglast/pglast-8.8.tar.gz -C artifacts/pglast
	$(BIN)/python -m tests.differential.regress artifacts/pglast/pglast-8.8/libpg_query/test/sql/postgres_regress

# The drivers' own test suites, direct and through the gateway: the better part of an hour. psycopg's sdist has no tests: PSYCOPG is a checkout.
SDISTS := artifacts/sdists
suites: $(VENV)/.ready
	mkdir -p $(SDISTS)
	$(BIN)/pip download --quiet --disable-pip-version-check --no-deps --no-binary :all: --dest $(SDISTS) 'asyncpg==0.32.0' 'pg8000==1.31.6'
	for each in asyncpg-0.32.0 pg8000-1.31.6; do tar -xzf $(SDISTS)/$$each.tar.gz -C $(SDISTS); done
	$(BIN)/python -m tests.differential.suites asyncpg $(SDISTS)/asyncpg-0.32.0
	$(BIN)/python -m tests.differential.suites pg8000 $(SDISTS)/pg8000-1.31.6
	test -z '$(PSYCOPG)' || $(BIN)/python -m tests.differential.suites psycopg '$(PSYCOPG)'

clean:
	rm -rf $(VENV) build dist artifacts
