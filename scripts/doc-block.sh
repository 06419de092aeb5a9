#!/bin/sh
# usage: scripts/doc-block.sh check|write FILE NAME <CONTENTS
#
# A document's generated part stands between the lines <!-- NAME --> and <!-- end of NAME -->.  check: is it what standard
# input has?  Tells the difference, status 1, where it is not.  write: puts standard input there.
set -eu

action=$1 file=$2 name=$3
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cat >"$work/contents"

if ! grep -qxF "<!-- $name -->" "$file" || ! grep -qxF "<!-- end of $name -->" "$file"; then
	echo "$file: no lines <!-- $name --> and <!-- end of $name -->" >&2
	exit 1
fi
awk -v first="<!-- $name -->" -v last="<!-- end of $name -->" -v contents="$work/contents" '
$0 == last {
	while ((getline line <contents) > 0)
		print line
	inside = 0
}
!inside
$0 == first { inside = 1 }' "$file" >"$work/new"

case $action in
check)
	diff -u --label "$file" --label "$file, as it should be" "$file" "$work/new"
	;;
write)
	cmp -s "$work/new" "$file" || cat "$work/new" >"$file"
	;;
esac
