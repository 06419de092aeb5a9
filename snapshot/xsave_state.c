#include "xsave_state.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "components.h"
#include "restoring.h"
#include "state.h"
#include "vmm/kvm_reg.h"

#define LEAF_XSAVE        0xd /* SDM volume 1, 13.2 */
#define LEGACY_AND_HEADER 576 /* bytes, SDM volume 1, 13.4 */
#define FIRST_EXTENDED    XFEATURE_YMM_HI128
#define FCW_INITIAL       0x37f /* SDM volume 1, 13.6 */
#define MXCSR_INITIAL     0x1f80

#define TYPE struct xsave_state
_Static_assert(offsetof(TYPE, st) == 32 && offsetof(TYPE, xmm) == 160 && offsetof(TYPE, xstate_bv) == 512, "FXSAVE");
_Static_assert(offsetof(TYPE, ymm_hi128) == LEGACY_AND_HEADER, "header");

/* clang-format off */

static const struct field st_fields[] = {
	FIELD(struct xsave_st, value),
	FIELD_PAD(struct xsave_st, reserved),
};
static const struct schema st_schema = SCHEMA("st", sizeof(struct xsave_st), st_fields);

static const struct field bound_fields[] = {
	FIELD(struct xsave_bound, lower),
	FIELD(struct xsave_bound, upper),
};
static const struct schema bound_schema = SCHEMA("bnd", sizeof(struct xsave_bound), bound_fields);

static const struct field xsave_fields[] = {
	FIELD(TYPE, fcw),
	FIELD(TYPE, fsw),
	FIELD(TYPE, ftw),
	FIELD_PAD(TYPE, reserved_ftw),
	FIELD(TYPE, fop),
	FIELD(TYPE, fip),
	FIELD(TYPE, fdp),
	FIELD(TYPE, mxcsr),
	FIELD(TYPE, mxcsr_mask, VOLATILE("it is the host CPU's mask of MXCSR's bits")),
	FIELD_SUB_ARRAY(TYPE, st, &st_schema),
	FIELD_ARRAY(TYPE, xmm),
	FIELD_PAD(TYPE, reserved_legacy),
	FIELD_ARRAY(TYPE, software, VOLATILE("the host's kernel notes its own XCR0 here")),
	FIELD(TYPE, xstate_bv, .bits = xcr0_bits),
	FIELD(TYPE, xcomp_bv),
	FIELD_PAD(TYPE, reserved_header),
	FIELD_ARRAY(TYPE, ymm_hi128),
	FIELD_SUB_ARRAY(TYPE, bnd, &bound_schema),
	FIELD(TYPE, bndcfgu),
	FIELD(TYPE, bndstatus),
	FIELD_PAD(TYPE, reserved_bndcsr),
	FIELD_ARRAY(TYPE, k),
	FIELD_ARRAY(TYPE, zmm_hi256),
	FIELD_ARRAY(TYPE, hi16_zmm),
	FIELD(TYPE, pkru),
	FIELD_PAD(TYPE, reserved_pkru),
	FIELD(TYPE, tile_palette),
	FIELD(TYPE, tile_start_row),
	FIELD_PAD(TYPE, reserved_tilecfg),
	FIELD_ARRAY(TYPE, tile_colsb),
	FIELD_ARRAY(TYPE, tile_rows),
	FIELD_ARRAY(TYPE, tmm),
};
const struct schema xsave_schema = SCHEMA("xsave", sizeof(TYPE), xsave_fields);

/*
 * The components beyond the legacy region, by number: the name that Linux's enum xfeature and the SDM use, and the
 * place in struct xsave_state.  Without a size: no place.  Those of IA32_XSS are never in KVM's buffer; what they hold
 * travels as MSRs.
 */
#define PLACE(first, last)                                                                                             \
	offsetof(TYPE, first), offsetof(TYPE, last) + sizeof(SCHEMA_MEMBER(TYPE, last)) - offsetof(TYPE, first)

