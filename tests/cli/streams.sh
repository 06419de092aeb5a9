# Snapshots through pipes: --snapshot - and restore -.
. "$(dirname "$0")/lib.sh"
need_kvm
file=$work/counter.snap

# The console moves to standard error, standard output is the snapshot.
expect 0 "$stasis" run --mem 8M --guest counter --snapshot - --at checkpoint=2
complains '^0$'
complains '^2$'
complains '^stasis: snapshot written to standard output$'
cp "$out" "$work/stream"
: >"$out"
expect 0 "$stasis" verify "$work/stream"
for from in "$work/stream" -; do
	input=$work/stream
	expect_lines 3 "$stasis" restore "$from"
	prints_exactly '3\n4\n5\n'
done
input=/dev/null

last='run --snapshot - | restore -'
timeout 60 "$stasis" run --guest counter --snapshot - --at checkpoint=5 2>"$work/console" </dev/null |
	timeout 60 "$stasis" restore - 2>"$err" | head -n 3 >"$out"
prints_exactly '6\n7\n8\n'
check 'the first part of the console is not on standard error' grep -q '^5$' "$work/console"

# A file through a pipe, whose RAM cannot be mapped; and as standard input, whose can.
snapshot "$file" counter --at checkpoint=5
last='cat FILE | restore -'
cat "$file" | timeout 60 "$stasis" restore - 2>"$err" | head -n 3 >"$out"
prints_exactly '6\n7\n8\n'
input=$file
expect_lines 3 "$stasis" restore -
prints_exactly '6\n7\n8\n'
for command in verify inspect check; do
	input=$work/stream
	expect 0 "$stasis" "$command" -
	input=$file
	expect 0 "$stasis" "$command" -
done
input=/dev/null

# One state, whatever way it went.
expect 0 "$stasis" run --mem 8M --guest regs --snapshot "$file" --at checkpoint=1
last='inspect of a file and of a stream of it'
"$stasis" inspect "$file" >"$work/a"
cat "$file" | "$stasis" inspect - >"$work/b"
check 'they differ' cmp -s "$work/a" "$work/b"

# A stream that ends too early, or is none.
size=$(wc -c <"$work/stream")
for part in 0 100 5000 $((size / 2)) $((size - 1)); do
	head -c "$part" "$work/stream" >"$work/part"
	input=$work/part
	expect 65 "$stasis" restore -
	prints_nothing
	complains_once 'standard input: truncated'
done
input=/dev/null
expect 65 "$stasis" restore -
complains_once 'standard input: truncated'
finish
