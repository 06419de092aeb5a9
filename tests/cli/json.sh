# --json: one document, that a parser takes, with what the text has.
. "$(dirname "$0")/lib.sh"
need_kvm
need python3
here=$(dirname "$0")
a=$work/a.snap
b=$work/b.snap
snapshot "$a" regs --at checkpoint=1
edit "$a" "$b" register IA32_LSTAR 0x1000 ram 0x300000 1

# document STATUS PYTHON-EXPRESSION COMMAND...: the expression, of the document d, must be true
document() {
	wanted_status=$1
	expression=$2
	shift 2
	expect "$wanted_status" "$stasis" "$@" --json
	complains_nothing
	check 'not one line' [ "$(wc -l <"$out")" -eq 1 ]
	check "not so: $expression" python3 -c \
		"import json, sys; d = json.load(open(sys.argv[1])); sys.exit(not ($expression))" "$out"
	check "not as docs/JSON.md has it" python3 "$here/json_shape.py" "$here/../../docs/JSON.md" "$1" <"$out"
}
document 0 'd["cpu_vendor"] and any(l["name"] == "IA32_LSTAR (0xc0000082)" and l["id"] == "0x20300002c0000082"
	and l["where"] == "vcpu0" and l["value"].startswith("0x") for l in d["state"])' inspect "$a"
document 0 'len(d["raw"]) > 10 and all(s["offset"] >= 296 and bytes.fromhex(s["bytes"]) for s in d["raw"])' inspect "$a" --raw
document 0 '[l["name"] for l in d["state"]] == ["cs.base"]' inspect "$a" cs.base
document 0 'd["same"] and not d["findings"]' compare "$a" "$a"
document 1 'not d["same"] and [(f["kind"], f["where"], f["name"]) for f in d["findings"]] ==
	[("different", "vcpu0", "IA32_LSTAR (0xc0000082)"), ("different", "ram", "0x300000-0x300fff")]' compare "$a" "$b"
document 0 'd["good"] and not d["why"]' verify "$a"
document 1 'not d["good"] and "not a Stasis snapshot" in d["why"]' verify "$images/elf64.elf"
document 0 'd["takes"]' check "$a"
edit "$a" "$b" register 0x4b564dee 1
document 1 'not d["takes"] and any(f["kind"] == "refused" for f in d["findings"])' check "$b"
document 0 'd["kernel"].startswith("Linux ") and d["capabilities"]["KVM_CAP_IRQCHIP"] == 1
	and any(r["rule"] == "reserved-bits" for r in d["one_reg"])' host
document 0 '[g["name"] for g in d] == ["hello", "counter", "regs", "interrupt", "smp", "memory", "exception",
	"shadow", "clock", "memory-smp"] and d[4]["vcpus_max"] == 16 and d[4]["cannot"]["none"]' guests
document 0 'd["same"] and d["first_printed"] == d["second_printed"] > 0' roundtrip --guest regs --until exit
finish
