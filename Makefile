# Everything a developer types. Every target first makes .venv from the lock, with nothing but Python, venv and PyPI.
PYTHON    ?= python3
DEMO_ARGS ?= --once
FUZZ_SECONDS ?= 600
BENCH_ARGS  ?=
PYTEST_ARGS ?=
BIN       := .venv/bin
STAMP     := .venv/.stamp

.PHONY: .venv demo test test-modules test-daemon check lint types imports long e2e kubernetes bench fuzz reliability lock clean
.DEFAULT_GOAL := check

.venv: $(STAMP)

$(STAMP): requirements/dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "netra-node needs Python 3.11 or newer; set PYTHON=")'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

demo: .venv
	$(BIN)/netra-node demo $(DEMO_ARGS)

# pytest's exit code 5, no test selected, is not a failure of the code.
define pytest
$(1) $(PYTEST_ARGS) || test $$? -eq 5
endef

# Modules beside whatever crosses them: each of the two uses one core, and half of it is waiting. What the first says comes at its end.
test: .venv
	$(BIN)/coverage erase
	$(MAKE) --no-print-directory --jobs 2 --output-sync=recurse test-modules test-daemon
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

test-modules: .venv
	$(call pytest,$(BIN)/coverage run -m pytest tests bench fuzz)

test-daemon: .venv
	$(call pytest,$(BIN)/coverage run -m pytest e2e)

lint: .venv
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .venv
	$(BIN)/mypy

imports: .venv
	$(BIN)/lint-imports

check: lint types imports test

long: .venv
	e2e/install-debian
	$(call pytest,$(BIN)/pytest -m long)

e2e: .venv
	e2e/install-cluster
	$(call pytest,$(BIN)/pytest -m cluster e2e)

# Kubernetes' own programs, in the directory NT_KUBERNETES: e2e/real_kubernetes/README.md.
kubernetes: .venv
	e2e/install-cluster
	$(call pytest,$(BIN)/pytest -m kubernetes e2e/real_kubernetes)

bench: .venv
	bench/run $(BENCH_ARGS)

# Finds every planted fault first, then runs the real code for so long.
fuzz: .venv
	fuzz/run --seconds $(FUZZ_SECONDS)

# Plays every cell of the kill matrix and writes the table, in about three minutes.
reliability: .venv
	$(BIN)/python -m e2e.kill_matrix

# Resolves the ranges of pyproject.toml anew. No index address is written: PyPI is pip's default.
LOCK := $(BIN)/pip-compile --quiet --strip-extras --allow-unsafe --generate-hashes \
	--no-emit-index-url --no-emit-find-links --no-emit-trusted-host --no-emit-options --no-header
lock: .venv
	$(LOCK) --output-file requirements/runtime.txt pyproject.toml
	$(LOCK) --constraint requirements/runtime.txt --extra test --extra dev --output-file requirements/dev.txt pyproject.toml
	$(LOCK) --extra jaeger --output-file requirements/jaeger.txt pyproject.toml

clean:
	rm -rf .venv bench/.venv fuzz/.venv fuzz/results .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist
	rm -f .coverage .coverage.*
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
