#include "unit.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cpuid_named.h"
#include "vmm/cpuid.h"
#include "vmm/kvm.h"

#define SUBLEAF KVM_CPUID_FLAG_SIGNIFCANT_INDEX
#define LEAF(f, i, how, a, b, c, d)                                                                                    \
	{                                                                                                              \
		.function = (f), .index = (i), .flags = (how), .eax = (a), .ebx = (b), .ecx = (c), .edx = (d)          \
	}

/*
 * What KVM_GET_SUPPORTED_CPUID gave on the hosts of the tests, leaves of zeros left out.
 */
/* clang-format off */
/* Linux 6.18, page-table based KVM, AMD. */
static const struct kvm_cpuid_entry2 host_p[] = {
	LEAF(0x0, 0x0, 0, 0x0000001c, 0x68747541, 0x444d4163, 0x69746e65),
	LEAF(0x1, 0x0, 0, 0x00a10f11, 0x00020800, 0x81202000, 0x078bfbff),
	LEAF(0x4, 0x0, SUBLEAF, 0x00000000, 0x00000000, 0x00000000, 0x00000000),
	LEAF(0x6, 0x0, 0, 0x00000004, 0x00000000, 0x00000000, 0x00000000),
	LEAF(0x7, 0x0, SUBLEAF, 0x00000001, 0x01800002, 0x00000104, 0x20000000),
	LEAF(0xb, 0x0, SUBLEAF, 0x00000000, 0x00000000, 0x00000000, 0x00000000),
	LEAF(0xd, 0x0, SUBLEAF, 0x000000e7, 0x00000980, 0x00000980, 0x00000000),
	LEAF(0xd, 0x2, SUBLEAF, 0x00000100, 0x00000240, 0x00000000, 0x00000000),
	LEAF(0xd, 0x5, SUBLEAF, 0x00000040, 0x00000340, 0x00000000, 0x00000000),
	LEAF(0xd, 0x6, SUBLEAF, 0x00000200, 0x00000380, 0x00000000, 0x00000000),
	LEAF(0xd, 0x7, SUBLEAF, 0x00000400, 0x00000580, 0x00000000, 0x00000000),
	LEAF(0x80000000, 0x0, 0, 0x80000021, 0x68747541, 0x444d4163, 0x69746e65),
	LEAF(0x80000001, 0x0, 0, 0x00a10f11, 0x40000000, 0x00400393, 0x23d3fbff),
	LEAF(0x80000005, 0x0, 0, 0xff48ff40, 0xff48ff40, 0x20080140, 0x20080140),
	LEAF(0x80000006, 0x0, 0, 0x5c002200, 0x6c004200, 0x04006140, 0x0a009140),
	LEAF(0x80000007, 0x0, 0, 0x00000000, 0x00000000, 0x00000000, 0x00000100),
	LEAF(0x80000008, 0x0, 0, 0x00003030, 0x50020005, 0x00007001, 0x00000000),
	LEAF(0x8000001a, 0x0, 0, 0x00000006, 0x00000000, 0x00000000, 0x00000000),
	LEAF(0x8000001d, 0x0, SUBLEAF, 0x00000121, 0x01c0003f, 0x0000003f, 0x00000000),
	LEAF(0x8000001d, 0x1, SUBLEAF, 0x00000122, 0x01c0003f, 0x0000003f, 0x00000000),
	LEAF(0x8000001d, 0x2, SUBLEAF, 0x00000143, 0x01c0003f, 0x000007ff, 0x00000002),
	LEAF(0x8000001d, 0x3, SUBLEAF, 0x00004163, 0x03c0003f, 0x00007fff, 0x00000001),
	LEAF(0x8000001e, 0x0, 0, 0x00000000, 0x00000000, 0x00000000, 0x00000000),
	LEAF(0x80000021, 0x0, 0, 0x00000204, 0x00000000, 0x00000006, 0x00000000),
	LEAF(0x40000000, 0x0, 0, 0x40000001, 0x4b4d564b, 0x564b4d56, 0x0000004d),
	LEAF(0x40000001, 0x0, 0, 0x01007efb, 0x00000000, 0x00000000, 0x00000000),
};
/* Linux 7.3 on QEMU's TCG, AMD. */
static const struct kvm_cpuid_entry2 host_t[] = {
	LEAF(0x0, 0x0, 0, 0x0000000d, 0x68747541, 0x444d4163, 0x69746e65),
	LEAF(0x1, 0x0, 0, 0x00000663, 0x00000800, 0xf7f83203, 0x0f8bfbfd),
	LEAF(0x4, 0x0, SUBLEAF, 0x00000000, 0x00000000, 0x00000000, 0x00000000),
	LEAF(0x6, 0x0, 0, 0x00000004, 0x00000000, 0x00000000, 0x00000000),
	LEAF(0x7, 0x0, SUBLEAF, 0x00000001, 0x219c03ab, 0x0041020c, 0x20000010),
	LEAF(0x7, 0x1, SUBLEAF, 0x00001c80, 0x00000000, 0x00000000, 0x00000000),
	LEAF(0xb, 0x0, SUBLEAF, 0x00000000, 0x00000000, 0x00000000, 0x00000000),
	LEAF(0xd, 0x0, SUBLEAF, 0x00000207, 0x00000a88, 0x00000a88, 0x00000000),
	LEAF(0xd, 0x1, SUBLEAF, 0x00000005, 0x00000000, 0x00000000, 0x00000000),
	LEAF(0xd, 0x2, SUBLEAF, 0x00000100, 0x00000240, 0x00000000, 0x00000000),
	LEAF(0xd, 0x9, SUBLEAF, 0x00000008, 0x00000a80, 0x00000000, 0x00000000),
	LEAF(0x80000000, 0x0, 0, 0x8000000a, 0x68747541, 0x444d4163, 0x69746e65),
	LEAF(0x80000001, 0x0, 0, 0x00000663, 0x00000000, 0x00000177, 0xedd3fbfd),
	LEAF(0x80000005, 0x0, 0, 0x01ff01ff, 0x01ff01ff, 0x40020140, 0x40020140),
	LEAF(0x80000006, 0x0, 0, 0x00000000, 0x42004200, 0x02008140, 0x00808140),
	LEAF(0x80000008, 0x0, 0, 0x00283928, 0x00000204, 0x00000000, 0x00000000),
	LEAF(0x8000000a, 0x0, 0, 0x00000001, 0x00000008, 0x00000000, 0x10010061),
	LEAF(0x40000000, 0x0, 0, 0x40000001, 0x4b4d564b, 0x564b4d56, 0x0000004d),
	LEAF(0x40000001, 0x0, 0, 0x01007efb, 0x00000000, 0x00000000, 0x00000000),
};
/* Linux 6.1 on QEMU's TCG, AMD: lists neither HYPERVISOR nor the TSC deadline. */
static const struct kvm_cpuid_entry2 host_t_old[] = {
	LEAF(0x0, 0x0, 0, 0x0000000d, 0x68747541, 0x444d4163, 0x69746e65),
	LEAF(0x1, 0x0, 0, 0x00000663, 0x00000800, 0x76f83203, 0x0f8bfbfd),
	LEAF(0x4, 0x0, SUBLEAF, 0x00000000, 0x00000000, 0x00000000, 0x00000000),
	LEAF(0x6, 0x0, 0, 0x00000004, 0x00000000, 0x00000000, 0x00000000),
	LEAF(0x7, 0x0, SUBLEAF, 0x00000001, 0x219c03ab, 0x0041020c, 0x20000010),
	LEAF(0xb, 0x0, SUBLEAF, 0x00000000, 0x00000000, 0x00000000, 0x00000000),
	LEAF(0xd, 0x0, SUBLEAF, 0x00000207, 0x00000a88, 0x00000a88, 0x00000000),
	LEAF(0xd, 0x1, SUBLEAF, 0x00000005, 0x00000000, 0x00000000, 0x00000000),
	LEAF(0xd, 0x2, SUBLEAF, 0x00000100, 0x00000240, 0x00000000, 0x00000000),
	LEAF(0xd, 0x9, SUBLEAF, 0x00000008, 0x00000a80, 0x00000000, 0x00000000),
	LEAF(0x80000000, 0x0, 0, 0x8000000a, 0x68747541, 0x444d4163, 0x69746e65),
	LEAF(0x80000001, 0x0, 0, 0x00000663, 0x00000000, 0x00000177, 0xedd3fbfd),
	LEAF(0x80000006, 0x0, 0, 0x00000000, 0x42004200, 0x02008140, 0x00808140),
	LEAF(0x80000008, 0x0, 0, 0x00003928, 0x00000204, 0x00000000, 0x00000000),
	LEAF(0x8000000a, 0x0, 0, 0x00000001, 0x00000008, 0x00000000, 0x10010021),
	LEAF(0x40000000, 0x0, 0, 0x40000001, 0x4b4d564b, 0x564b4d56, 0x0000004d),
	LEAF(0x40000001, 0x0, 0, 0x01007efb, 0x00000000, 0x00000000, 0x00000000),
};
/* Linux 7.3 on Bochs, Intel Tiger Lake. */
static const struct kvm_cpuid_entry2 host_b[] = {
	LEAF(0x0, 0x0, 0, 0x0000001b, 0x756e6547, 0x6c65746e, 0x49656e69),
	LEAF(0x1, 0x0, 0, 0x000806c1, 0x00010800, 0xf7fa3223, 0x0f8bfbff),
	LEAF(0x2, 0x0, 0, 0x00feff01, 0x000000f0, 0x00000000, 0x00000000),
	LEAF(0x4, 0x0, SUBLEAF, 0x1c004121, 0x02c0003f, 0x0000003f, 0x00000000),
	LEAF(0x4, 0x1, SUBLEAF, 0x1c004122, 0x01c0003f, 0x0000003f, 0x00000000),
	LEAF(0x4, 0x2, SUBLEAF, 0x1c004143, 0x04c0003f, 0x000003ff, 0x00000000),
	LEAF(0x4, 0x3, SUBLEAF, 0x1c03c163, 0x01c0003f, 0x00003fff, 0x00000004),
	LEAF(0x4, 0x4, SUBLEAF, 0x00000000, 0x00000000, 0x00000000, 0x00000000),
	LEAF(0x6, 0x0, 0, 0x00000004, 0x00000000, 0x00000000, 0x00000000),
	LEAF(0x7, 0x0, SUBLEAF, 0x00000000, 0xf1bf25eb, 0x18405fce, 0xbc100510),
	LEAF(0xb, 0x0, SUBLEAF, 0x00000000, 0x00000000, 0x00000000, 0x00000000),
	LEAF(0xd, 0x0, SUBLEAF, 0x000002e7, 0x00000a88, 0x00000a88, 0x00000000),
	LEAF(0xd, 0x1, SUBLEAF, 0x0000000f, 0x000009b0, 0x00001800, 0x00000000),
	LEAF(0xd, 0x2, SUBLEAF, 0x00000100, 0x00000240, 0x00000000, 0x00000000),
	LEAF(0xd, 0x5, SUBLEAF, 0x00000040, 0x00000440, 0x00000000, 0x00000000),
	LEAF(0xd, 0x6, SUBLEAF, 0x00000200, 0x00000480, 0x00000000, 0x00000000),
	LEAF(0xd, 0x7, SUBLEAF, 0x00000400, 0x00000680, 0x00000000, 0x00000000),
	LEAF(0xd, 0x9, SUBLEAF, 0x00000008, 0x00000a80, 0x00000000, 0x00000000),
	LEAF(0xd, 0xb, SUBLEAF, 0x00000010, 0x00000000, 0x00000001, 0x00000000),
	LEAF(0xd, 0xc, SUBLEAF, 0x00000018, 0x00000000, 0x00000001, 0x00000000),
	LEAF(0x80000000, 0x0, 0, 0x80000008, 0x00000000, 0x00000000, 0x00000000),
	LEAF(0x80000001, 0x0, 0, 0x00000000, 0x00000000, 0x00000121, 0x2c100800),
	LEAF(0x80000006, 0x0, 0, 0x00000000, 0x00000000, 0x01007040, 0x00000000),
	LEAF(0x80000007, 0x0, 0, 0x00000000, 0x00000000, 0x00000000, 0x00000100),
	LEAF(0x80000008, 0x0, 0, 0x00283028, 0x0500d200, 0x00000000, 0x00000000),
	LEAF(0x40000000, 0x0, 0, 0x40000001, 0x4b4d564b, 0x564b4d56, 0x0000004d),
	LEAF(0x40000001, 0x0, 0, 0x01007efb, 0x00000000, 0x00000000, 0x00000000),
};
/* clang-format on */

