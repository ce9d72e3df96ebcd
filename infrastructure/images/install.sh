#!/usr/bin/env bash
# Installs the product into a virtual environment: the step of every image that needs nothing but a package index, so
# that it can be run and checked without Docker.
#   infrastructure/images/install.sh FOLDER [DEPENDENCY TO LEAVE OUT ...]
set -euo pipefail
folder=${1:?folder of the virtual environment}
shift
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)

"${PYTHON:-python3}" -m venv "$folder"
"$folder/bin/python" -m pip install --quiet --no-cache-dir --disable-pip-version-check --no-deps --require-hashes \
  -r "$root/requirements.txt"
"$folder/bin/python" "$root/infrastructure/images/prune.py" "$root/pyproject.toml" "$@"

# The programs run from the checkout's copy in the image, as they do on a laptop.
site=$("$folder/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
echo "$root" >"$site/card_fraud_streaming.pth"
printf '#!%s\nfrom cli.main import main\n\nmain()\n' "$(realpath -s "$folder")/bin/python" >"$folder/bin/fraud"
chmod 755 "$folder/bin/fraud"
