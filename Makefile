# Everything here sets itself up: a virtual environment in .venv, the compiled core in build/. Run `make` for the list.

PYTHON ?= python3
VENV ?= .venv
BUILD ?= build/python
# Parallel compile jobs; empty means one a core.
JOBS ?=
# In CI warnings are errors.
WERROR ?= $(if $(CI),ON,OFF)
PYTEST_ARGS ?=
CMAKE_ARGS_EXTRA ?=

# The system's compilers, not the ones that built the Python interpreter.
ifeq ($(origin CXX),default)
CXX := c++
endif
export CC CXX
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules
override venv := $(abspath $(VENV))
bin := $(venv)/bin
stamp := $(venv)/.stamp

# What the installed core and the model beside it depend on. Python files are used in place and need no rebuild.
core_sources := CMakeLists.txt pyproject.toml $(wildcard engines/embedded/desk.gguf) $(shell find cmake cpp -type f -not -name '.*' 2>/dev/null)
test_sources := $(shell find tests/cpp -type f 2>/dev/null)
build_requires := $(shell sed -n '/^requires = \[/,/^\]/p' pyproject.toml | grep -o '"[^"]*"')
dev_requires := $(shell sed -n '/^dev = \[/,/^\]/p' pyproject.toml | grep -o '"[^"]*"')
run_requires := $(shell sed -n '/^dependencies = \[/,/^\]/p' pyproject.toml | grep -o '"[^"]*"')
pip := $(bin)/python -m pip --disable-pip-version-check
say = @printf '\033[1m==> %s\033[0m\n'

.PHONY: help
help: ## show this list
	@echo "make TARGET, with:"
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  \1\t\2/' | expand -t 14
	@echo "The first run of a target compiles llama.cpp (about 4 minutes on 2 cores); later runs compile what changed."

.PHONY: demo
demo: $(stamp)-core ## play agent sessions on the shipped model, with and without Poise
	@$(bin)/poise demo

.PHONY: test
test: $(stamp)-core $(stamp)-dev ## run the C++ and the Python tests
	@$(MAKE) --no-print-directory test-cpp test-python

.PHONY: test-cpp
test-cpp: $(stamp)-cpptests
	@if [ -e $(BUILD)/no-doctest ]; then \
	  echo "C++ tests SKIPPED: doctest was not found. Install it (Debian, Ubuntu: apt-get install doctest-dev) and run make test again."; \
	else \
	  $(bin)/ctest --test-dir $(BUILD) --output-on-failure --progress --no-tests=error; \
	fi

.PHONY: test-python
test-python: $(stamp)-core $(stamp)-dev
	@$(bin)/python -m pytest $(PYTEST_ARGS)

.PHONY: lint
lint: $(stamp)-dev ## check formatting, style and types
	$(bin)/ruff check .
	$(bin)/ruff format --check .
	$(bin)/mypy
	@git ls-files --cached --others --exclude-standard 'cpp/*.h' 'cpp/*.cpp' 'cpp/*.cu' 'cpp/*.cuh' 'tests/*.h' 'tests/*.cpp' 'bench/*.h' 'bench/*.cpp' | xargs $(bin)/clang-format --dry-run -Werror && echo "clang-format: ok"

.PHONY: format
format: $(stamp)-dev ## format C++ and Python
	@$(bin)/ruff check --fix --quiet . || true
	@$(bin)/ruff format .
	@git ls-files --cached --others --exclude-standard 'cpp/*.h' 'cpp/*.cpp' 'cpp/*.cu' 'cpp/*.cuh' 'tests/*.h' 'tests/*.cpp' 'bench/*.h' 'bench/*.cpp' | xargs $(bin)/clang-format -i

.PHONY: bench
bench: $(stamp)-core $(stamp)-dev ## print the benchmark tables (peers: run make peers first)
	@for b in paths scan idle interference batching sessions type_ahead constraint; do \
	  if [ -e bench/$$b.py ]; then echo "== bench/$$b.py"; $(bin)/python bench/$$b.py; fi; \
	done

.PHONY: peers
peers: $(stamp)-dev ## build llama-server, llama-bench and llama-batched-bench for the benchmarks
	@PATH="$(bin):$$PATH" bench/peers/build.sh build/peers $(JOBS)

.PHONY: stubs
stubs: $(stamp)-core $(stamp)-dev ## write the type stubs of poise._core
	@$(bin)/python tests/python/stubs.py --write

.PHONY: wheel
wheel: $(stamp)-core ## build a wheel (for this machine's CPU, unless POISE_NATIVE is off) and an sdist into dist/
	@PATH="$(bin):$$PATH" $(pip) wheel --no-deps --no-build-isolation -C build-dir=$(BUILD) --wheel-dir dist .
	@$(bin)/python -c 'from scikit_build_core.build import build_sdist; print("dist/" + build_sdist("dist"))'

.PHONY: clean
clean: ## remove the virtual environment and everything built
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis

# ---- set-up -----------------------------------------------------------------------------------------------------

$(stamp)-venv:
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) was not found: install Python 3.10 or newer, or run make PYTHON=<path>" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(0 if v >= (3, 10) else f"Poise needs Python 3.10 or newer, {sys.executable} is {v[0]}.{v[1]}: run make PYTHON=<path>")'
	@command -v $(CXX) >/dev/null || { echo "no C++ compiler was found: install one (Debian, Ubuntu: apt-get install g++)" >&2; exit 1; }
	$(say) "creating $(VENV)"
	@$(PYTHON) -m venv $(VENV) || { echo "python3 -m venv failed: install it (Debian, Ubuntu: apt-get install python3-venv)" >&2; exit 1; }
	@touch $@

$(stamp)-build: $(stamp)-venv pyproject.toml
	$(say) "installing the build tools"
	@$(pip) install --quiet $(build_requires) $(filter "cmake% "ninja%,$(dev_requires)) $(run_requires)
	@touch $@

$(stamp)-dev: $(stamp)-build
	$(say) "installing the test and lint tools"
	@$(pip) install --quiet $(dev_requires)
	@touch $@

# An editable install whose CMake tree stays in $(BUILD): again with nothing changed, it compiles nothing.
$(stamp)-core: $(stamp)-build $(core_sources)
	$(say) "building Poise (the first time compiles llama.cpp too: about 4 minutes on 2 cores)"
	@PATH="$(bin):$$PATH" $(if $(JOBS),CMAKE_BUILD_PARALLEL_LEVEL=$(JOBS)) $(pip) install -v --no-deps --no-build-isolation \
	  -C build-dir=$(BUILD) -C cmake.define.POISE_WERROR=$(WERROR) $(CMAKE_ARGS_EXTRA) --editable . 2>&1 \
	  | tee $(venv)/build.log | grep --line-buffered -E '^ *(\[[0-9]+/[0-9]+\]|--|CMake|FAILED|.*(error|warning):|.*ERROR)' \
	  || { cat $(venv)/build.log; exit 1; }
	@touch $@

# The C++ tests, in the same CMake tree as the extension, so that the core is compiled once.
$(stamp)-cpptests: $(stamp)-core $(stamp)-dev $(test_sources)
	$(say) "building the C++ tests"
	@PATH="$(bin):$$PATH" cmake -S . -B $(BUILD) -DPOISE_BUILD_TESTS=ON -DPOISE_BUILD_EXAMPLES=ON -DPOISE_BUILD_BENCH=ON >$(venv)/tests.log 2>&1 || { cat $(venv)/tests.log; exit 1; }
	@PATH="$(bin):$$PATH" cmake --build $(BUILD) $(if $(JOBS),--parallel $(JOBS))
	@touch $@