#define HOST(name, host_table, new_kernel)                                                                             \
	{                                                                                                              \
		name, host_table, sizeof(host_table) / sizeof((host_table)[0]), new_kernel                             \
	}

/* Where a model of the kernel finds the table that it gives; one process a test, so nothing is shared. */
static const struct host {
	const char *name;
	const struct kvm_cpuid_entry2 *entries;
	uint32_t nent;
	/* Lists HYPERVISOR and the TSC deadline; KVM_GET_CPUID2 says how many leaves there are. */
	bool is_new;
} hosts[] = {
	HOST("P", host_p, true),
	HOST("T", host_t, true),
	HOST("T, old kernel", host_t_old, false),
	HOST("B", host_b, true),
};
enum { HOST_P, HOST_T, HOST_T_OLD, HOST_B, NR_HOSTS };

/*
 * The model of the kernel.  A descriptor of /dev/kvm or of a vCPU is a host's number; HOST_FAILING refuses everything.
 * The VM and vCPU that are made below are MADE_VM and MADE_VCPU; a table set there comes back with one feature
 * more and one less.
 */
#define HOST_FAILING 100
#define MADE_VM      1000
#define MADE_VCPU    1001

static struct cpuid made_table;

static int give(struct cpuid *ret, const struct kvm_cpuid_entry2 *entries, uint32_t nent, bool tells_nent)
{
	if (ret->nent < nent) {
		errno = E2BIG;
		return -1;
	}
	if (tells_nent)
		ret->nent = nent;
	memcpy(ret->entries, entries, nent * sizeof(entries[0]));
	return 0;
}

