#!/usr/bin/env bash
# Lays the files of a release into a folder: source, chart, bills of materials (of `make sbom`), notes, checksums.
#   scripts/release_files.sh vX.Y.Z FOLDER
# The version is that of pyproject.toml and of the chart, and CHANGELOG.md has a section of it.
set -euo pipefail
tag=${1:?tag of the release, vX.Y.Z} folder=${2:?folder}
version=${tag#v}
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
fail() { echo "release: $*" >&2; exit 1; }

grep -qx "version = \"$version\"" "$root/pyproject.toml" || fail "pyproject.toml has another version than $tag"
for name in version appVersion; do
  grep -qx "$name: $version" "$root/infrastructure/helm/fraud/Chart.yaml" || fail "the chart's $name is another one than $tag"
done
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
awk -v version="$version" '/^## /{inside = $2 == version; next} inside' "$root/CHANGELOG.md" >"$folder/NOTES.md"
grep -q '[^[:space:]]' "$folder/NOTES.md" || fail "CHANGELOG.md has no section '## $version' with a line in it"
git -C "$root" archive --format=tar --prefix="card-fraud-streaming-$version/" HEAD |
  gzip --no-name >"$folder/card-fraud-streaming-$version.tar.gz"
helm package "$root/infrastructure/helm/fraud" --destination "$folder" >/dev/null
for sbom in "$root"/build/sbom/*.json; do
  [ -e "$sbom" ] || fail "there are no bills of materials: run make sbom"
  cp "$sbom" "$folder/sbom-$(basename "$sbom")"
done
(cd "$folder" && sha256sum -- *.tar.gz *.tgz *.json NOTES.md >SHA256SUMS)
