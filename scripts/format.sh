#!/bin/sh
# usage: scripts/format.sh [--fix]
#
# Are all C files as clang-format 14 (.clang-format) would write them?  --fix writes them so.
set -eu
cd "$(dirname "$0")/.."

case ${1:-} in
--fix) set -- -i ;;
'') set -- --dry-run --Werror ;;
*) echo "usage: $0 [--fix]" >&2; exit 64 ;;
esac
scripts/install-deps.sh format
# Two headers are assembly alone.
git ls-files -z '*.c' '*.h' ':!guest/real.h' ':!tests/images/image.h' | xargs -0 clang-format-14 "$@"