int kvm_ioctl(int fd, unsigned long request, void *arg)
{
	switch (fd == HOST_FAILING ? 0 : request) {
	case KVM_CHECK_EXTENSION:
		return (uintptr_t)arg == KVM_CAP_TSC_DEADLINE_TIMER;
	case KVM_CREATE_VM:
		return MADE_VM;
	case KVM_CREATE_VCPU:
		ck_assert_int_eq(fd, MADE_VM);
		return MADE_VCPU;
	case KVM_SET_CPUID2:
		memcpy(&made_table, arg, sizeof(made_table));
		change_named(&made_table, "SSE3", true);
		change_named(&made_table, "ARCH_CAPABILITIES", false);
		return 0;
	case KVM_GET_CPUID2:
		if (fd == MADE_VCPU)
			return give(arg, made_table.entries, made_table.nent, true);
		return give(arg, hosts[fd].entries, hosts[fd].nent, hosts[fd].is_new);
	case KVM_GET_SUPPORTED_CPUID:
		return give(arg, hosts[fd].entries, hosts[fd].nent, true);
	default:
		errno = EINVAL;
		return -1;
	}
}

static struct cpuid supported(int host)
{
	struct cpuid cpuid = { 0 };
	ck_assert_int_eq(cpuid_supported(host, &cpuid, NULL), 0);
	return cpuid;
}

/* Whatever the vendor, for comparing what should be the same. */
static void forget_vendor(struct cpuid *cpuid)
{
	static const uint32_t functions[] = { 0, 0x80000000 };
	for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++) {
		struct kvm_cpuid_entry2 *entry = cpuid_find_writable(cpuid, functions[i], 0);
		entry->ebx = entry->ecx = entry->edx = 0;
	}
}

