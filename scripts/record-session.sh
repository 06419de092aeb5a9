#!/bin/sh
# usage: scripts/record-session.sh [BUILD-FOLDER]
#
# Records README.md's session again, from real runs of the program, and writes the generated parts of the documents.
set -eu
cd "$(dirname "$0")/.."

build=${1:-build}
root=$PWD
. scripts/show.sh
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
PATH=$(cd "$build" && pwd):$PATH

session() {
	show "stasis run --guest counter --snapshot nine.snap --at checkpoint=9"
	show_lines 4 "stasis restore nine.snap"
	show "stasis run --guest regs --snapshot regs.snap --at checkpoint=1"
	show "stasis inspect regs.snap IA32_LSTAR"
	show "stasis inspect regs.snap cr4"
	show "stasis roundtrip --guest smp --cpus 4 --until exit | grep -v ^translated"
	show "stasis roundtrip --guest regs --without IA32_LSTAR --until exit | tail -n 4"
}

cd "$folder"
session >recorded 2>&1
{
	echo '```'
	sed 1d recorded
	echo '```'
} >block
cd "$root"
scripts/doc-block.sh write README.md "recorded: session" <"$folder/block"
scripts/update-docs.sh write "$build"
