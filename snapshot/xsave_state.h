/*
 * The FPU and vector state in a layout of our own that is the same on every host.
 *
 * KVM_GET_XSAVE2 gives XSAVE's standard form, whose components stand where the CPU that KVM runs on wants them: the
 * kernel copies to and from the offsets that it read from the CPUID instruction at boot (arch/x86/kernel/fpu/xstate.c,
 * xstate_offsets in __copy_xstate_to_uabi_buf and copy_uabi_to_xstate), whatever the guest's CPUID says.
 * KVM_GET_SUPPORTED_CPUID hands the same offsets out in leaf 0DH for all that a guest can have.  They differ between
 * CPUs, so a snapshot holds the components at fixed places, and they are moved on the way in and out.
 */
#ifndef STASIS_SNAPSHOT_XSAVE_STATE_H
#define STASIS_SNAPSHOT_XSAVE_STATE_H

#include <stddef.h>
#include <stdint.h>

#include "vmm/bytes.h"
#include "vmm/cpuid.h"
#include "vmm/error.h"

/* State components by their bit in XSTATE_BV and XCR0 (SDM volume 1, 13.1); those that have a place here. */
enum xfeature {
	XFEATURE_X87 = 0,
	XFEATURE_SSE = 1,
	XFEATURE_YMM_HI128 = 2,
	XFEATURE_BNDREGS = 3,
	XFEATURE_BNDCSR = 4,
	XFEATURE_OPMASK = 5,
	XFEATURE_ZMM_HI256 = 6,
	XFEATURE_HI16_ZMM = 7,
	XFEATURE_PKRU = 9,
	XFEATURE_TILECFG = 17,
	XFEATURE_TILEDATA = 18,
	XFEATURES = 64
};

#define XFEATURE_BIT(feature) (1ull << (feature))

struct xsave_st {
	uint8_t value[10];
	uint8_t reserved[6];
};

struct xsave_bound {
	uint64_t lower, upper;
};

/* The first 576 bytes are the legacy region and the header as XSAVE lays them out (SDM volume 1, 13.4.1, 13.4.2). */
struct xsave_state {
	uint16_t fcw, fsw;
	uint8_t ftw, reserved_ftw;
	uint16_t fop;
	uint64_t fip, fdp;
	uint32_t mxcsr, mxcsr_mask;
	struct xsave_st st[8];
	uint8_t xmm[16][16];
	uint8_t reserved_legacy[48];
	uint64_t software[6]; /* not the CPU's: Linux writes the host's XCR0 into the first and reads none */

	uint64_t xstate_bv, xcomp_bv;
	uint8_t reserved_header[48];

	uint8_t ymm_hi128[16][16];
	struct xsave_bound bnd[4];
	uint64_t bndcfgu, bndstatus;
	uint8_t reserved_bndcsr[48];
	uint64_t k[8];
	uint8_t zmm_hi256[16][32];
	uint8_t hi16_zmm[16][64];
	uint32_t pkru, reserved_pkru;
	uint8_t tile_palette, tile_start_row;
	uint8_t reserved_tilecfg[14];
	uint16_t tile_colsb[16];
	uint8_t tile_rows[16];
	uint8_t tmm[8][1024];
};

/*
 * From KVM's buffer.  host is KVM_GET_SUPPORTED_CPUID.  The result is canonical:
 * - A component whose bit in XSTATE_BV is clear has its initial bytes, whatever the buffer holds there.
 * - MXCSR other than 1F80H sets the bit of SSE, as XSAVES does (SDM volume 1, 13.11), and PKRU's bit is set where
 * PKRU is not 0: Linux before 6.3 writes the value into the buffer whatever the bit says, and Linux 7.3 gives the bit
 * of a vCPU that never ran from the second reading on. Errors (ERROR_INTERNAL): a component in use that has no place
 * here, by its number and name; the compacted form; bytes that belong to no component and are not zero.  KVM writes
 * zeros there and drops what it is given, so such bytes are state that would not survive a restore.  After an error
 * *ret is none.
 */
int xsave_to_canonical(const struct cpuid *host, struct bytes raw, struct xsave_state *ret, struct error *err);

/*
 * To a buffer of raw_size bytes (KVM_CAP_XSAVE2, at least 4096) for KVM_SET_XSAVE.  PKRU's bit is set where the host
 * has it: KVM_SET_XSAVE leaves PKRU alone (it sets all else to its initial state) where the bit is clear. Errors, found
 * before anything is written: ERROR_DATA for a state that is not canonical, ERROR_DIFFERENT for a component in use that
 * this host lacks, by its name.
 */
int xsave_from_canonical(const struct cpuid *host, const struct xsave_state *state, uint8_t *ret_raw, size_t raw_size,
			 struct error *err);

#endif
