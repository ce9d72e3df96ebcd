#!/usr/bin/env bash
# Writes a CycloneDX bill of materials for each kind of image: scripts/sbom.sh FOLDER. It lists the Python packages that the
# image's installation holds; base images and jars are listed by CI, from the built images.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
folder=${1:?folder to write to}
mkdir -p "$folder"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# write NAME [PACKAGE TO LEAVE OUT ...]
write() {
  local name=$1; shift
  PYTHON=.venv/bin/python infrastructure/images/install.sh "$work/$name" "$@"
  .venv-infra/bin/cyclonedx-py environment --output-reproducible --outfile "$folder/$name.json" "$work/$name/bin/python"
  echo "$folder/$name.json: $(grep -c '"purl"' "$folder/$name.json") packages"
}

echo "installing as the images do"
write job
write others pyspark py4j
