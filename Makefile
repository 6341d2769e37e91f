# finwave: `make run` starts it, `make test` tests it. Both are safe to repeat.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
HOST ?= 127.0.0.1
PORT ?= 8000

.PHONY: run prepare test test-fast browser fmt lint types contracts bench ci clean

# The application ---------------------------------------------------------------

run: $(VENV)/.installed
	@$(BIN)/python manage.py migrate --verbosity 0
	@$(BIN)/python manage.py collectstatic --noinput --verbosity 0
	@$(BIN)/python manage.py prepare
	@exec $(BIN)/python manage.py serve --host $(HOST) --port $(PORT)

$(VENV)/.created:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "finwave needs Python 3.11 or newer; $(PYTHON) is older. Try: make run PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || \
	  { echo "Python's venv module is missing. On Debian or Ubuntu: apt install python3-venv"; exit 1; }
	@touch $@

$(VENV)/.installed: pyproject.toml constraints.txt $(VENV)/.created
	@echo "Installing finwave and what it needs (some minutes the first time)…"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	@echo "Installing what tests and checks need…"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[test,dev]'
	@touch $@

# Tests and checks ---------------------------------------------------------------

# First everything that runs side by side, then what drives whole servers, alone.
test: $(VENV)/.installed-dev
	$(BIN)/python tests/browser/ensure_browser.py
	$(BIN)/python -m pytest -m "not browser and not kills" -n 2 --dist loadfile
	$(BIN)/python -m pytest -m "browser or kills"

test-fast: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -m "not browser and not kills and not slow" -n 2 --dist loadfile

browser: $(VENV)/.installed-dev
	$(BIN)/python tests/browser/ensure_browser.py
	$(BIN)/python -m pytest tests/browser

fmt: $(VENV)/.installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	git ls-files -z 'templates/*.html' | xargs -0 $(BIN)/djade --target-version 5.2

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	git ls-files -z 'templates/*.html' | xargs -0 $(BIN)/djade --check --target-version 5.2
	$(BIN)/typos

types: $(VENV)/.installed-dev
	$(BIN)/mypy .

contracts: $(VENV)/.installed-dev
	$(BIN)/lint-imports

bench: $(VENV)/.installed-dev
	@cat bench/README.md

ci: test lint types contracts

clean:
	rm -rf $(VENV) build *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
