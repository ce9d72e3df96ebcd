#!/usr/bin/env bash
# Prepares this machine and this checkout; safe to run again. People and CI share it (`make setup`).
#   .venv          the product and its development tools, from requirements.txt (hashes checked)
#   .venv-standin  the local AWS stand-in and the aws command; their botocore pin conflicts with ours
#   .venv-infra    what checks images, chart and Terraform; only when called as `scripts/setup.sh infra`
# A Java runtime is installed with apt-get where we may, otherwise one line says how to get it; so is Chromium, without
# which the browser tests skip.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

fail() { echo "setup: $*" >&2; exit 2; }

python_at_least_311() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

find_python() {
  local candidate
  for candidate in "${PYTHON:-python3}" python3.13 python3.12 python3.11; do
    if python_at_least_311 "$candidate"; then echo "$candidate"; return; fi
  done
  fail "Python 3.11 or newer is needed (PySpark 4.3 dropped older ones); name one with PYTHON=/path/to/python3.11"
}

java_major() {
  "${JAVA_HOME:+$JAVA_HOME/bin/}java" -version 2>&1 | sed -nE 's/.*version "([0-9]+).*/\1/p' | head -n 1
}

ensure_java() {
  local major; major=$(java_major || true)
  [ "${major:-0}" -ge 17 ] && return
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "setup: installing a Java runtime with apt-get"
    apt-get update -qq && apt-get install -y -qq --no-install-recommends openjdk-17-jre-headless
  else
    fail "Java 17 or newer is needed by Spark (found: ${major:-none}); install a JRE, for example 'sudo apt-get install openjdk-17-jre-headless' or 'brew install openjdk@17', or point JAVA_HOME at one"
  fi
}

ensure_chromium() {
  command -v chromium >/dev/null || command -v google-chrome >/dev/null && return
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "setup: installing Chromium with apt-get"
    { apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium; } && return
  fi
  echo "setup: no Chromium; the browser tests will skip ('sudo apt-get install chromium')" >&2
}

# ensure_environment FOLDER REQUIREMENTS: a virtual environment whose packages match the lock file.
ensure_environment() {
  local folder=$1 requirements=$2 stamp
  stamp=$("$python" -c 'import hashlib, sys; print(hashlib.sha256(sys.stdin.buffer.read()).hexdigest())' <"$requirements")
  [ "$(cat "$folder/.installed" 2>/dev/null || true)" = "$stamp" ] && return
  echo "setup: installing $requirements into $folder"
  [ -x "$folder/bin/python" ] || "$python" -m venv "$folder"
  "$folder/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r "$requirements"
  echo "$stamp" >"$folder/.installed"
}

# Spark's classes as the JVM maps them: every later start of a job is seconds faster. Of one JVM and one environment.
ensure_class_archive() {
  local archive=.venv/share/spark-classes.jsa made
  made="$("${JAVA_HOME:+$JAVA_HOME/bin/}java" -version 2>&1 | tail -n 1) $(cat .venv/.installed)"
  [ -e "$archive" ] && [ "$(cat "$archive.of" 2>/dev/null || true)" = "$made" ] && return
  echo "setup: gathering Spark's classes from a short run, so that later starts are faster"
  rm -f "$archive"
  if .venv/bin/python -m scripts.make_class_archive; then
    echo "$made" >"$archive.of"
  else
    echo "setup: no archive of Spark's classes; starts take some seconds longer" >&2
  fi
}

python=$(find_python)
if [ "${1:-}" = infra ]; then
  ensure_environment .venv-infra infrastructure/requirements-checks.txt
  exit
fi
ensure_java
ensure_chromium
ensure_environment .venv requirements.txt
ensure_environment .venv-standin embedded/requirements-standin.txt
# The product itself, editable; its build tool comes from the lock file, so nothing unpinned is fetched.
if ! .venv/bin/python -c 'import importlib.metadata as m; m.version("card-fraud-streaming")' 2>/dev/null; then
  .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
fi
# A Kinesis server with correct shard lineage; without npm the tests that need it skip.
kinesis_local=tests/support/kinesis_local
if command -v npm >/dev/null && [ ! -d "$kinesis_local/node_modules" ]; then
  npm ci --prefix "$kinesis_local" --no-audit --no-fund --loglevel=error ||
    echo "setup: kinesis-local could not be installed; the tests that need it will skip" >&2
fi
ensure_class_archive
