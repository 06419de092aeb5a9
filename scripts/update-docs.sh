#!/bin/sh
# usage: scripts/update-docs.sh check|write [BUILD-FOLDER]
#
# The parts of the documents that are made from the program: are they current (check), or make them so (write).
set -eu
cd "$(dirname "$0")/.."

action=$1
build=${2:-build}
status=0
contents=$(mktemp)
trap 'rm -f "$contents"' EXIT

# block FILE NAME COMMAND...: the block is what the command prints.
block() {
	file=$1 name=$2
	shift 2
	"$@" >"$contents"
	scripts/doc-block.sh "$action" "$file" "$name" <"$contents" || status=1
}

block docs/FORMAT.md "generated: limits" "$build/tests/docs/format_dump" limits
block docs/FORMAT.md "generated: components" "$build/tests/docs/format_dump"
block README.md "generated: commands" sh -c 'echo "\`\`\`"; "$1/stasis" --help | grep "^  "; echo "\`\`\`"' sh "$build"
exit $status
