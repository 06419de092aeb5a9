#include "unit.h"

#include <string.h>

#include "snapshot/state.h"

#define BUFFER_SIZE       12288 /* room for all components of both layouts */
#define HEADER            512   /* XSTATE_BV */
#define LEGACY_AND_HEADER 576

/* Where two CPUs want the components: leaf 0DH, subleaf by subleaf. */
struct position {
	unsigned feature;
	uint32_t offset, size;
};

/* clang-format off */

/* Without MPX the components move up (AMD). */
static const struct position layout_p[] = {
	{ XFEATURE_YMM_HI128, 0x240, 0x100 }, { XFEATURE_OPMASK, 0x340, 0x40 }, { XFEATURE_ZMM_HI256, 0x380, 0x200 },
	{ XFEATURE_HI16_ZMM, 0x580, 0x400 }, { XFEATURE_PKRU, 0x980, 8 },
};

/* With MPX and AMX (Intel). */
static const struct position layout_b[] = {
	{ XFEATURE_YMM_HI128, 0x240, 0x100 }, { XFEATURE_BNDREGS, 0x3c0, 0x40 }, { XFEATURE_BNDCSR, 0x400, 0x40 },
	{ XFEATURE_OPMASK, 0x440, 0x40 }, { XFEATURE_ZMM_HI256, 0x480, 0x200 }, { XFEATURE_HI16_ZMM, 0x680, 0x400 },
	{ XFEATURE_PKRU, 0xa80, 8 }, { XFEATURE_TILECFG, 0xac0, 0x40 }, { XFEATURE_TILEDATA, 0xb00, 0x2000 },
};

/* Where the same components stand in struct xsave_state. */
static const struct position canonical[] = {
	{ XFEATURE_YMM_HI128, offsetof(struct xsave_state, ymm_hi128), 0x100 },
	{ XFEATURE_BNDREGS, offsetof(struct xsave_state, bnd), 0x40 },
	{ XFEATURE_BNDCSR, offsetof(struct xsave_state, bndcfgu), 0x40 },
	{ XFEATURE_OPMASK, offsetof(struct xsave_state, k), 0x40 },
	{ XFEATURE_ZMM_HI256, offsetof(struct xsave_state, zmm_hi256), 0x200 },
	{ XFEATURE_HI16_ZMM, offsetof(struct xsave_state, hi16_zmm), 0x400 },
	{ XFEATURE_PKRU, offsetof(struct xsave_state, pkru), 8 },
	{ XFEATURE_TILECFG, offsetof(struct xsave_state, tile_palette), 0x40 },
	{ XFEATURE_TILEDATA, offsetof(struct xsave_state, tmm), 0x2000 },
};

/* clang-format on */

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

static struct cpuid host_p, host_b;
static uint8_t raw[BUFFER_SIZE], again[BUFFER_SIZE];
static struct xsave_state state, other;
static struct error err;

static void make_host(struct cpuid *host, const struct position *layout, size_t nr)
{
	memset(host, 0, sizeof(*host));
	host->nent = (uint32_t)nr + 2;
	/* Another leaf first, whose numbers must not be taken for a component's. */
	host->entries[0] =
		(struct kvm_cpuid_entry2){ .function = 4, .index = XFEATURE_OPMASK, .eax = 0x40, .ebx = 0x240 };
	host->entries[1] = (struct kvm_cpuid_entry2){ .function = 0xd, .index = 0, .eax = 7, .ebx = BUFFER_SIZE };
	for (size_t i = 0; i < nr; i++)
		host->entries[i + 2] = (struct kvm_cpuid_entry2){
			.function = 0xd, .index = layout[i].feature, .eax = layout[i].size, .ebx = layout[i].offset
		};
	for (uint32_t i = 0; i < host->nent; i++)
		host->entries[i].flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX;
}

static uint8_t pattern(unsigned feature, uint32_t byte)
{
	return (uint8_t)(1 + (byte * 7 + byte / 256 + feature * 31) % 255);
}

