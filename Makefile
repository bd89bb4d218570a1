# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at https://mozilla.org/MPL/2.0/.

.DEFAULT_GOAL := help
SHELL := /bin/sh

# The Python that .venv is made with. If not given: the newest that runs and is not too old.
PYTHON ?=
PYTHONS := $(or $(PYTHON),python3.14 python3.13 python3.12 python3.11 python3)
VENV := .venv
VENV_PYTHON := $(VENV)/bin/python
# What bench-compare measures: git revisions (. is the working tree), options of the collector after them.
A ?= HEAD
B ?= .
# More arguments for the command of a target: make test ARGS="-k throttler"
ARGS ?=

# For make faults and make fuzz.
SCHEDULES ?= 100
MINUTES ?= 5

SHELL_SCRIPTS := $(wildcard bin/*.sh docker/*.sh docker/*/*.sh) .ci/run
PYTHON_CODE := antenna tests docs/conf.py docs/_ext docs/examples docs/pictures $(wildcard bin/*.py docker/*.py)

DOCKERFILES := $(wildcard docker/Dockerfile docker/images/*/Dockerfile)

# What the image says at /__version__.
SOURCE ?=
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null)
COMMIT ?= $(shell git rev-parse HEAD 2>/dev/null)
BUILD ?=
COMPOSE = env SOURCE="$(SOURCE)" VERSION="$(VERSION)" COMMIT="$(COMMIT)" BUILD="$(BUILD)" docker compose
COMPOSE_DEV = $(COMPOSE) -f docker-compose.yml -f docker/docker-compose.dev.yml

# What `make run` starts the collector with, where the environment does not say otherwise.
LISTEN_ADDRESS ?= 127.0.0.1
PORT ?= 8000
LOCAL_DEV_ENV ?= true
BREAKPAD_THROTTLER_RULES ?= antenna.throttler.ACCEPT_ALL
# A rules file has products of its own.
ifeq ($(findstring /,$(BREAKPAD_THROTTLER_RULES))$(filter %.toml,$(BREAKPAD_THROTTLER_RULES)),)
BREAKPAD_THROTTLER_PRODUCTS ?= antenna.throttler.ALL_PRODUCTS
endif
# Where the collector is reached from this machine.
LOCAL_HOST = $(or $(filter-out 0.0.0.0 ::,$(LISTEN_ADDRESS)),127.0.0.1)
LOCAL_URL = http://$(if $(findstring :,$(LOCAL_HOST)),[$(LOCAL_HOST)],$(LOCAL_HOST)):$(PORT)/submit
CRASHMOVER_CRASHSTORAGE_CLASS ?= antenna.ext.fs.crashstorage.FSCrashStorage
CRASHMOVER_CRASHSTORAGE_FS_ROOT ?= $(CURDIR)/.local/crashes
CRASHMOVER_CRASHPUBLISH_CLASS ?= antenna.ext.fs.crashpublish.FSCrashPublish
CRASHMOVER_CRASHPUBLISH_FS_ROOT ?= $(CURDIR)/.local/queue
CRASHMOVER_SPOOL_DIR ?= $(CURDIR)/.local/spool
RUN_SETTINGS := LISTEN_ADDRESS PORT LOCAL_DEV_ENV BREAKPAD_THROTTLER_RULES BREAKPAD_THROTTLER_PRODUCTS \
	CRASHMOVER_CRASHSTORAGE_CLASS CRASHMOVER_CRASHSTORAGE_FS_ROOT \
	CRASHMOVER_CRASHPUBLISH_CLASS CRASHMOVER_CRASHPUBLISH_FS_ROOT CRASHMOVER_SPOOL_DIR

.PHONY: help
help:  ## Explain the targets
	@awk 'BEGIN {FS = ":.*## "} /^##@ / {printf "\n%s\n", substr($$0, 5)} \
		/^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

##@ Run

.PHONY: run
run: $(VENV)/.runtime  ## Start the collector on port 8000; crashes go to .local/crashes, their ids to .local/queue
	@echo "Starting the collector. Stop it with Ctrl-C. To see its configuration and metrics: LOGGING_LEVEL=DEBUG make run"
	@echo "When it is ready, type in another terminal:"
	@echo "    bin/send_crash_report.sh $(LOCAL_URL)    to send it a crash"
	@echo "    bin/show_crash.py latest    to see what crashed, and where"
	@echo "    make viewer    to see all crashes at http://127.0.0.1:$(or $(VIEWER_PORT),8001)/"
	@exec env VIRTUAL_ENV="$(CURDIR)/$(VENV)" $(foreach name,$(RUN_SETTINGS),$(name)="$($(name))") bin/run_web.sh

