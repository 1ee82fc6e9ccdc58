#!/bin/sh
# Installs the pinned Claude Code CLI for the tests, once, outside of the repository, and prints its path.
# The tests look where $AIRX_TEST_CLAUDE says, else in the same cache.
set -eu
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
version=$(cat "$here/version")
cache=${XDG_CACHE_HOME:-$HOME/.cache}/airx-tests/claude-$version
binary=$cache/node_modules/.bin/claude

works() {
    [ -x "$binary" ] && [ "$("$binary" --version 2>/dev/null)" = "$version (Claude Code)" ]
}

if ! works; then
    command -v npm >/dev/null || { echo "install.sh: npm is missing (Debian: apt install npm)" >&2; exit 1; }
    mkdir -p "$cache"
    npm install --prefix "$cache" --no-audit --no-fund --loglevel error "@anthropic-ai/claude-code@$version" >&2
    # Some npm versions warn about install scripts and run them all the same: only the version proves it.
    works || { echo "install.sh: $binary does not say that it is version $version; remove $cache and try again" >&2; exit 1; }
fi
echo "$binary"
