#!/bin/sh
# Holds the sources against the layers of docs/ARCHITECTURE.md: a file includes headers of its own layer or of lower ones,
# every file has a layer, and what only one layer may do is done nowhere else.  Usage: layers.sh SOURCE_FOLDER
set -u
cd "$1" || exit 2

# A row: a layer, and the files (without .c and .h) that make it up; * stands for any name.
layers='
0 guest/abi vmm/now vmm/error vmm/cold vmm/coder vmm/io vmm/bytes vmm/unix_socket vmm/worker vmm/userfault
1 vmm/kvm vmm/kvm_uapi vmm/kvm_ioctl vmm/kvm_reg vmm/kvm_reg_* snapshot/schema snapshot/crc32c snapshot/report
2 guest/guests vmm/lapic vmm/memory vmm/pages vmm/dirty vmm/mapped_file vmm/machine vmm/vm vmm/vcpu vmm/exit vmm/setup vmm/cpuid vmm/cpuid_* vmm/bus vmm/serial
2 vmm/ports vmm/generation vmm/console vmm/terminal vmm/boot vmm/boot_* vmm/elf_file
3 snapshot/component snapshot/components snapshot/image snapshot/format snapshot/ram snapshot/registers snapshot/restoring snapshot/wire snapshot/ram_digest snapshot/sent_pages snapshot/channel
3 snapshot/state snapshot/state_bits snapshot/*_state
4 snapshot/save snapshot/track snapshot/live snapshot/rewind snapshot/restore snapshot/compare snapshot/inspect snapshot/file snapshot/file_*
4 snapshot/outgoing snapshot/outgoing_* snapshot/incoming snapshot/arrival
5 vmm/main vmm/pack vmm/command vmm/cmd_* vmm/options vmm/session vmm/session_* vmm/saving vmm/step_times vmm/sandbox vmm/crash vmm/json
5 vmm/json_read vmm/request vmm/control vmm/uri
'

failures=0
fail()
{
	echo "$1"
	failures=$((failures + 1))
}

# Sets $layer to that of a path without its ending; the row that names most of it in full wins.
find_layer()
{
	layer='' best=-1
	while read -r number patterns; do
		set -f
		for pattern in $patterns; do
			plain=${pattern%%\**}
			# shellcheck disable=SC2254
			case $1 in
			$pattern) [ ${#plain} -gt $best ] && layer=$number best=${#plain} ;;
			esac
		done
		set +f
	done <<-EOF
	$layers
	EOF
}

files=$(find vmm snapshot guest/abi.h guest/guests.[ch] -name '*.[ch]' | sort)
for file in $files; do
	find_layer "${file%.*}"
	own=$layer
	[ -n "$own" ] || { fail "$file: stands in no layer of tests/layers.sh"; continue; }
	folder=$(dirname "$file")
	for header in $(sed -n 's/^#include "\(.*\)"/\1/p' "$file"); do
		[ -e "$folder/$header" ] && header=$folder/$header
		find_layer "${header%.*}"
		[ -n "$layer" ] || { fail "$file: includes $header, which stands in no layer"; continue; }
		[ "$layer" -le "$own" ] || fail "$file: layer $own includes $header of layer $layer"
	done
	if [ "$own" -lt 5 ] && grep -nE '(^|[^a-z_.>])(printf|fprintf|vprintf|vfprintf|puts|fputs|putchar|perror|exit|_exit|abort)\(' "$file"; then
		fail "$file: layer $own prints or exits; only layer 5 does"
	fi
	if [ "$file" != vmm/kvm_ioctl.c ] && [ "$file" != vmm/userfault.c ] && grep -nE '(^|[^a-z_])ioctl\([^2]|sys/ioctl\.h' "$file"; then
		fail "$file: calls ioctl(2); KVM's are called through vmm/kvm_ioctl.c"
	fi
	if grep -nE '(^|[^a-z_])(strcpy|strcat|sprintf|vsprintf|strtok|atoi|atol|atoll|atof|gets)\(' "$file"; then
		fail "$file: uses a banned function"
	fi
done

[ "$failures" -eq 0 ] || { echo "$failures failures"; exit 1; }
echo "$(echo "$files" | wc -l) files keep to their layers"
