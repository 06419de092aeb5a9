#include "unit.h"

#include <errno.h>
#include <string.h>

#include "tests/model/kvm_model.h"
#include "vmm/kvm_reg.h"

#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))

#define SSP KVM_X86_REG_SYNTHETIC_MSR(KVM_REG_GUEST_SSP)

/* MSR numbers of Linux's lists (arch/x86/kvm: msrs_to_save_base and _pmu, emulated_msrs_all, msr_based_features). */
static const uint32_t linux_msrs[] = {
	0x174,      0x175,      0x176,      0xc0000081, 0xc0000083, 0xc0000102, 0xc0000084, 0xc0000082, 0x10,
	0x277,      0xc0010117, 0x3a,       0xd90,      0xc0000103, 0x48,       0x122,      0x570,      0x571,
	0x572,      0x560,      0x561,      0x580,      0x581,      0x582,      0x583,      0x584,      0x585,
	0x586,      0x587,      0xe1,       0x1c4,      0x1c5,      0xda0,      0x6a0,      0x6a2,      0x6a4,
	0x6a5,      0x6a6,      0x6a7,      0x6a8,      0x1d9,      0x1db,      0x1dc,      0x1dd,      0x1de,
	0x309,      0x30a,      0x30b,      0x38d,      0x38e,      0x38f,      0x390,      0x3f1,      0x600,
	0x3f2,      0xc1,       0xc2,       0xc3,       0xc4,       0xc5,       0xc6,       0xc7,       0xc8,
	0x186,      0x187,      0x188,      0x189,      0x18a,      0x18b,      0x18c,      0x18d,      0xc0010000,
	0xc0010001, 0xc0010002, 0xc0010003, 0xc0010004, 0xc0010005, 0xc0010006, 0xc0010007, 0xc0010200, 0xc0010201,
	0xc0010202, 0xc0010203, 0xc0010204, 0xc0010205, 0xc0010206, 0xc0010207, 0xc0010208, 0xc0010209, 0xc001020a,
	0xc001020b, 0xc0000300, 0xc0000301, 0xc0000302, 0xc0000303, 0x12,       0x11,       0x4b564d01, 0x4b564d00,
	0x40000000, 0x40000001, 0x40000020, 0x40000021, 0x40000022, 0x40000023, 0x40000100, 0x40000101, 0x40000102,
	0x40000103, 0x40000104, 0x40000105, 0x40000003, 0x40000002, 0x40000010, 0x40000080, 0x400000b0, 0x40000073,
	0x40000106, 0x40000107, 0x40000108, 0x40000118, 0x400000ff, 0x400000f1, 0x400000f2, 0x400000f3, 0x400000f4,
	0x400000f5, 0x4b564d02, 0x4b564d03, 0x4b564d04, 0x4b564d06, 0x4b564d07, 0x3b,       0x6e0,      0x10a,
	0x345,      0x1a0,      0x17a,      0x17b,      0x4d0,      0x9e,       0x34,       0xce,       0x140,
	0xc001011f, 0xc0000104, 0x1fc,      0x8b,       0x480,      0x481,      0x482,      0x483,      0x484,
	0x485,      0x486,      0x487,      0x488,      0x489,      0x48a,      0x48b,      0x48c,      0x48d,
	0x48e,      0x48f,      0x490,      0x491,      0x492,      0x493,      0xc0010015, 0x4b564d05, 0xc0011029,
	0x4b564d08, 0xc0000080, 0x1b,       0xc0000100, 0xc0000101,
};

