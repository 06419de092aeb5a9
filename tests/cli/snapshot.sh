# run --snapshot: when it is taken, what follows it, and restore from it.
. "$(dirname "$0")/lib.sh"
need_kvm
file=$work/counter.snap

# At a checkpoint: everything up to it was printed, what follows it is printed after the restore.
snapshot "$file" counter --at checkpoint=5
prints_exactly '0\n1\n2\n3\n4\n5\n'
complains_once "snapshot written to $file"
expect_lines 3 "$stasis" restore "$file"
prints_exactly '6\n7\n8\n'
# A snapshot is no less for having been restored.
expect_lines 2 "$stasis" restore "$file"
prints_exactly '6\n7\n'
snapshot "$file" counter --at checkpoint
prints_exactly '0\n'
check 'a snapshot is there for others to read' [ "$(stat -c %a "$file")" = 600 ]
expect_lines 2 "$stasis" restore "$file"
prints_exactly '1\n2\n'

# At an exit, each of which is a port access: the character after the last that was printed.
printf 'Hello from real mode\n' >"$work/hello"
for exits in 1 2 9 16 25; do
	snapshot "$file" hello --at "exits=$exits"
	cp "$out" "$work/before"
	expect 1 "$stasis" restore "$file"
	cat "$work/before" "$out" >"$work/both"
	last="run --at exits=$exits, then restore"
	check 'both together are not what the guest prints' cmp -s "$work/both" "$work/hello"
done

# After a time.
snapshot "$file" counter --at after=200ms
last_number=$(tail -n 1 "$out")
expect_lines 1 "$stasis" restore "$file"
check "the number after $last_number is not next" [ "$(cat "$out")" -eq $((last_number + 1)) ]
snapshot "$file" counter --at after=0.05s
snapshot "$file" counter --at after=50000us

# --continue: the guest goes on from there, the file stays as it was then.
rm "$file"
expect_lines 9 "$stasis" run --mem 8M --guest counter --snapshot "$file" --at checkpoint=3 --continue
prints_exactly '0\n1\n2\n3\n4\n5\n6\n7\n8\n'
complains "^stasis: snapshot written to $file: guest paused for [0-9.]+ ms\$"
expect_lines 2 "$stasis" restore "$file"
prints_exactly '4\n5\n'
expect 1 "$stasis" run --mem 8M --guest regs --snapshot "$file" --at checkpoint --continue
complains_once "snapshot written to $file" # at the first one only
check 'a second file for one --at' [ ! -e "$file.1" ]

# A guest that ends before: its own status, no file, and a word about it.
rm "$file"
expect 1 "$stasis" run --guest hello --snapshot "$file" --at checkpoint
complains_once "no snapshot: the guest ended before --at"
check 'a file without a snapshot' [ ! -e "$file" ]

# A guest on its way to its end takes its status along.
snapshot "$file" regs --at checkpoint=2
expect 1 "$stasis" restore "$file"
prints '^round 19: all as written$'
complains_nothing

# From one machine to the next: a restored machine's snapshot is one as any other.
snapshot "$file" counter --at checkpoint=2
for number in 4 6 8; do
	expect 0 "$stasis" restore "$file" --snapshot "$file" --at "checkpoint=$number"
	prints_exactly "$((number - 1))\\n$number\\n"
	complains_once "snapshot written to $file"
done
expect_lines 3 "$stasis" restore "$file" --snapshot "$work/next.snap" --at checkpoint=10 --continue
prints_exactly '9\n10\n11\n'
expect_lines 1 "$stasis" restore "$work/next.snap"
prints_exactly '11\n'

# Over an older snapshot, and through a symbolic link, which stays one.
snapshot "$file" counter --at checkpoint=2
ln -s "$file" "$work/link"
snapshot "$work/link" counter --at checkpoint=7
check 'the symbolic link is no link any more' [ -h "$work/link" ]
expect_lines 1 "$stasis" restore "$file"
prints_exactly '8\n'
check 'temporary files stay' [ "$(ls "$work" | grep -c 'snap\.')" -eq 0 ]
finish
