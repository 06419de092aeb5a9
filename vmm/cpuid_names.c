#include "cpuid.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

/*
 * Bit names: the SDM's (volume 2, CPUID) and APM's (volume 3, appendix E), in Linux's spelling
 * (arch/x86/include/asm/cpufeatures.h).  A name stands for one bit; where AMD has a bit of its own for what another
 * bit says on Intel, its name starts with AMD_.
 */
/* clang-format off */
static const char *const names_1_ecx[32] = {
	[0] = "SSE3", [1] = "PCLMULQDQ", [2] = "DTES64", [3] = "MONITOR", [4] = "DS_CPL", [5] = "VMX", [6] = "SMX",
	[7] = "EST", [8] = "TM2", [9] = "SSSE3", [10] = "CNXT_ID", [11] = "SDBG", [12] = "FMA", [13] = "CX16",
	[14] = "XTPR", [15] = "PDCM", [17] = "PCID", [18] = "DCA", [19] = "SSE4_1", [20] = "SSE4_2", [21] = "X2APIC",
	[22] = "MOVBE", [23] = "POPCNT", [24] = "TSC_DEADLINE", [25] = "AES", [26] = "XSAVE", [27] = "OSXSAVE",
	[28] = "AVX", [29] = "F16C", [30] = "RDRAND", [31] = "HYPERVISOR",
};
static const char *const names_1_edx[32] = {
	[0] = "FPU", [1] = "VME", [2] = "DE", [3] = "PSE", [4] = "TSC", [5] = "MSR", [6] = "PAE", [7] = "MCE",
	[8] = "CX8", [9] = "APIC", [11] = "SEP", [12] = "MTRR", [13] = "PGE", [14] = "MCA", [15] = "CMOV",
	[16] = "PAT", [17] = "PSE36", [18] = "PN", [19] = "CLFLUSH", [21] = "DS", [22] = "ACPI", [23] = "MMX",
	[24] = "FXSR", [25] = "SSE", [26] = "SSE2", [27] = "SS", [28] = "HTT", [29] = "TM", [30] = "IA64",
	[31] = "PBE",
};
static const char *const names_6_eax[32] = {
	[0] = "DTHERM", [1] = "TURBO_BOOST", [2] = "ARAT", [4] = "PLN", [5] = "ECMD", [6] = "PTS", [7] = "HWP",
	[8] = "HWP_NOTIFY", [9] = "HWP_ACT_WINDOW", [10] = "HWP_EPP", [11] = "HWP_PKG_REQ", [13] = "HDC",
	[14] = "TURBO_BOOST_MAX_3", [19] = "HFI", [23] = "THREAD_DIRECTOR",
};
static const char *const names_6_ecx[32] = { [0] = "APERFMPERF", [3] = "EPB" };
static const char *const names_7_0_ebx[32] = {
	[0] = "FSGSBASE", [1] = "TSC_ADJUST", [2] = "SGX", [3] = "BMI1", [4] = "HLE", [5] = "AVX2",
	[6] = "FDP_EXCPTN_ONLY", [7] = "SMEP", [8] = "BMI2", [9] = "ERMS", [10] = "INVPCID", [11] = "RTM",
	[12] = "CQM", [13] = "ZERO_FCS_FDS", [14] = "MPX", [15] = "RDT_A", [16] = "AVX512F", [17] = "AVX512DQ",
	[18] = "RDSEED", [19] = "ADX", [20] = "SMAP", [21] = "AVX512IFMA", [23] = "CLFLUSHOPT", [24] = "CLWB",
	[25] = "INTEL_PT", [26] = "AVX512PF", [27] = "AVX512ER", [28] = "AVX512CD", [29] = "SHA_NI",
	[30] = "AVX512BW", [31] = "AVX512VL",
};
static const char *const names_7_0_ecx[32] = {
	[0] = "PREFETCHWT1", [1] = "AVX512VBMI", [2] = "UMIP", [3] = "PKU", [4] = "OSPKE", [5] = "WAITPKG",
	[6] = "AVX512_VBMI2", [7] = "SHSTK", [8] = "GFNI", [9] = "VAES", [10] = "VPCLMULQDQ", [11] = "AVX512_VNNI",
	[12] = "AVX512_BITALG", [13] = "TME", [14] = "AVX512_VPOPCNTDQ", [16] = "LA57", [22] = "RDPID",
	[23] = "KEY_LOCKER", [24] = "BUS_LOCK_DETECT", [25] = "CLDEMOTE", [27] = "MOVDIRI", [28] = "MOVDIR64B",
	[29] = "ENQCMD", [30] = "SGX_LC", [31] = "PKS",
};
static const char *const names_7_0_edx[32] = {
	[1] = "SGX_KEYS", [2] = "AVX512_4VNNIW", [3] = "AVX512_4FMAPS", [4] = "FSRM", [5] = "UINTR",
	[8] = "AVX512_VP2INTERSECT", [9] = "SRBDS_CTRL", [10] = "MD_CLEAR", [11] = "RTM_ALWAYS_ABORT",
	[13] = "TSX_FORCE_ABORT", [14] = "SERIALIZE", [15] = "HYBRID_CPU", [16] = "TSXLDTRK", [18] = "PCONFIG",
	[19] = "ARCH_LBR", [20] = "IBT", [22] = "AMX_BF16", [23] = "AVX512_FP16", [24] = "AMX_TILE",
	[25] = "AMX_INT8", [26] = "SPEC_CTRL", [27] = "STIBP", [28] = "FLUSH_L1D", [29] = "ARCH_CAPABILITIES",
	[30] = "CORE_CAPABILITIES", [31] = "SSBD",
};
static const char *const names_7_1_eax[32] = {
	[0] = "SHA512", [1] = "SM3", [2] = "SM4", [3] = "RAO_INT", [4] = "AVX_VNNI", [5] = "AVX512_BF16", [6] = "LASS",
	[7] = "CMPCCXADD", [8] = "ARCH_PERFMON_EXT", [10] = "FZRM", [11] = "FSRS", [12] = "FSRC", [17] = "FRED",
	[18] = "LKGS", [19] = "WRMSRNS", [20] = "NMI_SOURCE", [21] = "AMX_FP16", [22] = "HRESET", [23] = "AVX_IFMA",
	[26] = "LAM", [27] = "MSRLIST", [30] = "INVD_DISABLE", [31] = "MOVRS",
};
static const char *const names_7_1_ebx[32] = { [0] = "INTEL_PPIN" };
static const char *const names_7_1_ecx[32] = { [5] = "MSR_IMM" };
static const char *const names_7_1_edx[32] = {
	[4] = "AVX_VNNI_INT8", [5] = "AVX_NE_CONVERT", [8] = "AMX_COMPLEX", [10] = "AVX_VNNI_INT16", [13] = "UTMR",
	[14] = "PREFETCHITI", [15] = "USER_MSR", [17] = "UIRET_UIF", [18] = "CET_SSS", [19] = "AVX10", [21] = "APX",
	[23] = "MWAIT",
};
static const char *const names_7_2_edx[32] = {
	[0] = "PSFD", [1] = "IPRED_CTRL", [2] = "RRSBA_CTRL", [3] = "DDPD_U", [4] = "BHI_CTRL", [5] = "MCDT_NO",
};
/* State components: those of XCR0 in leaf 0DH.0 EDX:EAX, those of IA32_XSS in leaf 0DH.1 EDX:ECX. */
static const char *const names_d_0_eax[32] = {
	[0] = "XFEATURE_X87", [1] = "XFEATURE_SSE", [2] = "XFEATURE_YMM", [3] = "XFEATURE_BNDREGS",
	[4] = "XFEATURE_BNDCSR", [5] = "XFEATURE_OPMASK", [6] = "XFEATURE_ZMM_HI256", [7] = "XFEATURE_HI16_ZMM",
	[9] = "XFEATURE_PKRU", [17] = "XFEATURE_XTILE_CFG", [18] = "XFEATURE_XTILE_DATA", [19] = "XFEATURE_APX",
};
static const char *const names_d_1_eax[32] = {
	[0] = "XSAVEOPT", [1] = "XSAVEC", [2] = "XGETBV1", [3] = "XSAVES", [4] = "XFD",
};
static const char *const names_d_1_ecx[32] = {
	[8] = "XFEATURE_PT", [10] = "XFEATURE_PASID", [11] = "XFEATURE_CET_U", [12] = "XFEATURE_CET_S",
	[13] = "XFEATURE_HDC", [14] = "XFEATURE_UINTR", [15] = "XFEATURE_LBR", [16] = "XFEATURE_HWP",
};
static const char *const names_12_0_eax[32] = {
	[0] = "SGX1", [1] = "SGX2", [5] = "SGX_ENCLV", [6] = "SGX_ENCLS_C", [7] = "SGX_EVERIFYREPORT2",
	[10] = "SGX_EUPDATESVN", [11] = "SGX_EDECCSSA",
};
static const char *const names_14_0_ebx[32] = {
	[0] = "PT_CR3_FILTER", [1] = "PT_PSB_CYC", [2] = "PT_IP_FILTER", [3] = "PT_MTC", [4] = "PTWRITE",
	[5] = "PT_POWER_EVENT", [6] = "PT_PSB_PMI", [7] = "PT_EVENT", [8] = "PT_TNT_DISABLE",
};
static const char *const names_14_0_ecx[32] = {
	[0] = "PT_TOPA", [1] = "PT_TOPA_MULTIPLE", [2] = "PT_SINGLE_RANGE", [3] = "PT_TRACE_TRANSPORT", [31] = "PT_LIP",
};
static const char *const names_19_eax[32] = { [0] = "KL_CPL0_ONLY", [1] = "KL_NO_ENCRYPT", [2] = "KL_NO_DECRYPT" };
static const char *const names_19_ebx[32] = { [0] = "AESKLE", [2] = "WIDE_KL", [4] = "KL_BACKUP" };
static const char *const names_19_ecx[32] = { [0] = "KL_NO_BACKUP", [1] = "KL_RANDOM_KEY" };
/* Linux Documentation/virt/kvm/x86/cpuid.rst. */
static const char *const names_40000001_eax[32] = {
	[0] = "KVM_CLOCKSOURCE", [1] = "KVM_NOP_IO_DELAY", [2] = "KVM_MMU_OP", [3] = "KVM_CLOCKSOURCE2",
	[4] = "KVM_ASYNC_PF", [5] = "KVM_STEAL_TIME", [6] = "KVM_PV_EOI", [7] = "KVM_PV_UNHALT",
	[9] = "KVM_PV_TLB_FLUSH", [10] = "KVM_ASYNC_PF_VMEXIT", [11] = "KVM_PV_SEND_IPI", [12] = "KVM_POLL_CONTROL",
	[13] = "KVM_PV_SCHED_YIELD", [14] = "KVM_ASYNC_PF_INT", [15] = "KVM_MSI_EXT_DEST_ID",
	[16] = "KVM_HC_MAP_GPA_RANGE", [17] = "KVM_MIGRATION_CONTROL", [24] = "KVM_CLOCKSOURCE_STABLE",
};
static const char *const names_80000001_ecx[32] = {
	[0] = "LAHF_LM", [1] = "CMP_LEGACY", [2] = "SVM", [3] = "EXTAPIC", [4] = "CR8_LEGACY", [5] = "LZCNT",
	[6] = "SSE4A", [7] = "MISALIGNSSE", [8] = "3DNOWPREFETCH", [9] = "OSVW", [10] = "IBS", [11] = "XOP",
	[12] = "SKINIT", [13] = "WDT", [15] = "LWP", [16] = "FMA4", [17] = "TCE", [19] = "NODEID_MSR", [21] = "TBM",
	[22] = "TOPOEXT", [23] = "PERFCTR_CORE", [24] = "PERFCTR_NB", [26] = "BPEXT", [27] = "PTSC",
	[28] = "PERFCTR_LLC", [29] = "MWAITX", [30] = "ADDR_MASK_EXT",
};
static const char *const names_80000001_edx[32] = {
	[11] = "SYSCALL", [19] = "MP", [20] = "NX", [22] = "MMXEXT", [25] = "FXSR_OPT", [26] = "GBPAGES",
	[27] = "RDTSCP", [29] = "LM", [30] = "3DNOWEXT", [31] = "3DNOW",
};
static const char *const names_80000007_ebx[32] = { [0] = "OVERFLOW_RECOV", [1] = "SUCCOR", [3] = "SMCA" };
static const char *const names_80000007_edx[32] = {
	[0] = "TS", [1] = "FID", [2] = "VID", [3] = "TTP", [4] = "HTC", [6] = "100MHZ_STEPS", [7] = "HW_PSTATE",
	[8] = "INVARIANT_TSC", [9] = "CPB", [10] = "APERFMPERF_RO", [11] = "PROC_FEEDBACK", [12] = "PROC_POWER",
};
static const char *const names_80000008_ebx[32] = {
	[0] = "CLZERO", [1] = "IRPERF", [2] = "XSAVEERPTR", [3] = "INVLPGB", [4] = "RDPRU", [6] = "BANDWIDTH_LIMIT",
	[8] = "MCOMMIT", [9] = "WBNOINVD", [12] = "AMD_IBPB", [13] = "INT_WBINVD", [14] = "AMD_IBRS",
	[15] = "AMD_STIBP", [16] = "AMD_IBRS_ALWAYS_ON", [17] = "AMD_STIBP_ALWAYS_ON", [18] = "AMD_IBRS_PREFERRED",
	[19] = "AMD_IBRS_SAME_MODE", [20] = "EFER_LMSLE_MBZ", [21] = "INVLPGB_NESTED", [23] = "AMD_PPIN",
	[24] = "AMD_SSBD", [25] = "VIRT_SSBD", [26] = "AMD_SSB_NO", [27] = "CPPC", [28] = "AMD_PSFD", [29] = "BTC_NO",
	[30] = "AMD_IBPB_RET", [31] = "BRS",
};
static const char *const names_8000000a_edx[32] = {
	[0] = "NPT", [1] = "LBRV", [2] = "SVM_LOCK", [3] = "NRIPS", [4] = "TSC_RATE_MSR", [5] = "VMCB_CLEAN",
	[6] = "FLUSH_BY_ASID", [7] = "DECODE_ASSISTS", [10] = "PAUSE_FILTER", [12] = "PF_THRESHOLD", [13] = "AVIC",
	[15] = "V_VMSAVE_VMLOAD", [16] = "VGIF", [17] = "GMET", [18] = "X2AVIC", [19] = "SVM_SSS_CHECK",
	[20] = "V_SPEC_CTRL", [21] = "ROGPT", [23] = "HOST_MCE_OVERRIDE", [24] = "TLBI_CTL", [25] = "VNMI",
	[26] = "IBS_VIRT", [27] = "EXT_LVT_AVIC", [28] = "SVME_ADDR_CHK", [29] = "BUS_LOCK_THRESHOLD",
	[30] = "IDLE_HLT",
};
static const char *const names_8000001f_eax[32] = {
	[0] = "SME", [1] = "SEV", [2] = "VM_PAGE_FLUSH", [3] = "SEV_ES", [4] = "SEV_SNP", [5] = "VMPL",
	[6] = "RMPQUERY", [7] = "VMPL_SSS", [8] = "SECURE_TSC", [9] = "V_TSC_AUX", [10] = "SME_COHERENT",
	[14] = "DEBUG_SWAP",
};
static const char *const names_80000021_eax[32] = {
	[0] = "NO_NESTED_DATA_BP", [1] = "FS_GS_BASE_NON_SERIALIZING", [2] = "LFENCE_SERIALIZING",
	[3] = "SMM_PGCFG_LOCK", [6] = "NULL_SEL_CLR_BASE", [7] = "UPPER_ADDR_IGNORE", [8] = "AUTOIBRS",
	[9] = "NO_SMM_CTL_MSR", [10] = "AMD_FSRS", [11] = "AMD_FSRC", [13] = "PREFETCH_CTL_MSR",
	[17] = "CPUID_USER_DIS", [18] = "EPSF", [20] = "PREFETCHI", [24] = "ERAPS", [27] = "SBPB",
	[28] = "IBPB_BRTYPE", [29] = "SRSO_NO", [30] = "SRSO_USER_KERNEL_NO", [31] = "SRSO_MSR_FIX",
};
static const char *const names_80000021_ecx[32] = { [1] = "TSA_SQ_NO", [2] = "TSA_L1_NO" };
static const char *const names_80000022_eax[32] = {
	[0] = "PERFMON_V2", [1] = "AMD_LBR_V2", [2] = "AMD_LBR_PMC_FREEZE",
};
static const char *const no_names[32] = { NULL };

