# Output that cannot be written: said, with a status; a running guest and an older snapshot stay whole.
. "$(dirname "$0")/lib.sh"
need_kvm
need_full
file=$work/good.snap
snapshot "$file" regs --at checkpoint=1

for arguments in '--help' '--version' 'run --help' 'guests' 'guests --json' "inspect $file" "inspect $file --json" \
	"verify $file" "verify $file --json" "compare $file $file" "check $file" 'host' 'host --json' \
	'roundtrip --guest hello --at exits=9' "run --guest hello" "run --guest counter --snapshot - --at checkpoint=1"; do
	last="$arguments >$full"
	: >"$out"
	timeout 60 "$stasis" $arguments >"$full" 2>"$err" </dev/null
	status=$?
	check "exit status $status, expected 74" [ $status -eq 74 ]
	complains '^stasis: '
done

# A snapshot that cannot be created.
mkdir "$work/folder"
no_snapshot() { # no_snapshot STATUS FILE TEXT
	expect "$1" "$stasis" run --mem 8M --guest counter --snapshot "$2" --at checkpoint=2
	complains_once "$3"
	# The guest goes on where it is to.
	expect_lines 6 "$stasis" run --mem 8M --guest counter --snapshot "$2" --at checkpoint=2 --continue
	prints_last '^5$'
	complains "^stasis: no snapshot: .*$3.*; the guest goes on\$"
	expect "$1" "$stasis" roundtrip --mem 8M --guest counter --keep "$2"
	complains_once "$3"
}
no_snapshot 73 "$work/folder" 'is a folder; name a file in it'
mkfifo "$work/pipe"
no_snapshot 73 "$work/pipe" 'is a device, a pipe or a socket; name a file'
no_snapshot 73 "$work/no/such/folder" 'cannot be created beside its final name: No such file or directory'
no_snapshot 73 "$work/good.snap/x" 'cannot be created beside its final name: Not a directory'
check 'a file in a folder that was not to be written to' [ -z "$(ls "$work/folder")" ]

# A disk that is full half way (here: the largest file that the process may write).
last='run --continue with a limit of 8 MiB for a file'
(
	ulimit -f 16384
	timeout 60 "$stasis" run --mem 8M --guest counter --snapshot "$file" --at checkpoint=2 --continue </dev/null \
		2>"$err" | head -n 6 >"$out"
)
prints_last '^5$'
complains '^stasis: no snapshot: .*File too large; the guest goes on$'
expect 0 "$stasis" verify "$file" # the one that was there before
check 'temporary files stay' [ "$(ls "$work" | grep -c 'snap\.')" -eq 0 ]

if [ "$(id -u)" -eq 0 ] && unshare -m true 2>"$err"; then
	expect 0 unshare -m sh -c 'mount --bind "$1/folder" "$1/folder" && mount -o remount,bind,ro "$1/folder" &&
		cd "$1/folder" && "$2" run --mem 8M --guest counter --snapshot x --at checkpoint=2; [ $? -eq 73 ]' \
		sh "$work" "$stasis"
	complains_once 'x cannot be created beside its final name: Read-only file system'
fi
finish
