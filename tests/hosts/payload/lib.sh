# shellcheck shell=sh
# What the host tests share.  A test sources this file, makes its checks in a folder of its own, and ends with finish.
# In the payload's folder: ./stasis, the program; in/, files from other hosts; out/, files that go back.
payload=$(cd "$(dirname "$0")" && pwd)
stasis=$payload/stasis
in=$payload/in
# shellcheck disable=SC2034 # some tests have nothing to hand back
out=$payload/out
mkdir -p "$out"
folder=$(mktemp -d) || exit 71
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 71
export TMPDIR="$folder"
passed=0 failed=0 skipped=0

pass() {
	passed=$((passed + 1))
	echo "ok    $1"
}
fail() {
	failed=$((failed + 1))
	echo "FAIL  $1: $2"
	grep -v '^translated: ' output | tail -n 20 | cut -c 1-400 | sed 's/^/      | /'
}
skip() {
	skipped=$((skipped + 1))
	echo "skip  $1: $2"
}

# Runs stasis; all that it prints is in the file output, its status in $status.
run() {
	"$stasis" "$@" >output 2>&1 </dev/null
	status=$?
}

# expect NAME STATUS [PATTERN...]: the last run had this status, and each pattern matches a line of what it printed.
expect() {
	check=$1
	if [ "$status" != "$2" ]; then
		fail "$check" "status $status, expected $2"
		return 1
	fi
	shift 2
	for pattern; do
		if ! tr -d '\r' <output | grep -Eq -- "$pattern"; then
			fail "$check" "no line matches '$pattern'"
			return 1
		fi
	done
	pass "$check"
}

# Snapshots travel compressed: an initramfs has no holes.
hand_back() { gzip -c "$1" >"$out/$(basename "$1").gz"; }
received() { [ -f "$in/$1.gz" ] && gzip -dc "$in/$1.gz" >"$1"; } # NAME: it is in the test's folder then

# The last line of every test: run-tests adds them up.
finish() {
	echo "$passed passed, $failed failed, $skipped skipped"
	[ "$failed" = 0 ]
	exit
}