static void collect(void *context, const struct cpuid_lack *lack)
{
	char *list = context;
	char text[CPUID_TEXT_MAX];
	cpuid_lack_text(lack, text);
	snprintf(list + strlen(list), ERROR_TEXT_MAX - strlen(list), "%s;", text);
}

START_TEST(supported_has_what_kvm_emulates)
{
	for (int host = 0; host < NR_HOSTS; host++) {
		struct cpuid cpuid = supported(host);
		ck_assert_msg(has_named(&cpuid, "HYPERVISOR") && has_named(&cpuid, "X2APIC") &&
				      has_named(&cpuid, "TSC_DEADLINE"),
			      "host %s", hosts[host].name);
		bool listed = (hosts[host].entries[1].ecx >> 24 & 1) != 0;
		ck_assert_int_eq(listed, hosts[host].is_new);
	}
	struct cpuid cpuid = { .nent = 7 };
	struct error err;
	ck_assert_int_eq(cpuid_supported(HOST_FAILING, &cpuid, &err), -ERROR_SYSTEM);
	ck_assert_uint_eq(cpuid.nent, 0);
	ck_assert_int_eq(cpuid_of_vcpu(HOST_FAILING, &cpuid, &err), -ERROR_SYSTEM);
	ck_assert_uint_eq(cpuid.nent, 0);
}
END_TEST

START_TEST(a_vcpus_table_has_as_many_leaves_as_were_given)
{
	for (int host = 0; host < NR_HOSTS; host++) {
		struct cpuid cpuid;
		ck_assert_int_eq(cpuid_of_vcpu(host, &cpuid, NULL), 0);
		ck_assert_uint_eq(cpuid.nent, hosts[host].nent);
		ck_assert_mem_eq(cpuid.entries, hosts[host].entries, cpuid.nent * sizeof(cpuid.entries[0]));
	}
}
END_TEST

START_TEST(granted_is_what_a_vcpu_reads_back)
{
	struct cpuid listed = supported(HOST_P), granted = { .nent = 7 };
	struct error err;
	char list[ERROR_TEXT_MAX] = "";
	ck_assert_int_eq(cpuid_granted(HOST_FAILING, &granted, &err), -ERROR_SYSTEM);
	ck_assert_uint_eq(granted.nent, 0);
	ck_assert_int_eq(cpuid_granted(HOST_P, &granted, &err), 0);
	cpuid_missing(&granted, &listed, collect, list);
	cpuid_missing(&listed, &granted, collect, list);
	ck_assert_str_eq(list, "SSE3;ARCH_CAPABILITIES;");
}
END_TEST

START_TEST(leaves_are_found)
{
	struct cpuid cpuid = supported(HOST_B);
	char vendor[13];
	cpuid_vendor(&cpuid, vendor);
	ck_assert_str_eq(vendor, "GenuineIntel");
	ck_assert_uint_eq(cpuid_get(&cpuid, 0xd, 5, CPUID_EBX), 0x440);
	ck_assert_uint_eq(cpuid_get(&cpuid, 0xd, 3, CPUID_EBX), 0);
	ck_assert_ptr_null(cpuid_find(&cpuid, 0xd, 3));
	ck_assert_ptr_null(cpuid_find(&cpuid, 0x12345678, 0));
	/* Leaf 1 has no subleaves: the index does not count. */
	ck_assert_ptr_nonnull(cpuid_find(&cpuid, 1, 9));
	ck_assert_uint_eq(cpuid_get(&cpuid, 1, 9, CPUID_EAX), 0x806c1);
	ck_assert_ptr_eq(cpuid_find(&cpuid, 1, 0), cpuid_find_writable(&cpuid, 1, 0));
}
END_TEST

START_TEST(features_have_names)
{
	struct cpuid cpuid = supported(HOST_B), amd = supported(HOST_P);
	struct cpuid_bit at;
	ck_assert_str_eq(cpuid_bit_name(7, 0, CPUID_ECX, 7), "SHSTK");
	ck_assert_str_eq(cpuid_bit_name(7, 0, CPUID_EDX, 20), "IBT");
	ck_assert_str_eq(cpuid_bit_name(0x80000001, 0, CPUID_EDX, 29), "LM");
	ck_assert_ptr_null(cpuid_bit_name(7, 0, CPUID_ECX, 15));
	for (unsigned bit = 32; bit < 64; bit++)
		ck_assert_ptr_null(cpuid_bit_name(1, 0, CPUID_ECX, bit));
	ck_assert_ptr_null(cpuid_bit_name(0x80000008, 0, CPUID_EAX, 0));
	ck_assert(cpuid_is_features(0xd, 1, CPUID_ECX) && !cpuid_is_features(0xd, 0, CPUID_EBX));
	ck_assert(has_named(&cpuid, "SHSTK") && has_named(&cpuid, "ibt") && has_named(&cpuid, "XFEATURE_CET_U"));
	ck_assert(!has_named(&amd, "SHSTK") && !has_named(&amd, "SSE3") && has_named(&amd, "TOPOEXT"));
	ck_assert(!cpuid_feature("shst", &at) && !cpuid_feature("", &at));
	change_named(&cpuid, "SHSTK", false);
	ck_assert_uint_eq(cpuid_get(&cpuid, 7, 0, CPUID_ECX), 0x18405fce & ~0x80u);
	change_named(&cpuid, "SHSTK", true);
	ck_assert_uint_eq(cpuid_get(&cpuid, 7, 0, CPUID_ECX), 0x18405fce);
}
END_TEST