static uint64_t xstate_bv(const uint8_t *buffer)
{
	uint64_t value;
	memcpy(&value, buffer + HEADER, sizeof(value));
	return value;
}

static void set_xstate_bv(uint64_t value)
{
	memcpy(raw + HEADER, &value, sizeof(value));
}

/* A buffer as KVM gives it with every component of the layout in use and every byte told apart. */
static void fill(const struct position *layout, size_t nr)
{
	uint64_t bv = XFEATURE_BIT(XFEATURE_X87) | XFEATURE_BIT(XFEATURE_SSE);
	memset(raw, 0, sizeof(raw));
	for (uint32_t i = 0; i < 416; i++)
		raw[i] = pattern(0, i);
	raw[464] = 0xe7;
	for (size_t k = 0; k < nr; k++) {
		bv |= XFEATURE_BIT(layout[k].feature);
		for (uint32_t i = 0; i < layout[k].size; i++)
			raw[layout[k].offset + i] = pattern(layout[k].feature, i);
	}
	set_xstate_bv(bv);
}

static void setup(void)
{
	make_host(&host_p, layout_p, LENGTH(layout_p));
	make_host(&host_b, layout_b, LENGTH(layout_b));
	memset(&state, 0x5a, sizeof(state));
	memset(again, 0x5a, sizeof(again));
}

static int to_canonical(const struct cpuid *host)
{
	return xsave_to_canonical(host, (struct bytes){ raw, sizeof(raw) }, &state, &err);
}

static int from_canonical(const struct cpuid *host)
{
	return xsave_from_canonical(host, &state, again, sizeof(again), &err);
}

/* Nothing may be written by a call that fails. */
static void assert_buffer_untouched(void)
{
	for (size_t i = 0; i < sizeof(again); i++)
		ck_assert_uint_eq(again[i], 0x5a);
}

START_TEST(every_byte_of_every_component_is_placed_right)
{
	setup();
	fill(layout_b, LENGTH(layout_b));
	ck_assert_int_eq(to_canonical(&host_b), 0);
	const uint8_t *bytes = (const uint8_t *)&state;
	ck_assert_mem_eq(bytes, raw, LEGACY_AND_HEADER);
	for (size_t k = 0; k < LENGTH(canonical); k++)
		for (uint32_t i = 0; i < canonical[k].size; i++)
			ck_assert_msg(bytes[canonical[k].offset + i] == pattern(canonical[k].feature, i),
				      "xfeature %u, byte %u", canonical[k].feature, i);
	/* Numbers by their names, where SDM volume 1, 13.4.1 puts them. */
	ck_assert_mem_eq(&state.fsw, raw + 2, 2);
	ck_assert_uint_eq(state.ftw, raw[4]);
	ck_assert_mem_eq(&state.fop, raw + 6, 2);
	ck_assert_mem_eq(&state.mxcsr, raw + 24, 4);
	ck_assert_mem_eq(state.xmm[15], raw + 400, 16);
	ck_assert_uint_eq(state.software[0], 0xe7);
}
END_TEST

START_TEST(one_layout_goes_over_into_the_other_and_back)
{
	static uint8_t start[BUFFER_SIZE];
	setup();
	fill(layout_p, LENGTH(layout_p));
	memcpy(start, raw, sizeof(start));
	ck_assert_int_eq(to_canonical(&host_p), 0);
	ck_assert_int_eq(from_canonical(&host_p), 0);
	ck_assert_mem_eq(again, start, sizeof(start));
	/* P to B: the same components at B's places, and zeros elsewhere. */
	other = state;
	ck_assert_int_eq(from_canonical(&host_b), 0);
	memcpy(raw, again, sizeof(raw));
	ck_assert(memcmp(raw, start, sizeof(raw)) != 0);
	for (uint32_t i = 0; i < 0x40; i++)
		ck_assert_uint_eq(raw[0x440 + i], pattern(XFEATURE_OPMASK, i));
	for (uint32_t i = 0; i < 0x400; i++)
		ck_assert_uint_eq(raw[0x680 + i], pattern(XFEATURE_HI16_ZMM, i));
	ck_assert(bytes_are_zero(raw + 0x340, 0x440 - 0x340));
	ck_assert(bytes_are_zero(raw + 0xa88, sizeof(raw) - 0xa88));
	/* and back */
	ck_assert_int_eq(to_canonical(&host_b), 0);
	ck_assert_mem_eq(&state, &other, sizeof(state));
	ck_assert_int_eq(from_canonical(&host_p), 0);
	ck_assert_mem_eq(again, start, sizeof(start));
}
END_TEST

