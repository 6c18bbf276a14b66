# Needs Python 3.11 or newer, and make. PYTHON=python3.13 chooses one.
PYTHON ?= python3
BIN := .venv/bin
SHELL := /bin/sh
MAKEFLAGS += --no-print-directory
PYTEST := $(BIN)/python -m pytest
# Tests wait for servers half of their time: twice as many as there are cores.
WORKERS ?= $(shell echo $$((2 * $$(getconf _NPROCESSORS_ONLN))))

.PHONY: help install clients servers run test test-fast check fix demo screenshots docs image image-check release audit soak bench upgrade clean

help: ## Show what there is
	@grep -E '^[a-z-]+:.*## ' Makefile | sed -E 's/:.*## /\t/' | expand -t 12

install: .venv/ready ## Make the environment in .venv

.venv/ready: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "PyPICloud needs Python 3.11 or newer; $(PYTHON) is not. Try: make PYTHON=python3.13" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "$(PYTHON) lacks the module venv (Debian: apt-get install python3-venv)" >&2; exit 1; }
	@[ -e /usr/include/ldap.h ] && [ -e /usr/include/sasl/sasl.h ] || { \
	  echo "python-ldap is built here (Debian: apt-get install gcc libldap2-dev libsasl2-dev)" >&2; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade -c constraints.txt pip
	$(BIN)/python -m pip install --quiet -c constraints.txt --build-constraint constraints.txt --group dev -e .
	@touch $@
	@echo "The environment is in .venv."

clients: install ## Install the real clients that tests run, each apart
	$(BIN)/python tests/e2e/install_clients.py

servers: install ## Install the servers that tests start
	$(BIN)/python tests/servers/install.py

run: install ## Serve on http://127.0.0.1:8000; without settings of your own, everyone may read
	@[ -e .env ] || [ -n "$$PYPICLOUD_DEFAULT_READ$$PYPICLOUD_CONFIG$$PYPICLOUD_HOST" ] || \
	  export PYPICLOUD_DEFAULT_READ=everyone; exec $(BIN)/pypicloud serve

test: install clients servers ## Run every test
	@command -v curl >/dev/null || { echo "Tests need curl (Debian: apt-get install curl)." >&2; exit 1; }
	@command -v strace >/dev/null || { echo "Tests need strace (Debian: apt-get install strace)." >&2; exit 1; }
	@command -v postgres >/dev/null || ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1 || { echo "Tests need PostgreSQL (Debian: apt-get install postgresql)." >&2; exit 1; }
	@PATH="$$PATH:/usr/sbin" command -v mariadbd >/dev/null || { echo "Tests need MariaDB (Debian: apt-get install mariadb-server)." >&2; exit 1; }
	@command -v redis-server >/dev/null || { echo "Tests need Redis (Debian: apt-get install redis-server)." >&2; exit 1; }
	@for name in haproxy nginx; do PATH="$$PATH:/usr/sbin" command -v $$name >/dev/null || { echo "Tests need $$name (Debian: apt-get install $$name)." >&2; exit 1; }; done
	@command -v promtool >/dev/null || { echo "Tests need promtool (Debian: apt-get install prometheus)." >&2; exit 1; }
	@PATH="$$PATH:/usr/sbin" command -v slapd >/dev/null && command -v ldapadd >/dev/null || { echo "Tests need OpenLDAP (Debian: apt-get install slapd ldap-utils)." >&2; exit 1; }
	@command -v chromium >/dev/null || { echo "Tests need Chromium (Debian: apt-get install chromium)." >&2; exit 1; }
	@$(PYTEST) -n $(WORKERS) --dist worksteal && echo "Every test passed." || { echo "Some tests FAILED; see above." >&2; exit 1; }

test-fast: install servers ## Run the tests that take no more than a moment
	@$(PYTEST) -n auto --dist worksteal -m "not e2e and not slow"

check: install ## Look for slips: ruff, formatting, types
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	@echo "No slips found."

fix: install ## Mend what ruff can mend, and format
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

demo: install ## Serve something to look at on http://127.0.0.1:8000; it is gone afterwards
	$(BIN)/python -m tests.browser.demo

screenshots: install ## Take the pictures in docs/images anew; needs Chromium
	$(BIN)/python -m tests.browser.screenshots

docs: install ## Build the manual as a site in site/
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet && echo "The manual is in site/."

image: ## Build the container image with docker, podman or buildah, whichever is there
	@for tool in docker podman buildah; do command -v $$tool >/dev/null || continue; \
	  case $$tool in docker) format= ;; *) format=--format=docker ;; esac; : "OCI has no health checks"; \
	  $$tool build $$format --file deploy/Dockerfile --tag pypicloud:2 . && echo "Built pypicloud:2 with $$tool." && exit 0; \
	  echo "$$tool could not build the image; see above." >&2; done; \
	echo "NOT BUILT: the image (docker, podman or buildah is needed, and a registry with its base)." >&2; exit 1

image-check: install ## Build the image without a registry, run it held as promised, and use it; needs root
	@$(BIN)/python tests/e2e/install_clients.py twine pip uv
	@deploy/image_here.sh

release: install ## Build sdist, wheel, bill of materials and their sums in dist/, the same from the same commit
	rm -rf dist
	SOURCE_DATE_EPOCH=$${SOURCE_DATE_EPOCH:-$$(git log -1 --format=%ct)} $(BIN)/python -m hatchling build
	$(BIN)/python deploy/inventory.py sbom > dist/pypicloud-$$($(BIN)/python -m hatchling version).cdx.json
	cd dist && sha256sum * > SHA256SUMS && cat SHA256SUMS

audit: install ## Look for known holes in what is pinned; AUDIT: more options of pip-audit
	@$(BIN)/pip-audit --requirement constraints.txt --no-deps --disable-pip --strict --progress-spinner off \
	  $(AUDIT) --format json --output .audit.json; \
	if [ -s .audit.json ]; then $(BIN)/python deploy/audited.py .audit.json; status=$$?; rm -f .audit.json; exit $$status; fi; \
	echo "NOT AUDITED: pip-audit could not ask who knows of holes; see above." >&2; exit 3

soak: install servers ## Run the crashes, the races and the made-up requests at full length
	$(PYTEST) tests/invariants --soak
	SOAK=1 $(PYTEST) tests/storage/test_faults.py
	SOAK=1 $(PYTEST) tests/conformance/test_openapi.py
	SOAK=1 $(PYTEST) tests/replicas
	SOAK=1 $(PYTEST) tests/upstream tests/e2e/test_upstreams.py
	$(BIN)/python -m tests.deployment.load

bench: install clients servers ## Measure; see benchmarks/
	@for name in start login_timing hot_page hot_work other_servers peers install_chain cold_page web_pages redirects signing memory_pages inspection upload_small upload_large reindex object_store_memory reindex_stores cache_page cache_writers cache_search reindex_caches upstreams; do \
	  echo "== $$name"; BENCHMARKS_FOLDER=build/benchmarks $(BIN)/python -m benchmarks.$$name || exit 1; done
	$(BIN)/python -m benchmarks.chart build/benchmarks docs/images/peers.svg

upgrade: install ## Bring the environment to the newest versions and pin them
	$(BIN)/python -m pip install --quiet --upgrade --upgrade-strategy eager --group dev -e .
	{ head -n 1 constraints.txt; $(BIN)/python -m pip freeze --all --exclude-editable; } > constraints.new
	mv constraints.new constraints.txt

clean: ## Remove what was made here, but not data/
	rm -rf .audit.json .venv .venv-clients .venv-servers .venv-peers .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist site
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
