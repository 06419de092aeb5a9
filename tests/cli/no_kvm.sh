# Where /dev/kvm is missing or closed: one line that says what to do, and everything else goes on working.
. "$(dirname "$0")/lib.sh"
need_kvm # for the snapshot to work with
need unshare
need setpriv
[ "$(id -u)" -eq 0 ] || skip "only root can hide /dev/kvm"
unshare -m true || skip "this process may not make a mount namespace"

file=$work/hello.snap
snapshot "$file" hello --at exits=9
cp "$stasis" "$work/stasis" # where another user can reach it
chmod 755 "$work" "$work/stasis"
chmod 644 "$file"

missing() { # missing STATUS COMMAND...: with an empty /dev
	missing_status=$1
	shift
	expect "$missing_status" unshare -m sh -c 'mount -t tmpfs none /dev && exec "$@"' sh "$work/stasis" "$@"
}
closed() { # closed STATUS COMMAND...: as a user who may not open it
	closed_status=$1
	shift
	expect "$closed_status" unshare -m sh -c '
		mount -t tmpfs -o mode=755 none /dev && : >/dev/kvm && chmod 600 /dev/kvm &&
		exec setpriv --reuid 65534 --regid 65534 --clear-groups "$@"' sh "$work/stasis" "$@"
}

for arguments in 'run --guest hello' 'roundtrip' 'roundtrip --guest hello' "restore $file" "check $file" 'host' \
	'host --json'; do
	missing 69 $arguments
	prints_nothing
	complains_once '/dev/kvm: there is no KVM; load its module .*tests/hosts'
	closed 77 $arguments
	prints_nothing
	complains_once '/dev/kvm: may not be opened; join the kvm group .*tests/hosts'
done
for how in missing closed; do
	for arguments in '--help' '--version' 'run --help' 'restore --help' 'guests' "inspect $file" "verify $file" \
		"compare $file $file"; do
		"$how" 0 $arguments
		prints .
		complains_nothing
	done
	# What is wrong with the file is said first.
	"$how" 66 restore "$work/nothing"
	complains_once 'No such file'
done
# A file that is no KVM.
expect 69 unshare -m sh -c 'mount -t tmpfs none /dev && : >/dev/kvm && exec "$@"' sh "$work/stasis" host
prints_nothing
complains_once '/dev/kvm: '
finish