#define BIT(n) (1u << (n))
/* Bits of 8000_0001H EDX that repeat leaf 1 EDX on AMD: 9:0, 17:12, 24:23 (APM volume 3, appendix E.4). */
#define AMD_COPIES 0x0183f3ffu

/* The registers that are sets of features; ignored: bits that are not held against a host (cpuid_missing()). */
static const struct word {
	uint32_t function, index;
	enum cpuid_register reg;
	const char *const *names; /* of 32 */
	uint32_t ignored;
} words[] = {
	{ 0x1, 0, CPUID_ECX, names_1_ecx, BIT(3) | BIT(21) | BIT(24) | BIT(27) | BIT(31) },
	{ 0x1, 0, CPUID_EDX, names_1_edx, BIT(9) | BIT(28) },
	{ 0x6, 0, CPUID_EAX, names_6_eax, 0 },
	{ 0x6, 0, CPUID_ECX, names_6_ecx, 0 },
	{ 0x7, 0, CPUID_EBX, names_7_0_ebx, BIT(1) },
	{ 0x7, 0, CPUID_ECX, names_7_0_ecx, BIT(4) },
	{ 0x7, 0, CPUID_EDX, names_7_0_edx, 0 },
	{ 0x7, 1, CPUID_EAX, names_7_1_eax, 0 },
	{ 0x7, 1, CPUID_EBX, names_7_1_ebx, 0 },
	{ 0x7, 1, CPUID_ECX, names_7_1_ecx, 0 },
	{ 0x7, 1, CPUID_EDX, names_7_1_edx, 0 },
	{ 0x7, 2, CPUID_EDX, names_7_2_edx, 0 },
	{ 0xd, 0, CPUID_EAX, names_d_0_eax, 0 },
	{ 0xd, 0, CPUID_EDX, no_names, 0 },
	{ 0xd, 1, CPUID_EAX, names_d_1_eax, 0 },
	{ 0xd, 1, CPUID_ECX, names_d_1_ecx, 0 },
	{ 0xd, 1, CPUID_EDX, no_names, 0 },
	{ 0x12, 0, CPUID_EAX, names_12_0_eax, 0 },
	{ 0x14, 0, CPUID_EBX, names_14_0_ebx, 0 },
	{ 0x14, 0, CPUID_ECX, names_14_0_ecx, 0 },
	{ 0x19, 0, CPUID_EAX, names_19_eax, 0 },
	{ 0x19, 0, CPUID_EBX, names_19_ebx, 0 },
	{ 0x19, 0, CPUID_ECX, names_19_ecx, 0 },
	{ 0x40000001, 0, CPUID_EAX, names_40000001_eax, 0 },
	{ 0x80000001, 0, CPUID_ECX, names_80000001_ecx, BIT(1) },
	{ 0x80000001, 0, CPUID_EDX, names_80000001_edx, AMD_COPIES },
	{ 0x80000007, 0, CPUID_EBX, names_80000007_ebx, 0 },
	{ 0x80000007, 0, CPUID_EDX, names_80000007_edx, 0 },
	{ 0x80000008, 0, CPUID_EBX, names_80000008_ebx, 0 },
	{ 0x8000000a, 0, CPUID_EDX, names_8000000a_edx, 0 },
	{ 0x8000001f, 0, CPUID_EAX, names_8000001f_eax, 0 },
	{ 0x80000021, 0, CPUID_EAX, names_80000021_eax, 0 },
	{ 0x80000021, 0, CPUID_ECX, names_80000021_ecx, 0 },
	{ 0x80000022, 0, CPUID_EAX, names_80000022_eax, 0 },
};

