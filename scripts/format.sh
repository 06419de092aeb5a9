#!/bin/sh
# usage: scripts/format.sh [--fix]
#
# Are all C files as clang-format 14 (.clang-format) would write them?  --fix writes them so.
set -eu
cd "$(dirname "$0")/.."

format=$(command -v clang-format-14 || command -v clang-format) || { echo "clang-format is missing (Debian: apt-get install clang-format-14)"; exit 69; }
case ${1:-} in
--fix) set -- -i ;;
'') set -- --dry-run --Werror ;;
*) echo "usage: $0 [--fix]" >&2; exit 64 ;;
esac
# Two headers are assembly alone.
git ls-files -z '*.c' '*.h' ':!guest/real.h' ':!tests/images/image.h' | xargs -0 "$format" "$@"
