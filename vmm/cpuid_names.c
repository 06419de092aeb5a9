#include "cpuid.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "cold.h"
#include "kvm_reg.h"

/*
 * Bit names: the SDM's (volume 2, CPUID) and APM's (volume 3, appendix E), in Linux's spelling
 * (arch/x86/include/asm/cpufeatures.h).  A name stands for one bit; where AMD has a bit of its own for what another
 * bit says on Intel, its name starts with AMD_.
 */
/* clang-format off */
static const char names_1_ecx[] COLD_TEXT =
	"0 SSE3\0" "1 PCLMULQDQ\0" "2 DTES64\0" "3 MONITOR\0" "4 DS_CPL\0" "5 VMX\0" "6 SMX\0" "7 EST\0" "8 TM2\0"
	"9 SSSE3\0" "10 CNXT_ID\0" "11 SDBG\0" "12 FMA\0" "13 CX16\0" "14 XTPR\0" "15 PDCM\0" "17 PCID\0" "18 DCA\0"
	"19 SSE4_1\0" "20 SSE4_2\0" "21 X2APIC\0" "22 MOVBE\0" "23 POPCNT\0" "24 TSC_DEADLINE\0" "25 AES\0"
	"26 XSAVE\0" "27 OSXSAVE\0" "28 AVX\0" "29 F16C\0" "30 RDRAND\0" "31 HYPERVISOR\0";
static const char names_1_edx[] COLD_TEXT =
	"0 FPU\0" "1 VME\0" "2 DE\0" "3 PSE\0" "4 TSC\0" "5 MSR\0" "6 PAE\0" "7 MCE\0" "8 CX8\0" "9 APIC\0" "11 SEP\0"
	"12 MTRR\0" "13 PGE\0" "14 MCA\0" "15 CMOV\0" "16 PAT\0" "17 PSE36\0" "18 PN\0" "19 CLFLUSH\0" "21 DS\0"
	"22 ACPI\0" "23 MMX\0" "24 FXSR\0" "25 SSE\0" "26 SSE2\0" "27 SS\0" "28 HTT\0" "29 TM\0" "30 IA64\0"
	"31 PBE\0";
static const char names_6_eax[] COLD_TEXT =
	"0 DTHERM\0" "1 TURBO_BOOST\0" "2 ARAT\0" "4 PLN\0" "5 ECMD\0" "6 PTS\0" "7 HWP\0" "8 HWP_NOTIFY\0"
	"9 HWP_ACT_WINDOW\0" "10 HWP_EPP\0" "11 HWP_PKG_REQ\0" "13 HDC\0" "14 TURBO_BOOST_MAX_3\0" "19 HFI\0"
	"23 THREAD_DIRECTOR\0";
static const char names_6_ecx[] COLD_TEXT = "0 APERFMPERF\0" "3 EPB\0";
static const char names_7_0_ebx[] COLD_TEXT =
	"0 FSGSBASE\0" "1 TSC_ADJUST\0" "2 SGX\0" "3 BMI1\0" "4 HLE\0" "5 AVX2\0" "6 FDP_EXCPTN_ONLY\0" "7 SMEP\0"
	"8 BMI2\0" "9 ERMS\0" "10 INVPCID\0" "11 RTM\0" "12 CQM\0" "13 ZERO_FCS_FDS\0" "14 MPX\0" "15 RDT_A\0"
	"16 AVX512F\0" "17 AVX512DQ\0" "18 RDSEED\0" "19 ADX\0" "20 SMAP\0" "21 AVX512IFMA\0" "23 CLFLUSHOPT\0"
	"24 CLWB\0" "25 INTEL_PT\0" "26 AVX512PF\0" "27 AVX512ER\0" "28 AVX512CD\0" "29 SHA_NI\0" "30 AVX512BW\0"
	"31 AVX512VL\0";
static const char names_7_0_ecx[] COLD_TEXT =
	"0 PREFETCHWT1\0" "1 AVX512VBMI\0" "2 UMIP\0" "3 PKU\0" "4 OSPKE\0" "5 WAITPKG\0" "6 AVX512_VBMI2\0"
	"7 SHSTK\0" "8 GFNI\0" "9 VAES\0" "10 VPCLMULQDQ\0" "11 AVX512_VNNI\0" "12 AVX512_BITALG\0" "13 TME\0"
	"14 AVX512_VPOPCNTDQ\0" "16 LA57\0" "22 RDPID\0" "23 KEY_LOCKER\0" "24 BUS_LOCK_DETECT\0" "25 CLDEMOTE\0"
	"27 MOVDIRI\0" "28 MOVDIR64B\0" "29 ENQCMD\0" "30 SGX_LC\0" "31 PKS\0";
