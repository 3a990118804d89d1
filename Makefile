# Everything a checkout can do. `make demo` and `make test` bring a bare Debian 12 to where they can run; see tools/setup.

MAKEFLAGS += --no-print-directory
VENV      := $(shell tools/setup where)
CACHE     := $(VENV)/cache
# A user's PATH does not hold the directories of nft, dnsmasq and the DHCP clients.
export PATH := $(PATH):/usr/sbin:/sbin:$(VENV)/unpacked/usr/sbin
# Caches live in the environment, so that a checkout we may not write to can be tested too.
export MYPY_CACHE_DIR := $(CACHE)/mypy
export RUFF_CACHE_DIR := $(CACHE)/ruff
export HYPOTHESIS_STORAGE_DIRECTORY ?= $(CACHE)/hypothesis
# Tools of the environment are called as modules: a long path does not fit into a script's first line.
ifneq "$(VENV)" "$(CURDIR)/.venv"
export PYTHONPYCACHEPREFIX := $(CACHE)/pycache
endif
PYTHON    := "$(VENV)/bin/python"
LINTERS   := lint-format lint-style lint-types lint-imports

.DEFAULT_GOAL := help
.PHONY: help demo test test-vm coverage bench bench-vm lint $(LINTERS) format bpf man clean setup-run setup-dev setup-vm setup-bench

help: ## show what can be made
	@sed -n 's/^\([a-z-]*\):.*## /\1 /p' $(MAKEFILE_LIST) | while read -r name text; do printf '%-10s %s\n' "$$name" "$$text"; done

demo: setup-run ## share a connection between virtual networks, on this machine, in under 15 seconds
	@"$(VENV)/bin/icshare" demo $(ARGS)

test: setup-vm setup-bench ## lint, then run every test; ARGS='-k NAME' runs some
	@$(MAKE) lint
	@echo "test: running every test"
	@tools/test "$(CACHE)" $(ARGS)

test-vm: setup-vm ## run the tests that need a whole kernel, in a virtual machine; ARGS='-k NAME' runs some
	@$(PYTHON) -m tests.vm --require $(ARGS)

coverage: setup-dev ## prove that the tests of the pure core take every branch
	@COVERAGE_FILE="$(CACHE)/coverage" $(PYTHON) -m pytest -q -o cache_dir="$(CACHE)/pytest" \
		--cov --cov-report=term --cov-fail-under=100 tests/unit $(ARGS)

bench: setup-bench ## measure on this machine: sharing, port mappings, forwarding, the object model, and ways through a gateway
	@tools/isolate $(PYTHON) -m benchmarks $(ARGS)

bench-vm: setup-bench setup-vm ## measure ways through a gateway in a virtual machine, where only ratios count; ARGS='5 paths'
	@$(PYTHON) -m benchmarks.vm $(ARGS)

lint: setup-dev ## format, style, types and the direction of imports
	@$(MAKE) --keep-going -j $(words $(LINTERS)) --output-sync=target $(LINTERS)

lint-format:
	@$(PYTHON) -m ruff format --check --quiet --output-format=concise . || { echo 'lint: not formatted as above: run `make format`'; exit 1; }
	@echo 'lint: format is good'

lint-style:
	@$(PYTHON) -m ruff check --quiet --output-format=concise .
	@echo 'lint: style is good'

lint-types:
	@$(PYTHON) -m mypy --no-error-summary
	@echo 'lint: types are good'

lint-imports:
	@out=$$("$(VENV)/bin/lint-imports" --cache-dir "$(CACHE)/imports" 2>&1) || { echo "$$out"; exit 1; }
	@echo 'lint: imports point inward'

format: setup-dev ## rewrite the code in the project's format
	@$(PYTHON) -m ruff format .
	@$(PYTHON) -m ruff check --fix --show-fixes .

bpf: setup-dev ## compile the programs of the fast path and of its benchmark, which are shipped as they come out
	@bpf/build src/icshare/host/fastpath/fastpath.bpf.o
	@bpf/build benchmarks/paths/generator.bpf.o benchmarks/paths/generator.bpf.c
	@bpf/build benchmarks/paths/handshakes.bpf.o benchmarks/paths/handshakes.bpf.c

man: setup-run ## make the manual pages and docs/json.md from the code
	@mkdir -p data/man docs
	@$(call made,icshare.cli.man,data/man/icshare.1)
	@$(call made,icshare.cli.man icshare.toml,data/man/icshare.toml.5)
	@$(call made,icshare.cli.jsondoc,docs/json.md)
# A failure leaves the file as it was.
made = { $(PYTHON) -m $(1) >$(2).new && mv $(2).new $(2); } || { rm -f $(2).new; exit 1; }

clean: ## remove the virtual environment and every cache, keep the Debian packages
	rm -rf "$(VENV)" .coverage .hypothesis .mypy_cache .pytest_cache .ruff_cache .import_linter_cache dist
	find src tests benchmarks tools -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true

setup-run setup-dev setup-vm setup-bench: setup-%:
	@tools/setup $*
