.DEFAULT_GOAL := help
.PHONY: help setup demo test test-long check infra-check infra-apply sbom screenshots format reference lock clean
DURATION ?=
PY := .venv/bin/python

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: ## install what this machine and checkout lack (safe to repeat)
	@scripts/setup.sh

demo: setup ## stream transactions to explained alerts on this machine; DURATION=60 ends after 60 s
	@.venv/bin/fraud demo $(if $(DURATION),--duration $(DURATION))

test: setup check infra-check ## all checks and tests, as CI runs them
	@.venv/bin/pytest -m "not long"

test-long: setup ## the long forms: many kills, soak, apply
	@.venv/bin/pytest -m long

check: setup ## format, lint, types, import directions, generated pages: the fast part
	@.venv/bin/ruff format --check --quiet .
	@.venv/bin/ruff check --quiet .
	@.venv/bin/mypy
	@.venv/bin/lint-imports
	@.venv/bin/python scripts/write_reference.py --check

infra-check: ## images, workflows, chart and Terraform, checked without a cloud
	@scripts/setup.sh infra
	@.venv-infra/bin/python -m infrastructure.checks

infra-apply: setup ## apply the dev environment to local stand-ins, plan again, destroy it
	@scripts/setup.sh infra
	@.venv/bin/python -m infrastructure.checks.apply

sbom: setup ## list what the images' Python parts hold, as CycloneDX, in build/sbom
	@scripts/setup.sh infra
	@scripts/sbom.sh build/sbom

format: setup ## format the code and mend what lint can mend
	@.venv/bin/ruff format --quiet .
	@.venv/bin/ruff check --fix --quiet .

reference: setup ## write the generated reference pages anew
	@.venv/bin/python scripts/write_reference.py

screenshots: setup ## take the pictures of the console in docs/images anew, from a real run of two minutes
	@.venv/bin/python -m scripts.take_screenshots

lock: setup ## resolve pyproject.toml into requirements.txt anew, with hashes
	@.venv/bin/uv pip compile pyproject.toml --extra dev --generate-hashes --no-emit-index-url --no-header \
	  --python-version 3.11 --quiet -o requirements.txt
	@.venv/bin/uv pip compile infrastructure/requirements-checks.in --generate-hashes --no-emit-index-url --no-header \
	  --python-version 3.11 --quiet -o infrastructure/requirements-checks.txt

clean: ## remove environments, caches and local data
	@rm -rf .venv .venv-standin .venv-infra .local artifacts build *.egg-info .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