static const char names_7_0_edx[] COLD_TEXT =
	"1 SGX_KEYS\0" "2 AVX512_4VNNIW\0" "3 AVX512_4FMAPS\0" "4 FSRM\0" "5 UINTR\0" "8 AVX512_VP2INTERSECT\0"
	"9 SRBDS_CTRL\0" "10 MD_CLEAR\0" "11 RTM_ALWAYS_ABORT\0" "13 TSX_FORCE_ABORT\0" "14 SERIALIZE\0"
	"15 HYBRID_CPU\0" "16 TSXLDTRK\0" "18 PCONFIG\0" "19 ARCH_LBR\0" "20 IBT\0" "22 AMX_BF16\0" "23 AVX512_FP16\0"
	"24 AMX_TILE\0" "25 AMX_INT8\0" "26 SPEC_CTRL\0" "27 STIBP\0" "28 FLUSH_L1D\0" "29 ARCH_CAPABILITIES\0"
	"30 CORE_CAPABILITIES\0" "31 SSBD\0";
static const char names_7_1_eax[] COLD_TEXT =
	"0 SHA512\0" "1 SM3\0" "2 SM4\0" "3 RAO_INT\0" "4 AVX_VNNI\0" "5 AVX512_BF16\0" "6 LASS\0" "7 CMPCCXADD\0"
	"8 ARCH_PERFMON_EXT\0" "10 FZRM\0" "11 FSRS\0" "12 FSRC\0" "17 FRED\0" "18 LKGS\0" "19 WRMSRNS\0"
	"20 NMI_SOURCE\0" "21 AMX_FP16\0" "22 HRESET\0" "23 AVX_IFMA\0" "26 LAM\0" "27 MSRLIST\0" "30 INVD_DISABLE\0"
	"31 MOVRS\0";
static const char names_7_1_ebx[] COLD_TEXT = "0 INTEL_PPIN\0";
static const char names_7_1_ecx[] COLD_TEXT = "5 MSR_IMM\0";
static const char names_7_1_edx[] COLD_TEXT =
	"4 AVX_VNNI_INT8\0" "5 AVX_NE_CONVERT\0" "8 AMX_COMPLEX\0" "10 AVX_VNNI_INT16\0" "13 UTMR\0"
	"14 PREFETCHITI\0" "15 USER_MSR\0" "17 UIRET_UIF\0" "18 CET_SSS\0" "19 AVX10\0" "21 APX\0" "23 MWAIT\0";
static const char names_7_2_edx[] COLD_TEXT =
	"0 PSFD\0" "1 IPRED_CTRL\0" "2 RRSBA_CTRL\0" "3 DDPD_U\0" "4 BHI_CTRL\0" "5 MCDT_NO\0";
/* State components: those of XCR0 in leaf 0DH.0 EDX:EAX, those of IA32_XSS in leaf 0DH.1 EDX:ECX. */
static const char names_d_0_eax[] COLD_TEXT =
	"0 XFEATURE_X87\0" "1 XFEATURE_SSE\0" "2 XFEATURE_YMM\0" "3 XFEATURE_BNDREGS\0" "4 XFEATURE_BNDCSR\0"
	"5 XFEATURE_OPMASK\0" "6 XFEATURE_ZMM_HI256\0" "7 XFEATURE_HI16_ZMM\0" "9 XFEATURE_PKRU\0"
	"17 XFEATURE_XTILE_CFG\0" "18 XFEATURE_XTILE_DATA\0" "19 XFEATURE_APX\0";
static const char names_d_1_eax[] COLD_TEXT = "0 XSAVEOPT\0" "1 XSAVEC\0" "2 XGETBV1\0" "3 XSAVES\0" "4 XFD\0";
static const char names_d_1_ecx[] COLD_TEXT =
	"8 XFEATURE_PT\0" "10 XFEATURE_PASID\0" "11 XFEATURE_CET_U\0" "12 XFEATURE_CET_S\0" "13 XFEATURE_HDC\0"
	"14 XFEATURE_UINTR\0" "15 XFEATURE_LBR\0" "16 XFEATURE_HWP\0";
static const char names_12_0_eax[] COLD_TEXT =
	"0 SGX1\0" "1 SGX2\0" "5 SGX_ENCLV\0" "6 SGX_ENCLS_C\0" "7 SGX_EVERIFYREPORT2\0" "10 SGX_EUPDATESVN\0"
	"11 SGX_EDECCSSA\0";
