# Saves under real conditions: a disk that is full, a folder that is read-only, and so on.  Usage: conditions.sh CONDITION
. "$(dirname "$0")/lib.sh"
condition=$1
need_kvm

# Goes on in a mount namespace of its own; what is mounted there is gone with this process.
own_namespace() {
	[ "${STASIS_NAMESPACE-}" != yes ] || return 0
	for how in -m -rm; do
		unshare "$how" true 2>/dev/null || continue
		STASIS_NAMESPACE=yes unshare "$how" sh "$0" "$condition"
		exit
	done
	skip "no mount namespace can be made here (unshare -m)"
}

need_without() { # need_without CAPABILITY: to run a command as a user who has not got it
	command -v setpriv >/dev/null || skip "there is no setpriv here"
	without="setpriv --bounding-set -$1 --inh-caps -$1 --ambient-caps -all"
	$without true 2>/dev/null || skip "the capability $1 cannot be dropped here"
}

# expect_refused STATUS WHAT TARGET: without --continue the save is the command's failure, told in one sentence.
expect_refused() {
	timeout 20 "$STASIS" run $guest --append "$short" --snapshot "$3" --at checkpoint=1 >"$work/out" 2>"$work/err" </dev/null
	status=$?
	[ "$status" -eq "$1" ] || fail "exit status $status, expected $1"
	[ "$(wc -l <"$work/err")" -eq 1 ] || fail "not one line on standard error"
	grep -q "^stasis: .*$2" "$work/err" || fail "standard error does not say: $2"
}

# fails_cleanly WHY COMMAND...: the save fails, the old snapshot stays, the guest goes on.
fails_cleanly() {
	why=$1
	shift
	begin "$condition"
	save "$@"
	expect_no_snapshot "$why"
	is_old || fail "the old snapshot is not as it was"
	expect_nothing_else
}

# Room for the old snapshot and for part of a second one.
mount_small() { # mount_small OPTIONS WHAT-IS-MISSING
	size=$(($(du -k "$work/old" | cut -f 1) * 3 / 2))
	mount -t tmpfs -o "$(printf "$1" "$size")" tmpfs "$folder" 2>/dev/null || skip "$2"
	put_old
}

full_disk() {
	own_namespace
	make_old
	mount_small 'size=%dk' 'no tmpfs can be mounted here'
	fails_cleanly 'No space left on device' env
	begin "full disk, without --continue"
	expect_refused 74 'No space left on device' "$file"
	is_old || fail "the old snapshot is not as it was"
	begin "holes of a file on a full tmpfs, which has no page left for them, are not read"
	cat /dev/zero >"$folder/all" 2>/dev/null
	"$STASIS" verify "$file" >"$work/out" 2>"$work/err"
	status=$?
	[ "$status" -eq 0 ] || fail "exit status $status, expected 0: $(cat "$work/err")"
	[ ! -s "$work/err" ] || fail "standard error is not empty"
}

quota() {
	own_namespace
	need_without sys_resource # who has it is above quotas
	make_old
	mount_small 'size=64m,usrquota,usrquota_block_hardlimit=%dk' 'this kernel has no quotas on tmpfs (CONFIG_TMPFS_QUOTA)'
	fails_cleanly 'Disk quota exceeded' $without
}

# In units of 512 bytes: RAM has room, being a file itself, and the snapshot has not.
size_limit() {
	make_old
	fails_cleanly 'File too large' sh -c 'ulimit -f 8192; exec "$@"' sh
}

read_only() {
	own_namespace
	make_old
	mount --bind "$folder" "$folder" && mount -o remount,bind,ro "$folder" || skip "nothing can be mounted read-only here"
	fails_cleanly 'Read-only file system' env
	begin "a read-only file system, without --continue"
	expect_refused 73 'Read-only file system' "$file"
}

closed_folder() {
	[ "$(id -u)" -ne 0 ] || need_without dac_override
	make_old
	chmod 555 "$folder"
	fails_cleanly 'Permission denied' ${without-env}
	chmod 755 "$folder"
}

targets() {
	make_old
	begin "a folder"
	expect_refused 73 "$folder is a folder" "$folder"
	expect_nothing_else
	begin "a FIFO"
	mkfifo "$work/fifo"
	expect_refused 73 "$work/fifo is a device, a pipe" "$work/fifo"
	[ -p "$work/fifo" ] || fail "it is no FIFO any more"
	begin "a device"
	expect_refused 73 '/dev/full is a device' /dev/full
	[ -c /dev/full ] || fail "it is no device any more"
	begin "a dangling link"
	ln -s nowhere "$work/dangling"
	expect_refused 73 "$work/dangling is a symbolic link to nothing" "$work/dangling"
	[ -L "$work/dangling" ] && [ ! -e "$work/nowhere" ] || fail "the link is not as it was"
	begin "a name that is too long"
	expect_refused 73 'File name too long' "$folder/$(printf '%0250d' 0)"
	expect_nothing_else
	begin "a folder that is not there"
	expect_refused 73 'No such file or directory' "$work/none/F"
	begin "standard output that is full"
	timeout 20 "$STASIS" run $guest --append "$short" --snapshot - --at checkpoint=1 >/dev/full 2>"$work/err"
	[ $? -eq 74 ] || fail "the exit status is not 74"
	grep -q '^stasis: standard output: .*No space left' "$work/err" || fail "standard error does not say why"
}

# The link stays, what it points to is replaced.
symbolic_link() {
	make_old
	begin "a symbolic link"
	ln -s folder/F "$work/link"
	timeout 20 "$STASIS" run $guest --append "$short" --snapshot "$work/link" --at checkpoint=1 >"$work/out" 2>"$work/err" ||
		fail "the snapshot was not written"
	[ -L "$work/link" ] || fail "the link is none any more"
	! is_old && is_good || fail "its target was not replaced"
	expect_nothing_else
}

# A file that a living process holds is no leftover; one that nobody holds is.
leftover() {
	make_old
	begin "a file that was left over"
	echo left >"$file.stasis-unfinished"
	save env
	expect_guest_went_on
	! is_old && is_good || fail "the snapshot was not written"
	expect_nothing_else
	begin "a file that another process is writing"
	command -v flock >/dev/null || { skip_case "$case: there is no flock here"; return; }
	put_old
	echo busy >"$file.stasis-unfinished"
	exec 9<"$file.stasis-unfinished"
	flock -n 9 || fail "it could not be locked"
	save env
	expect_no_snapshot 'another process is writing it'
	is_old || fail "the old snapshot is not as it was"
	[ "$(cat "$file.stasis-unfinished")" = busy ] || fail "the other process's file is not as it was"
	exec 9<&-
}

# The file that a machine's memory is mapped from is written anew: a snapshot onto itself.
backing_file() {
	make_old
	begin "a snapshot onto the file that RAM is mapped from"
	"$REWRITE" "$file" >"$work/err" 2>&1 || fail "the mapped memory or the file is not as it should be"
	is_good || fail "the new snapshot is not good"
	expect_nothing_else
}

"$condition"
finish
