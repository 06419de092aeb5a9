/*
 * XSAVE's two layouts: a buffer as KVM gives it goes to ours, back, and to ours again, and is then the same state; and
 * a state from a hostile file is refused or put.
 */
#include "fuzz.h"
#include "snapshot/xsave_state.h"

#define RAW_SIZE 0x3000

/* Where a host has its components: standard offsets (SDM volume 1, 13.4.3), and those of a CPU that leaves no gap for
 * MPX. */
static const struct kvm_cpuid_entry2 with_gap[] = {
	{ .function = 0xd, .index = 2, .eax = 0x100, .ebx = 0x240 },
	{ .function = 0xd, .index = 5, .eax = 0x40, .ebx = 0x440 },
	{ .function = 0xd, .index = 6, .eax = 0x200, .ebx = 0x480 },
	{ .function = 0xd, .index = 7, .eax = 0x400, .ebx = 0x680 },
	{ .function = 0xd, .index = 9, .eax = 8, .ebx = 0xa80 },
	{ .function = 0xd, .index = 17, .eax = 0x40, .ebx = 0xac0 },
	{ .function = 0xd, .index = 18, .eax = 0x2000, .ebx = 0xb00 },
};
static const struct kvm_cpuid_entry2 without_gap[] = {
	{ .function = 0xd, .index = 2, .eax = 0x100, .ebx = 0x240 },
	{ .function = 0xd, .index = 5, .eax = 0x40, .ebx = 0x340 },
	{ .function = 0xd, .index = 6, .eax = 0x200, .ebx = 0x380 },
	{ .function = 0xd, .index = 7, .eax = 0x400, .ebx = 0x580 },
	{ .function = 0xd, .index = 9, .eax = 8, .ebx = 0x980 },
};

static void fill_host(bool has_gap, struct cpuid *ret)
{
	const struct kvm_cpuid_entry2 *entries = has_gap ? with_gap : without_gap;
	ret->nent = has_gap ? sizeof(with_gap) / sizeof(with_gap[0]) : sizeof(without_gap) / sizeof(without_gap[0]);
	for (uint32_t i = 0; i < ret->nent; i++) {
		ret->entries[i] = entries[i];
		ret->entries[i].flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX;
	}
}

static void check_raw(const struct cpuid *host, struct bytes raw)
{
	static uint8_t back[RAW_SIZE];
	struct xsave_state state, again;
	struct error err;
	if (xsave_to_canonical(host, raw, &state, NULL) < 0)
		return;
	int status = xsave_from_canonical(host, &state, back, sizeof(back), &err);
	FUZZ_CHECK(status == 0);
	FUZZ_CHECK(xsave_to_canonical(host, (struct bytes){ back, sizeof(back) }, &again, NULL) == 0);
	FUZZ_CHECK(memcmp(&state, &again, sizeof(state)) == 0);
}

static void check_state(const struct cpuid *host, struct bytes bytes)
{
	static uint8_t raw[RAW_SIZE];
	struct xsave_state state = { 0 };
	memcpy(&state, bytes.data, bytes.size < sizeof(state) ? bytes.size : sizeof(state));
	if (xsave_from_canonical(host, &state, raw, sizeof(raw), NULL) == 0)
		check_raw(host, (struct bytes){ raw, sizeof(raw) });
}

/* Which host, which direction, then the buffer. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct cpuid host;
	struct bytes input = { data, size };
	unsigned flags = (unsigned)fuzz_take(&input, 1);
	fill_host((flags & 1) != 0, &host);
	if ((flags & 2) != 0)
		check_state(&host, input);
	else if (input.size <= RAW_SIZE)
		check_raw(&host, input);
	return 0;
}
