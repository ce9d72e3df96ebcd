#!/usr/bin/env bash
# Installs the product into a virtual environment: the step of every image that needs nothing but a package index, so
# that it can be run and checked without Docker.
#   infrastructure/images/install.sh FOLDER [PACKAGE TO LEAVE OUT ...]
set -euo pipefail
folder=${1:?folder of the virtual environment}
shift
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)

"${PYTHON:-python3}" -m venv "$folder"
# An entry of the lock file is its line with a version and the indented ones below it.
awk -v without=" $* " '/^[a-z]/ { split($1, name, "=="); leave = index(without, " " name[1] " ") } !leave' \
  "$root/requirements.txt" >"$folder/requirements.txt"
"$folder/bin/python" -m pip install --quiet --no-cache-dir --disable-pip-version-check --no-deps --require-hashes \
  -r "$folder/requirements.txt"
# An environment of Python 3.11 begins with it; nothing here needs it.
"$folder/bin/python" -m pip uninstall --yes --quiet setuptools

# The programs run from the checkout's copy in the image, as they do on a laptop.
site=$("$folder/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
echo "$root" >"$site/card_fraud_streaming.pth"
printf '#!%s\nfrom cli.main import main\n\nmain()\n' "$(realpath -s "$folder")/bin/python" >"$folder/bin/fraud"
chmod 755 "$folder/bin/fraud"