/* Numbers of which a host needs at least as much. */
static const struct number {
	uint32_t function, index;
	enum cpuid_register reg;
	uint8_t low, width;
	const char *what;
} numbers[] = {
	{ 0xa, 0, CPUID_EAX, 0, 8, "as the version of performance monitoring" },
	{ 0xa, 0, CPUID_EAX, 8, 8, "general performance counters" },
	{ 0xa, 0, CPUID_EDX, 0, 5, "fixed performance counters" },
	{ 0x80000008, 0, CPUID_EAX, 0, 8, "physical address bits" },
	{ 0x80000008, 0, CPUID_EAX, 8, 8, "linear address bits" },
};
/* clang-format on */

#define NR_WORDS   (sizeof(words) / sizeof(words[0]))
#define NR_NUMBERS (sizeof(numbers) / sizeof(numbers[0]))

static const struct word *find_word(uint32_t function, uint32_t index, enum cpuid_register reg)
{
	for (size_t i = 0; i < NR_WORDS; i++)
		if (words[i].function == function && words[i].index == index && words[i].reg == reg)
			return &words[i];
	return NULL;
}

bool cpuid_is_features(uint32_t function, uint32_t index, enum cpuid_register reg)
{
	return find_word(function, index, reg) != NULL;
}

const char *cpuid_bit_name(uint32_t function, uint32_t index, enum cpuid_register reg, unsigned bit)
{
	const struct word *word = find_word(function, index, reg);
	return word != NULL && bit < 32 ? word->names[bit] : NULL;
}