START_TEST(ids_are_those_of_the_abi)
{
	ck_assert_uint_eq(KVM_X86_REG_MSR(0xc0000082), 0x20300002c0000082);
	ck_assert_uint_eq(SSP, 0x2030000300000000);
	ck_assert_uint_eq(KVM_X86_REG_KVM(7), 0x2030000300000007);
	ck_assert(kvm_reg_is_msr(0x2030000200000010) && !kvm_reg_is_synthetic(0x2030000200000010));
	ck_assert(kvm_reg_is_synthetic(SSP) && !kvm_reg_is_msr(SSP));
	ck_assert_uint_eq(kvm_reg_index(0x20300002c0000082), 0xc0000082);
	/* Another architecture, size, type, and a reserved bit. */
	static const uint64_t wrong[] = { 0x3030000200000010, 0x2020000200000010, 0x2030000400000010,
					  0x2030010200000010, 0x2038000200000010, 0x10 };
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
		ck_assert(!kvm_reg_is_msr(wrong[i]) && !kvm_reg_is_synthetic(wrong[i]));
}
END_TEST

/* Where MSRs have names. */
static const struct {
	uint32_t first, last;
} ranges[] = { { 0, 0x1700 },
	       { 0x40000000, 0x40000120 },
	       { 0x4b564d00, 0x4b564d10 },
	       { 0xc0000080, 0xc0000310 },
	       { 0xc0010000, 0xc0010340 },
	       { 0xc0011020, 0xc0011030 } };

START_TEST(rows_are_found)
{
	unsigned nr = 0, nr_named = 0;
	for (size_t i = 0; i < ARRAY_SIZE(ranges); i++) {
		for (uint32_t index = ranges[i].first; index <= ranges[i].last; index++) {
			char name[KVM_REG_NAME_MAX];
			const struct kvm_reg_info *info = kvm_reg_info(KVM_X86_REG_MSR(index));
			kvm_reg_name(KVM_X86_REG_MSR(index), name);
			bool is_named = strncmp(name, "MSR_", 4) != 0;
			ck_assert_msg(info == NULL || (info->msr == index && is_named), "%s", name);
			nr += info != NULL;
			nr_named += is_named;
		}
	}
	ck_assert_uint_gt(nr, 40);
	ck_assert_uint_gt(nr_named, 700);
	ck_assert_ptr_null(kvm_reg_info(KVM_X86_REG_MSR(0x400)));
	ck_assert_ptr_null(kvm_reg_info(SSP));
	ck_assert_uint_eq(kvm_reg_info(KVM_X86_REG_MSR(0x277))->reset, 0x0007040600070406);
}
END_TEST

static void assert_round_trip(uint64_t id)
{
	char name[KVM_REG_NAME_MAX];
	uint64_t parsed = 0;
	kvm_reg_name(id, name);
	ck_assert_msg(kvm_reg_parse(name, &parsed) && parsed == id, "%s (0x%llx) reads back as 0x%llx", name,
		      (unsigned long long)id, (unsigned long long)parsed);
}

/* A name that two registers have reads back as one of them, so this finds doubles too. */
START_TEST(every_name_reads_back_as_its_register)
{
	for (size_t i = 0; i < ARRAY_SIZE(ranges); i++)
		for (uint32_t index = ranges[i].first; index <= ranges[i].last; index++)
			assert_round_trip(KVM_X86_REG_MSR(index));
	assert_round_trip(KVM_X86_REG_SYNTHETIC_MSR(7));
	assert_round_trip(0x3030000200000010);
}
END_TEST

START_TEST(what_linux_lists_has_a_name)
{
	for (size_t i = 0; i < ARRAY_SIZE(linux_msrs); i++) {
		char name[KVM_REG_NAME_MAX];
		kvm_reg_name(KVM_X86_REG_MSR(linux_msrs[i]), name);
		ck_assert_msg(strncmp(name, "MSR_", 4) != 0, "%s has no name", name);
	}
}
END_TEST

