# Firmware from the reset vector: SeaBIOS prints its banner on port 0x402.  It does not end by itself.
. "$(dirname "$0")/lib.sh"
need_kvm
bios=/usr/share/seabios/bios.bin
[ -r "$bios" ] || skip "$bios is missing (Debian: apt-get install seabios)"

expect_lines 5 "$stasis" run "$bios"
prints '^SeaBIOS \(version '
prints '^Running on KVM$'
expect 0 "$stasis" roundtrip "$bios" --at exits=300 --until 100
prints_last '^SAME$'
finish
