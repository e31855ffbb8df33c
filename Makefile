# Every target sets up what it needs; a second run installs nothing. `make` alone lists the targets.
.DEFAULT_GOAL := help
.PHONY: help demo test check setup lint format vectors vectors-check bench fuzz mutants coverage lock clean distclean

BIN := .venv/bin
# What mypy checks: whatever of this exists.
CODE := $(wildcard mdl issuer reader benchmarks examples fuzz test_vectors tests)
DEMO_DIR := demo-out
# How many tests run at a time.
WORKERS := 2

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

demo: setup  ## the whole story on this machine: set up, issue, present, verify, refuse
	@$(BIN)/mdl demo --dir $(DEMO_DIR)

test: lint  ## every check: ruff, mypy, import rules, then pytest
	@scripts/setup.sh tests
	@$(BIN)/pytest --numprocesses $(WORKERS) --dist worksteal

check: lint  ## a quick round: lint, types, and the tests without a token and without the slow
	@$(BIN)/pytest --numprocesses $(WORKERS) --dist worksteal -q -m "not hsm and not slow"

setup:  ## make .venv from the lock file and check the system tools (quick when nothing changed)
	@scripts/setup.sh

lint: setup  ## ruff, mypy --strict and the import rules
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy $(CODE)
	@$(BIN)/lint-imports --no-logo

format: setup  ## let ruff mend and lay out the code
	@$(BIN)/ruff check --fix --quiet || true
	@$(BIN)/ruff format

vectors: setup  ## write test_vectors/cases from its sources
	@$(BIN)/python -m test_vectors.source.generate

vectors-check: setup  ## compare test_vectors/cases with its sources, byte by byte (the tests do, too)
	@$(BIN)/python -m test_vectors.source.generate --check

bench: setup  ## measure issuing and verifying against the raw cryptography
	@$(BIN)/python benchmarks/run.py

# The fuzzer has no wheel for every platform, so it is not among what a checkout needs.
fuzz: setup  ## fuzz decoders and verifier, guided by coverage: make fuzz FUZZ_SECONDS=1800
	@$(BIN)/python -c 'import atheris' 2>/dev/null || $(BIN)/pip install --quiet --require-hashes --no-deps -r requirements/fuzz.lock
	@$(BIN)/python fuzz/run.py --seconds $(or $(FUZZ_SECONDS),60)

mutants: setup  ## remove and invert the verifier's checks one by one; the tests must notice each (an hour or more)
	@$(BIN)/python scripts/mutants.py reader/verification.py reader/checks.py --tests tests/unit/reader/test_verification.py \
	    tests/unit/reader/test_trust.py tests/attacks tests/flows/test_post_quantum.py
	@$(BIN)/python scripts/mutants.py $(wildcard mdl/pki/*.py mdl/pki/rules/*.py) --tests tests/unit/mdl/test_pki_lint.py \
	    tests/unit/mdl/test_pki_certificate.py tests/unit/mdl/test_pki_path.py tests/unit/mdl/test_pki_build.py \
	    tests/unit/mdl/test_post_quantum.py

coverage: setup  ## run the tests and report branch coverage
	@$(BIN)/pytest --cov --cov-report=term-missing:skip-covered

# `pip install uv` gives uv. To raise versions: make lock LOCK_FLAGS=--upgrade
lock:  ## resolve requirements/dev.lock again from pyproject.toml (needs uv on the PATH)
	@command -v uv >/dev/null || { echo "make lock: uv is missing: pip install uv"; exit 1; }
	uv pip compile pyproject.toml --group dev --all-extras --universal --generate-hashes \
	    --no-header --no-emit-index-url --no-emit-find-links --quiet $(LOCK_FLAGS) \
	    --output-file requirements/dev.lock

clean:  ## remove caches and what our commands wrote
	rm -rf $(DEMO_DIR) build dist htmlcov .bench .fuzz .coverage .coverage.* coverage.xml \
	    .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -not -path './.venv/*' -prune -exec rm -rf {} +

distclean: clean  ## clean, and remove .venv
	rm -rf .venv
