#!/usr/bin/env bash
# Prepares this machine and this checkout; safe to run again, and quick where all is there. People and CI share it.
#   scripts/setup.sh demo    what `make demo` needs: a Java runtime, the product in .venv, the AWS emulator in .venv-emulator
#   scripts/setup.sh         what developing and testing need (`make setup`): beside it the development tools, Chromium, a
#                            Kinesis server of npm's and an archive of Spark's classes
#   scripts/setup.sh infra   what checks images, chart and Terraform, in .venv-infra
# The emulator has an environment of its own because its botocore pin conflicts with ours. Java and Chromium are installed
# with apt-get where we may, otherwise one line says how to get them; without Chromium the browser tests skip. Each step
# is one line; what its programs print is shown where it fails.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export DEBIAN_FRONTEND=noninteractive
# What Python compiles is kept: without it each of a run's twenty processes compiles all that it imports, for seconds.
unset PYTHONDONTWRITEBYTECODE

fail() { echo "setup: $*" >&2; exit 2; }

# step WORDS COMMAND...
step() {
  local words=$1 printed; shift
  echo "setup: $words"
  printed=$("$@" 2>&1) || { echo "$printed" >&2; echo "setup: $words: failed" >&2; return 1; }
}

# three_times COMMAND...: a package index that does not answer once is asked again.
three_times() {
  local pause
  for pause in 3 15; do
    "$@" && return
    sleep "$pause"
  done
  "$@"
}

background=
in_background() { "$@" & background+=" $!"; }

# Until what was begun in the background has ended; fails where one of it did.
wait_for_all() {
  local begun
  for begun in $background; do wait "$begun"; done
  background=
}

# python_at_least_311 NAME: prints where it lies, which is sooner started than a version manager's script of that name.
python_at_least_311() { "$1" -Ic 'import sys; print(sys.executable) if sys.version_info >= (3, 11) else exit(1)' 2>/dev/null; }

find_python() {
  local candidate
  for candidate in "${PYTHON:-python3}" python3.13 python3.12 python3.11; do
    python_at_least_311 "$candidate" && return
  done
  fail "Python 3.11 or newer is needed (PySpark 4.3 dropped older ones); name one with PYTHON=/path/to/python3.11"
}