START_TEST(names_of_families_and_of_the_nameless)
{
	static const struct {
		uint64_t id;
		const char *name;
	} rows[] = {
		{ KVM_X86_REG_MSR(0x200), "IA32_MTRR_PHYSBASE0" },
		{ KVM_X86_REG_MSR(0x207), "IA32_MTRR_PHYSMASK3" },
		{ KVM_X86_REG_MSR(0x213), "IA32_MTRR_PHYSMASK9" },
		{ KVM_X86_REG_MSR(0x214), "MSR_0x00000214" },
		{ KVM_X86_REG_MSR(0x40e), "IA32_MC3_ADDR" },
		{ KVM_X86_REG_MSR(0x283), "IA32_MC3_CTL2" },
		{ KVM_X86_REG_MSR(0xc1), "IA32_PMC0" },
		{ KVM_X86_REG_MSR(0x18d), "IA32_PERFEVTSEL7" },
		{ KVM_X86_REG_MSR(0xc0010203), "PERF_CTR1" },
		{ KVM_X86_REG_MSR(0x69f), "LASTBRANCH_31_FROM_IP" },
		{ KVM_X86_REG_MSR(0x26b), "IA32_MTRR_FIX4K_D8000" },
		{ KVM_X86_REG_MSR(0x1ff), "MSR_0x000001ff" },
		{ SSP, "GUEST_SSP" },
		{ SSP + 7, "SYNTHETIC_0x00000007" },
		{ 0x3030000200000010, "0x3030000200000010" },
	};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char name[KVM_REG_NAME_MAX];
		kvm_reg_name(rows[i].id, name);
		ck_assert_str_eq(name, rows[i].name);
	}
}
END_TEST

START_TEST(names_and_numbers_are_read)
{
	static const struct {
		const char *name;
		uint64_t id;
	} good[] = {
		{ "ia32_lstar", KVM_X86_REG_MSR(0xc0000082) },
		{ "0xC0000082", KVM_X86_REG_MSR(0xc0000082) },
		{ "0x10", KVM_X86_REG_MSR(0x10) },
		{ "0x2030000200000010", KVM_X86_REG_MSR(0x10) },
		{ "msr_0x000001FF", KVM_X86_REG_MSR(0x1ff) },
		{ "guest_ssp", SSP },
		{ "synthetic_0x7", SSP + 7 },
		{ "ia32_mc31_status", KVM_X86_REG_MSR(0x47d) },
	};
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		uint64_t id = 0;
		ck_assert_msg(kvm_reg_parse(good[i].name, &id), "%s", good[i].name);
		ck_assert_uint_eq(id, good[i].id);
	}
	static const char *const bad[] = { "",       "0x",     "IA32_MC32_STATUS",    "IA32_MC", "0x10 ",
					   "10",     "0x-1",   "MSR_0x100000000",     "MSR_",    "0x12345678901234567",
					   "0x0x10", "MSR_10", "SYNTHETIC_GUEST_SSP", "LSTAR",   "IA32_PMC00" };
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		uint64_t id = 77;
		ck_assert_msg(!kvm_reg_parse(bad[i], &id), "%s", bad[i]);
		ck_assert_uint_eq(id, 77);
	}
}
END_TEST

START_TEST(values_are_decoded)
{
	static const struct {
		const char *bits;
		uint64_t value;
		const char *text;
	} rows[] = {
		{ efer_bits, 0x501, "SCE LME LMA" },
		{ efer_bits, 0, "" },
		{ efer_bits, 0x8000000000000001, "SCE OTHER=0x8000000000000000" },
		{ cr0_bits, 0x80050033, "PE MP ET NE WP AM PG" },
		{ cr4_bits, 0x800620, "PAE OSFXSR OSXMMEXCPT CET" },
		{ xcr0_bits, 0xe7, "X87 SSE AVX OPMASK ZMM_HI256 HI16_ZMM" },
		{ rflags_bits, 0x3246, "PF ZF IF IOPL=0x3" },
		{ rflags_bits, 0x2, "" },
		{ dr6_bits, 0xffff4ff0, "NO_BLD BS NO_RTM" },
		{ dr7_bits, 0x90402, "G0 RW0=0x1 LEN0=0x2" },
		{ NULL, 0xff, "" },
	};
	char text[128];
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		kvm_reg_decode(rows[i].bits, rows[i].value, text, sizeof(text));
		ck_assert_str_eq(text, rows[i].text);
	}
	kvm_reg_decode(kvm_reg_info(KVM_X86_REG_MSR(0x1b))->bits, 0xfee00800, text, sizeof(text));
	ck_assert_str_eq(text, "ENABLE BASE=0xfee00");
	kvm_reg_decode(kvm_reg_info(KVM_X86_REG_MSR(0x277))->bits, 0x0007040600070406, text, sizeof(text));
	ck_assert_str_eq(text, "PA0=0x6 PA1=0x4 PA2=0x7 PA4=0x6 PA5=0x4 PA6=0x7");
}
END_TEST

