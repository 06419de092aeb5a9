# Incremental snapshots: what a chain holds, what flatten makes of it, and each way in which a chain can be broken.
. "$(dirname "$0")/lib.sh"
need_kvm
a=$work/a.snap
b=$work/b.snap
c=$work/c.snap
d=$work/d.snap
flat=$work/flat.snap
size_of() {
	du -k "$1" | cut -f 1
}
id_of() { # id_of FILE [LINE]
	"$stasis" inspect "$1" | sed -n "s/^${2-id}: //p"
}

# A chain of four: one part at exact instructions, one part of a guest that runs on.
expect 0 "$stasis" run --mem 16M --guest memory --append 'pages=120 rounds=14 delay=40' --snapshot "$a" --at after=300ms
expect 0 "$stasis" restore "$a" --incremental --snapshot "$b" --at exits=40
complains_once "snapshot written to $b"
expect 1 "$stasis" restore "$b" --incremental --snapshot "$c" --at after=60ms --continue
complains_once "snapshot written to $c: [0-9.]+ MiB of 16.0 MiB of RAM, incremental, guest paused for [0-9.]+ ms"
prints_last '^memory: all as written$'
expect 0 "$stasis" restore "$c" --incremental --snapshot "$d" --at after=20ms
check 'c is no smaller than a' [ "$(size_of "$c")" -lt "$(size_of "$a")" ]
check "c's parent is not b" [ "$(id_of "$c" parent)" = "$(id_of "$b")" ]
check "c's parent is of another name" [ "$(id_of "$c" parent_file)" = b.snap ]
for file in "$b" "$c" "$d"; do
	expect 0 "$stasis" verify "$file"
	prints_exactly "$file: good\n"
	expect 0 "$stasis" check "$file"
	for how in '' --verify-memory --copy; do
		expect 1 "$stasis" restore $how "$file"
		prints_last '^memory: all as written$'
	done
done

# flatten: the same instant, with the same id; what builds on it builds on either.
expect 0 "$stasis" flatten "$d" "$flat"
prints_exactly "$flat: whole, with the id of $d\n"
expect 0 "$stasis" compare "$d" "$flat"
check 'another id' [ "$(id_of "$flat")" = "$(id_of "$d")" ]
check 'a parent' [ -z "$(id_of "$flat" parent)" ]
expect 0 "$stasis" verify "$flat"
expect 1 "$stasis" restore "$flat"
prints_last '^memory: all as written$'
expect 0 "$stasis" flatten "$b" "$work/b.flat"
mv "$b" "$b.kept"
mv "$work/b.flat" "$b"
rm -f "$a.kept"
mv "$a" "$a.kept"
expect 0 "$stasis" compare "$d" "$flat"
mv "$a.kept" "$a"
mv "$b.kept" "$b"

# An incremental and a whole snapshot of one instant are the same.
expect 0 "$stasis" run --mem 8M --guest hello --snapshot "$work/first" --at exits=3
expect 0 "$stasis" restore "$work/first" --snapshot "$work/whole" --at exits=9
expect 0 "$stasis" restore "$work/first" --snapshot "$work/part" --incremental --at exits=9
expect 0 "$stasis" flatten "$work/part" "$work/part.flat"
expect 0 "$stasis" compare "$work/whole" "$work/part"
expect 0 "$stasis" compare "$work/whole" "$work/part.flat"

# By key: the first whole, the next ones on top of it.
expect 0 "$tools/pty_run" expect:2 raw 'send:^as' "expect:written to $work/key" expect:4 'send:^as' "expect:written to $work/key.1" \
	'expect:incremental' 'send:^ax' -- "$stasis" run --mem 8M --guest counter --snapshot "$work/key" --incremental
check "the second is not on top of the first" [ "$(id_of "$work/key.1" parent)" = "$(id_of "$work/key")" ]
expect 0 "$stasis" verify "$work/key.1"
expect_lines 2 "$stasis" restore "$work/key.1"

expect 0 "$stasis" run --mem 8M --guest counter --snapshot "$work/one" --at checkpoint=2