static const struct {
	const char *name;
	uint32_t offset, size;
} xfeatures[] = {
	[XFEATURE_X87] = { "x87", 0, 0 },
	[XFEATURE_SSE] = { "SSE", 0, 0 },
	[XFEATURE_YMM_HI128] = { "YMM_Hi128", PLACE(ymm_hi128, ymm_hi128) },
	[XFEATURE_BNDREGS] = { "BNDREGS", PLACE(bnd, bnd) },
	[XFEATURE_BNDCSR] = { "BNDCSR", PLACE(bndcfgu, reserved_bndcsr) },
	[XFEATURE_OPMASK] = { "opmask", PLACE(k, k) },
	[XFEATURE_ZMM_HI256] = { "ZMM_Hi256", PLACE(zmm_hi256, zmm_hi256) },
	[XFEATURE_HI16_ZMM] = { "Hi16_ZMM", PLACE(hi16_zmm, hi16_zmm) },
	[8] = { "PT", 0, 0 },
	[XFEATURE_PKRU] = { "PKRU", PLACE(pkru, reserved_pkru) },
	[10] = { "PASID", 0, 0 },
	[11] = { "CET_U", 0, 0 },
	[12] = { "CET_S", 0, 0 },
	[13] = { "HDC", 0, 0 },
	[14] = { "UINTR", 0, 0 },
	[15] = { "LBR", 0, 0 },
	[16] = { "HWP", 0, 0 },
	[XFEATURE_TILECFG] = { "TILECFG", PLACE(tile_palette, tile_rows) },
	[XFEATURE_TILEDATA] = { "TILEDATA", PLACE(tmm, tmm) },
	[19] = { "APX", 0, 0 },
};
#define ROWS (sizeof(xfeatures) / sizeof(xfeatures[0]))

/* clang-format on */

static bool has(const struct xsave_state *state, unsigned feature)
{
	return (state->xstate_bv & XFEATURE_BIT(feature)) != 0;
}

/* Where a component stands in KVM's buffer on this host; of no bytes where the host lacks it. */
struct place {
	uint32_t offset, size;
};

static void find_places(const struct cpuid *host, struct place ret[ROWS])
{
	for (unsigned i = 0; i < ROWS; i++) {
		const struct kvm_cpuid_entry2 *entry = NULL;
		if (xfeatures[i].size != 0)
			entry = cpuid_find(host, LEAF_XSAVE, i);
		ret[i] = entry != NULL ? (struct place){ .offset = entry->ebx, .size = entry->eax }
				       : (struct place){ 0 };
	}
}

/* Puts the initial bytes where a component is not in use, and sets the bits that the bytes of a component ask for. */
static void make_canonical(struct xsave_state *state)
{
	/* PKRU is in its initial state when it is 0 (SDM volume 1, 13.6), whatever bit a kernel gives with it. */
	state->xstate_bv &= ~XFEATURE_BIT(XFEATURE_PKRU);
	if (state->pkru != 0)
		state->xstate_bv |= XFEATURE_BIT(XFEATURE_PKRU);
	/* Linux gives MXCSR with the bit of SSE or YMM, and its initial value otherwise. */
	if (!has(state, XFEATURE_SSE) && !has(state, XFEATURE_YMM_HI128))
		state->mxcsr = MXCSR_INITIAL;
	else if (state->mxcsr != MXCSR_INITIAL)
		state->xstate_bv |= XFEATURE_BIT(XFEATURE_SSE);
	if (!has(state, XFEATURE_X87)) {
		memset(state, 0, offsetof(TYPE, mxcsr));
		memset(state->st, 0, sizeof(state->st));
		state->fcw = FCW_INITIAL;
	}
	if (!has(state, XFEATURE_SSE))
		memset(state->xmm, 0, sizeof(state->xmm));
	for (unsigned i = FIRST_EXTENDED; i < ROWS; i++)
		if (!has(state, i))
			memset((uint8_t *)state + xfeatures[i].offset, 0, xfeatures[i].size);
}

/* Can every component in use go between the host's buffer and ours?  unknown: the code for one without a place here. */
static int check_components(const struct place places[ROWS], const struct xsave_state *state, uint64_t raw_size,
			    enum error_code unknown, struct error *err)
{
	for (unsigned i = FIRST_EXTENDED; i < XFEATURES; i++) {
		if (!has(state, i))
			continue;
		if (i >= ROWS || xfeatures[i].size == 0)
			return error_set(err, unknown,
					 "XSAVE: xfeature %u (%s) is in use; this program does not know it", i,
					 i < ROWS ? xfeatures[i].name : "without a name");
		struct place place = places[i];
		if (place.size == 0)
			return error_set(err, ERROR_DIFFERENT,
					 "XSAVE: %s (xfeature %u) is in use; this host does not have it",
					 xfeatures[i].name, i);
		if (place.size != xfeatures[i].size || place.offset < LEGACY_AND_HEADER ||
		    !range_is_inside(place.offset, place.size, raw_size))
			return error_set(err, ERROR_INTERNAL,
					 "XSAVE: %s has %u bytes at 0x%x by this host's CPUID.0DH; expected %u bytes "
					 "behind the header and inside the buffer of %" PRIu64,
					 xfeatures[i].name, place.size, place.offset, xfeatures[i].size, raw_size);
	}
	return 0;
}