START_TEST(differences_are_decoded)
{
	char text[128];
	kvm_reg_decode_difference(efer_bits, 0x501, 0xd00, text, sizeof(text));
	ck_assert_str_eq(text, "-SCE +NXE");
	kvm_reg_decode_difference(kvm_reg_info(KVM_X86_REG_MSR(0x1b))->bits, 0x1900, 0x2800, text, sizeof(text));
	ck_assert_str_eq(text, "-BSP BASE: 0x1 -> 0x2");
	kvm_reg_decode_difference(efer_bits, 0x1, 0x8003, text, sizeof(text));
	ck_assert_str_eq(text, "+TCE OTHER: 0x0 -> 0x2");
	kvm_reg_decode_difference(rflags_bits, 0x2, 0x0, text, sizeof(text));
	ck_assert_str_eq(text, "OTHER: 0x2 -> 0x0");
	kvm_reg_decode_difference(efer_bits, 0x501, 0x501, text, sizeof(text));
	ck_assert_str_eq(text, "");
	kvm_reg_decode_difference(NULL, 1, 2, text, sizeof(text));
	ck_assert_str_eq(text, "");
}
END_TEST

START_TEST(decoding_stays_inside_its_buffer)
{
	for (size_t size = 0; size <= 12; size++) {
		char text[16];
		memset(text, '#', sizeof(text));
		kvm_reg_decode(efer_bits, 0x501, text, size);
		if (size > 0)
			ck_assert_int_eq(strncmp(text, "SCE LME LMA", strlen(text)), 0);
		for (size_t i = size; i < sizeof(text); i++)
			ck_assert_int_eq(text[i], '#');
	}
}
END_TEST

static void assert_no_overlap(const char *list)
{
	struct kvm_reg_bits bits;
	unsigned next = 0;
	while (kvm_reg_bits_next(&list, &bits)) {
		ck_assert_msg(bits.low >= next && bits.width > 0 && bits.low + bits.width <= 64, "%s", bits.name);
		ck_assert_msg(strchr(bits.name, ' ') == NULL, "%s", bits.name);
		next = bits.low + bits.width;
	}
}

START_TEST(bit_tables_do_not_overlap)
{
	const char *const others[] = { xcr0_bits, rflags_bits, dr6_bits, dr7_bits };
	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		assert_no_overlap(others[i]);
	for (size_t i = 0; i < ARRAY_SIZE(ranges); i++) {
		for (uint32_t index = ranges[i].first; index <= ranges[i].last; index++) {
			const struct kvm_reg_info *info = kvm_reg_info(KVM_X86_REG_MSR(index));
			if (info != NULL)
				assert_no_overlap(info->bits);
		}
	}
}
END_TEST

/* A vCPU of either form with a few MSRs of each kind. */
#define UNKNOWN     0x1234
#define LSTAR       0xc0000082
#define EFER        0xc0000080
#define READ_ONLY   0x1fc
#define UNSUPPORTED 0x34
#define UNLISTED    0x35
#define MSRS()                                                                                                         \
	{                                                                                                              \
		{ .index = LSTAR, .value = 0x1000, .is_listed = true },                                                \
			{ .index = EFER, .value = 0x501, .reserved = 1ull << 63 },                                     \
			{ .index = READ_ONLY, .value = 5, .is_read_only = true, .is_listed = true },                   \
			{ .index = UNSUPPORTED, .value = 9, .is_unsupported = true, .is_listed = true },               \
			{ .index = UNLISTED, .is_unsupported = true },                                                 \
	}