bool cpuid_feature(const char *name, struct cpuid_bit *ret)
{
	for (size_t i = 0; i < NR_WORDS; i++) {
		for (unsigned bit = 0; bit < 32; bit++) {
			if (words[i].names[bit] == NULL || strcasecmp(words[i].names[bit], name) != 0)
				continue;
			*ret = (struct cpuid_bit){ words[i].function, words[i].index, words[i].reg, bit };
			return true;
		}
	}
	return false;
}

void cpuid_register_name(const struct kvm_cpuid_entry2 *entry, enum cpuid_register reg, char ret[CPUID_TEXT_MAX])
{
	static const char *const names[CPUID_REGISTERS] = { "eax", "ebx", "ecx", "edx" };
	if ((entry->flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX) != 0)
		snprintf(ret, CPUID_TEXT_MAX, "0x%x.%u %s", entry->function, entry->index, names[reg]);
	else
		snprintf(ret, CPUID_TEXT_MAX, "0x%x %s", entry->function, names[reg]);
}

/* What cpuid_missing() works with. */
struct search {
	const struct cpuid *supported;
	const struct kvm_cpuid_entry2 *entry; /* of wanted */
	bool has_xsave;                       /* wanted has XSAVE */
	void (*visit)(void *context, const struct cpuid_lack *lack);
	void *context;
	unsigned nr_lacks;
};