static const char names_14_0_ebx[] COLD_TEXT =
	"0 PT_CR3_FILTER\0" "1 PT_PSB_CYC\0" "2 PT_IP_FILTER\0" "3 PT_MTC\0" "4 PTWRITE\0" "5 PT_POWER_EVENT\0"
	"6 PT_PSB_PMI\0" "7 PT_EVENT\0" "8 PT_TNT_DISABLE\0";
static const char names_14_0_ecx[] COLD_TEXT =
	"0 PT_TOPA\0" "1 PT_TOPA_MULTIPLE\0" "2 PT_SINGLE_RANGE\0" "3 PT_TRACE_TRANSPORT\0" "31 PT_LIP\0";
static const char names_19_eax[] COLD_TEXT = "0 KL_CPL0_ONLY\0" "1 KL_NO_ENCRYPT\0" "2 KL_NO_DECRYPT\0";
static const char names_19_ebx[] COLD_TEXT = "0 AESKLE\0" "2 WIDE_KL\0" "4 KL_BACKUP\0";
static const char names_19_ecx[] COLD_TEXT = "0 KL_NO_BACKUP\0" "1 KL_RANDOM_KEY\0";
/* Linux Documentation/virt/kvm/x86/cpuid.rst. */
static const char names_40000001_eax[] COLD_TEXT =
	"0 KVM_CLOCKSOURCE\0" "1 KVM_NOP_IO_DELAY\0" "2 KVM_MMU_OP\0" "3 KVM_CLOCKSOURCE2\0" "4 KVM_ASYNC_PF\0"
	"5 KVM_STEAL_TIME\0" "6 KVM_PV_EOI\0" "7 KVM_PV_UNHALT\0" "9 KVM_PV_TLB_FLUSH\0" "10 KVM_ASYNC_PF_VMEXIT\0"
	"11 KVM_PV_SEND_IPI\0" "12 KVM_POLL_CONTROL\0" "13 KVM_PV_SCHED_YIELD\0" "14 KVM_ASYNC_PF_INT\0"
	"15 KVM_MSI_EXT_DEST_ID\0" "16 KVM_HC_MAP_GPA_RANGE\0" "17 KVM_MIGRATION_CONTROL\0"
	"24 KVM_CLOCKSOURCE_STABLE\0";
static const char names_80000001_ecx[] COLD_TEXT =
	"0 LAHF_LM\0" "1 CMP_LEGACY\0" "2 SVM\0" "3 EXTAPIC\0" "4 CR8_LEGACY\0" "5 LZCNT\0" "6 SSE4A\0"
	"7 MISALIGNSSE\0" "8 3DNOWPREFETCH\0" "9 OSVW\0" "10 IBS\0" "11 XOP\0" "12 SKINIT\0" "13 WDT\0" "15 LWP\0"
	"16 FMA4\0" "17 TCE\0" "19 NODEID_MSR\0" "21 TBM\0" "22 TOPOEXT\0" "23 PERFCTR_CORE\0" "24 PERFCTR_NB\0"
	"26 BPEXT\0" "27 PTSC\0" "28 PERFCTR_LLC\0" "29 MWAITX\0" "30 ADDR_MASK_EXT\0";
static const char names_80000001_edx[] COLD_TEXT =
	"11 SYSCALL\0" "19 MP\0" "20 NX\0" "22 MMXEXT\0" "25 FXSR_OPT\0" "26 GBPAGES\0" "27 RDTSCP\0" "29 LM\0"
	"30 3DNOWEXT\0" "31 3DNOW\0";
static const char names_80000007_ebx[] COLD_TEXT = "0 OVERFLOW_RECOV\0" "1 SUCCOR\0" "3 SMCA\0";
static const char names_80000007_edx[] COLD_TEXT =
	"0 TS\0" "1 FID\0" "2 VID\0" "3 TTP\0" "4 HTC\0" "6 100MHZ_STEPS\0" "7 HW_PSTATE\0" "8 INVARIANT_TSC\0"
	"9 CPB\0" "10 APERFMPERF_RO\0" "11 PROC_FEEDBACK\0" "12 PROC_POWER\0";