static const enum kvm_model_form forms[] = { KVM_MODEL_MERGED, KVM_MODEL_V13 };
static const enum kvm_reg_access accesses[] = { KVM_REG_ACCESS_ONE_REG, KVM_REG_ACCESS_MSRS };

static void assert_refused(int result)
{
	ck_assert_int_eq(result, -1);
	ck_assert_int_eq(errno, EINVAL);
	errno = 0;
}

static void check_access(int fd, enum kvm_reg_access access, struct kvm_model *model)
{
	uint64_t value = 77;
	ck_assert_int_eq(kvm_reg_get(fd, access, KVM_X86_REG_MSR(LSTAR), &value), 0);
	ck_assert_uint_eq(value, 0x1000);
	ck_assert_int_eq(kvm_reg_set(fd, access, KVM_X86_REG_MSR(LSTAR), 0x2000), 0);
	ck_assert_uint_eq(model->msrs[0].value, 0x2000);
	ck_assert_int_eq(kvm_reg_get(fd, access, KVM_X86_REG_MSR(UNSUPPORTED), &value), 0);
	ck_assert_uint_eq(value, 0);
	ck_assert_int_eq(kvm_reg_set(fd, access, KVM_X86_REG_MSR(UNSUPPORTED), 0), 0);

	/* What v13 answers with a positive number is a failure all the same, and leaves the output alone. */
	value = 77;
	assert_refused(kvm_reg_get(fd, access, KVM_X86_REG_MSR(UNKNOWN), &value));
	assert_refused(kvm_reg_get(fd, access, KVM_X86_REG_MSR(UNLISTED), &value));
	ck_assert_uint_eq(value, 77);
	assert_refused(kvm_reg_set(fd, access, KVM_X86_REG_MSR(UNKNOWN), 0));
	assert_refused(kvm_reg_set(fd, access, KVM_X86_REG_MSR(UNSUPPORTED), 1));
	assert_refused(kvm_reg_set(fd, access, KVM_X86_REG_MSR(READ_ONLY), 5));
	assert_refused(kvm_reg_set(fd, access, KVM_X86_REG_MSR(EFER), 1ull << 63));

	model->fail_errno = ENOMEM;
	ck_assert_int_eq(kvm_reg_get(fd, access, KVM_X86_REG_MSR(LSTAR), &value), -1);
	ck_assert_int_eq(errno, ENOMEM);
	ck_assert_int_eq(kvm_reg_set(fd, access, KVM_X86_REG_MSR(LSTAR), 1), -1);
	model->fail_errno = 0;
}

START_TEST(registers_are_read_and_written)
{
	for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
		for (size_t k = 0; k < ARRAY_SIZE(accesses); k++) {
			struct kvm_model_msr msrs[] = MSRS();
			struct kvm_model model = { .form = forms[i], .msrs = msrs, .nr_msrs = ARRAY_SIZE(msrs) };
			int fd = kvm_model_open(&model);
			check_access(fd, accesses[k], &model);
			kvm_model_close(fd);
		}
	}
}
END_TEST

START_TEST(ssp_is_reached_by_one_reg_only)
{
	struct kvm_model model = { .form = KVM_MODEL_MERGED, .has_shstk = true, .ssp = 0x4000 };
	int fd = kvm_model_open(&model);
	uint64_t value = 0;
	ck_assert_int_eq(kvm_reg_get(fd, KVM_REG_ACCESS_ONE_REG, SSP, &value), 0);
	ck_assert_uint_eq(value, 0x4000);
	ck_assert_int_eq(kvm_reg_set(fd, KVM_REG_ACCESS_ONE_REG, SSP, 0x8008), 0);
	ck_assert_uint_eq(model.ssp, 0x8008);
	assert_refused(kvm_reg_set(fd, KVM_REG_ACCESS_ONE_REG, SSP, 0x8002));
	unsigned nr_calls = model.nr_calls;
	assert_refused(kvm_reg_get(fd, KVM_REG_ACCESS_MSRS, SSP, &value));
	assert_refused(kvm_reg_set(fd, KVM_REG_ACCESS_MSRS, SSP, 0));
	ck_assert_uint_eq(model.nr_calls, nr_calls);
	kvm_model_close(fd);
}
END_TEST

