.DEFAULT_GOAL := help
.PHONY: help setup setup-demo demo test test-long check infra-check infra-apply s3a-check sbom screenshots format reference lock clean
DURATION ?=
# As in scripts/setup.sh: what Python compiles is kept, also where the environment says otherwise.
unexport PYTHONDONTWRITEBYTECODE
PY := .venv/bin/python

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: ## install what developing needs and this machine or checkout lacks (safe to repeat)
	@scripts/setup.sh

setup-demo:
	@scripts/setup.sh demo

demo: setup-demo ## stream transactions to explained alerts on this machine; DURATION=60 ends after 60 s
	@.venv/bin/fraud demo $(if $(DURATION),--duration $(DURATION))

test: setup check infra-check ## all checks and tests, as CI runs them
	@.venv/bin/pytest -m "not long" --numprocesses 3 --dist loadgroup --no-loadscope-reorder --durations=25

test-long: setup ## the long forms: many kills, soak, apply
	@.venv/bin/pytest -m long

check: setup ## format, lint, types, import directions, generated pages, JavaScript: the fast part
	@.venv/bin/ruff format --check --quiet .
	@.venv/bin/ruff check --quiet .
	@.venv/bin/mypy
	@.venv/bin/lint-imports
	@.venv/bin/python -m scripts.write_reference --check
	@scripts/javascript/check.sh

infra-check: ## images, workflows, chart and Terraform, checked without a cloud
	@scripts/setup.sh infra
	@.venv-infra/bin/python -m infrastructure.checks

infra-apply: setup ## apply the dev environment to local emulators, plan again, destroy it
	@scripts/setup.sh infra
	@.venv/bin/python -m infrastructure.checks.apply

s3a-check: setup ## run the job with its checkpoint on s3a:// of the local emulator, kill and resume it; needs Maven Central
	@scripts/setup.sh infra
	@.venv/bin/python -m infrastructure.checks.s3a

sbom: setup ## list what the images' Python parts hold, as CycloneDX, in build/sbom
	@scripts/setup.sh infra
	@scripts/sbom.sh build/sbom

format: setup ## format the code and fix what lint can fix
	@.venv/bin/ruff format --quiet .
	@.venv/bin/ruff check --fix --quiet .

reference: setup ## rewrite the generated reference pages
	@.venv/bin/python -m scripts.write_reference

screenshots: setup ## retake the pictures of the console in docs/images, from a real run of two minutes
	@.venv/bin/python -m scripts.take_screenshots

LOCK := $(PY) scripts/uv_as_pip.py pip compile --generate-hashes --no-emit-index-url --no-header --python-version 3.11 --quiet

lock: setup ## resolve pyproject.toml into the lock files again, with hashes
	@$(LOCK) pyproject.toml -o requirements.txt
	@$(LOCK) pyproject.toml --extra dev -c requirements.txt -o requirements-dev.txt
	@$(LOCK) --group setup -o scripts/requirements-setup.txt
	@$(LOCK) infrastructure/requirements-checks.in -o infrastructure/requirements-checks.txt

clean: ## remove environments, caches and local data
	@rm -rf .venv .venv-emulator .venv-infra scripts/javascript/node_modules .local artifacts build *.egg-info .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
