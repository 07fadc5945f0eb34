# make run | test | lint | bench | package: each sets itself up in .venv first, from the locked packages.
# PYTHON=python3.12 chooses the interpreter (3.11 or later).

PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
BIN := .venv/bin
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check --no-input
# Many tests wait for servers and clocks: this many keep two processors busy.
WORKERS ?= 4
ARGS ?=

.PHONY: help run test system-test lint format bench man package lock clean

help:
	@echo 'make run     watch syncd keep an inventory of two emulated clouds; Ctrl-C stops it'
	@echo 'make test    run the tests (ARGS=tests/unit for some of them, WORKERS=2)'
	@echo 'make system-test  install the package on a booted Debian 12 and go through it all; for root'
	@echo 'make lint    check style, types and imports; make format mends the style'
	@echo 'make bench   measure speed and memory'
	@echo 'make man     make the manual pages anew, after a change of commands, keys or docs/control.md'
	@echo 'make package build the Debian package in dist/ (PACKAGE_VERSION, PACKAGE_PYTHON=3.13)'
	@echo 'make lock    choose the packages anew'

run: .venv/run.stamp
	@$(BIN)/python -m syncd demo $(ARGS)

# What the tests run servers of their own from. These packages bring programs and no service, so
# nothing of the machine is started or changed; who is not root, or has no apt, skips those tests.
TEST_TOOLS := mariadbd:mariadb-server-core my_print_defaults:mariadb-client-core \
	redis-check-rdb:redis-tools
test: .venv/dev.stamp
	@test "$$(id -u)" != 0 || ! command -v apt-get >/dev/null || { missing=; \
		for each in $(TEST_TOOLS); do \
			command -v $${each%:*} >/dev/null || missing="$$missing $${each#*:}"; done; \
		test -z "$$missing" || { echo "installing$$missing ..."; apt-get -qq update \
			&& DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends --no-remove $$missing >/dev/null \
			|| echo 'not installed: their tests are skipped'; }; }
	@$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal $(ARGS)

# A machine of systemd-nspawn: only root can boot one.
SYSTEM_TOOLS := systemd-nspawn:systemd-container debootstrap:debootstrap openssl:openssl \
	dpkg-shlibdeps:dpkg-dev lintian:lintian
ifeq ($(shell id -u),0)
system-test: .venv/dev.stamp
	@missing=; for each in $(SYSTEM_TOOLS); do \
		command -v $${each%:*} >/dev/null || missing="$$missing $${each#*:}"; done; \
	test -z "$$missing" || { echo "installing$$missing ..."; \
		apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y $$missing >/dev/null; }
	@$(MAKE) --no-print-directory package
	@SYNCD_PACKAGE=$$(ls -t dist/syncd_*.deb | head -1) $(BIN)/python -m pytest $(or $(ARGS),tests/system)
else
system-test:
	@echo 'make system-test is skipped: it boots a Debian with systemd-nspawn, which only root can do'
endif

lint: .venv/dev.stamp
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/mypy --no-error-summary
	@$(BIN)/lint-imports --no-logo

format: .venv/dev.stamp
	@$(BIN)/ruff check --fix --quiet .
	@$(BIN)/ruff format .

# Each script fails when it misses a goal; the others are measured all the same.
bench: .venv/dev.stamp
	@missed=; for script in tests/benchmarks/[a-z]*.py; do \
		name=$$(basename $$script .py); echo "== $$name"; \
		$(BIN)/python -m tests.benchmarks.$$name || missed="$$missed $$name"; done; \
	test -z "$$missed" || { echo "a goal was missed, or a script failed:$$missed" >&2; exit 1; }

man: .venv/run.stamp
	@PYTHONPATH=. $(BIN)/python packaging/man/build.py

package: .venv/run.stamp
	@command -v dpkg-deb dpkg-shlibdeps >/dev/null \
		|| { echo 'a package is built with dpkg-deb and dpkg-shlibdeps: apt install dpkg-dev' >&2; exit 1; }
	@$(BIN)/python packaging/build.py

.venv/bin/python:
	@test -n '$(PYTHON)' || { echo 'syncd needs Python 3.11 or later (make PYTHON=...)' >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo '$(PYTHON) is older than Python 3.11' >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null \
		|| { echo '$(PYTHON) lacks venv; on Debian and Ubuntu: apt install python3-venv' >&2; exit 1; }
	@echo 'making .venv ...'
	@$(PYTHON) -m venv .venv

# The packages of `run` and what the build of the source ones among them needs, by hash.
.venv/run.stamp: requirements/build.txt requirements/run.txt pyproject.toml | .venv/bin/python
	@echo 'installing packages ...'
	@$(PIP) install --require-hashes -r requirements/build.txt
	@$(PIP) install --require-hashes --no-build-isolation --use-pep517 -r requirements/run.txt
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

.venv/dev.stamp: requirements/dev.txt .venv/run.stamp
	@echo 'installing developer tools ...'
	@$(PIP) install --require-hashes --no-build-isolation --use-pep517 -r requirements/dev.txt
	@touch $@

COMPILE = $(BIN)/uv pip compile --no-config --quiet --upgrade --universal --python-version 3.11 \
	--generate-hashes --no-emit-index-url --no-annotate --custom-compile-command 'make lock'
lock: | .venv/bin/python
	@$(PIP) install 'uv>=0.8'
	@$(COMPILE) --group build -o requirements/build.txt
	@$(COMPILE) --extra embedded pyproject.toml -o requirements/run.txt
	@$(COMPILE) --extra embedded --group dev -c requirements/run.txt pyproject.toml -o requirements/dev.txt

clean:
	rm -rf .venv build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
