#!/bin/sh
# The files that the documents name in backquotes, and those that they link to, are there.
set -eu

missing=$(for document in README.md docs/*.md guest/README.md; do
	folder=$(dirname "$document")
	# A path with an ending or with a slash at its end, as `vmm/vm.c`, `snapshot/*_state.c`, `guest/`.
	grep -o '`[a-z_.-]*/[a-zA-Z0-9_./*-]*`' "$document" | tr -d '`' | grep -E '/$|\.[a-z]+$' |
		grep -v -E '^build|NAME' | sort -u | while read -r path; do
		# shellcheck disable=SC2086 # a pattern
		ls -d $path >/dev/null 2>&1 || echo "$document: $path is not there"
	done
	grep -o '](\([^)#:]*\))' "$document" | sed 's/^](//; s/)$//' | sort -u | while read -r path; do
		[ -e "$folder/$path" ] || echo "$document: the link to $path leads nowhere"
	done
done) || true
echo "$missing"
[ -z "$missing" ]