static void report(struct search *search, enum cpuid_register reg, int bit, const char *text)
{
	struct cpuid_lack lack = {
		.function = search->entry->function, .index = search->entry->index, .reg = reg, .bit = bit
	};
	snprintf(lack.text, sizeof(lack.text), "%s", text);
	search->nr_lacks++;
	if (search->visit != NULL)
		search->visit(search->context, &lack);
}

static void search_bits(struct search *search, enum cpuid_register reg)
{
	const struct kvm_cpuid_entry2 *entry = search->entry;
	const struct word *word = find_word(entry->function, entry->index, reg);
	if (word == NULL)
		return;
	uint32_t lacking = cpuid_entry_get(entry, reg) & ~word->ignored &
			   ~cpuid_get(search->supported, entry->function, entry->index, reg);
	for (unsigned bit = 0; bit < 32; bit++) {
		if ((lacking >> bit & 1) == 0)
			continue;
		if (word->names[bit] != NULL) {
			report(search, reg, (int)bit, word->names[bit]);
			continue;
		}
		char where[CPUID_TEXT_MAX], text[CPUID_TEXT_MAX + sizeof(" bit 31")];
		cpuid_register_name(entry, reg, where);
		snprintf(text, sizeof(text), "%s bit %u", where, bit);
		report(search, reg, (int)bit, text);
	}
}

