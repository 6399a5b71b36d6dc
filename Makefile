# Everything that a developer does here. Each target installs what it needs into .venv (Python 3.11 to 3.13) and, where
# it starts machines, makes sure that a Docker engine answers. Works with GNU make 3.81, so with the one of macOS.

BIN := .venv/bin
TARBALL := asgi-deploy-$(shell sed -n 's/^version: //p' galaxy.yml).tar.gz
comma := ,
SHELL_SCRIPTS := .ci/run tools/*.sh tests/hosts/systemd-init
SCENARIOS := $(notdir $(patsubst %/molecule.yml,%,$(wildcard molecule/*/molecule.yml)))
MOLECULE := molecule --base-config molecule/config.yml
# count what is lost within milliseconds
ALONE := fleet servers traffic
# `make molecule SCENARIO=default` for one of them
SCENARIO ?= $(SCENARIOS)

# naming a shell makes old versions look commands up in the PATH below, not in their own
SHELL := /bin/bash
export PATH := $(CURDIR)/$(BIN):$(PATH)
export ANSIBLE_COLLECTIONS_PATH := $(CURDIR)/.collections

.DEFAULT_GOAL := help
.PHONY: help demo demo-down test lint unit sanity worker molecule bench bench-tune bench-metrics build lock clean scenarios venv engine images

help: ## Show this
	@echo 'make TARGET, where TARGET is one of:'
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  \1|\2/p' $(MAKEFILE_LIST) | while IFS='|' read -r name text; do printf '%-14s %s\n' "$$name" "$$text"; done

demo: venv ## Deploy the example app to a disposable machine here and show it (DEMO_HTTP_PORT, DEMO_HTTPS_PORT, DEMO_NAME, DEMO_IMAGE)
	@$(BIN)/python tools/demo.py up

demo-down: venv ## Remove that machine
	@$(BIN)/python tools/demo.py down

test: export PYTEST_ADDOPTS := -m 'not long'
test: images ## Run lint, unit, sanity, worker and the Molecule scenarios, without the tests marked long (JOBS=2 at once)
	@tools/run_parts.py $(patsubst %,'molecule SCENARIO=%',$(filter-out $(ALONE),$(SCENARIOS))) 'lint sanity' unit \
	  -- worker $(patsubst %,'molecule SCENARIO=%',$(ALONE))

lint: venv $(TARBALL) ## Check style, documentation, changelog, scripts and the package
	ansible-lint
	yamllint --strict .
	ruff check --quiet
	ruff format --check --quiet
	shellcheck $(SHELL_SCRIPTS)
	tools/role_readmes.py --check
	antsibull-changelog lint
	antsibull-docs lint-collection-docs --plugin-docs .
	mkdir -p .cache/importer && cd .cache/importer && python -m galaxy_importer.main $(CURDIR)/$(TARBALL)

unit: venv ## Test the Python code
	pytest $(PYTEST_ARGS)

worker: venv ## Test the drain worker as real processes, with the oldest and the newest versions it supports
	pytest tests/worker $(PYTEST_ARGS)

sanity: venv $(TARBALL) ## Run ansible-test sanity over the built collection
	tools/sanity.sh $(TARBALL)

molecule: images ## Test on Debian 12 and 13 machines (SCENARIO=name for one scenario)
	@for scenario in $(SCENARIO); do \
	  echo "==> molecule test: $$scenario"; \
	  MOLECULE_EPHEMERAL_DIRECTORY=$(CURDIR)/.cache/molecule/$$scenario \
	    $(MOLECULE) test --no-command-borders --scenario-name $$scenario || exit 1; \
	done

bench: export MOLECULE_EPHEMERAL_DIRECTORY := $(CURDIR)/.cache/molecule/traffic
bench: export ANSIBLE_CONFIG := $(MOLECULE_EPHEMERAL_DIRECTORY)/ansible.cfg
bench: venv engine ## Count 1,000,000 requests in 200 disturbances, write docs/benchmarks; resumes (BENCH_ARGS='--minutes 90')
	@tests/hosts/image.py 13 ready
	@for step in destroy create prepare converge; do \
	  env -u ANSIBLE_CONFIG $(MOLECULE) $$step --no-command-borders --scenario-name traffic || exit 1; \
	done
	PYTHONPATH=tests python -m traffic.bench $(BENCH_ARGS)
	@env -u ANSIBLE_CONFIG $(MOLECULE) destroy --no-command-borders --scenario-name traffic

bench-metrics: venv ## Say what asgi_server_metrics costs, in turns with and without (BENCH_ARGS='--rounds 30')
	@$(BIN)/python tools/bench_metrics.py $(BENCH_ARGS)

bench-tune: venv engine ## Compare what tune.yml recommends with what is measured by hand, write docs/benchmarks/tuning.md (BENCH_ARGS)
	@tests/hosts/image.py 13
	@for playbook in tests/hosts/create.yml tests/hosts/prepare.yml playbooks/site.yml; do \
	  ansible-playbook -i tests/tune/inventory $$playbook || exit 1; \
	done
	tests/tune/acceptance.py $(BENCH_ARGS)
	@ansible-playbook -i tests/tune/inventory tests/hosts/destroy.yml

build: venv $(TARBALL) ## Build the collection's tarball
	@echo "$(TARBALL)"

# always made anew: what it is made of is the whole checkout
.PHONY: $(TARBALL)
$(TARBALL): venv
	@ansible-galaxy collection build --force >/dev/null

scenarios:
	@printf '["%s"]\n' '$(subst $(eval) ,"$(comma)",$(SCENARIOS))'

lock: venv ## Resolve requirements-dev.in into requirements-dev.txt, for every supported Python
	uv pip compile --quiet --universal --python-version 3.11 --custom-compile-command 'make lock' \
	  --output-file requirements-dev.txt requirements-dev.in

clean: ## Remove what the targets above left here, the test images included
	rm -rf .venv .cache .ansible .pytest_cache .ruff_cache .hypothesis tests/output asgi-deploy-*.tar.gz
	-@docker image rm asgi-judge asgi-{target,ready,base}:1{2,3} >/dev/null 2>&1

venv:
	@tools/venv.sh

engine:
	@tools/engine.sh

images: venv engine
	@for release in 12 13; do tests/hosts/image.py $$release target && tests/hosts/image.py $$release ready || exit 1; done
