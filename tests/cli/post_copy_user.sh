# Who may receive machines by post-copy: check and host say it, and what it takes where this user may not.
. "$(dirname "$0")/lib.sh"
need_kvm
need unshare
need setpriv
[ "$(id -u)" -eq 0 ] || skip "only root can hide /dev/userfaultfd"
unshare -m true || skip "this process may not make a mount namespace"
"$stasis" host >"$out"
grep -q '^post-copy: yes$' "$out" || skip "$(grep '^post-copy: ' "$out")"
[ "$(cat /proc/sys/vm/unprivileged_userfaultfd)" = 0 ] || skip "vm.unprivileged_userfaultfd lets everybody"

file=$work/hello.snap
snapshot "$file" hello --at exits=9
without() { # without COMMAND...: as root without CAP_SYS_PTRACE, and without the device
	expect 0 unshare -m sh -c '
		mkdir "$1" && : >"$1/kvm" && mount --bind /dev/kvm "$1/kvm" && mount --rbind "$1" /dev && shift &&
		exec setpriv --bounding-set -sys_ptrace "$@"' sh "$work/dev.$(date +%N)" "$stasis" "$@"
}
no='no: userfaultfd .*: it takes vm.unprivileged_userfaultfd=1, CAP_SYS_PTRACE, or /dev/userfaultfd: No such file'

expect 0 "$stasis" check "$file"
prints '^post-copy: yes$'
prints_last ': this host takes it$'
expect 0 "$stasis" check "$file" --json
prints '"post_copy":{"can":true,"why":""}'
without check "$file"
prints "^post-copy: $no"
prints_last ': this host takes it$'
without host
prints "^post-copy: $no"
without host --json
prints '"post_copy":{"can":false,"why":"userfaultfd '
# One of the two is enough.
expect 0 setpriv --bounding-set -sys_ptrace "$stasis" host
prints '^post-copy: yes$'
finish
