#!/bin/sh
# usage: manual.sh STASIS
#
# docs/stasis.1 has every command and option of the program, and no other.
set -eu

stasis=$1
page=docs/stasis.1
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

"$stasis" --help | sed -n 's/^  \([a-z]*\) .*/\1/p' | sort >"$folder/commands"
sed -n 's/^\.It Cm \([a-z]*\).*/\1/p' "$page" | sort >"$folder/page_commands"
{
	while read -r command; do
		"$stasis" "$command" --help
	done <"$folder/commands"
	echo "  --version"
} | sed -n 's/^  --\([a-z-]*\).*/\1/p' | sort -u >"$folder/options"
sed -n 's/^\.It Fl -\([a-z-]*\).*/\1/p' "$page" | sort >"$folder/page_options"

[ "$(wc -l <"$folder/commands")" -ge 9 ] && [ "$(wc -l <"$folder/options")" -ge 20 ] || {
	echo "FAILED: $stasis --help: $(wc -l <"$folder/commands") commands, $(wc -l <"$folder/options") options"
	exit 1
}
diff -u --label "--help" --label "$page" "$folder/commands" "$folder/page_commands"
diff -u --label "--help" --label "$page" "$folder/options" "$folder/page_options"