static const char names_80000008_ebx[] COLD_TEXT =
	"0 CLZERO\0" "1 IRPERF\0" "2 XSAVEERPTR\0" "3 INVLPGB\0" "4 RDPRU\0" "6 BANDWIDTH_LIMIT\0" "8 MCOMMIT\0"
	"9 WBNOINVD\0" "12 AMD_IBPB\0" "13 INT_WBINVD\0" "14 AMD_IBRS\0" "15 AMD_STIBP\0" "16 AMD_IBRS_ALWAYS_ON\0"
	"17 AMD_STIBP_ALWAYS_ON\0" "18 AMD_IBRS_PREFERRED\0" "19 AMD_IBRS_SAME_MODE\0" "20 EFER_LMSLE_MBZ\0"
	"21 INVLPGB_NESTED\0" "23 AMD_PPIN\0" "24 AMD_SSBD\0" "25 VIRT_SSBD\0" "26 AMD_SSB_NO\0" "27 CPPC\0"
	"28 AMD_PSFD\0" "29 BTC_NO\0" "30 AMD_IBPB_RET\0" "31 BRS\0";
static const char names_8000000a_edx[] COLD_TEXT =
	"0 NPT\0" "1 LBRV\0" "2 SVM_LOCK\0" "3 NRIPS\0" "4 TSC_RATE_MSR\0" "5 VMCB_CLEAN\0" "6 FLUSH_BY_ASID\0"
	"7 DECODE_ASSISTS\0" "10 PAUSE_FILTER\0" "12 PF_THRESHOLD\0" "13 AVIC\0" "15 V_VMSAVE_VMLOAD\0" "16 VGIF\0"
	"17 GMET\0" "18 X2AVIC\0" "19 SVM_SSS_CHECK\0" "20 V_SPEC_CTRL\0" "21 ROGPT\0" "23 HOST_MCE_OVERRIDE\0"
	"24 TLBI_CTL\0" "25 VNMI\0" "26 IBS_VIRT\0" "27 EXT_LVT_AVIC\0" "28 SVME_ADDR_CHK\0" "29 BUS_LOCK_THRESHOLD\0"
	"30 IDLE_HLT\0";
static const char names_8000001f_eax[] COLD_TEXT =
	"0 SME\0" "1 SEV\0" "2 VM_PAGE_FLUSH\0" "3 SEV_ES\0" "4 SEV_SNP\0" "5 VMPL\0" "6 RMPQUERY\0" "7 VMPL_SSS\0"
	"8 SECURE_TSC\0" "9 V_TSC_AUX\0" "10 SME_COHERENT\0" "14 DEBUG_SWAP\0";
static const char names_80000021_eax[] COLD_TEXT =
	"0 NO_NESTED_DATA_BP\0" "1 FS_GS_BASE_NON_SERIALIZING\0" "2 LFENCE_SERIALIZING\0" "3 SMM_PGCFG_LOCK\0"
	"6 NULL_SEL_CLR_BASE\0" "7 UPPER_ADDR_IGNORE\0" "8 AUTOIBRS\0" "9 NO_SMM_CTL_MSR\0" "10 AMD_FSRS\0"
	"11 AMD_FSRC\0" "13 PREFETCH_CTL_MSR\0" "17 CPUID_USER_DIS\0" "18 EPSF\0" "20 PREFETCHI\0" "24 ERAPS\0"
	"27 SBPB\0" "28 IBPB_BRTYPE\0" "29 SRSO_NO\0" "30 SRSO_USER_KERNEL_NO\0" "31 SRSO_MSR_FIX\0";
static const char names_80000021_ecx[] COLD_TEXT = "1 TSA_SQ_NO\0" "2 TSA_L1_NO\0";
static const char names_80000022_eax[] COLD_TEXT = "0 PERFMON_V2\0" "1 AMD_LBR_V2\0" "2 AMD_LBR_PMC_FREEZE\0";

#define BIT(n) (1u << (n))
/* Bits of 8000_0001H EDX that repeat leaf 1 EDX on AMD: 9:0, 17:12, 24:23 (APM volume 3, appendix E.4). */
#define AMD_COPIES 0x0183f3ffu

/* The registers that are sets of features; ignored: bits that are not held against a host (cpuid_missing()). */
static const struct word {
	uint32_t function, index;
	enum cpuid_register reg;
	const char *names; /* for kvm_reg_bits_next() */
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
	{ 0xd, 0, CPUID_EDX, "", 0 },
	{ 0xd, 1, CPUID_EAX, names_d_1_eax, 0 },
	{ 0xd, 1, CPUID_ECX, names_d_1_ecx, 0 },
	{ 0xd, 1, CPUID_EDX, "", 0 },
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
	struct kvm_reg_bits found;
	for (const char *list = word != NULL ? word->names : NULL; kvm_reg_bits_next(&list, &found);)
		if (found.low == bit)
			return found.name;
	return NULL;
}

