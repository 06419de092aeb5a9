#!/bin/sh
# usage: tests/bench/pause.sh [STASIS [RUNS]]
#
# How long a guest stands still for a snapshot, in ms: the median of some runs, with the fastest and the slowest. The
# guest dirties pages all the time. A row for each size of RAM and number of vCPUs, whose runs alternate.
set -eu
stasis=$(realpath "${1:-build/stasis}")
runs=${2:-15}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

rows='128M:1 8G:1 128M:4'
run=0
while [ "$run" -lt "$runs" ]; do
	for row in $rows; do
		"$stasis" run --guest memory-smp --mem "${row%:*}" --cpus "${row#*:}" --append 'pages=200 rounds=12' \
			--snapshot "$work/file" --at after=100ms --continue 2>&1 >/dev/null |
			sed -n 's/.*guest paused for \([0-9.]*\) ms$/\1/p' >>"$work/$row"
	done
	run=$((run + 1))
done
for row in $rows; do
	sort -n "$work/$row" | awk -v row="$row" '{ v[NR] = $1 }
		END { if (NR) printf "%-8s median %.1f ms of %d (%.1f to %.1f)\n", row, v[int((NR + 1) / 2)], NR, v[1], v[NR] }'
done