.PHONY: viewer
viewer: $(VENV)/.viewer  ## Start the viewer on port 8001: it shows the crashes that 'make run' keeps in .local/crashes
	@exec env VIRTUAL_ENV="$(CURDIR)/$(VENV)" $(foreach name,$(RUN_SETTINGS),$(name)="$($(name))") bin/run_viewer.sh

.PHONY: install
install: $(VENV)/.viewer  ## Install the packages of collector and viewer into .venv, and start nothing

##@ Develop

.PHONY: setup
setup: $(VENV)/.development  ## Make or update .venv (the other targets do it themselves)

.PHONY: symbols
symbols: $(VENV)/.symbols  ## Install the packages that name functions on stacks and sign crashes, for the tools in bin/

.PHONY: test
test: $(VENV)/.development  ## Run all tests; they start and stop the emulators. Arguments for pytest: ARGS="-k throttler"
	@# pytest keeps the tests that it has compiled. Otherwise each of its processes would compile them each time.
	@# Some tests always wait for a program to start or to stop. Six processes keep two cores busy meanwhile.
	PYTHONDONTWRITEBYTECODE= $(VENV_PYTHON) -m pytest --numprocesses 6 --dist loadfile $(ARGS)

.PHONY: faults
faults: $(VENV)/.development  ## Play schedules of faults and kills, and check every promised crash. How many: SCHEDULES=1000
	$(VENV_PYTHON) -m tests.faults --schedules $(SCHEDULES) $(ARGS)

.PHONY: fuzz
fuzz: $(VENV)/.development  ## Fuzz the code that reads and judges a report. How long: MINUTES=5
	$(VENV_PYTHON) -m tests.fuzz --minutes $(MINUTES) $(ARGS)

.PHONY: bench
bench: $(VENV)/.development  ## Measure CPU, throughput, latency and memory. More: ARGS="--help", ARGS="--cases kept rejected"
	$(VENV_PYTHON) -m tests.bench $(ARGS)

.PHONY: bench-compare
bench-compare: $(VENV)/.development  ## Measure two revisions or settings in turns: A=HEAD~1 B=". GUNICORN_WORKERS=4"
	$(VENV_PYTHON) -m tests.bench "$(A)" "$(B)" $(ARGS)

.PHONY: lint
lint: $(VENV)/.development  ## Check style, types, shell scripts and Dockerfiles
	$(VENV_PYTHON) -m ruff check
	$(VENV_PYTHON) -m ruff format --check
	$(VENV_PYTHON) -m mypy $(PYTHON_CODE)
	PATH="$(CURDIR)/$(VENV)/bin:$$PATH" shellcheck $(SHELL_SCRIPTS)
	$(VENV)/bin/hadolint $(DOCKERFILES)

.PHONY: docs
docs: $(VENV)/.development  ## Build the documentation into docs/_build/html, and check its links and its spelling
	$(VENV_PYTHON) -m sphinx --quiet --fresh-env --fail-on-warning --keep-going --nitpicky docs docs/_build/html
	$(VENV)/bin/codespell README.rst docs antenna bin docker

.PHONY: pictures
pictures: $(VENV)/.development  ## Make the pictures of the documentation again, from the real programs (needs Chromium)
	$(VENV_PYTHON) docs/pictures/make_pictures.py

.PHONY: format
format: $(VENV)/.development  ## Format the code, and fix what a tool can fix
	$(VENV_PYTHON) -m ruff check --fix-only
	$(VENV_PYTHON) -m ruff format

.PHONY: lock
lock: $(VENV)/.development  ## Pin what requirements*.in ask for. Newest releases: ARGS=--upgrade
	$(UV_COMPILE) requirements.in --output-file requirements.txt $(ARGS)
	$(UV_COMPILE) requirements-symbols.in --output-file requirements-symbols.txt $(ARGS)
	$(UV_COMPILE) requirements-viewer.in --output-file requirements-viewer.txt $(ARGS)
	$(UV_COMPILE) requirements-dev.in --output-file requirements-dev.txt --fork-strategy fewest $(ARGS)
	$(UV_COMPILE) docker/images/fakesentry/requirements.in --constraints requirements-dev.txt \
		--output-file docker/images/fakesentry/requirements.txt $(ARGS)

