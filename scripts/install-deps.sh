#!/bin/sh
# usage: scripts/install-deps.sh [demo|check|fuzz|bench|lab|format|lint|valgrind|coverage]...
#
# Looks at what is missing to build Stasis (demo), to test it (check, also with sanitizers), or for the other commands, and
# installs that with apt.  Where nothing is missing it does nothing and needs no root.
set -eu

needed='' wanted=''

# need PACKAGE TEST...: nothing works without the package, which is there if the test succeeds.
need() {
	is_missing "$@" && needed="$needed $package"
	return 0
}

# want PACKAGE TEST...: without the package, a test is skipped.
want() {
	is_missing "$@" && wanted="$wanted $package"
	return 0
}

is_missing() { # and not told yet
	package=$1
	shift
	case "$needed $wanted " in *" $package "*) return 1 ;; esac
	! "$@" >/dev/null 2>&1
}

to_build() {
	need gcc command -v gcc
	need binutils command -v objcopy
	need cmake command -v cmake
	need make command -v make
	need libc6-dev test -e /usr/include/stdio.h
	need linux-libc-dev test -e /usr/include/linux/kvm.h
}

to_test() {
	to_build
	need pkg-config command -v pkg-config
	need check pkg-config --exists check
	want seabios test -e /usr/share/seabios/bios.bin
	want python3 command -v python3
	want gnuplot-nox command -v gnuplot
	want mandoc command -v mandoc
}

to_fuzz() {
	to_build
	need clang command -v clang
	# shellcheck disable=SC2016 # expanded by the inner shell
	need libclang-rt-dev sh -c 'test -e "$(clang -print-runtime-dir)/libclang_rt.fuzzer-x86_64.a"'
}

to_lint() {
	to_build
	need clang command -v clang
	need clang-tidy command -v clang-tidy
	need cppcheck command -v cppcheck
	need shellcheck command -v shellcheck
}

for purpose in "${@:-demo}"; do
	case $purpose in
	demo) to_build ;;
	check) to_test ;;
	fuzz) to_fuzz ;;
	bench)
		to_build
		want qemu-system-x86 command -v qemu-system-x86_64
		;;
	lab)
		to_build
		need python3 command -v python3
		need gnuplot-nox command -v gnuplot
		want qemu-system-x86 command -v qemu-system-x86_64
		;;
	format) need clang-format-14 command -v clang-format-14 ;;
	lint) to_lint ;;
	valgrind)
		to_test
		need valgrind command -v valgrind
		;;
	coverage)
		to_test
		need gcovr command -v gcovr
		;;
	*)
		sed -n 's/^# usage/usage/p' "$0" >&2
		exit 64
		;;
	esac
done

[ -n "$needed$wanted" ] || exit 0

if ! command -v apt-get >/dev/null; then
	[ -z "$wanted" ] || echo "Missing, so that some tests or measurements will be skipped (the names are Debian's):$wanted"
	[ -z "$needed" ] && exit 0
	echo "Missing, and this is no system with apt (the names are Debian's):$needed" >&2
	exit 1
fi

as_root=
if [ "$(id -u)" -ne 0 ]; then
	if ! command -v sudo >/dev/null; then
		echo "Missing:$needed$wanted; installing needs root or sudo: apt-get install$needed$wanted" >&2
		exit 1
	fi
	as_root=sudo
fi

# $1 is all that apt has to say; it is shown only when it fails.
run() {
	$as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq "$@" >>"$log" 2>&1 && return
	cat "$log" >&2
	echo "apt-get $* failed; needed are:$needed$wanted" >&2
	exit 1
}

log=$(mktemp)
trap 'rm -f "$log"' EXIT
echo "Installing with apt:$needed$wanted"
run update
# shellcheck disable=SC2086 # a list of words
run install -y --no-install-recommends $needed $wanted
