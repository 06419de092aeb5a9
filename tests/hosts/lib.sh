# shellcheck shell=bash
# What the emulated hosts share: messages, the cache, packages by the system's own apt, the small system that is
# booted, streams and time limits.  Sourced by tcg-run and bochs-run.

here=$(dirname "$(realpath "${BASH_SOURCE[0]}")")
self=$(basename "$0")
cache=${HOSTS_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/vmm-hosts}
keyring=/usr/share/keyrings/debian-archive-keyring.gpg

step='starting' # what is being done; while it is not empty, whatever ends the script is a failure of the host
work=           # this run's folder
emulator=       # the emulator's process

say() { echo "$self: $*" >&2; }
die() { step=; say "$*"; exit 125; }
misuse() { step=; say "$*; $self --help tells the usage"; exit 125; }

# Ends with the program's own status, or with 124 or 125 as the usage says.
finish() { step=; exit "$1"; }

on_exit() {
	local status=$?
	trap - EXIT
	[ -z "$emulator" ] || kill "$emulator" 2>/dev/null || :
	[ -z "$work" ] || rm -rf "$work"
	if [ -n "$step" ]; then
		say "$step failed"
		status=125
	fi
	exit "$status"
}
on_signal() {
	say "$step was interrupted"
	finish "$1"
}
trap on_exit EXIT
trap 'on_signal 130' INT
trap 'on_signal 143' TERM
trap 'on_signal 129' HUP

# value_of OPTION [VALUE]: the value of an option, which must be there.
value_of() {
	[ $# -ge 2 ] || misuse "$1: its value is missing"
	echo "$2"
}

# open_cache NAME: the folder that a host keeps between runs; held against other runs until close_cache.
open_cache() {
	[ "$(id -u)" = 0 ] || die "it needs root (to read kernels, to chroot, to install what it needs)"
	cache=$(realpath -m "$cache/$1")
	mkdir -p "$cache"
	exec 9>"$cache/lock"
	flock 9
}
close_cache() { exec 9>&-; }

# apt_mirror: where this system's apt has Debian's main archive from: the first source that names the system's release.
apt_mirror() {
	local codename list='' parts=''
	codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
	eval "$(apt-config shell list Dir::Etc::sourcelist/f parts Dir::Etc::sourceparts/d)"
	# shellcheck disable=SC2016 # awk's program, not the shell's
	{ find "$list" "$parts" -type f \( -name '*.list' -o -name '*.sources' \) 2>/dev/null || :; } |
		LC_ALL=C sort | xargs -r awk -v codename="$codename" '
			function has(words, word) { return index(" " words " ", " " word " ") }
			function offer() {
				if (mirror == "" && has(types, "deb") && has(components, "main") &&
				    (has(suites, codename) || has(suites, "stable")))
					mirror = uri
				types = uri = suites = components = ""
			}
			FNR == 1 { offer() }
			/^[ \t]*#/ { next }
			/^deb[ \t]/ {
				sub(/\[[^]]*\]/, "")
				types = "deb"; uri = $2; suites = $3
				for (i = 4; i <= NF; i++) components = components " " $i
				offer()
				next
			}
			/^[ \t]*$/ { offer(); next }
			{ key = tolower($1); $1 = ""; sub(/^ /, "") }
			key == "types:" { types = $0 }
			key == "uris:" { uri = $1 }
			key == "suites:" { suites = $0 }
			key == "components:" { components = $0 }
			END { offer(); print mirror }'
}