/* Are the bytes between the components that the host has all zero? */
static int check_gaps(const struct place places[ROWS], struct bytes raw, struct error *err)
{
	uint64_t at = LEGACY_AND_HEADER;
	while (at < raw.size) {
		uint64_t next = raw.size, end = at;
		for (unsigned i = FIRST_EXTENDED; i < ROWS; i++) {
			struct place place = places[i];
			if (place.size == 0)
				continue;
			if (place.offset > at && place.offset < next)
				next = place.offset;
			if (place.offset <= at && at - place.offset < place.size)
				end = (uint64_t)place.offset + place.size;
		}
		if (end == at && !bytes_are_zero(raw.data + at, next - at))
			return error_set(err, ERROR_INTERNAL,
					 "XSAVE: the bytes from 0x%" PRIx64 " to 0x%" PRIx64
					 " belong to no known component and are not zero",
					 at, next - 1);
		at = end == at ? next : end;
	}
	return 0;
}

int xsave_to_canonical(const struct cpuid *host, struct bytes raw, struct xsave_state *ret, struct error *err)
{
	memset(ret, 0, sizeof(*ret));
	if (!bytes_read(raw, 0, ret, LEGACY_AND_HEADER))
		return error_set(err, ERROR_INTERNAL, "XSAVE: a buffer of %zu bytes; expected %u or more", raw.size,
				 LEGACY_AND_HEADER);
	if (ret->xcomp_bv != 0)
		return error_set(err, ERROR_INTERNAL, "XSAVE: XCOMP_BV is 0x%" PRIx64 "; expected 0, the standard form",
				 ret->xcomp_bv);
	if (!bytes_are_zero(ret->reserved_header, sizeof(ret->reserved_header)))
		return error_set(err, ERROR_INTERNAL, "XSAVE: a reserved byte of the header is not 0");
	struct place places[ROWS];
	find_places(host, places);
	int status = check_components(places, ret, raw.size, ERROR_INTERNAL, err);
	if (status == 0)
		status = check_gaps(places, raw, err);
	if (status < 0)
		return status;
	for (unsigned i = FIRST_EXTENDED; i < ROWS; i++) {
		/* PKRU is there without its bit on some kernels, see the header. */
		if (has(ret, i) || (i == XFEATURE_PKRU && places[i].size == xfeatures[i].size))
			bytes_read(raw, places[i].offset, (uint8_t *)ret + xfeatures[i].offset, xfeatures[i].size);
	}
	make_canonical(ret);
	return 0;
}

struct difference {
	const struct xsave_state *state, *canonical;
	struct schema_leaf leaf;
};

static int visit_difference(const struct schema_leaf *leaf, void *context)
{
	struct difference *difference = context;
	difference->leaf = *leaf;
	return memcmp((const uint8_t *)difference->state + leaf->offset,
		      (const uint8_t *)difference->canonical + leaf->offset, leaf->size) != 0;
}

/* A state from a file: is it what xsave_to_canonical() could have made? */
static int check_canonical(const struct xsave_state *state, struct error *err)
{
	if (state->xcomp_bv != 0 || !bytes_are_zero(state->reserved_header, sizeof(state->reserved_header)))
		return error_set(err, ERROR_DATA, "XSAVE: XCOMP_BV or a reserved byte of the header is not 0");
	struct xsave_state canonical = *state;
	make_canonical(&canonical);
	if (memcmp(&canonical, state, sizeof(canonical)) == 0)
		return 0;
	struct difference difference = { .state = state, .canonical = &canonical };
	schema_walk(&xsave_schema, visit_difference, &difference);
	return error_set(err, ERROR_DATA, "XSAVE: %s does not agree with XSTATE_BV (0x%" PRIx64 ")",
			 difference.leaf.name, state->xstate_bv);
}

