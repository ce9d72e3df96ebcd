#!/usr/bin/env bash
# Writes a CycloneDX bill of materials for each kind of image: scripts/sbom.sh FOLDER. It lists the Python packages that the
# image's installation holds; the base images and jars are listed by CI, from the built images.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
folder=${1:?folder to write to}
mkdir -p "$folder"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# write NAME [DEPENDENCY TO LEAVE OUT ...]
write() {
  local name=$1
  shift
  PYTHON=.venv/bin/python infrastructure/images/install.sh "$work/$name" "$@"
  .venv-infra/bin/cyclonedx-py environment --output-reproducible --pyproject pyproject.toml --outfile "$folder/$name.json" \
    "$work/$name/bin/python"
  echo "$folder/$name.json: $(grep -c '"purl"' "$folder/$name.json") packages"
}

write job
write others pyspark
