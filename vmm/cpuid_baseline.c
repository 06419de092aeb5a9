#include "cpuid.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "cold.h"

#define SUBLEAF     KVM_CPUID_FLAG_SIGNIFCANT_INDEX
#define BRAND_BYTES 48

static const char *const baseline_names[CPUID_BASELINES] = {
	[CPUID_HOST] = "host",
	[CPUID_X86_64_V1] = "x86-64-v1",
	[CPUID_X86_64_V2] = "x86-64-v2",
	[CPUID_X86_64_V3] = "x86-64-v3",
};

/*
 * The leaves of a baseline, each from its level on.  Numbers stand here, features below; leaf 0BH is filled by
 * cpuid_set_topology().  docs/CPUID.md says why each number is what it is.
 */
/* clang-format off */
static const struct {
	enum cpuid_baseline from;
	struct kvm_cpuid_entry2 entry;
} leaves[] COLD = {
	{ CPUID_X86_64_V1, { .function = 0x0, .eax = 0xd } },                   /* the largest leaf; vendor: the host's */
	{ CPUID_X86_64_V1, { .function = 0x1, .eax = 0x60fb1, .ebx = 8 << 8 } }, /* 15/107/1; CLFLUSH: 8 quadwords */
	{ CPUID_X86_64_V1, { .function = 0x2, .eax = 0xff01 } },                /* "see leaf 4" */
	{ CPUID_X86_64_V1, { .function = 0x4, .index = 0, .flags = SUBLEAF,     /* L1D, 32 KiB, 8 ways */
			     .eax = 0x121, .ebx = 7 << 22 | 63, .ecx = 63 } },
	{ CPUID_X86_64_V1, { .function = 0x4, .index = 1, .flags = SUBLEAF,     /* L1I, 32 KiB, 8 ways */
			     .eax = 0x122, .ebx = 7 << 22 | 63, .ecx = 63 } },
	{ CPUID_X86_64_V1, { .function = 0x4, .index = 2, .flags = SUBLEAF,     /* L2, 1 MiB, 16 ways */
			     .eax = 0x143, .ebx = 15 << 22 | 63, .ecx = 1023 } },
	{ CPUID_X86_64_V1, { .function = 0x4, .index = 3, .flags = SUBLEAF,     /* L3, 16 MiB, 16 ways */
			     .eax = 0x163, .ebx = 15 << 22 | 63, .ecx = 16383 } },
	{ CPUID_X86_64_V1, { .function = 0x4, .index = 4, .flags = SUBLEAF } },
	{ CPUID_X86_64_V1, { .function = 0x6 } },
	{ CPUID_X86_64_V1, { .function = 0x7, .index = 0, .flags = SUBLEAF } },
	{ CPUID_X86_64_V1, { .function = 0xb, .index = 0, .flags = SUBLEAF } },
	{ CPUID_X86_64_V1, { .function = 0xb, .index = 1, .flags = SUBLEAF } },
	/* EBX is the size for XCR0 as it is after a reset; KVM keeps it up to date. */
	{ CPUID_X86_64_V3, { .function = 0xd, .index = 0, .flags = SUBLEAF, .ebx = 0x240, .ecx = 0x340 } },
	{ CPUID_X86_64_V3, { .function = 0xd, .index = 1, .flags = SUBLEAF } },
	{ CPUID_X86_64_V3, { .function = 0xd, .index = 2, .flags = SUBLEAF, .eax = 0x100, .ebx = 0x240 } },
	{ CPUID_X86_64_V1, { .function = 0x80000000, .eax = 0x80000008 } },     /* the largest; vendor: the host's */
	{ CPUID_X86_64_V1, { .function = 0x80000001, .eax = 0x60fb1 } },
	{ CPUID_X86_64_V1, { .function = 0x80000002 } },                        /* to 80000004: the brand */
	{ CPUID_X86_64_V1, { .function = 0x80000003 } },
	{ CPUID_X86_64_V1, { .function = 0x80000004 } },
	{ CPUID_X86_64_V1, { .function = 0x80000005, .ecx = 0x20080140, .edx = 0x20080140 } }, /* L1D, L1I as above */
	{ CPUID_X86_64_V1, { .function = 0x80000006, .ecx = 0x04008140, .edx = 0x00808140 } }, /* L2, L3 as above */
	{ CPUID_X86_64_V1, { .function = 0x80000007 } },
	{ CPUID_X86_64_V1, { .function = 0x80000008, .eax = 48 << 8 | 39 } },   /* linear and physical address bits */
	{ CPUID_X86_64_V1, { .function = 0x40000000, .eax = 0x40000001,         /* "KVMKVMKVM" */
			     .ebx = 0x4b4d564b, .ecx = 0x564b4d56, .edx = 0x4d } },
	{ CPUID_X86_64_V1, { .function = 0x40000001 } },
};

