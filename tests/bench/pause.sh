#!/bin/sh
# usage: tests/bench/pause.sh STASIS SIZE [CPUS]
#
# Prints how long a guest stands still for a snapshot, in microseconds: one of SIZE of RAM that dirties 200 pages over and over
# while the snapshot is written.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$1" run --guest memory-smp --mem "$2" --cpus "${3:-1}" --append 'pages=200 rounds=12' --snapshot "$work/file" \
	--at after=100ms --continue 2>&1 >/dev/null |
	sed -n 's/.*guest paused for \([0-9]*\)\.\([0-9]\) ms$/\1\200/p' | sed 's/^0*//'