START_TEST(what_is_not_in_use_has_its_initial_bytes)
{
	setup();
	fill(layout_b, LENGTH(layout_b));
	set_xstate_bv(0);
	memset(raw + 0xa80, 0, 8); /* PKRU has a rule of its own */
	ck_assert_int_eq(to_canonical(&host_b), 0);
	ck_assert_uint_eq(state.fcw, 0x37f);
	ck_assert_uint_eq(state.mxcsr, 0x1f80);
	ck_assert(bytes_are_zero((const uint8_t *)&state + 2, 22));
	ck_assert(bytes_are_zero(state.st, sizeof(state.st) + sizeof(state.xmm)));
	ck_assert(bytes_are_zero(&state.xstate_bv, sizeof(state) - HEADER));
	/* One that is in use keeps the others out. */
	set_xstate_bv(XFEATURE_BIT(XFEATURE_OPMASK));
	ck_assert_int_eq(to_canonical(&host_b), 0);
	ck_assert_uint_eq(((const uint8_t *)state.k)[5], pattern(XFEATURE_OPMASK, 5));
	ck_assert(bytes_are_zero(state.ymm_hi128, sizeof(state.ymm_hi128)));
	ck_assert(bytes_are_zero(state.zmm_hi256, sizeof(state) - offsetof(struct xsave_state, zmm_hi256)));
}
END_TEST

START_TEST(mxcsr_belongs_to_sse)
{
	uint32_t rounding = 0x1fa0, initial = 0x1f80;
	setup();
	memset(raw, 0, sizeof(raw));
	set_xstate_bv(XFEATURE_BIT(XFEATURE_YMM_HI128));
	memcpy(raw + 24, &rounding, sizeof(rounding));
	ck_assert_int_eq(to_canonical(&host_p), 0);
	ck_assert_uint_eq(state.mxcsr, rounding);
	ck_assert_uint_eq(state.xstate_bv, XFEATURE_BIT(XFEATURE_YMM_HI128) | XFEATURE_BIT(XFEATURE_SSE));
	memcpy(raw + 24, &initial, sizeof(initial));
	ck_assert_int_eq(to_canonical(&host_p), 0);
	ck_assert_uint_eq(state.xstate_bv, XFEATURE_BIT(XFEATURE_YMM_HI128));
	/* With x87 alone it is not loaded. */
	memcpy(raw + 24, &rounding, sizeof(rounding));
	set_xstate_bv(XFEATURE_BIT(XFEATURE_X87));
	ck_assert_int_eq(to_canonical(&host_p), 0);
	ck_assert_uint_eq(state.mxcsr, initial);
	ck_assert_uint_eq(state.xstate_bv, XFEATURE_BIT(XFEATURE_X87));
}
END_TEST

START_TEST(pkru_is_kept_without_its_bit)
{
	setup();
	memset(raw, 0, sizeof(raw));
	raw[0x980] = 0x44;
	ck_assert_int_eq(to_canonical(&host_p), 0);
	ck_assert_uint_eq(state.pkru, 0x44);
	ck_assert_int_eq(from_canonical(&host_b), 0);
	ck_assert_uint_eq(xstate_bv(again), XFEATURE_BIT(XFEATURE_PKRU));
	ck_assert_uint_eq(again[0xa80], 0x44);
}
END_TEST

