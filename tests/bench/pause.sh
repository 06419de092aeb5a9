#!/bin/sh
# usage: tests/bench/pause.sh STASIS SIZE [CPUS]
#
# Prints how long a guest stands still for a snapshot, in microseconds: one of SIZE of RAM that dirties 200 pages over and over
# while the snapshot is written.
set -eu
# Under SCHED_FIFO a vCPU that is always busy can keep the thread that saves off its CPU until the guest has ended.
chrt -o -p 0 $$ >/dev/null 2>&1 || :
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$1" run --guest memory-smp --mem "$2" --cpus "${3:-1}" --append 'pages=200 rounds=12' --snapshot "$work/file" \
	--at after=100ms --continue >"$work/out" 2>"$work/err" || :
paused=$(sed -n 's/.*guest paused for \([0-9]*\)\.\([0-9]\) ms$/\1\200/p' "$work/err" | sed 's/^0*//')
echo "$paused"
[ -n "$paused" ] || cat "$work/out" "$work/err" >&2
