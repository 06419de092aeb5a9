/*
 * regs: puts a pattern into every register that a guest can write, and looks at all of them round after round.
 * What a register gives back right after the write is what is expected from then on; a register that this CPU does
 * not have is left out, by trying.  With "baseline" on the command line also what is not in each x86-64 CPU, of either
 * vendor: no XSAVE, no MSR of an extension, no bits that one of them drops.
 */
#include "lib.h"

#define ROUNDS            20
#define SECOND_CHECKPOINT 10   /* in this round */
#define PORT_UNUSED       0x80 /* the POST code port: nobody answers */

/* General registers and RFLAGS, held by gprs_hold() of regs_hold.S. */

enum { RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8, R15 = R8 + 7, RFLAGS, GPRS };

static const char *const gpr_names[GPRS] = { "RAX", "RCX", "RDX", "RBX", "RSP", "RBP", "RSI", "RDI",   "R8",
					     "R9",  "R10", "R11", "R12", "R13", "R14", "R15", "RFLAGS" };

/* ID, AC, NT, IOPL 3, OF, DF, SF, ZF, AF, PF, CF and the bit that is always 1; not IF, not TF (SDM volume 1, 3.4.3). */
#define RFLAGS_PATTERN 0x247cd7

uint64_t gprs_load[GPRS], gprs_seen[GPRS];
void gprs_hold(void);

/* Goes through one OUT with the pattern of this round in all registers.  RDX and RAX end in port and value. */
static void gprs_round(uint64_t round, uint16_t port, uint8_t value)
{
	for (unsigned i = 0; i < RFLAGS; i++)
		gprs_load[i] = 0xa5a5000000000000 ^ (i + 1) * 0x0101010101010100 ^ round << 40;
	gprs_load[RAX] = (gprs_load[RAX] & ~0xffull) | value;
	gprs_load[RDX] = (gprs_load[RDX] & ~0xffffull) | port;
	gprs_load[RFLAGS] = RFLAGS_PATTERN;
	gprs_hold();
	for (unsigned i = 0; i < GPRS; i++)
		expect(gpr_names[i], gprs_seen[i], gprs_load[i]);
}

/* Registers that are read and written one by one. */

struct access {
	bool (*read)(uint32_t index, uint64_t *ret_value);
	bool (*write)(uint32_t index, uint64_t value);
};

static const struct access msr = { msr_read, msr_write };