static void search_numbers(struct search *search)
{
	const struct kvm_cpuid_entry2 *entry = search->entry;
	for (size_t i = 0; i < NR_NUMBERS; i++) {
		const struct number *number = &numbers[i];
		if (number->function != entry->function || number->index != entry->index)
			continue;
		uint32_t mask = (1u << number->width) - 1;
		uint32_t wanted = cpuid_entry_get(entry, number->reg) >> number->low & mask;
		uint32_t found = cpuid_get(search->supported, entry->function, entry->index, number->reg);
		found = found >> number->low & mask;
		if (wanted <= found)
			continue;
		char text[CPUID_TEXT_MAX];
		snprintf(text, sizeof(text), "%u %s (the host: %u)", wanted, number->what, found);
		report(search, number->reg, -1, text);
	}
}

/* Leaf 0DH from subleaf 2 on: EAX the size of a state component, EBX its place in XSAVE's standard form. */
static void search_xsave_layout(struct search *search)
{
	const struct kvm_cpuid_entry2 *entry = search->entry;
	if (!search->has_xsave || entry->function != 0xd || entry->index < 2)
		return;
	const struct kvm_cpuid_entry2 *found = cpuid_find(search->supported, 0xd, entry->index);
	if (found == NULL || (found->eax == entry->eax && found->ebx == entry->ebx))
		return; /* one that is not there is missing from the mask already */
	char text[CPUID_TEXT_MAX];
	snprintf(text, sizeof(text), "XSAVE component %u of 0x%x bytes at 0x%x (the host: 0x%x at 0x%x)", entry->index,
		 entry->eax, entry->ebx, found->eax, found->ebx);
	report(search, found->eax != entry->eax ? CPUID_EAX : CPUID_EBX, -1, text);
}

unsigned cpuid_missing(const struct cpuid *wanted, const struct cpuid *supported,
		       void (*visit)(void *context, const struct cpuid_lack *lack), void *context)
{
	struct search search = {
		.supported = supported, .has_xsave = cpuid_has(wanted, "XSAVE"), .visit = visit, .context = context
	};
	for (uint32_t i = 0; i < wanted->nent; i++) {
		search.entry = &wanted->entries[i];
		/* Most tables agree in most places; an equal entry lacks nothing. */
		if (i < supported->nent && memcmp(search.entry, &supported->entries[i], sizeof(*search.entry)) == 0)
			continue;
		for (enum cpuid_register reg = CPUID_EAX; reg < CPUID_REGISTERS; reg++)
			search_bits(&search, reg);
		search_numbers(&search);
		search_xsave_layout(&search);
	}
	return search.nr_lacks;
}
