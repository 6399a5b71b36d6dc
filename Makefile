# The targets for developers. Each target installs its requirements into .venv (Python 3.11 to 3.13). Targets that start machines
# also start a Docker engine if none answers. GNU make 3.81, the version of macOS, is sufficient.

BIN := .venv/bin
TARBALL := asgi-deploy-$(shell sed -n 's/^version: //p' galaxy.yml).tar.gz
comma := ,
SHELL_SCRIPTS := .ci/run tools/*.sh bench/*.sh tests/hosts/systemd-init
SCENARIOS := $(notdir $(patsubst %/molecule.yml,%,$(wildcard molecule/*/molecule.yml)))
MOLECULE := molecule --base-config molecule/config.yml
# scenarios that count lost requests within milliseconds, so nothing else may run beside them
ALONE := fleet servers traffic
# the tests of a scenario to run: all of them, quick (those not marked long) or smoke (those marked smoke)
TESTS ?= all
MARKED_all :=
MARKED_quick := not long
MARKED_smoke := smoke
# without the steps check and idempotence
SMOKE = if step destroy && step create && step prepare && step converge && step verify; then step destroy; \
	  else step cleanup; step destroy; false; fi
# one argument of run_parts.py for each scenario in $(1), with the tests $(2)
parts = $(foreach scenario,$(1),'molecule SCENARIO=$(scenario) TESTS=$(2)')
# all scenarios by default; `make molecule SCENARIO=default TESTS=quick` runs one of them
SCENARIO ?= $(SCENARIOS)

# without an explicit shell, old versions of make would search for commands in their own PATH, not in the PATH below
SHELL := /bin/bash
export PATH := $(CURDIR)/$(BIN):$(PATH)
export ANSIBLE_COLLECTIONS_PATH := $(CURDIR)/.collections

.DEFAULT_GOAL := help
.PHONY: help demo demo-down check test test-all lint unit sanity worker molecule matrix docs bench bench-tune bench-metrics build sbom lock clean scenarios rows venv engine images

help: ## Show this
	@echo 'make TARGET, where TARGET is one of:'
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  \1|\2/p' $(MAKEFILE_LIST) | while IFS='|' read -r name text; do printf '%-14s %s\n' "$$name" "$$text"; done

demo: venv ## Deploy an example to a disposable machine on this computer (EXAMPLE=fullstack, DEMO_HTTP_PORT, DEMO_HTTPS_PORT, DEMO_NAME, DEMO_IMAGE)
	@$(BIN)/python tools/demo.py up

demo-down: venv ## Remove the machine of the demo
	@$(BIN)/python tools/demo.py down

check: ## Run lint and the unit tests
	@JOBS=2 tools/run_parts.py lint 'unit TESTS=quick'

test: images ## Run check, sanity, worker, the scenarios default and traffic, and the smoke tests of the others (JOBS=2 of them at once)
	@tools/run_parts.py $(call parts,default,quick) $(call parts,$(filter-out default $(ALONE),$(SCENARIOS)),smoke) 'lint sanity' 'unit TESTS=quick' \
	  -- worker $(call parts,traffic,quick) $(call parts,$(filter-out traffic,$(ALONE)),smoke)

test-all: images ## Run all tests, including those marked long
	@tools/run_parts.py $(call parts,$(filter-out $(ALONE),$(SCENARIOS)),all) 'lint sanity' unit -- worker $(call parts,$(ALONE),all)

lint: venv $(TARBALL) ## Check style, documentation, changelog, scripts and the package
	ansible-lint
	yamllint --strict .
	ruff check --quiet
	ruff format --check --quiet
	shellcheck $(SHELL_SCRIPTS)
	tools/reference.py --check
	tools/error_codes.py --check
	tools/links.py
	antsibull-changelog lint
	antsibull-docs lint-collection-docs --plugin-docs .
	mkdir -p .cache/importer && cd .cache/importer && python -m galaxy_importer.main $(CURDIR)/$(TARBALL)

unit: venv ## Test the Python code
	pytest --numprocesses auto $(PYTEST_ARGS)

worker: venv ## Test the drain worker as real processes, with the oldest and the newest supported versions
	pytest tests/worker $(PYTEST_ARGS)

sanity: venv $(TARBALL) ## Run ansible-test sanity over the built collection
	tools/sanity.sh $(TARBALL)