# A child in another folder names its parent by the whole path; one in the same folder moves along with it.
mkdir "$work/other" "$work/moved"
expect 0 "$stasis" restore "$work/one" --snapshot "$work/other/child" --incremental --at checkpoint=5
check 'the parent is not named whole' [ "$(id_of "$work/other/child" parent_file)" = "$(realpath "$work")/one" ]
expect_lines 2 "$stasis" restore "$work/other/child"
prints_exactly '6\n7\n'
expect 0 "$stasis" restore "$work/one" --snapshot "$work/child" --incremental --at checkpoint=5
cp "$work/one" "$work/child" "$work/moved"
expect_lines 2 "$stasis" restore "$work/moved/child"
prints_exactly '6\n7\n'
(cd "$work/moved" && "$stasis" verify child) >"$out" 2>"$err"
prints_exactly 'child: good\n'
ln -s "$work/moved/child" "$work/other/link"
expect 0 "$stasis" verify "$work/other/link"

# What cannot be written.
expect 64 "$stasis" restore "$c" --incremental --snapshot "$c" --at after=20ms
complains_once 'cannot replace one that it builds on'
expect 64 "$stasis" restore "$c" --incremental --snapshot "$a" --at exits=3
complains_once 'cannot replace one that it builds on'
expect 0 "$stasis" verify "$c"
expect 64 "$stasis" run --guest counter --incremental
complains_once -- '--incremental goes with --snapshot FILE'
expect 64 "$stasis" run --guest counter --incremental --snapshot - --at checkpoint
complains_once -- '--incremental goes with --snapshot FILE'

# Chains that are broken: each command says so, by name.
broken() { # broken STATUS TEXT
	for command in verify restore check compare flatten; do
		case $command in
		compare) set -- "$1" "$2" "$d" ;;
		flatten) set -- "$1" "$2" "$work/never" ;;
		*) set -- "$1" "$2" ;;
		esac
		wanted=$1
		[ "$command" != verify ] || [ "$1" -ne 65 ] || wanted=1
		expect "$wanted" "$stasis" "$command" "$d" ${3+"$3"}
		cat "$out" "$err" >"$work/said"
		check "nothing says: $2" grep -Eq -e "$2" "$work/said"
	done
	check 'a file was made' [ ! -e "$work/never" ]
}
mv "$b" "$work/b.away"
broken 66 "$c: its parent .*b.snap is not where it should be"
expect 0 "$stasis" inspect "$d"
cp "$a" "$b"
broken 65 "$c: its parent .*b.snap is another snapshot: its id is $(id_of "$a"), expected $(id_of "$work/b.away")"
rm "$b"
mkdir "$b"
broken 65 "$c: its parent .*b.snap is not a file"
rmdir "$b"
mkfifo "$b"
broken 65 "$c: its parent .*b.snap is not a file"
rm "$b"
echo nothing >"$b"
broken 65 "$c: its parent: .*b.snap: truncated"
mv "$work/b.away" "$b"
cat "$d" | "$stasis" verify - >"$out" 2>"$err"
prints 'standard input: an incremental snapshot'

# One byte of a parent's RAM, of a page that a child has anew, and of one that it has not: verify reads all of both.
cp "$a" "$work/a.kept"
offset=$(($(stat -c %s "$a") - 16 * 1024 * 1024 + 0x200000 + 8))
printf '\125' | dd of="$a" bs=1 seek="$offset" conv=notrunc 2>/dev/null
expect 1 "$stasis" verify "$d"
prints "its parent .*a.snap: damaged: RAM 0x200000"
expect 65 "$stasis" restore --copy "$d"
complains_once 'damaged: RAM 0x200000'
expect 65 "$stasis" flatten "$d" "$work/never"
cp "$work/a.kept" "$a"
# A page of the parent's that is not zero in the child.
cp "$b" "$work/b.kept"
printf '\125' | dd of="$b" bs=1 seek=$(($(stat -c %s "$b") - 1)) conv=notrunc 2>/dev/null
expect 1 "$stasis" verify "$b"
prints 'damaged: RAM 0xf00000'
cp "$work/b.kept" "$b"
expect 0 "$stasis" verify "$d"
finish
