# make demo: one drawn person, enhanced, in demo/.   make test: the tests.   make lint: ruff.
# Each makes .venv when it is not there (or when the pinned packages have changed) and needs no network after that.

SHELL := /bin/bash
PYTHONS := python3.13 python3.12 python3.11 python3 python
STAMP := .venv/installed

.PHONY: demo test lint install clean

demo: $(STAMP)
	.venv/bin/facenhance demo --output demo

test: $(STAMP)
	.venv/bin/python -m pytest -n 2 --dist worksteal  # two at a time: most of the time is compiling, which takes one core

lint: $(STAMP)
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .

install: $(STAMP)

# A name on PATH may be a version manager's shim that does not run, so each candidate is run.
$(STAMP): requirements.txt pyproject.toml
	@for python in $(PYTHONS); do \
	  $$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 || continue; \
	  found=$$python; \
	  $$python -c 'import ensurepip, venv' >/dev/null 2>&1 || continue; \
	  echo "making .venv with $$($$python --version) ($$python)"; \
	  exec $$python -m venv --clear .venv; \
	done; \
	if [ -n "$$found" ]; then \
	  echo "$$found has no venv module: install it (Debian and Ubuntu: apt install python3-venv)" >&2; \
	else \
	  echo "no Python 3.11 or newer among: $(PYTHONS); install one, or name it: make PYTHONS=/path/to/python" >&2; \
	fi; exit 1
	.venv/bin/python -m pip install --quiet --disable-pip-version-check --requirement requirements.txt
	.venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

clean:
	rm -rf .venv demo