START_TEST(the_private_number_never_reaches_the_kernel)
{
	uint64_t id = KVM_X86_REG_MSR(0x4b564dff), value;
	struct kvm_model_msr msrs[] = { { .index = 0x4b564dff, .is_listed = true } };
	struct kvm_model model = { .form = KVM_MODEL_MERGED, .has_shstk = true, .msrs = msrs, .nr_msrs = 1 };
	int fd = kvm_model_open(&model);
	for (size_t i = 0; i < ARRAY_SIZE(accesses); i++) {
		assert_refused(kvm_reg_get(fd, accesses[i], id, &value));
		assert_refused(kvm_reg_set(fd, accesses[i], id, 0));
	}
	struct kvm_reg_value many = { .id = id };
	bool ok = true;
	ck_assert_int_eq(kvm_reg_get_many(fd, &many, 1, &ok, NULL), 0);
	ck_assert(!ok);
	ck_assert(!model.private_ssp_was_used);
	kvm_model_close(fd);
}
END_TEST

/* 400 MSRs do not fit one call; every seventh is refused, and SSP stands among them. */
#define MANY 400
START_TEST(many_are_read_in_few_calls)
{
	struct kvm_model_msr msrs[MANY];
	struct kvm_reg_value values[MANY + 1];
	bool ok[MANY + 1];
	for (uint32_t i = 0; i < MANY; i++) {
		msrs[i] = (struct kvm_model_msr){ .index = i, .value = i + 1000, .is_unsupported = i % 7 == 0 };
		values[i] = (struct kvm_reg_value){ .id = KVM_X86_REG_MSR(i) };
	}
	values[MANY] = values[100];
	values[100].id = SSP;
	struct kvm_model model = {
		.form = KVM_MODEL_MERGED, .has_shstk = true, .ssp = 0x4000, .msrs = msrs, .nr_msrs = MANY
	};
	int fd = kvm_model_open(&model);
	ck_assert_int_eq(kvm_reg_get_many(fd, values, MANY + 1, ok, NULL), 0);
	for (uint32_t i = 0; i <= MANY; i++) {
		uint32_t index = kvm_reg_index(values[i].id);
		bool is_ssp = values[i].id == SSP;
		ck_assert_msg(ok[i] == (is_ssp || index % 7 != 0), "register %u", i);
		if (ok[i])
			ck_assert_uint_eq(values[i].value, is_ssp ? 0x4000 : index + 1000);
	}
	for (uint32_t i = 0; i < MANY; i++)
		msrs[i].is_unsupported = false;
	model.nr_calls = 0;
	ck_assert_int_eq(kvm_reg_get_many(fd, values, MANY + 1, ok, NULL), 0);
	ck_assert_uint_lt(model.nr_calls, 8);
	ck_assert_int_eq(kvm_reg_get_many(fd, values, 0, ok, NULL), 0);
	struct error err;
	model.fail_errno = EIO;
	ck_assert_int_eq(kvm_reg_get_many(fd, values, MANY, ok, &err), -ERROR_SYSTEM);
	kvm_model_close(fd);
}
END_TEST