/* A kernel may give the bit with it or not; what is put always has it. */
START_TEST(a_pkru_of_0_is_in_its_initial_state)
{
	setup();
	for (unsigned with_bit = 0; with_bit < 2; with_bit++) {
		memset(raw, 0, sizeof(raw));
		set_xstate_bv(with_bit ? XFEATURE_BIT(XFEATURE_PKRU) : 0);
		ck_assert_int_eq(to_canonical(&host_b), 0);
		ck_assert_uint_eq(state.xstate_bv, 0);
		ck_assert_int_eq(from_canonical(&host_b), 0);
		ck_assert_uint_eq(xstate_bv(again), XFEATURE_BIT(XFEATURE_PKRU));
	}
}
END_TEST

START_TEST(a_component_without_a_row_is_refused_by_number)
{
	static const struct {
		unsigned feature;
		const char *text;
	} unknown[] = { { 8, "xfeature 8 (PT)" },    { 11, "xfeature 11 (CET_U)" }, { 12, "xfeature 12 (CET_S)" },
			{ 19, "xfeature 19 (APX)" }, { 20, "xfeature 20 " },        { 62, "xfeature 62 " } };
	for (size_t i = 0; i < LENGTH(unknown); i++) {
		setup();
		memset(raw, 0, sizeof(raw));
		set_xstate_bv(XFEATURE_BIT(unknown[i].feature));
		ck_assert_int_eq(to_canonical(&host_b), -ERROR_INTERNAL);
		ck_assert_ptr_nonnull(strstr(err.text, unknown[i].text));
		memset(&state, 0, sizeof(state));
		state.xstate_bv = XFEATURE_BIT(unknown[i].feature);
		ck_assert_int_eq(from_canonical(&host_b), -ERROR_DATA);
		ck_assert_ptr_nonnull(strstr(err.text, unknown[i].text));
		assert_buffer_untouched();
	}
}
END_TEST

START_TEST(a_component_that_the_host_lacks_is_refused_by_name)
{
	setup();
	fill(layout_b, LENGTH(layout_b));
	set_xstate_bv(XFEATURE_BIT(XFEATURE_TILEDATA));
	memset(raw + 0xa80, 0, 8);
	ck_assert_int_eq(to_canonical(&host_b), 0);
	ck_assert_int_eq(from_canonical(&host_p), -ERROR_DIFFERENT);
	ck_assert_ptr_nonnull(strstr(err.text, "TILEDATA"));
	assert_buffer_untouched();
	ck_assert_int_eq(from_canonical(&host_b), 0);
}
END_TEST

START_TEST(a_buffer_that_is_not_kvms_is_refused)
{
	setup();
	fill(layout_p, LENGTH(layout_p));
	raw[HEADER + 8] = 1;
	ck_assert_int_eq(to_canonical(&host_p), -ERROR_INTERNAL);
	ck_assert_ptr_nonnull(strstr(err.text, "XCOMP_BV"));
	raw[HEADER + 8] = 0;
	/* What could not be put back later. */
	raw[HEADER + 63] = 1;
	ck_assert_int_eq(to_canonical(&host_p), -ERROR_INTERNAL);
	ck_assert_ptr_nonnull(strstr(err.text, "reserved byte of the header"));
	raw[HEADER + 63] = 0;
	ck_assert_int_eq(xsave_to_canonical(&host_p, (struct bytes){ raw, 575 }, &state, &err), -ERROR_INTERNAL);
	ck_assert_ptr_nonnull(strstr(err.text, "a buffer of 575 bytes"));
	/* PKRU, the last of P's, ends at 0x988. */
	ck_assert_int_eq(xsave_to_canonical(&host_p, (struct bytes){ raw, 0x987 }, &state, &err), -ERROR_INTERNAL);
	ck_assert_ptr_nonnull(strstr(err.text, "PKRU"));
	ck_assert_int_eq(xsave_to_canonical(&host_p, (struct bytes){ raw, 0x988 }, &state, &err), 0);
	ck_assert_int_eq(xsave_from_canonical(&host_p, &state, again, 0x987, &err), -ERROR_INTERNAL);
	ck_assert_int_eq(xsave_from_canonical(&host_p, &state, again, 575, &err), -ERROR_INTERNAL);
	ck_assert_ptr_nonnull(strstr(err.text, "a buffer of 575 bytes"));
	assert_buffer_untouched();
	/* A CPU with another idea of a component's size. */
	host_p.entries[3].eax = 0x80;
	ck_assert_int_eq(to_canonical(&host_p), -ERROR_INTERNAL);
	ck_assert_ptr_nonnull(strstr(err.text, "opmask"));
	host_p.entries[3].eax = 0x40;
	host_p.entries[3].ebx = LEGACY_AND_HEADER - 1;
	ck_assert_int_eq(to_canonical(&host_p), -ERROR_INTERNAL);
	ck_assert_ptr_nonnull(strstr(err.text, "opmask"));
}
END_TEST