bool cpuid_feature(const char *name, struct cpuid_bit *ret)
{
	struct kvm_reg_bits found;
	for (size_t i = 0; i < NR_WORDS; i++) {
		for (const char *list = words[i].names; kvm_reg_bits_next(&list, &found);) {
			if (strcasecmp(found.name, name) != 0)
				continue;
			*ret = (struct cpuid_bit){ words[i].function, words[i].index, words[i].reg, found.low };
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

void cpuid_lack_text(const struct cpuid_lack *lack, char ret[CPUID_TEXT_MAX])
{
	const char *text = lack->text;
	if (lack->bit >= 0)
		text = cpuid_bit_name(lack->entry->function, lack->entry->index, lack->reg, (unsigned)lack->bit);
	if (text != NULL) {
		snprintf(ret, CPUID_TEXT_MAX, "%s", text);
		return;
	}
	cpuid_register_name(lack->entry, lack->reg, ret);
	size_t used = strlen(ret);
	snprintf(ret + used, CPUID_TEXT_MAX - used, " bit %d", lack->bit);
}

/* What cpuid_missing() works with. */
struct search {
	const struct cpuid *wanted, *supported;
	const struct kvm_cpuid_entry2 *entry, *found; /* of wanted, and supported's; NULL: it has none */
	void (*visit)(void *context, const struct cpuid_lack *lack);
	void *context;
	unsigned nr_lacks;
};

static void report(struct search *search, enum cpuid_register reg, int bit, const char *text)
{
	const struct cpuid_lack lack = { .entry = search->entry, .reg = reg, .bit = bit, .text = text };
	search->nr_lacks++;
	if (search->visit != NULL)
		search->visit(search->context, &lack);
}

static uint32_t found(const struct search *search, enum cpuid_register reg)
{
	return search->found != NULL ? cpuid_entry_get(search->found, reg) : 0;
}

static void search_bits(struct search *search, enum cpuid_register reg)
{
	const struct kvm_cpuid_entry2 *entry = search->entry;
	uint32_t lacking = cpuid_entry_get(entry, reg) & ~found(search, reg);
	const struct word *word = lacking != 0 ? find_word(entry->function, entry->index, reg) : NULL;
	if (word == NULL)
		return;
	lacking &= ~word->ignored;
	for (int bit = 0; bit < 32; bit++)
		if ((lacking >> bit & 1) != 0)
			report(search, reg, bit, NULL);
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
		uint32_t host = found(search, number->reg) >> number->low & mask;
		if (wanted <= host)
			continue;
		char text[CPUID_TEXT_MAX];
		snprintf(text, sizeof(text), "%u %s (the host: %u)", wanted, number->what, host);
		report(search, number->reg, -1, text);
	}
}

/* Leaf 0DH from subleaf 2 on: EAX the size of a state component, EBX its place in XSAVE's standard form. */
static void search_xsave_layout(struct search *search)
{
	const struct kvm_cpuid_entry2 *entry = search->entry;
	if (entry->function != 0xd || entry->index < 2 || !cpuid_has(search->wanted, CPUID_XSAVE))
		return;
	const struct kvm_cpuid_entry2 *host = search->found;
	if (host == NULL || (host->eax == entry->eax && host->ebx == entry->ebx))
		return; /* one that is not there is missing from the mask already */
	char text[CPUID_TEXT_MAX];
	snprintf(text, sizeof(text), "XSAVE component %u of 0x%x bytes at 0x%x (the host: 0x%x at 0x%x)", entry->index,
		 entry->eax, entry->ebx, host->eax, host->ebx);
	report(search, host->eax != entry->eax ? CPUID_EAX : CPUID_EBX, -1, text);
}

unsigned cpuid_missing(const struct cpuid *wanted, const struct cpuid *supported,
		       void (*visit)(void *context, const struct cpuid_lack *lack), void *context)
{
	struct search search = { .wanted = wanted, .supported = supported, .visit = visit, .context = context };
	for (uint32_t i = 0; i < wanted->nent; i++) {
		search.entry = &wanted->entries[i];
		/* Most tables agree in most places; an equal entry lacks nothing. */
		if (i < supported->nent && memcmp(search.entry, &supported->entries[i], sizeof(*search.entry)) == 0)
			continue;
		search.found = cpuid_find(supported, search.entry->function, search.entry->index);
		for (enum cpuid_register reg = CPUID_EAX; reg < CPUID_REGISTERS; reg++)
			search_bits(&search, reg);
		search_numbers(&search);
		search_xsave_layout(&search);
	}
	return search.nr_lacks;
}
