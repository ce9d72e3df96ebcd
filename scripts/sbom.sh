#!/usr/bin/env bash
# Writes a CycloneDX bill of materials for each kind of image: scripts/sbom.sh FOLDER. It lists the Python packages that the
# image's installation holds; base images and jars are listed by CI, from the built images.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
folder=${1:?folder to write to}
mkdir -p "$folder"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

write() {
  .venv-infra/bin/cyclonedx-py environment --output-reproducible --outfile "$folder/$1.json" "$work/bin/python"
  echo "$folder/$1.json: $(grep -c '"purl"' "$folder/$1.json") packages"
}

echo "installing as the image of the job does"
PYTHON=.venv/bin/python infrastructure/images/install.sh "$work"
write job
# The other images leave Spark out.
"$work/bin/python" infrastructure/images/prune.py pyproject.toml pyspark
write others