START_TEST(bytes_of_no_component_are_not_lost_silently)
{
	/* Before, between and behind the components of B, the last byte of all; named by where the gap begins. */
	static const struct {
		uint32_t at;
		const char *text;
	} gaps[] = { { 0x340, "0x340 to 0x3bf" }, { 0x3bf, "0x340 to 0x3bf" },    { 0xa88, "0xa88 to 0xabf" },
		     { 0xabf, "0xa88 to 0xabf" }, { 0x2b00, "0x2b00 to 0x2fff" }, { 0x2fff, "0x2b00 to 0x2fff" } };
	for (size_t i = 0; i < LENGTH(gaps); i++) {
		setup();
		fill(layout_b, LENGTH(layout_b));
		raw[gaps[i].at] = 1;
		ck_assert_int_eq(to_canonical(&host_b), -ERROR_INTERNAL);
		ck_assert_msg(strstr(err.text, gaps[i].text) != NULL, "%s: %s", gaps[i].text, err.text);
	}
}
END_TEST

START_TEST(a_state_that_contradicts_itself_is_refused)
{
	static const struct {
		const char *name;
		uint32_t offset;
	} wrong[] = {
		{ "fcw", offsetof(struct xsave_state, fcw) },
		{ "mxcsr", offsetof(struct xsave_state, mxcsr) },
		{ "st[2].value", offsetof(struct xsave_state, st[2]) },
		{ "xmm[3]", offsetof(struct xsave_state, xmm[3]) },
		{ "reserved byte of the header", offsetof(struct xsave_state, reserved_header) },
		{ "XCOMP_BV", offsetof(struct xsave_state, xcomp_bv) },
		{ "ymm_hi128[15]", offsetof(struct xsave_state, ymm_hi128[15]) },
		{ "k[7]", offsetof(struct xsave_state, k[7]) },
		{ "xstate_bv", offsetof(struct xsave_state, pkru) },
		{ "tmm[0]", offsetof(struct xsave_state, tmm[0]) },
	};
	for (size_t i = 0; i < LENGTH(wrong); i++) {
		setup();
		memset(raw, 0, sizeof(raw));
		ck_assert_int_eq(to_canonical(&host_b), 0);
		((uint8_t *)&state)[wrong[i].offset] ^= 1;
		ck_assert_int_eq(from_canonical(&host_b), -ERROR_DATA);
		ck_assert_msg(strstr(err.text, wrong[i].name) != NULL, "%s: %s", wrong[i].name, err.text);
		assert_buffer_untouched();
	}
}
END_TEST

UNIT_MAIN("xsave", every_byte_of_every_component_is_placed_right, one_layout_goes_over_into_the_other_and_back,
	  what_is_not_in_use_has_its_initial_bytes, mxcsr_belongs_to_sse, pkru_is_kept_without_its_bit,
	  a_pkru_of_0_is_in_its_initial_state, a_component_without_a_row_is_refused_by_number,
	  a_component_that_the_host_lacks_is_refused_by_name, a_buffer_that_is_not_kvms_is_refused,
	  bytes_of_no_component_are_not_lost_silently, a_state_that_contradicts_itself_is_refused)