START_TEST(features_of_the_program_have_their_names)
{
#define NAMED(feature)                                                                                                 \
	{                                                                                                              \
		CPUID_##feature, #feature                                                                              \
	}
	static const struct {
		struct cpuid_bit bit;
		const char *name;
	} features[] = {
		NAMED(X2APIC),
		NAMED(PDCM),
		NAMED(TSC_DEADLINE),
		NAMED(XSAVE),
		NAMED(HYPERVISOR),
		NAMED(APIC),
		NAMED(HTT),
		NAMED(SHSTK),
		NAMED(KVM_ASYNC_PF),
		NAMED(KVM_PV_EOI),
		NAMED(KVM_PV_UNHALT),
		NAMED(KVM_ASYNC_PF_VMEXIT),
		NAMED(KVM_PV_SEND_IPI),
		NAMED(KVM_ASYNC_PF_INT),
		NAMED(CMP_LEGACY),
		NAMED(TOPOEXT),
		NAMED(NX),
		NAMED(ARCH_CAPABILITIES),
	};
	for (size_t i = 0; i < sizeof(features) / sizeof(features[0]); i++) {
		struct cpuid_bit bit = features[i].bit;
		const char *name = cpuid_bit_name(bit.function, bit.index, bit.reg, bit.bit);
		ck_assert_msg(name != NULL && strcmp(name, features[i].name) == 0, "%s", features[i].name);
	}
}
END_TEST

START_TEST(a_name_stands_for_one_bit)
{
	static const uint32_t bases[] = { 0, 0x40000000, 0x80000000 };
	unsigned nr_names = 0;
	for (uint32_t i = 0; i < 3 * 0x40 * 4 * 4; i++) {
		uint32_t function = bases[i / (0x40 * 16)] + i / 16 % 0x40;
		enum cpuid_register reg = i % 4;
		for (unsigned bit = 0; bit < 32; bit++) {
			const char *name = cpuid_bit_name(function, i / 4 % 4, reg, bit);
			struct cpuid_bit at;
			if (name == NULL)
				continue;
			nr_names++;
			ck_assert_msg(name[0] != '\0' && strchr(name, ' ') == NULL, "%s", name);
			ck_assert(cpuid_feature(name, &at));
			ck_assert_msg(at.function == function && at.index == i / 4 % 4 && at.reg == reg &&
					      at.bit == bit,
				      "%s stands for two bits", name);
		}
	}
	ck_assert_uint_gt(nr_names, 300);
}
END_TEST

START_TEST(registers_have_names_for_people)
{
	char name[CPUID_TEXT_MAX];
	cpuid_register_name(&(struct kvm_cpuid_entry2){ .function = 7, .flags = SUBLEAF }, CPUID_ECX, name);
	ck_assert_str_eq(name, "0x7.0 ecx");
	cpuid_register_name(&(struct kvm_cpuid_entry2){ .function = 0x80000008 }, CPUID_EAX, name);
	ck_assert_str_eq(name, "0x80000008 eax");
}
END_TEST

START_TEST(missing_features_are_named)
{
	struct cpuid b = supported(HOST_B), p = supported(HOST_P);
	char list[ERROR_TEXT_MAX] = "";
	ck_assert_uint_eq(cpuid_missing(&b, &b, collect, list), 0);
	ck_assert_str_eq(list, "");
	change_named(&p, "CLWB", false);
	struct cpuid wanted = p;
	change_named(&wanted, "CLWB", true);
	change_named(&wanted, "SSE3", true);
	cpuid_find_writable(&wanted, 7, 0)->edx |= 1u << 7;
	ck_assert_uint_eq(cpuid_missing(&wanted, &p, collect, list), 3);
	ck_assert_str_eq(list, "SSE3;CLWB;0x7.0 edx bit 7;");
	ck_assert_uint_eq(cpuid_missing(&wanted, &p, NULL, NULL), 3);
	/* A leaf that the host has not has none of the features. */
	struct cpuid none = { 0 };
	ck_assert_uint_gt(cpuid_missing(&p, &none, NULL, NULL), 30);
}
END_TEST

START_TEST(what_kvm_does_itself_is_not_held_against_a_host)
{
	static const char *const emulated[] = { "OSXSAVE",      "OSPKE",      "MONITOR",    "APIC", "X2APIC",
						"TSC_DEADLINE", "HYPERVISOR", "TSC_ADJUST", "HTT",  "CMP_LEGACY" };
	struct cpuid wanted = supported(HOST_B), host = wanted;
	for (size_t i = 0; i < sizeof(emulated) / sizeof(emulated[0]); i++) {
		change_named(&wanted, emulated[i], true);
		ck_assert(has_named(&wanted, emulated[i]));
		change_named(&host, emulated[i], false);
	}
	/* AMD's copies of leaf 1's bits, which Intel has not. */
	cpuid_find_writable(&wanted, 0x80000001, 0)->edx |= cpuid_get(&wanted, 1, 0, CPUID_EDX) & 0x0183f3ff;
	ck_assert_uint_eq(cpuid_missing(&wanted, &host, NULL, NULL), 0);
	change_named(&host, "SYSCALL", false);
	ck_assert_uint_eq(cpuid_missing(&wanted, &host, NULL, NULL), 1);
}
END_TEST