# apt_in SUITES TOOL ARGS...: apt with a state of its own: only SUITES are known, and the first one of them is preferred; nothing is
# installed, nothing unsigned taken.
apt_in() {
	local state=$cache/apt/${1// /+} suites=$1 tool=$2 mirror suite type
	shift 2
	mkdir -p "$state/lists/partial" "$state/cache/archives/partial" "$state/parts"
	: >"$state/status"
	if [ ! -s "$state/list" ]; then
		mirror=$(apt_mirror)
		[ -n "$mirror" ] || die "the apt sources of this system name no Debian archive"
		[ -s "$keyring" ] || die "$keyring is missing (package debian-archive-keyring)"
		for suite in $suites; do
			for type in deb deb-src; do
				echo "$type [signed-by=$keyring] $mirror $suite main"
			done
		done >"$state/list"
	fi
	"$tool" -qq -o Dir::Etc::sourcelist="$state/list" -o Dir::Etc::sourceparts="$state/parts" \
		-o Dir::Etc::preferences=/dev/null -o Dir::Etc::preferencesparts="$state/parts" \
		-o Dir::State::lists="$state/lists" -o Dir::State::status="$state/status" \
		-o Dir::State::extended_states="$state/extended" -o Dir::Cache="$state/cache" \
		-o APT::Default-Release="${suites%% *}" -o APT::Sandbox::User=root -o APT::Get::AllowUnauthenticated=false \
		-o Acquire::AllowInsecureRepositories=false -o APT::Update::Error-Mode=any "$@"
}

# unpack_package SUITE PACKAGE FOLDER: downloads it and unpacks it there.
unpack_package() {
	rm -rf "$cache/package"
	mkdir -p "$cache/package" "$3"
	(cd "$cache/package" && apt_in "$1" apt-get download "$2")
	dpkg-deb -x "$cache/package"/*.deb "$3"
	rm -rf "$cache/package"
}

# get_kernel SUITE FOLDER: the newest cloud kernel of SUITE with its modules, in one package or in three.
get_kernel() {
	local version part
	step="fetching the kernel of $1"
	rm -rf "$2.new"
	apt_in "$1" apt-get update
	version=$(apt_in "$1" apt-cache depends linux-image-cloud-amd64 |
		sed -n 's/.*Depends: linux-image-\([0-9].*\)/\1/p' | head -n 1)
	[ -n "$version" ] || die "$1 has no cloud kernel"
	for part in image binary modules; do
		if apt_in "$1" apt-cache show "linux-$part-$version" >/dev/null 2>&1; then
			unpack_package "$1" "linux-$part-$version" "$2.new"
		fi
	done
	mv "$2.new" "$2"
}

# find_module FOLDER NAME: the module's file; nothing where the kernel has it built in.
find_module() { find "$1" -name "$2.ko*" -type f | head -n 1; }

# stage FOLDER BUSYBOX PROGRAM|FOLDER [ARGS...]: the system that the host boots: busybox, init and the payload.
# Modules go to its mod/, their order and options to mod/order; the three ports of the streams into its file ports.
# $log and $out are the options of these names.
stage() {
	local root=$1 busybox=$2 payload=$3
	shift 3
	mkdir -p "$root"/{bin,mod,proc,sys,dev,tmp,payload}
	cp "$busybox" "$root/bin/busybox"
	install -m 755 "$here/init" "$root/init"
	if [ -d "$payload" ]; then
		cp -aL "$payload/." "$root/payload/"
		set -- sh ./run.sh "$@"
	else
		cp -L "$payload" "$root/payload/"
		set -- "./$(basename "$payload")" "$@"
	fi
	[ -z "$out" ] || mkdir -p "$root/payload/out"
	quote "$@" >"$root/command"
}

# quote WORDS...: one line that any shell reads as these words again.
quote() {
	local word
	for word; do
		printf "'%s' " "${word//\'/\'\\\'\'}"
	done
	echo
}

# pack FOLDER BUSYBOX FILE: the folder as an initramfs.
pack() { (cd "$1" && find . | "$2" cpio -o -H newc 2>/dev/null) >"$3"; }

# open_streams: pipes $work/stdout and $work/stderr that end in this script's own streams, and $work/status, which gets the
# program's status in a line and then, where --out asks for it, a compressed archive.
open_streams() {
	mkfifo "$work/stdout" "$work/stderr"
	cat <"$work/stdout" &
	reader_of_stdout=$!
	cat <"$work/stderr" >&2 &
	reader_of_stderr=$!
	# Held open, so that an emulator that ends before it opens them leaves no reader waiting.
	exec 3>"$work/stdout" 4>"$work/stderr"
	: >"$work/status"
}

# emulate SECONDS COMMAND...: runs the emulator and ends the script.  What the emulator itself and the host's kernel say is
# shown only where the program's status is missing.
emulate() {
	local limit=$1 status=0
	shift
	step='the emulator'
	timeout --foreground -k 5 "$limit" "$@" </dev/null >"$work/emulator" 2>&1 3>&- 4>&- &
	emulator=$!
	wait "$emulator" || status=$?
	emulator=
	exec 3>&- 4>&-
	wait "$reader_of_stdout" "$reader_of_stderr" || :
	[ -z "$log" ] || cp "$work/log" "$log"
	if [ -s "$work/status" ]; then
		status=$(head -n 1 "$work/status")
		[ -z "$out" ] || tail -n +2 "$work/status" | tar -xzm --warning=no-timestamp -C "$out" || die "what came out of the host is no archive"
		finish "$status"
	fi
	tail -q -n 20 "$work/emulator" "$work/log" >&2 || :
	if [ "$status" = 124 ]; then
		say "no end within $limit s"
		finish 124
	fi
	die "the host ended without the program's status (the emulator's own is $status)"
}