.PHONY: clean
clean:  ## Remove everything that make and the tools made, also the crashes in .local
	rm -rf $(VENV) .fuzz .local docs/_build .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

##@ In containers

.PHONY: build
build:  ## Build the collector's image antenna:local, and those of its local environment. For /__version__: SOURCE=, BUILD=
	$(COMPOSE) build $(ARGS)

.PHONY: up
up:  ## Start the collector behind nginx on port 8000, emulators, Grafana, a fake Sentry, the viewer (COMPOSE_PROFILES=viewer)
	$(COMPOSE) up --build --detach --wait $(ARGS)

.PHONY: dev
dev:  ## The same, with the code of the checkout, which is loaded again when it changes
	$(COMPOSE_DEV) up --build --detach --wait $(ARGS)

.PHONY: logs
logs:  ## Follow the logs. Of one service: ARGS=collector
	$(COMPOSE) logs --follow $(ARGS)

.PHONY: down
down:  ## Stop it all; crashes and spool stay. To remove them too: ARGS=--volumes
	$(COMPOSE) --profile viewer down $(ARGS)

.PHONY: shell
shell:  ## Open a shell in a container that has the checkout and all tools
	$(COMPOSE) run --rm --build test bash

.PHONY: test-container
test-container:  ## Run all tests in a container. Arguments for pytest: ARGS="-k throttler"
	$(COMPOSE) run --rm --build test make test ARGS='$(ARGS)'

.PHONY: lint-container
lint-container:  ## Check style, types, shell scripts and Dockerfiles in a container
	$(COMPOSE) run --rm --build test make lint

.PHONY: docs-container
docs-container:  ## Build the documentation in a container
	mkdir -p docs/_build
	$(COMPOSE) run --rm --build --user "$$(id -u):$$(id -g)" --volume ./docs/_build:/app/docs/_build test make docs

.PHONY: clean-container
clean-container:  ## Remove containers, crashes, spool and images
	$(COMPOSE) --profile test --profile viewer down --volumes --rmi local --remove-orphans

UV_COMPILE = env UV_CUSTOM_COMPILE_COMMAND="make lock" $(VENV_PYTHON) -m uv pip compile --quiet \
	--universal --python-version 3.11 --generate-hashes

# The environment. Each stamp is younger than the requirements that it stands for.

PIP_INSTALL = $(VENV_PYTHON) -m pip install --quiet --disable-pip-version-check --require-hashes
OR_EXPLAIN = || { echo "Could not install the requirements: pip says why above. What to do: docs/troubleshooting.rst" >&2; exit 1; }

$(VENV)/.runtime: requirements.txt
	@$(MAKE_VENV)
	@echo "Installing what the collector needs into $(VENV)"
	@$(PIP_INSTALL) --requirement requirements.txt $(OR_EXPLAIN)
	@touch $@

$(VENV)/.symbols: requirements-symbols.txt $(VENV)/.runtime
	@echo "Installing what symbols and signatures need into $(VENV)"
	@$(PIP_INSTALL) --requirement requirements-symbols.txt $(OR_EXPLAIN)
	@touch $@

$(VENV)/.viewer: requirements-viewer.txt $(VENV)/.runtime
	@echo "Installing what the viewer needs into $(VENV)"
	@$(PIP_INSTALL) --requirement requirements-viewer.txt $(OR_EXPLAIN)
	@touch $@

$(VENV)/.development: requirements-dev.txt $(VENV)/.runtime
	@echo "Installing what development needs into $(VENV)"
	@$(PIP_INSTALL) --requirement requirements-dev.txt $(OR_EXPLAIN)
	@touch $@

# A .venv whose Python is gone or too old is made anew. Where several Pythons
# are managed, a name can be on PATH and not run: each candidate is tried.
define MAKE_VENV
new_enough() { "$$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }; \
if new_enough $(VENV_PYTHON) && $(VENV_PYTHON) -m pip --version >/dev/null 2>&1; then exit 0; fi; \
for python in $(PYTHONS); do \
	if new_enough "$$python"; then \
		echo "Making $(VENV) with $$("$$python" --version)"; \
		"$$python" -m venv --clear $(VENV) && exit 0; \
		rm -rf $(VENV); \
		echo "$$python cannot make virtual environments: see above (Debian: apt-get install python3-venv)" >&2; \
		exit 1; \
	fi; \
done; \
echo "Needs Python 3.11 or newer; tried: $(PYTHONS). Name yours: make PYTHON=/path/to/python3" >&2; \
exit 1
endef