START_TEST(numbers_must_not_exceed_the_hosts)
{
	struct cpuid host = supported(HOST_B), wanted = host;
	char list[ERROR_TEXT_MAX] = "";
	cpuid_find_writable(&host, 0x80000008, 0)->eax = 48 << 8 | 40;
	cpuid_find_writable(&wanted, 0x80000008, 0)->eax = 48 << 8 | 39;
	ck_assert_uint_eq(cpuid_missing(&wanted, &host, collect, list), 0);
	cpuid_find_writable(&wanted, 0x80000008, 0)->eax = 57 << 8 | 46;
	ck_assert_uint_eq(cpuid_missing(&wanted, &host, collect, list), 2);
	ck_assert_str_eq(list, "46 physical address bits (the host: 40);57 linear address bits (the host: 48);");
}
END_TEST

START_TEST(state_components_must_stand_where_the_host_keeps_them)
{
	struct cpuid host = supported(HOST_B), wanted = host;
	char list[ERROR_TEXT_MAX] = "";
	cpuid_find_writable(&wanted, 0xd, 5)->ebx = 0x340;
	ck_assert_uint_eq(cpuid_missing(&wanted, &host, collect, list), 1);
	ck_assert_str_eq(list, "XSAVE component 5 of 0x40 bytes at 0x340 (the host: 0x40 at 0x440);");
	/* Without XSAVE the guest cannot see them. */
	change_named(&wanted, "XSAVE", false);
	ck_assert_uint_eq(cpuid_missing(&wanted, &host, collect, list), 0);
	list[0] = '\0';
	change_named(&host, "XFEATURE_CET_U", false);
	change_named(&host, "XFEATURE_OPMASK", false);
	ck_assert_uint_eq(cpuid_missing(&wanted, &host, collect, list), 2);
	ck_assert_str_eq(list, "XFEATURE_OPMASK;XFEATURE_CET_U;");
}
END_TEST

START_TEST(baselines_are_parsed)
{
	enum cpuid_baseline baseline = CPUID_HOST;
	ck_assert(cpuid_baseline_parse("x86-64-v3", &baseline));
	ck_assert_int_eq(baseline, CPUID_X86_64_V3);
	ck_assert(!cpuid_baseline_parse("x86-64-v4", &baseline));
	ck_assert_int_eq(baseline, CPUID_X86_64_V3);
	ck_assert_str_eq(cpuid_baseline_name(CPUID_X86_64_V2), "x86-64-v2");
	ck_assert_str_eq(cpuid_baseline_name(CPUID_HOST), "host");
}
END_TEST

START_TEST(a_baseline_is_the_same_on_every_host)
{
	for (enum cpuid_baseline level = CPUID_X86_64_V1; level < CPUID_BASELINES; level++) {
		struct cpuid first = supported(HOST_B);
		ck_assert_int_eq(cpuid_apply_baseline(&first, level, NULL), 0);
		cpuid_set_topology(&first, 3, 4);
		forget_vendor(&first);
		for (int host = 0; host < NR_HOSTS; host++) {
			struct cpuid table = supported(host);
			char vendor[13], kept[13];
			cpuid_vendor(&table, vendor);
			if (cpuid_apply_baseline(&table, level, NULL) < 0) {
				ck_assert(host == HOST_P && level > CPUID_X86_64_V1);
				continue;
			}
			cpuid_vendor(&table, kept);
			ck_assert_str_eq(vendor, kept);
			cpuid_set_topology(&table, 3, 4);
			forget_vendor(&table);
			ck_assert_msg(memcmp(&table, &first, sizeof(first)) == 0, "%s on host %s",
				      cpuid_baseline_name(level), hosts[host].name);
		}
	}
}
END_TEST

START_TEST(a_baseline_has_the_level_and_no_more)
{
	/* x86-64 psABI, table 3.1; FXSR stands for OSFXSR, SYSCALL for SCE, XSAVE for OSXSAVE. */
	static const char *const levels[CPUID_BASELINES][10] = {
		[CPUID_X86_64_V1] = { "CMOV", "CX8", "FPU", "FXSR", "MMX", "SYSCALL", "SSE", "SSE2" },
		[CPUID_X86_64_V2] = { "CX16", "LAHF_LM", "POPCNT", "SSE3", "SSE4_1", "SSE4_2", "SSSE3" },
		[CPUID_X86_64_V3] = { "AVX", "AVX2", "BMI1", "BMI2", "F16C", "FMA", "LZCNT", "MOVBE", "XSAVE" },
	};
	for (enum cpuid_baseline level = CPUID_X86_64_V1; level < CPUID_BASELINES; level++) {
		struct cpuid table = supported(HOST_B);
		ck_assert_int_eq(cpuid_apply_baseline(&table, level, NULL), 0);
		for (enum cpuid_baseline other = CPUID_X86_64_V1; other < CPUID_BASELINES; other++)
			for (size_t i = 0; i < 10 && levels[other][i] != NULL; i++)
				ck_assert_msg(has_named(&table, levels[other][i]) == (other <= level), "%s in %s",
					      levels[other][i], cpuid_baseline_name(level));
		ck_assert(has_named(&table, "NX") && has_named(&table, "LM") && has_named(&table, "KVM_CLOCKSOURCE2"));
		ck_assert(!has_named(&table, "VMX") && !has_named(&table, "SHSTK") && !has_named(&table, "SS"));
		ck_assert_uint_eq(cpuid_get(&table, 0x80000008, 0, CPUID_EAX), 48 << 8 | 39);
		ck_assert_int_eq(cpuid_find(&table, 0xd, 2) != NULL, level >= CPUID_X86_64_V3);
		char brand[49] = "";
		for (uint32_t i = 0; i < 12; i++) {
			uint32_t word = cpuid_get(&table, 0x80000002 + i / 4, 0, i % 4);
			memcpy(brand + 4 * i, &word, 4);
		}
		ck_assert_str_eq(brand + strlen("Stasis "), cpuid_baseline_name(level));
	}
}
END_TEST