/* The features of a baseline, each from its level on. */
static const struct {
	enum cpuid_baseline from;
	char names[128]; /* one behind the other, each with its zero; then an empty one */
} features[] COLD = {
	/* x86-64 psABI, table 3.1, x86-64 (SCE is SYSCALL, OSFXSR is FXSR: CPUID has the processor's part). */
	{ CPUID_X86_64_V1, "CMOV\0" "CX8\0" "FPU\0" "FXSR\0" "MMX\0" "SYSCALL\0" "SSE\0" "SSE2\0" },
	/* What every 64-bit processor has besides, and systems take for granted. */
	{ CPUID_X86_64_V1, "DE\0" "PSE\0" "TSC\0" "MSR\0" "PAE\0" "MCE\0" "APIC\0" "SEP\0" "MTRR\0" "PGE\0"
			   "MCA\0" "PAT\0" "PSE36\0" "CLFLUSH\0" "NX\0" "LM\0" },
	/* What KVM emulates on every host. */
	{ CPUID_X86_64_V1, "HYPERVISOR\0" "X2APIC\0" "TSC_DEADLINE\0" "TSC_ADJUST\0" "ARAT\0"
			   "KVM_CLOCKSOURCE\0" "KVM_CLOCKSOURCE2\0" "KVM_CLOCKSOURCE_STABLE\0"
			   "KVM_NOP_IO_DELAY\0" },
	/* psABI, x86-64-v2. */
	{ CPUID_X86_64_V2, "CX16\0" "LAHF_LM\0" "POPCNT\0" "SSE3\0" "SSE4_1\0" "SSE4_2\0" "SSSE3\0" },
	/* psABI, x86-64-v3; OSXSAVE, the system's part, follows CR4.  The state that AVX needs. */
	{ CPUID_X86_64_V3, "AVX\0" "AVX2\0" "BMI1\0" "BMI2\0" "F16C\0" "FMA\0" "LZCNT\0" "MOVBE\0" "XSAVE\0"
			   "XFEATURE_X87\0" "XFEATURE_SSE\0" "XFEATURE_YMM\0" },
};
/* clang-format on */

bool cpuid_baseline_parse(const char *name, enum cpuid_baseline *ret)
{
	for (enum cpuid_baseline i = CPUID_HOST; i < CPUID_BASELINES; i++) {
		if (strcmp(name, baseline_names[i]) == 0) {
			*ret = i;
			return true;
		}
	}
	return false;
}

const char *cpuid_baseline_name(enum cpuid_baseline baseline)
{
	return baseline_names[baseline];
}

static void set_vendor(struct cpuid *cpuid, const struct cpuid *host)
{
	static const uint32_t largest_leaves[] = { 0x0, 0x80000000 };
	for (size_t i = 0; i < sizeof(largest_leaves) / sizeof(largest_leaves[0]); i++) {
		struct kvm_cpuid_entry2 *entry = cpuid_find_writable(cpuid, largest_leaves[i], 0);
		entry->ebx = cpuid_get(host, largest_leaves[i], 0, CPUID_EBX);
		entry->ecx = cpuid_get(host, largest_leaves[i], 0, CPUID_ECX);
		entry->edx = cpuid_get(host, largest_leaves[i], 0, CPUID_EDX);
	}
}

static void set_brand(struct cpuid *cpuid, const char *name)
{
	union {
		char text[BRAND_BYTES];
		uint32_t words[BRAND_BYTES / sizeof(uint32_t)];
	} brand = { { 0 } };
	snprintf(brand.text, sizeof(brand.text), "Stasis %s", name);
	for (uint32_t i = 0; i < 3; i++) {
		struct kvm_cpuid_entry2 *entry = cpuid_find_writable(cpuid, 0x80000002 + i, 0);
		entry->eax = brand.words[4 * i];
		entry->ebx = brand.words[4 * i + 1];
		entry->ecx = brand.words[4 * i + 2];
		entry->edx = brand.words[4 * i + 3];
	}
}

static void give(struct cpuid *cpuid, const char *name)
{
	struct cpuid_bit feature;
	bool is_known = cpuid_feature(name, &feature);
	assert(is_known);
	cpuid_change(cpuid, feature, is_known);
}

static void build(struct cpuid *ret, enum cpuid_baseline baseline, const struct cpuid *host)
{
	*ret = (struct cpuid){ 0 };
	cold_unpack();
	for (size_t i = 0; i < sizeof(leaves) / sizeof(leaves[0]); i++)
		if (leaves[i].from <= baseline)
			ret->entries[ret->nent++] = leaves[i].entry;
	for (size_t i = 0; i < sizeof(features) / sizeof(features[0]); i++)
		if (features[i].from <= baseline)
			for (const char *name = features[i].names; *name != '\0'; name += strlen(name) + 1)
				give(ret, name);
	set_vendor(ret, host);
	set_brand(ret, baseline_names[baseline]);
}

static void append_lack(void *context, const struct cpuid_lack *lack)
{
	char *list = context, text[CPUID_TEXT_MAX];
	size_t used = strlen(list);
	cpuid_lack_text(lack, text);
	snprintf(list + used, ERROR_TEXT_MAX - used, "%s%s", used > 0 ? ", " : "", text);
}

int cpuid_apply_baseline(struct cpuid *cpuid, enum cpuid_baseline baseline, struct error *err)
{
	if (baseline == CPUID_HOST)
		return 0;
	struct cpuid wanted;
	char lacks[ERROR_TEXT_MAX] = "";
	build(&wanted, baseline, cpuid);
	if (cpuid_missing(&wanted, cpuid, append_lack, lacks) > 0)
		return error_set(err, ERROR_NO_KVM, "CPU %s: this host's KVM lacks %s; choose a lower level, or host",
				 baseline_names[baseline], lacks);
	*cpuid = wanted;
	return 0;
}