molecule unit: export PYTEST_ADDOPTS := $(PYTEST_ADDOPTS) $(if $(MARKED_$(TESTS)),-m '$(MARKED_$(TESTS))')
molecule: images ## Test on Debian 12, 13 and 14 machines (SCENARIO=name for one scenario, TESTS=quick or smoke for fewer tests)
	@for scenario in $(SCENARIO); do \
	  echo "==> molecule test: $$scenario"; \
	  export MOLECULE_EPHEMERAL_DIRECTORY=$(CURDIR)/.cache/molecule/$$scenario; \
	  step() { $(MOLECULE) $$1 --no-command-borders --scenario-name $$scenario; }; \
	  $(if $(filter smoke,$(TESTS)),$(SMOKE),step test) || exit 1; \
	done

matrix: venv engine $(TARBALL) ## Test with each supported ansible-core, and modules with old Pythons (ROW='2.16 python3.9', STEP='unit sanity host')
	@$(BIN)/python tools/matrix.py $(foreach row,$(ROW),--row $(row)) $(foreach step,$(STEP),--step $(step))

bench: export MOLECULE_EPHEMERAL_DIRECTORY := $(CURDIR)/.cache/molecule/traffic
bench: export ANSIBLE_CONFIG := $(MOLECULE_EPHEMERAL_DIRECTORY)/ansible.cfg
bench: venv engine ## Count lost requests in 200 disturbances, write docs/benchmarks; continues an interrupted run (BENCH_ARGS='--minutes 90')
	@for release in 13 14; do tests/hosts/image.py $$release ready || exit 1; done
	@for step in destroy create prepare converge; do \
	  env -u ANSIBLE_CONFIG $(MOLECULE) $$step --no-command-borders --scenario-name traffic || exit 1; \
	done
	PYTHONPATH=tests python -m bench.traffic $(BENCH_ARGS)
	@env -u ANSIBLE_CONFIG $(MOLECULE) destroy --no-command-borders --scenario-name traffic

bench-metrics: venv ## Measure the cost of asgi_server_metrics (BENCH_ARGS='--rounds 30')
	@$(BIN)/python bench/metrics.py $(BENCH_ARGS)

bench-tune: venv engine ## Compare the recommendations of tune.yml with manual measurements, write docs/benchmarks/tuning.md (BENCH_ARGS)
	@tests/hosts/image.py 13
	@for playbook in tests/hosts/create.yml tests/hosts/prepare.yml playbooks/site.yml; do \
	  ansible-playbook -i bench/tune/inventory $$playbook || exit 1; \
	done
	bench/tune/compare.py $(BENCH_ARGS)
	@ansible-playbook -i bench/tune/inventory tests/hosts/destroy.yml

docs: venv ## Build the documentation as a site in .cache/docs/html
	rm -rf .cache/docs && mkdir -p .cache/docs && cp -R docs .cache/docs/source && mkdir -m 700 .cache/docs/source/reference/collection
	antsibull-docs collection --use-current --squash-hierarchy --fail-on-error \
	  --dest-dir .cache/docs/source/reference/collection asgi.deploy
	sphinx-build --fail-on-warning --keep-going --quiet .cache/docs/source .cache/docs/html
	@cp .cache/docs/html/README.html .cache/docs/html/index.html
	@echo '.cache/docs/html/index.html'

build: venv $(TARBALL) ## Build the collection's tarball
	@echo "$(TARBALL)"

sbom: venv $(TARBALL) ## Build the tarball and its software bill of materials
	@tools/tarball_sbom.py $(TARBALL)

# always rebuilt, because it depends on the whole checkout
.PHONY: $(TARBALL)
$(TARBALL): venv
	@ansible-galaxy collection build --force >/dev/null

rows:
	@python3 tools/matrix.py --list

scenarios:
	@printf '["%s"]\n' '$(subst $(eval) ,"$(comma)",$(SCENARIOS))'

lock: venv ## Resolve requirements-dev.in into requirements-dev.txt, for every supported Python; write the hashes of uv
	uv pip compile --quiet --universal --python-version 3.11 --custom-compile-command 'make lock' \
	  --output-file requirements-dev.txt requirements-dev.in
	tools/uv_wheels.py
	tools/venv.sh
	tools/uv_pythons.py

clean: ## Remove the files and test images that the other targets create
	rm -rf .venv .cache .ansible .pytest_cache .ruff_cache .hypothesis tests/output asgi-deploy-*.tar.gz asgi-deploy-*.cdx.json
	-@docker image rm asgi-judge asgi-{target,ready,base}:1{2,3,4} >/dev/null 2>&1

venv:
	@tools/venv.sh

engine:
	@tools/engine.sh

images: venv engine
	@for release in 12 13; do tests/hosts/image.py $$release target && tests/hosts/image.py $$release ready || exit 1; done
	@$(if $(filter traffic,$(SCENARIO)),tests/hosts/image.py 14 ready)