START_TEST(what_a_host_lacks_of_a_baseline_is_named)
{
	struct cpuid p = supported(HOST_P), before = p;
	struct error err;
	ck_assert_int_eq(cpuid_apply_baseline(&p, CPUID_X86_64_V2, &err), -ERROR_NO_KVM);
	ck_assert_str_eq(err.text, "CPU x86-64-v2: this host's KVM lacks SSE3, SSSE3, SSE4_1, SSE4_2, POPCNT; "
				   "choose a lower level, or host");
	ck_assert_int_eq(cpuid_apply_baseline(&p, CPUID_X86_64_V3, &err), -ERROR_NO_KVM);
	ck_assert_str_eq(err.text, "CPU x86-64-v3: this host's KVM lacks SSE3, SSSE3, FMA, SSE4_1, SSE4_2, MOVBE, "
				   "POPCNT, XSAVE, AVX, F16C, BMI1, AVX2, BMI2, LZCNT; choose a lower level, or host");
	ck_assert_mem_eq(&p, &before, sizeof(p));
	ck_assert_int_eq(cpuid_apply_baseline(&p, CPUID_HOST, &err), 0);
	ck_assert_mem_eq(&p, &before, sizeof(p));
	cpuid_find_writable(&p, 0x80000008, 0)->eax = 48 << 8 | 36;
	ck_assert_int_eq(cpuid_apply_baseline(&p, CPUID_X86_64_V1, &err), -ERROR_NO_KVM);
	ck_assert_ptr_nonnull(strstr(err.text, "39 physical address bits (the host: 36)"));
}
END_TEST

START_TEST(without_a_lapic_nothing_needs_one)
{
	struct cpuid cpuid = supported(HOST_B), before = cpuid;
	cpuid_set_lapic(&cpuid, true);
	ck_assert_mem_eq(&cpuid, &before, sizeof(cpuid));
	cpuid_set_lapic(&cpuid, false);
	ck_assert(!has_named(&cpuid, "APIC") && !has_named(&cpuid, "X2APIC") && !has_named(&cpuid, "TSC_DEADLINE"));
	ck_assert_uint_eq(cpuid_get(&cpuid, 0x40000001, 0, CPUID_EAX), 0x01007efb & ~0x4cd0u);
}
END_TEST

/* What the topology leaves say for vCPU id of nr; the expected values are worked out by hand from the manuals. */
static const struct topology {
	uint32_t nr, id, shift;
	uint32_t leaf1_ebx, htt, l1_eax, l3_eax, amd_l3_eax, ecx_80000008;
} topologies[] = {
	{ 1, 0, 0, 0x00010800, 0, 0x00000121, 0x00000163, 0x00000163, 0x0000 },
	{ 2, 1, 1, 0x01020800, 1, 0x04000121, 0x04004163, 0x00004163, 0x1001 },
	{ 3, 2, 2, 0x02030800, 1, 0x0c000121, 0x0c00c163, 0x00008163, 0x2002 },
	{ 4, 0, 2, 0x00040800, 1, 0x0c000121, 0x0c00c163, 0x0000c163, 0x2003 },
	{ 16, 15, 4, 0x0f100800, 1, 0x3c000121, 0x3c03c163, 0x0003c163, 0x400f },
};

static void check_topology(const struct cpuid *cpuid, const struct topology *t, uint32_t levels)
{
	ck_assert_uint_eq(cpuid_get(cpuid, 1, 0, CPUID_EBX), t->leaf1_ebx);
	ck_assert_int_eq(has_named(cpuid, "HTT"), t->htt);
	ck_assert_int_eq(has_named(cpuid, "CMP_LEGACY"), t->htt);
	ck_assert_uint_eq(cpuid_get(cpuid, levels, 0, CPUID_EAX), 0);
	ck_assert_uint_eq(cpuid_get(cpuid, levels, 0, CPUID_EBX), 1);
	ck_assert_uint_eq(cpuid_get(cpuid, levels, 0, CPUID_ECX), 0x100);
	ck_assert_uint_eq(cpuid_get(cpuid, levels, 0, CPUID_EDX), t->id);
	ck_assert_uint_eq(cpuid_get(cpuid, levels, 1, CPUID_EAX), t->shift);
	ck_assert_uint_eq(cpuid_get(cpuid, levels, 1, CPUID_EBX), t->nr);
	ck_assert_uint_eq(cpuid_get(cpuid, levels, 1, CPUID_ECX), 0x201);
	ck_assert_uint_eq(cpuid_get(cpuid, levels, 1, CPUID_EDX), t->id);
	ck_assert_uint_eq(cpuid_get(cpuid, 0x80000008, 0, CPUID_ECX) & 0xffff, t->ecx_80000008);
}