/* Control, debug and segment registers have no index: a pair of functions each. */
#define ACCESS(reg, type)                                                                                              \
	static bool reg##_read(uint32_t index, uint64_t *ret_value)                                                    \
	{                                                                                                              \
		type value;                                                                                            \
		(void)index;                                                                                           \
		__asm__ volatile("mov %%" #reg ", %0" : "=r"(value));                                                  \
		*ret_value = value;                                                                                    \
		return true;                                                                                           \
	}                                                                                                              \
	static bool reg##_write(uint32_t index, uint64_t value)                                                        \
	{                                                                                                              \
		(void)index;                                                                                           \
		__asm__ volatile("mov %0, %%" #reg : : "r"((type)value) : "memory");                                   \
		return true;                                                                                           \
	}                                                                                                              \
	static const struct access reg = { reg##_read, reg##_write };
ACCESS(cr0, uint64_t)
ACCESS(cr2, uint64_t)
ACCESS(cr3, uint64_t)
ACCESS(cr4, uint64_t)
ACCESS(cr8, uint64_t)
ACCESS(dr0, uint64_t)
ACCESS(dr1, uint64_t)
ACCESS(dr2, uint64_t)
ACCESS(dr3, uint64_t)
ACCESS(dr6, uint64_t)
ACCESS(dr7, uint64_t)
ACCESS(ds, uint32_t)
ACCESS(es, uint32_t)
ACCESS(fs, uint32_t)
ACCESS(gs, uint32_t)

/* What KVM's paravirtual MSRs point to; the kernel fills it in. */
static volatile struct {
	uint8_t wall_clock[64], system_time[64], steal_time[64];
} kvm_area __attribute__((aligned(64)));

/*
 * Writes (the old value & keep) | set, then looks at the register in every round.  keep = ALL and set = 0: it is only
 * looked at.
 */
struct item {
	const char *name;
	const struct access *access;
	uint32_t index;
	uint64_t set, keep;
	uint64_t (*supported)(void); /* the bits of set that this CPU has; NULL: all */
	bool is_extension;           /* not in each x86-64 CPU */
};

static bool baseline;

#define ALL            (~0ull)
#define CR0_WP_AM      0x50000
#define CR4_DE_MCE_PGE 0xc8
#define DR6_B0_B2_BS   0x4005
/* Breakpoints L0 G1 L2 G3, LE, GE; the second watches 4 bytes for writes: at addresses that nobody touches. */
#define DR7_PATTERN             0xd00799
#define EFER_SCE                1
#define HWCR_MC_STATUS_WRITABLE (1 << 18)
/* Every type once, and write back, which all page table entries choose, in entry 0. */
#define PAT_PATTERN        0x0001040500070406
#define MTRR_FIXED_PATTERN 0x0605040106050401
#define XSS_CET            0x1800

/* The supervisor components of shadow stacks, where the CPU has them (SDM volume 1, 13.2). */
static uint64_t xss_supported(void)
{
	return cpuid(0, 0).eax >= 0xd ? cpuid(0xd, 1).ecx & XSS_CET : 0;
}

/* AMD CPUs keep 32 bits of these two, and so does KVM for their guests (arch/x86/kvm/svm/svm.c, svm_set_msr). */
static uint64_t sysenter_supported(void)
{
	const uint32_t auth = 0x68747541; /* "AuthenticAMD" */
	return baseline || cpuid(0, 0).ebx == auth ? UINT32_MAX : ALL;
}

/* clang-format off */
#define REG(reg, name_, value)       { .name = (name_), .access = &(reg), .set = (value) }
#define REG_BITS(reg, name_, bits)   { .name = (name_), .access = &(reg), .set = (bits), .keep = ALL }
#define MSR(number, name_, value)    { .name = (name_), .access = &msr, .index = (number), .set = (value) }
#define MSR_EXTENSION(number, name_, value) \
	{ .name = (name_), .access = &msr, .index = (number), .set = (value), .is_extension = true }
#define MSR_BITS(number, name_, bits) \
	{ .name = (name_), .access = &msr, .index = (number), .set = (bits), .keep = ALL }
/* A base with a type, and a mask with the valid bit, inside 36 bits of physical address. */
#define MTRR_VARIABLE(n)                                                              \
	MSR(0x200 + 2 * (n), "IA32_MTRR_PHYSBASE" #n, 0x80000006 + (n) * 0x1000000), \
	MSR(0x201 + 2 * (n), "IA32_MTRR_PHYSMASK" #n, 0xfff000800)

static const struct item items[] = {
	REG_BITS(cr0, "CR0", CR0_WP_AM),
	REG(cr2, "CR2", 0x00005a5a12345678),
	REG_BITS(cr3, "CR3", 0),
	REG_BITS(cr4, "CR4", CR4_DE_MCE_PGE),
	REG(cr8, "CR8", 5),
	REG(dr0, "DR0", 0x00007a0000000010),
	REG(dr1, "DR1", 0x00007a1111111120),
	REG(dr2, "DR2", 0x00007a2222222230),
	REG(dr3, "DR3", 0x00007a3333333340),
	REG_BITS(dr6, "DR6", DR6_B0_B2_BS),
	REG(dr7, "DR7", DR7_PATTERN),
	/* Selectors before the bases, which they set; such as survive the way to CPL 3. */
	REG(ds, "DS", 0),
	REG(es, "ES", USER_CODE_SELECTOR),
	REG(fs, "FS", USER_DATA_SELECTOR),
	REG(gs, "GS", 0),
	MSR(0xc0000100, "IA32_FS_BASE", 0x00005f5f11223344),
	MSR(0xc0000101, "IA32_GS_BASE", 0xffff8888aabbccdd),
	MSR(0xc0000102, "IA32_KERNEL_GS_BASE", 0xffff8881deadbeef),
	MSR_EXTENSION(0xc0000103, "IA32_TSC_AUX", 0x5a5a0007),
	MSR_BITS(MSR_EFER, "IA32_EFER", EFER_SCE),
	MSR(0xc0000081, "IA32_STAR", 0x0018000800000000),
	MSR(0xc0000082, "IA32_LSTAR", 0xffffffff81c0ffee),
	MSR(0xc0000083, "IA32_CSTAR", 0xffffffff81cafe00),
	MSR(0xc0000084, "IA32_FMASK", 0x47700),
	MSR_BITS(MSR_APIC_BASE, "IA32_APIC_BASE", 0),
	MSR_EXTENSION(0x3b, "IA32_TSC_ADJUST", 0x100000),
	MSR_EXTENSION(0x48, "IA32_SPEC_CTRL", 1),
	MSR(0x174, "IA32_SYSENTER_CS", 0x1234),
	{ .name = "IA32_SYSENTER_ESP", .access = &msr, .index = 0x175, .set = 0x0000123456789ab0,
	  .supported = sysenter_supported },
	{ .name = "IA32_SYSENTER_EIP", .access = &msr, .index = 0x176, .set = 0x0000234567890120,
	  .supported = sysenter_supported },
	MSR(0x17a, "IA32_MCG_STATUS", 5),
	{ .name = "IA32_MISC_ENABLE", .access = &msr, .index = 0x1a0, .set = 1, .keep = ALL, .is_extension = true },
	/* Counters that do not count: their enable bit is 0. */
	MSR_EXTENSION(0x186, "IA32_PERFEVTSEL0", 0x300c0),
	MSR_EXTENSION(0xc1, "IA32_PMC0", 0x12345678),
	MSR(0x277, "IA32_PAT", PAT_PATTERN),
	MTRR_VARIABLE(0), MTRR_VARIABLE(1), MTRR_VARIABLE(2), MTRR_VARIABLE(3),
	MTRR_VARIABLE(4), MTRR_VARIABLE(5), MTRR_VARIABLE(6), MTRR_VARIABLE(7),
	MSR(0x250, "IA32_MTRR_FIX64K_00000", MTRR_FIXED_PATTERN),
	MSR(0x258, "IA32_MTRR_FIX16K_80000", MTRR_FIXED_PATTERN),
	MSR(0x259, "IA32_MTRR_FIX16K_A0000", MTRR_FIXED_PATTERN),
	MSR(0x268, "IA32_MTRR_FIX4K_C0000", MTRR_FIXED_PATTERN),
	MSR(0x269, "IA32_MTRR_FIX4K_C8000", MTRR_FIXED_PATTERN),
	MSR(0x26a, "IA32_MTRR_FIX4K_D0000", MTRR_FIXED_PATTERN),
	MSR(0x26b, "IA32_MTRR_FIX4K_D8000", MTRR_FIXED_PATTERN),
	MSR(0x26c, "IA32_MTRR_FIX4K_E0000", MTRR_FIXED_PATTERN),
	MSR(0x26d, "IA32_MTRR_FIX4K_E8000", MTRR_FIXED_PATTERN),
	MSR(0x26e, "IA32_MTRR_FIX4K_F0000", MTRR_FIXED_PATTERN),
	MSR(0x26f, "IA32_MTRR_FIX4K_F8000", MTRR_FIXED_PATTERN),
	MSR(0x2ff, "IA32_MTRR_DEF_TYPE", 0xc06),
	MSR(0x400, "IA32_MC0_CTL", ALL),
	MSR(0x402, "IA32_MC0_ADDR", 0xa5a5a000),
	MSR(0x403, "IA32_MC0_MISC", 0x5a5a5000),
	/* CET (SDM volume 1, 17.1.2): without CR4.CET the values do nothing. */
	MSR_EXTENSION(0x6a0, "IA32_U_CET", 3),
	MSR_EXTENSION(0x6a2, "IA32_S_CET", 2),
	MSR_EXTENSION(0x6a4, "IA32_PL0_SSP", 0x0000111111111110),
	MSR_EXTENSION(0x6a5, "IA32_PL1_SSP", 0x0000222222222220),
	MSR_EXTENSION(0x6a6, "IA32_PL2_SSP", 0x0000333333333330),
	MSR_EXTENSION(0x6a7, "IA32_PL3_SSP", 0x0000444444444440),
	MSR_EXTENSION(0x6a8, "IA32_INT_SSP_TAB", 0x0000555555555550),
	{ .name = "IA32_XSS", .access = &msr, .index = 0xda0, .set = XSS_CET, .supported = xss_supported,
	  .is_extension = true },
	/* AMD (APM volume 2, 13.2.1, 9.3.1 and 15.30.4). */
	MSR_EXTENSION(0xc0010200, "PERF_CTL0", 0x300c0),
	MSR_EXTENSION(0xc0010201, "PERF_CTR0", 0x0000123456789abc),
	{ .name = "HWCR", .access = &msr, .index = 0xc0010015, .set = HWCR_MC_STATUS_WRITABLE, .keep = ALL,
	  .is_extension = true },
	MSR_EXTENSION(0xc0010117, "VM_HSAVE_PA", 0x123000),
	/* Linux, Documentation/virt/kvm/x86/msr.rst. */
	MSR(0x4b564d00, "KVM_WALL_CLOCK", (uint64_t)&kvm_area.wall_clock),
	MSR(0x4b564d01, "KVM_SYSTEM_TIME", (uint64_t)&kvm_area.system_time + 1),
	MSR(0x4b564d03, "KVM_STEAL_TIME", (uint64_t)&kvm_area.steal_time + 1),
	MSR(0x4b564d05, "KVM_POLL_CONTROL", 0),
};
/* clang-format on */

static bool item_present[ARRAY_SIZE(items)];
static uint64_t item_expected[ARRAY_SIZE(items)];
static uint8_t wall_clock_expected[sizeof(kvm_area.wall_clock)];

/* Writes the patterns; returns how many registers there are. */
static uint64_t items_fill(void)
{
	uint64_t present = 0;
	for (unsigned i = 0; i < ARRAY_SIZE(items); i++) {
		const struct item *item = &items[i];
		uint64_t old, set = item->supported != NULL ? item->set & item->supported() : item->set;
		if ((baseline && item->is_extension) || !item->access->read(item->index, &old))
			continue;
		uint64_t value = (old & item->keep) | set;
		if (value != old && !item->access->write(item->index, value))
			continue;
		item_present[i] = true;
		present++;
	}
	/* Read back when all are written: some share their state. */
	for (unsigned i = 0; i < ARRAY_SIZE(items); i++)
		if (item_present[i])
			items[i].access->read(items[i].index, &item_expected[i]);
	for (unsigned i = 0; i < sizeof(wall_clock_expected); i++)
		wall_clock_expected[i] = kvm_area.wall_clock[i];
	return present;
}

static void items_verify(void)
{
	for (unsigned i = 0; i < ARRAY_SIZE(items); i++) {
		uint64_t found = 0;
		if (!item_present[i])
			continue;
		items[i].access->read(items[i].index, &found);
		expect(items[i].name, found, item_expected[i]);
	}
	/* The kernel writes it once, when the MSR is written: a restore must not leave another time there. */
	for (unsigned i = 0; i < sizeof(wall_clock_expected); i++)
		expect("byte of the wall clock in RAM", kvm_area.wall_clock[i], wall_clock_expected[i]);
}

/* x87, SSE and what XSAVE knows more (SDM volume 1, 10.5.1 and 13.4). */

#define CPUID_1_ECX_XSAVE (1u << 26)
#define CR4_OSXSAVE       (1ull << 18)
/* x87, SSE, AVX, opmask and the upper parts of ZMM, PKRU. */
#define XCR0_WANTED  0x2e7ull
#define XCR0_BITS    10
#define XSAVE_HEADER 512
#define XSAVE_SIZE   4096
#define PKRU_SIZE    8 /* no other part is as large */
/* Key 0, which all pages have, may do all. */
#define PKRU_PATTERN 0x55555554ull

struct fpu_area {
	uint16_t fcw, fsw;
	uint8_t ftw, reserved;
	uint16_t fop;
	uint32_t fip, fcs, fdp, fds, mxcsr, mxcsr_mask;
	uint8_t rest[XSAVE_SIZE - 32];
} __attribute__((aligned(64)));

static struct fpu_area fpu_load, fpu_expected, fpu_seen;
static uint64_t xcr0; /* 0: no XSAVE */

/* What stands where; components by number are added to it from CPUID. */
struct fpu_part {
	const char *name;
	uint32_t offset, size;
	bool is_kept; /* every CPU gives back what was loaded */
};

/* AMD's CPUs keep the last instruction's places only while an exception is pending (APM volume 2, 11.4.4). */
static struct fpu_part fpu_parts[16] = {
	{ "FCW", 0, 2, true },           { "FSW", 2, 2, true },    { "FTW", 4, 1, true },   { "FOP", 6, 2, false },
	{ "FIP and FDP", 8, 16, false }, { "MXCSR", 24, 4, true }, { "ST", 32, 128, true }, { "XMM", 160, 256, true },
};
static unsigned nr_fpu_parts = 8;

/* Of regs_hold.S, for user_run(). */
extern const uint8_t user_fxsave[], user_fxrstor[], user_xsave[], user_xrstor[], user_xgetbv[];

static void fpu_transfer_in(struct fpu_area *area)
{
	user_run(xcr0 != 0 ? user_xrstor : user_fxrstor, area, xcr0);
}

static void fpu_transfer_out(struct fpu_area *area)
{
	user_run(xcr0 != 0 ? user_xsave : user_fxsave, area, xcr0);
}

/* Switches on all components that there are and gives each its place. */
static void xsave_start(void)
{
	static const char *const names[XCR0_BITS] = {
		[2] = "AVX", [5] = "opmask", [6] = "ZMM_Hi256", [7] = "Hi16_ZMM", [9] = "PKRU"
	};
	uint64_t cr4_value;
	if ((cpuid(1, 0).ecx & CPUID_1_ECX_XSAVE) == 0)
		return;
	xcr0 = cpuid(0xd, 0).eax & XCR0_WANTED;
	cr4_read(0, &cr4_value);
	cr4_write(0, cr4_value | CR4_OSXSAVE);
	__asm__ volatile("xsetbv" : : "c"(0), "a"((uint32_t)xcr0), "d"((uint32_t)(xcr0 >> 32)));
	for (unsigned i = 2; i < XCR0_BITS; i++) {
		struct cpuid place = cpuid(0xd, i);
		if ((xcr0 >> i & 1) == 0)
			continue;
		if (place.ebx + place.eax > XSAVE_SIZE)
			fail("end of an XSAVE component", place.ebx + place.eax, XSAVE_SIZE);
		fpu_parts[nr_fpu_parts++] = (struct fpu_part){ names[i], place.ebx, place.eax, true };
	}
}

/* A difference between two areas in one of the parts. */
static void fpu_compare(const struct fpu_area *found, const struct fpu_area *expected, bool only_kept)
{
	const uint8_t *f = (const uint8_t *)found, *e = (const uint8_t *)expected;
	for (unsigned i = 0; i < nr_fpu_parts; i++) {
		const struct fpu_part *part = &fpu_parts[i];
		for (unsigned at = part->offset; at < part->offset + part->size; at++) {
			if (f[at] == e[at] || (only_kept && !part->is_kept))
				continue;
			print("%s, byte %lu: ", part->name, (uint64_t)(at - part->offset));
			fail("value", f[at], e[at]);
		}
	}
}

/*
 * Everything is filled with a pattern, and x87 has an invalid-operation exception that is unmasked and pending: the
 * next x87 instruction that waits would take it, so there is none.
 */
static void fpu_fill(void)
{
	uint8_t *bytes = (uint8_t *)&fpu_load;
	for (unsigned i = 0; i < nr_fpu_parts; i++)
		for (unsigned k = 0; k < fpu_parts[i].size; k++)
			bytes[fpu_parts[i].offset + k] = (uint8_t)(0x11 * (i + 1) + 7 * k);
	fpu_load.fcw = 0xe7e;  /* all masked but IM; precision 53 bits, round towards zero */
	fpu_load.fsw = 0xe981; /* B, C3, TOP = 5, C0, ES, IE */
	fpu_load.ftw = 0xff;   /* no register is empty */
	fpu_load.fop = 0x123;
	if (baseline) /* not all CPUs keep these */
		fpu_load.fop = 0, fpu_load.fip = 0, fpu_load.fdp = 0;
	fpu_load.fcs = fpu_load.fds = 0;
	fpu_load.mxcsr = 0xff95; /* FZ, round towards zero, all masked, three flags */
	for (unsigned i = 0; i < 8; i++) {
		uint8_t *st = bytes + 32 + 16 * i;
		st[7] |= 0x80; /* a normal number: the integer bit is set */
		for (unsigned k = 10; k < 16; k++)
			st[k] = 0;
	}
	if (xcr0 != 0)
		*(uint64_t *)(bytes + XSAVE_HEADER) = xcr0;
	for (unsigned i = 0; i < nr_fpu_parts; i++)
		if (fpu_parts[i].size == PKRU_SIZE)
			*(uint64_t *)(bytes + fpu_parts[i].offset) = PKRU_PATTERN;
	fpu_transfer_in(&fpu_load);
	fpu_transfer_out(&fpu_expected);
	fpu_compare(&fpu_expected, &fpu_load, true);
}

static void fpu_verify(void)
{
	if (xcr0 != 0)
		expect("XCR0", user_run(user_xgetbv, NULL, 0), xcr0);
	fpu_transfer_out(&fpu_seen);
	fpu_compare(&fpu_seen, &fpu_expected, false);
}

void guest_main(const struct boot_info *boot)
{
	baseline = has_word(boot->command_line, "baseline");
	if (!baseline)
		xsave_start();
	uint64_t present = items_fill();
	fpu_fill();
	print("regs: %lu registers of their own, %lu parts of the FPU, %lu general registers\n", present,
	      (uint64_t)nr_fpu_parts, (uint64_t)GPRS);
	gprs_round(0, PORT_CHECKPOINT, 1);
	for (uint64_t round = 0; round < ROUNDS; round++) {
		bool second = round == SECOND_CHECKPOINT;
		gprs_round(round, second ? PORT_CHECKPOINT : PORT_UNUSED, 2);
		items_verify();
		fpu_verify();
		print("round %lu: all as written\n", round);
	}
}
