#!/bin/sh
# Lints the console's JavaScript (ESLint) and checks its types, which are written as JSDoc (TypeScript).
set -eu
cd "$(dirname "$0")/../.."
tools=scripts/javascript
if ! command -v npm >/dev/null; then
    echo "npm is not installed: the console's JavaScript is neither linted nor type-checked"
    exit 0
fi
[ "$tools/node_modules/.package-lock.json" -nt "$tools/package-lock.json" ] || npm ci --prefix "$tools" --silent
"$tools/node_modules/.bin/tsc" --project "$tools"
"$tools/node_modules/.bin/eslint" --config "$tools/eslint.config.js" console/static