START_TEST(topology_is_one_package_of_cores)
{
	for (size_t i = 0; i < sizeof(topologies) / sizeof(topologies[0]); i++) {
		const struct topology *t = &topologies[i];
		struct cpuid cpuid = supported(HOST_P);
		ck_assert_int_eq(cpuid_apply_baseline(&cpuid, CPUID_X86_64_V1, NULL), 0);
		cpuid_set_topology(&cpuid, t->id, t->nr);
		check_topology(&cpuid, t, 0xb);
		ck_assert_uint_eq(cpuid_get(&cpuid, 4, 0, CPUID_EAX), t->l1_eax);
		ck_assert_uint_eq(cpuid_get(&cpuid, 4, 3, CPUID_EAX), t->l3_eax);
		ck_assert_uint_eq(cpuid_get(&cpuid, 4, 4, CPUID_EAX), 0);
		ck_assert_ptr_null(cpuid_find(&cpuid, 0x1f, 0));
		ck_assert_ptr_null(cpuid_find(&cpuid, 0x8000001e, 0));
	}
}
END_TEST

START_TEST(topology_replaces_the_hosts)
{
	for (size_t i = 0; i < sizeof(topologies) / sizeof(topologies[0]); i++) {
		const struct topology *t = &topologies[i];
		struct cpuid cpuid = supported(HOST_P);
		/* A host's own topology, which older kernels pass on, and leaf 8000_001EH left out. */
		cpuid_find_writable(&cpuid, 0, 0)->eax = 0x1f;
		cpuid_find_writable(&cpuid, 1, 0)->ebx |= 0x55aa0000;
		cpuid_find_writable(&cpuid, 0x8000001d, 3)->eax |= 0x0ffd << 14;
		struct kvm_cpuid_entry2 *entry = cpuid_find_writable(&cpuid, 0x8000001e, 0);
		entry->function = 0xb;
		entry->index = 2;
		entry->flags = SUBLEAF;
		entry->eax = entry->ebx = entry->ecx = 0x777;
		cpuid_set_topology(&cpuid, t->id, t->nr);
		check_topology(&cpuid, t, 0xb);
		check_topology(&cpuid, t, 0x1f);
		ck_assert_uint_eq(cpuid_get(&cpuid, 0xb, 2, CPUID_EAX), 0);
		ck_assert_uint_eq(cpuid_get(&cpuid, 0xb, 2, CPUID_EBX), 0);
		ck_assert_uint_eq(cpuid_get(&cpuid, 0xb, 2, CPUID_ECX), 2);
		ck_assert_uint_eq(cpuid_get(&cpuid, 0xb, 2, CPUID_EDX), t->id);
		ck_assert_uint_eq(cpuid_get(&cpuid, 0x8000001d, 0, CPUID_EAX), 0x121);
		ck_assert_uint_eq(cpuid_get(&cpuid, 0x8000001d, 3, CPUID_EAX), t->amd_l3_eax);
		ck_assert_uint_eq(cpuid_get(&cpuid, 0x8000001e, 0, CPUID_EAX), t->id);
		ck_assert_uint_eq(cpuid_get(&cpuid, 0x8000001e, 0, CPUID_EBX), t->id);
		/* Without TOPOEXT the leaf means nothing. */
		struct cpuid plain = supported(HOST_P);
		change_named(&plain, "TOPOEXT", false);
		cpuid_set_topology(&plain, t->id, t->nr);
		ck_assert_uint_eq(cpuid_get(&plain, 0x8000001e, 0, CPUID_EAX), 0);
		/* Applying it again changes nothing. */
		struct cpuid again = cpuid;
		cpuid_set_topology(&again, t->id, t->nr);
		ck_assert_mem_eq(&again, &cpuid, sizeof(cpuid));
	}
}
END_TEST

START_TEST(a_full_table_stays_whole)
{
	struct cpuid cpuid = supported(HOST_P);
	cpuid.nent = 2; /* leaves 0 and 1 */
	while (cpuid.nent < CPUID_ENTRIES_MAX)
		cpuid.entries[cpuid.nent++] = (struct kvm_cpuid_entry2){ .function = 0x12345678 };
	cpuid_set_topology(&cpuid, 1, 2);
	ck_assert_uint_eq(cpuid.nent, CPUID_ENTRIES_MAX);
	ck_assert_ptr_null(cpuid_find(&cpuid, 0xb, 0));
	ck_assert_uint_eq(cpuid_get(&cpuid, 1, 0, CPUID_EBX), 0x01020800);
}
END_TEST

UNIT_MAIN("cpuid", supported_has_what_kvm_emulates, a_vcpus_table_has_as_many_leaves_as_were_given,
	  granted_is_what_a_vcpu_reads_back, leaves_are_found, features_have_names,
	  features_of_the_program_have_their_names, a_name_stands_for_one_bit, registers_have_names_for_people,
	  missing_features_are_named, what_kvm_does_itself_is_not_held_against_a_host,
	  numbers_must_not_exceed_the_hosts, state_components_must_stand_where_the_host_keeps_them,
	  baselines_are_parsed, a_baseline_is_the_same_on_every_host, a_baseline_has_the_level_and_no_more,
	  what_a_host_lacks_of_a_baseline_is_named, without_a_lapic_nothing_needs_one, topology_is_one_package_of_cores,
	  topology_replaces_the_hosts, a_full_table_stays_whole)