may_apt_get() { [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; }

# Two of them at once would wait for each other's lock, or fail.
apt_get_install() { apt-get update -qq && apt-get install -y -qq --no-install-recommends "$@"; }

# What the Java runtime that Spark will find says of itself.
java_version() { "${JAVA_HOME:+$JAVA_HOME/bin/}java" -version 2>&1 || true; }

# Begins to install one where there is none: `wait_for_all` waits for it.
ensure_java() {
  local major; major=$(echo "$java" | sed -nE 's/.*version "([0-9]+).*/\1/p' | head -n 1)
  [ "${major:-0}" -ge 17 ] && return
  may_apt_get || fail "Java 17 or newer is needed by Spark (found: ${major:-none}); install a JRE, for example 'sudo apt-get install openjdk-17-jre-headless' or 'brew install openjdk@17', or point JAVA_HOME at one"
  in_background step "installing a Java runtime with apt-get" three_times apt_get_install openjdk-17-jre-headless
}

ensure_chromium() {
  command -v chromium >/dev/null || command -v google-chrome >/dev/null && return
  may_apt_get && step "installing Chromium with apt-get" three_times apt_get_install chromium && return
  echo "setup: no Chromium; the browser tests will skip ('sudo apt-get install chromium')" >&2
}

# stamp FILE...: a line for each file's content.
stamp() {
  "$python" -ISc 'import hashlib, sys
for name in sys.argv[1:]: print(hashlib.sha256(open(name, "rb").read()).hexdigest(), name)' "$@"
}

# installed FOLDER FILE: whether the environment's packages match the file.
installed() { grep -qxF "$(stamp "$2")" "$1/.installed" 2>/dev/null; }

# ensure_environment FOLDER LOCK [PART...]: a virtual environment whose packages match the lock file, and so the lock
# files that are parts of it. uv is several times as fast as pip; it asks where pip asks.
ensure_environment() {
  local folder=$1
  installed "$folder" "$2" && return
  shift
  if [ "$folder" != .venv ] && [ ! -x "$folder/bin/python" ]; then .venv/bin/uv venv --quiet --python "$python" "$folder"; fi
  # Spark comes as source, to be packed into a wheel and unpacked again: not worth compressing.
  step "installing $1 into $folder" three_times .venv/bin/python scripts/uv_as_pip.py pip install --quiet --no-deps \
    --require-hashes --config-settings-package pyspark:--build-option=--compression=stored \
    --python "$folder/bin/python" -r "$1"
  stamp "$@" >"$folder/.installed"
}

# Spark has its Python processes import PySpark from archives, of which Python keeps nothing compiled: more than a second
# of processor in each of them. Without the archives they take the installed package.
leave_out_archives() { rm -f .venv/lib/python3.*/site-packages/pyspark/python/lib/*.zip; }

# .venv with uv and our build tool in it, so that nothing unpinned is fetched.
ensure_installer() {
  [ -x .venv/bin/python ] || step "making .venv" "$python" -m venv .venv
  installed .venv/share/setup scripts/requirements-setup.txt && return
  step "installing uv into .venv" three_times .venv/bin/python -m pip install -qq --disable-pip-version-check --no-deps \
    --require-hashes -r scripts/requirements-setup.txt
  mkdir -p .venv/share/setup
  stamp scripts/requirements-setup.txt >.venv/share/setup/.installed
}

# The product itself, editable. An archive of Spark's classes that another JVM or other jars left is taken away.
ensure_product() {
  installed .venv pyproject.toml && return
  step "installing the product into .venv" .venv/bin/python scripts/uv_as_pip.py pip install --quiet --no-deps \
    --no-build-isolation --python .venv/bin/python --editable .
  step "compiling what the programs start with" .venv/bin/python -m scripts.compile_ahead
  stamp pyproject.toml >>.venv/.installed
}

ensure_kinesis_local() {
  local folder=tests/support/kinesis_local
  { ! command -v npm >/dev/null || [ -d "$folder/node_modules" ]; } && return
  step "installing kinesis-local" three_times npm ci --prefix "$folder" --no-audit --no-fund --loglevel=error ||
    echo "setup: no kinesis-local; the tests that need it will skip" >&2
}

class_archive=.venv/share/spark-classes.jsa

# Spark's classes as a JVM maps them, of one JVM and one set of jars: what another one left is taken away. The next run
# of the job leaves it again (embedded/class_archive.py).
forget_old_class_archive() {
  local from; from="$(echo "$java" | tail -n 1) $(stamp requirements.txt)"
  [ "$(cat "$class_archive.of" 2>/dev/null || true)" = "$from" ] && return
  rm -f "$class_archive"
  echo "$from" >"$class_archive.of"
}

ensure_class_archive() {
  [ -e "$class_archive" ] && return
  step "gathering Spark's classes from a short run, so that later starts are faster" \
    .venv/bin/python -m scripts.make_class_archive ||
    echo "setup: no archive of Spark's classes; starts take some seconds longer" >&2
}


set_up_demo() {
  local java; java=$(java_version)
  ensure_java
  ensure_installer
  in_background ensure_environment .venv-emulator embedded/requirements-emulator.txt
  ensure_environment .venv "$@"
  leave_out_archives
  ensure_product
  wait_for_all
  [[ $java == *version* ]] || java=$(java_version)
  forget_old_class_archive
}

python=$(find_python)
trap 'kill $background 2>/dev/null || true' EXIT
case ${1:-} in
  demo)
    set_up_demo requirements.txt
    ;;
  infra)
    ensure_installer
    ensure_environment .venv-infra infrastructure/requirements-checks.txt
    ;;
  "")
    set_up_demo requirements-dev.txt requirements.txt
    in_background ensure_kinesis_local
    ensure_chromium
    wait_for_all
    ensure_class_archive
    ;;
  *)
    fail "$1: neither demo nor infra"
    ;;
esac
