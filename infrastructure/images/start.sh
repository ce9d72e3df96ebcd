#!/bin/sh
# Starts a program of an image with the kernels that the image was built with:
#   infrastructure/images/start.sh COMMAND ...
# numba keeps them by processor, and the machine that builds is not the one that runs: both compile for the same level of
# instructions. It writes beside what it reads, and the root is read-only, so the image's copy is laid where it may.
set -eu
kept=${KERNELS:-/opt/kernels}
export NUMBA_CACHE_DIR="${NUMBA_CACHE_DIR:-/tmp/numba}"
if [ "$(uname -m)" = x86_64 ]; then
  export NUMBA_CPU_NAME=x86-64-v3 NUMBA_CPU_FEATURES=
fi
if [ -d "$kept" ] && [ ! -e "$NUMBA_CACHE_DIR" ]; then
  cp -r "$kept" "$NUMBA_CACHE_DIR"
fi
exec "$@"