START_TEST(lists_of_msrs_have_a_limit)
{
	static struct kvm_model_msr msrs[KVM_REG_LIST_MAX + 1];
	for (uint32_t i = 0; i < ARRAY_SIZE(msrs); i++)
		msrs[i] = (struct kvm_model_msr){ .index = i, .is_listed = true };
	struct kvm_model model = { .form = KVM_MODEL_MERGED, .msrs = msrs };
	int fd = kvm_model_open(&model);
	static const size_t lengths[] = { 0, 1, 40, KVM_REG_LIST_MAX };
	uint64_t *ids = NULL;
	size_t nr = 77;
	for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
		model.nr_msrs = lengths[i];
		ck_assert_int_eq(kvm_reg_list_msrs(fd, &ids, &nr, NULL), 0);
		ck_assert_uint_eq(nr, lengths[i]);
		for (size_t k = 0; k < nr; k++)
			ck_assert_uint_eq(ids[k], KVM_X86_REG_MSR(k));
		free(ids);
	}
	struct error err;
	ids = NULL;
	model.nr_msrs = KVM_REG_LIST_MAX + 1;
	ck_assert_int_eq(kvm_reg_list_msrs(fd, &ids, &nr, &err), -ERROR_INTERNAL);
	ck_assert_ptr_nonnull(strstr(err.text, "1025"));
	model.fail_errno = EIO;
	model.nr_msrs = 1;
	ck_assert_int_eq(kvm_reg_list_msrs(fd, &ids, &nr, &err), -ERROR_SYSTEM);
	ck_assert_ptr_null(ids);
	ck_assert_uint_eq(nr, KVM_REG_LIST_MAX);
	kvm_model_close(fd);
}
END_TEST

START_TEST(lists_of_synthetic_registers_grow)
{
	static uint64_t list[KVM_REG_LIST_MAX + 1];
	for (uint32_t i = 0; i < ARRAY_SIZE(list); i++)
		list[i] = KVM_X86_REG_SYNTHETIC_MSR(i);
	struct kvm_model model = { .form = KVM_MODEL_MERGED, .has_shstk = true };
	int fd = kvm_model_open(&model);
	uint64_t *ids = NULL;
	size_t nr = 77;
	ck_assert_int_eq(kvm_reg_list_synthetic(fd, &ids, &nr, NULL), 0);
	ck_assert_uint_eq(nr, 1);
	ck_assert_uint_eq(ids[0], SSP);
	free(ids);
	model.list = list;
	model.nr_list = KVM_REG_LIST_MAX;
	ck_assert_int_eq(kvm_reg_list_synthetic(fd, &ids, &nr, NULL), 0);
	ck_assert_uint_eq(nr, KVM_REG_LIST_MAX);
	ck_assert_uint_eq(ids[nr - 1], SSP + nr - 1);
	free(ids);
	struct error err;
	ids = NULL;
	model.nr_list = KVM_REG_LIST_MAX + 1;
	ck_assert_int_eq(kvm_reg_list_synthetic(fd, &ids, &nr, &err), -ERROR_INTERNAL);
	model.nr_list = 1;
	model.fail_errno = EIO;
	ck_assert_int_eq(kvm_reg_list_synthetic(fd, &ids, &nr, &err), -ERROR_SYSTEM);
	ck_assert_ptr_null(ids);
	kvm_model_close(fd);
}
END_TEST

START_TEST(a_kernel_without_synthetic_registers_lists_none)
{
	static const struct {
		enum kvm_model_form form;
		bool has_one_reg;
	} rows[] = { { KVM_MODEL_NONE, false }, { KVM_MODEL_V13, true }, { KVM_MODEL_MERGED, true } };
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct kvm_model model = { .form = rows[i].form };
		int fd = kvm_model_open(&model);
		uint64_t *ids;
		size_t nr = 77;
		ck_assert_int_eq(kvm_reg_has_one_reg(fd), rows[i].has_one_reg);
		ck_assert_int_eq(kvm_reg_list_synthetic(fd, &ids, &nr, NULL), 0);
		ck_assert_uint_eq(nr, 0);
		free(ids);
		kvm_model_close(fd);
	}
}
END_TEST

UNIT_MAIN("kvm_reg", ids_are_those_of_the_abi, rows_are_found, every_name_reads_back_as_its_register,
	  what_linux_lists_has_a_name, names_of_families_and_of_the_nameless, names_and_numbers_are_read,
	  values_are_decoded, differences_are_decoded, decoding_stays_inside_its_buffer, bit_tables_do_not_overlap,
	  registers_are_read_and_written, ssp_is_reached_by_one_reg_only, the_private_number_never_reaches_the_kernel,
	  many_are_read_in_few_calls, lists_of_msrs_have_a_limit, lists_of_synthetic_registers_grow,
	  a_kernel_without_synthetic_registers_lists_none)