int xsave_from_canonical(const struct cpuid *host, const struct xsave_state *state, uint8_t *ret_raw, size_t raw_size,
			 struct error *err)
{
	if (raw_size < LEGACY_AND_HEADER)
		return error_set(err, ERROR_INTERNAL, "XSAVE: a buffer of %zu bytes; expected %u or more", raw_size,
				 LEGACY_AND_HEADER);
	struct place places[ROWS];
	find_places(host, places);
	int status = check_components(places, state, raw_size, ERROR_DATA, err);
	if (status == 0)
		status = check_canonical(state, err);
	if (status < 0)
		return status;
	uint64_t xstate_bv = state->xstate_bv;
	if (places[XFEATURE_PKRU].size == xfeatures[XFEATURE_PKRU].size)
		xstate_bv |= XFEATURE_BIT(XFEATURE_PKRU); /* else KVM would leave PKRU as it is */
	memset(ret_raw, 0, raw_size);
	memcpy(ret_raw, state, LEGACY_AND_HEADER);
	memcpy(ret_raw + offsetof(TYPE, xstate_bv), &xstate_bv, sizeof(xstate_bv));
	for (unsigned i = FIRST_EXTENDED; i < ROWS; i++)
		if (has(state, i))
			memcpy(ret_raw + places[i].offset, (const uint8_t *)state + xfeatures[i].offset,
			       xfeatures[i].size);
	return 0;
}

/* ---- Saving and restoring ---- */

#define XSAVE_BYTES_MAX (1u << 20)

static const struct cpuid *host_layout(struct vm *vm)
{
	if (vm->xsave_layout.nent == 0)
		cpuid_xsave_layout(&vm->xsave_layout);
	return &vm->xsave_layout;
}

/* How long KVM's buffer is: KVM_CAP_XSAVE2, at least the 4096 bytes of struct kvm_xsave. */
static size_t buffer_size(const struct vm *vm)
{
	int size = kvm_capability(vm->fd, KVM_CAP_XSAVE2);
	return size > (int)sizeof(struct kvm_xsave) && size <= (int)XSAVE_BYTES_MAX ? (size_t)size
										    : sizeof(struct kvm_xsave);
}

static int save_xsave(struct vm *vm, unsigned instance, struct buffer *ret, struct error *err)
{
	unsigned long request = kvm_capability(vm->fd, KVM_CAP_XSAVE2) != 0 ? KVM_GET_XSAVE2 : KVM_GET_XSAVE;
	struct buffer raw = { 0 };
	int status = 0;
	void *area = buffer_append(&raw, NULL, buffer_size(vm));
	struct xsave_state *state = buffer_append(ret, NULL, sizeof(*state));
	if (area == NULL || state == NULL)
		return error_set(err, ERROR_SYSTEM, "no memory");
	if (kvm_call_sized(vm->vcpus[instance].fd, request, area) < 0)
		status = error_errno(err, ERROR_SYSTEM, "%s", kvm_request_name(request));
	if (status == 0)
		status = xsave_to_canonical(host_layout(vm), buffer_bytes(&raw), state, err);
	buffer_done(&raw);
	return status;
}

static int restore_xsave(struct restore *restore, unsigned instance, enum stage stage, struct bytes payload,
			 struct error *err)
{
	struct buffer raw = { 0 };
	const void *state = payload.data; /* aligned: FORMAT_ALIGNMENT */
	struct error refusal;
	(void)stage;
	void *area = buffer_append(&raw, NULL, buffer_size(restore->vm));
	if (area == NULL)
		return error_set(err, ERROR_SYSTEM, "no memory");
	int status = xsave_from_canonical(host_layout(restore->vm), state, area, raw.size, &refusal);
	if (status == 0 && kvm_call_sized(restore->vm->vcpus[instance].fd, KVM_SET_XSAVE, area) < 0)
		status = error_errno(&refusal, ERROR_DIFFERENT, "KVM_SET_XSAVE");
	if (status < 0) {
		struct finding finding = { 0 };
		snprintf(finding.detail, sizeof(finding.detail), "%.200s", refusal.text);
		restore_finding(restore, component_by_name("xsave"), instance, NULL, &finding);
	}
	buffer_done(&raw);
	return 0;
}

const struct component_ops xsave_ops = { .save = save_xsave, .restore = restore_xsave };
