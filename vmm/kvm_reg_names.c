#include "kvm_reg.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))

/*
 * Bit fields.  Numbers and names are those of the Intel SDM (volume 3 for CRs and DRs, volume 4 for MSRs), of the AMD
 * APM volume 2 for AMD's MSRs, and of Documentation/virt/kvm/x86/msr.rst for KVM's own.  A field is shown as it
 * stands, so BASE counts 4 KiB, ADDRESS_64 counts 64 bytes, ADDRESS_4 counts 4.
 */
/* clang-format off */
const char cr0_bits[] =
	"0 PE\0" "1 MP\0" "2 EM\0" "3 TS\0" "4 ET\0" "5 NE\0" "16 WP\0" "18 AM\0" "29 NW\0" "30 CD\0" "31 PG\0";

const char cr4_bits[] =
	"0 VME\0" "1 PVI\0" "2 TSD\0" "3 DE\0" "4 PSE\0" "5 PAE\0" "6 MCE\0" "7 PGE\0" "8 PCE\0" "9 OSFXSR\0"
	"10 OSXMMEXCPT\0" "11 UMIP\0" "12 LA57\0" "13 VMXE\0" "14 SMXE\0" "16 FSGSBASE\0" "17 PCIDE\0" "18 OSXSAVE\0"
	"19 KL\0" "20 SMEP\0" "21 SMAP\0" "22 PKE\0" "23 CET\0" "24 PKS\0" "25 UINTR\0" "27 LASS\0" "28 LAM_SUP\0"
	"32 FRED\0";

const char efer_bits[] =
	"0 SCE\0" "8 LME\0" "10 LMA\0" "11 NXE\0" "12 SVME\0" "13 LMSLE\0" "14 FFXSR\0" "15 TCE\0" "17 MCOMMIT\0"
	"18 INTWB\0" "20 UAIE\0" "21 AIBRSE\0";

/* XCR0, IA32_XFD and IA32_XFD_ERR (SDM volume 1, 13.1 and 13.14). */
const char xcr0_bits[] =
	"0 X87\0" "1 SSE\0" "2 AVX\0" "3 BNDREGS\0" "4 BNDCSR\0" "5 OPMASK\0" "6 ZMM_HI256\0" "7 HI16_ZMM\0"
	"9 PKRU\0" "17 TILECFG\0" "18 TILEDATA\0" "19 APX\0" "62 LWP\0";

const char rflags_bits[] =
	"0 CF\0" "1 \0" "2 PF\0" "4 AF\0" "6 ZF\0" "7 SF\0" "8 TF\0" "9 IF\0" "10 DF\0" "11 OF\0" "12+2 IOPL\0"
	"14 NT\0" "16 RF\0" "17 VM\0" "18 AC\0" "19 VIF\0" "20 VIP\0" "21 ID\0";

/* BLD and RTM report an event by being 0 (SDM volume 3, "Debug Status Register"): the names here say what 1 means. */
const char dr6_bits[] =
	"0 B0\0" "1 B1\0" "2 B2\0" "3 B3\0" "4+7 \0" "11 NO_BLD\0" "13 BD\0" "14 BS\0" "15 BT\0" "16 NO_RTM\0"
	"17+15 \0";

const char dr7_bits[] =
	"0 L0\0" "1 G0\0" "2 L1\0" "3 G1\0" "4 L2\0" "5 G2\0" "6 L3\0" "7 G3\0" "8 LE\0" "9 GE\0" "10 \0" "11 RTM\0"
	"13 GD\0" "16+2 RW0\0" "18+2 LEN0\0" "20+2 RW1\0" "22+2 LEN1\0" "24+2 RW2\0" "26+2 LEN2\0" "28+2 RW3\0"
	"30+2 LEN3\0";

static const char xss_bits[] =
	"8 PT\0" "10 PASID\0" "11 CET_U\0" "12 CET_S\0" "13 HDC\0" "14 UINTR\0" "15 LBR\0" "16 HWP\0";

static const char apic_base_bits[] = "8 BSP\0" "10 X2APIC\0" "11 ENABLE\0" "12+40 BASE\0";

static const char feature_control_bits[] =
	"0 LOCK\0" "1 VMX_IN_SMX\0" "2 VMX_OUTSIDE_SMX\0" "8+7 SENTER_LOCAL\0" "15 SENTER_GLOBAL\0"
	"17 SGX_LAUNCH_CONTROL\0" "18 SGX\0" "20 LMCE\0";

static const char spec_ctrl_bits[] =
	"0 IBRS\0" "1 STIBP\0" "2 SSBD\0" "3 IPRED_DIS_U\0" "4 IPRED_DIS_S\0" "5 RRSBA_DIS_U\0" "6 RRSBA_DIS_S\0"
	"7 PSFD\0" "8 DDPD_U\0" "10 BHI_DIS_S\0";

static const char platform_info_bits[] = "8+8 RATIO\0" "31 CPUID_FAULTING\0";

static const char umwait_control_bits[] = "0 C02_DISABLE\0" "2+30 MAX_TIME\0";

static const char mtrrcap_bits[] = "0+8 VCNT\0" "8 FIX\0" "10 WC\0" "11 SMRR\0";

static const char arch_capabilities_bits[] =
	"0 RDCL_NO\0" "1 IBRS_ALL\0" "2 RSBA\0" "3 SKIP_L1DFL_VMENTRY\0" "4 SSB_NO\0" "5 MDS_NO\0"
	"6 IF_PSCHANGE_MC_NO\0" "7 TSX_CTRL\0" "8 TAA_NO\0" "10 MISC_PACKAGE_CTLS\0" "11 ENERGY_FILTERING_CTL\0"
	"12 DOITM\0" "13 SBDR_SSDP_NO\0" "14 FBSDP_NO\0" "15 PSDP_NO\0" "17 FB_CLEAR\0" "18 FB_CLEAR_CTRL\0"
	"19 RRSBA\0" "20 BHI_NO\0" "21 XAPIC_DISABLE_STATUS\0" "23 OVERCLOCKING_STATUS\0" "24 PBRSB_NO\0"
	"25 GDS_CTRL\0" "26 GDS_NO\0" "27 RFDS_NO\0" "28 RFDS_CLEAR\0" "62 ITS_NO\0";

static const char tsx_ctrl_bits[] = "0 RTM_DISABLE\0" "1 TSX_CPUID_CLEAR\0";

static const char misc_features_bits[] = "0 CPUID_FAULT\0" "1 RING3_MWAIT\0";

static const char mcg_cap_bits[] =
	"0+8 COUNT\0" "8 CTL_P\0" "9 EXT_P\0" "10 CMCI_P\0" "11 TES_P\0" "16+8 EXT_CNT\0" "24 SER_P\0" "25 EMC_P\0"
	"26 ELOG_P\0" "27 LMCE_P\0";

static const char mcg_status_bits[] = "0 RIPV\0" "1 EIPV\0" "2 MCIP\0" "3 LMCE_S\0";

static const char misc_enable_bits[] =
	"0 FAST_STRING\0" "3 TCC\0" "7 PERFMON\0" "11 BTS_UNAVAILABLE\0" "12 PEBS_UNAVAILABLE\0" "16 EIST\0"
	"18 MONITOR_FSM\0" "22 LIMIT_CPUID\0" "23 XTPR_DISABLE\0" "34 XD_DISABLE\0";

static const char debugctl_bits[] =
	"0 LBR\0" "1 BTF\0" "2 BLD\0" "6 TR\0" "7 BTS\0" "8 BTINT\0" "9 BTS_OFF_OS\0" "10 BTS_OFF_USR\0"
	"11 FREEZE_LBRS_ON_PMI\0" "12 FREEZE_PERFMON_ON_PMI\0" "14 FREEZE_WHILE_SMM\0" "15 RTM_DEBUG\0";

static const char pat_bits[] =
	"0+3 PA0\0" "8+3 PA1\0" "16+3 PA2\0" "24+3 PA3\0" "32+3 PA4\0" "40+3 PA5\0" "48+3 PA6\0" "56+3 PA7\0";

static const char mtrr_def_type_bits[] = "0+8 TYPE\0" "10 FIXED_ENABLE\0" "11 ENABLE\0";

static const char cet_bits[] =
	"0 SH_STK_EN\0" "1 WR_SHSTK_EN\0" "2 ENDBR_EN\0" "3 LEG_IW_EN\0" "4 NO_TRACK_EN\0" "5 SUPPRESS_DIS\0"
	"10 SUPPRESS\0" "11 WAIT_ENDBRANCH\0" "12+52 EB_LEG_BITMAP_BASE\0";

static const char bndcfgs_bits[] = "0 EN\0" "1 BNDPRESERVE\0" "12+52 BASE\0";

static const char syscfg_bits[] =
	"18 MTRR_FIX_DRAM_EN\0" "19 MTRR_FIX_DRAM_MOD_EN\0" "20 MTRR_VAR_DRAM_EN\0" "21 MTRR_TOM2_EN\0"
	"22 TOM2_FORCE_WB\0" "23 MEM_ENCRYPT_EN\0" "24 SNP_EN\0" "25 VMPL_EN\0";

static const char hwcr_bits[] =
	"0 SMMLOCK\0" "3 TLBCACHEDIS\0" "4 INVD_WBINVD\0" "6 FFDIS\0" "8 IGNNE_EM\0" "9 MONMWAITDIS\0"
	"17 WRAP32DIS\0" "18 MCSTATUSWREN\0" "24 TSCFREQSEL\0" "25 CPBDIS\0" "30 IRPERFEN\0" "35 CPUIDUSERDIS\0";

static const char vm_cr_bits[] = "0 DPD\0" "1 R_INIT\0" "2 DIS_A20M\0" "3 LOCK\0" "4 SVMDIS\0";

static const char virt_spec_ctrl_bits[] = "2 SSBD\0";
static const char de_cfg_bits[] = "1 LFENCE_SERIALIZE\0";

static const char async_pf_en_bits[] =
	"0 ENABLED\0" "1 SEND_ALWAYS\0" "2 DELIVERY_AS_PF_VMEXIT\0" "3 DELIVERY_AS_INT\0" "6+58 ADDRESS_64\0";

static const char async_pf_int_bits[] = "0+8 VECTOR\0";
static const char enabled_bits[] = "0 ENABLED\0";
static const char address_4_bits[] = "0 ENABLED\0" "2+62 ADDRESS_4\0";
static const char address_64_bits[] = "0 ENABLED\0" "6+58 ADDRESS_64\0";

/*
 * Registers by number.  "IA32_" names are the SDM's, shared by AMD where AMD has the register; names without it are
 * the SDM's model-specific ones, the APM's, the Hyper-V TLFS's ("HV_") and KVM's own, each without the "MSR_" that
 * stands before a number.
 */
#define MSR(number, title, ...) { .id = KVM_X86_REG_MSR(number), .name = title, __VA_ARGS__ }
#define SYNTHETIC(number, title) { .id = KVM_X86_REG_SYNTHETIC_MSR(number), .name = title }
static const struct kvm_reg_info table[] = {
	MSR(0x0, "IA32_P5_MC_ADDR"),
	MSR(0x1, "IA32_P5_MC_TYPE"),
	MSR(0x10, "IA32_TSC"),
	MSR(0x11, "KVM_WALL_CLOCK"),
	MSR(0x12, "KVM_SYSTEM_TIME", .bits = address_4_bits),
	MSR(0x17, "IA32_PLATFORM_ID"),
	MSR(0x1b, "IA32_APIC_BASE", .bits = apic_base_bits),
	MSR(0x2a, "EBL_CR_POWERON"),
	MSR(0x33, "TEST_CTRL"),
	MSR(0x34, "SMI_COUNT"),
	MSR(0x3a, "IA32_FEATURE_CONTROL", .bits = feature_control_bits),
	MSR(0x3b, "IA32_TSC_ADJUST"),
	MSR(0x48, "IA32_SPEC_CTRL", .bits = spec_ctrl_bits),
	MSR(0x49, "IA32_PRED_CMD"),
	MSR(0x79, "IA32_UCODE_WRITE"),
	MSR(0x8b, "IA32_UCODE_REV"),
	MSR(0x9b, "IA32_SMM_MONITOR_CTL"),
	MSR(0x9e, "IA32_SMBASE", .reset = 0x30000),
	MSR(0xcd, "FSB_FREQ"),
	MSR(0xce, "PLATFORM_INFO", .bits = platform_info_bits),
	MSR(0xcf, "IA32_CORE_CAPABILITIES"),
	MSR(0xe1, "IA32_UMWAIT_CONTROL", .bits = umwait_control_bits),
	MSR(0xe7, "IA32_MPERF"),
	MSR(0xe8, "IA32_APERF"),
	MSR(0xfe, "IA32_MTRRCAP", .bits = mtrrcap_bits),
	MSR(0x10a, "IA32_ARCH_CAPABILITIES", .bits = arch_capabilities_bits),
	MSR(0x10b, "IA32_FLUSH_CMD"),
	MSR(0x11e, "BBL_CR_CTL3"),
	MSR(0x122, "IA32_TSX_CTRL", .bits = tsx_ctrl_bits),
	MSR(0x123, "IA32_MCU_OPT_CTRL"),
	MSR(0x140, "MISC_FEATURES_ENABLES", .bits = misc_features_bits),
	MSR(0x174, "IA32_SYSENTER_CS"),
	MSR(0x175, "IA32_SYSENTER_ESP"),
	MSR(0x176, "IA32_SYSENTER_EIP"),
	MSR(0x179, "IA32_MCG_CAP", .bits = mcg_cap_bits),
	MSR(0x17a, "IA32_MCG_STATUS", .bits = mcg_status_bits),
	MSR(0x17b, "IA32_MCG_CTL"),
	MSR(0x198, "IA32_PERF_STATUS"),
	MSR(0x199, "IA32_PERF_CTL"),
	MSR(0x19a, "IA32_CLOCK_MODULATION"),
	MSR(0x19b, "IA32_THERM_INTERRUPT"),
	MSR(0x19c, "IA32_THERM_STATUS"),
	MSR(0x1a0, "IA32_MISC_ENABLE", .bits = misc_enable_bits),
	MSR(0x1a4, "MISC_FEATURE_CONTROL"),
	MSR(0x1a6, "OFFCORE_RSP_0"),
	MSR(0x1a7, "OFFCORE_RSP_1"),
	MSR(0x1b0, "IA32_ENERGY_PERF_BIAS"),
	MSR(0x1c4, "IA32_XFD", .bits = xcr0_bits),
	MSR(0x1c5, "IA32_XFD_ERR", .bits = xcr0_bits),
	MSR(0x1c8, "LBR_SELECT"),
	MSR(0x1c9, "LASTBRANCH_TOS"),
	MSR(0x1cc, "IA32_FRED_RSP0"),
	MSR(0x1cd, "IA32_FRED_RSP1"),
	MSR(0x1ce, "IA32_FRED_RSP2"),
	MSR(0x1cf, "IA32_FRED_RSP3"),
	MSR(0x1d0, "IA32_FRED_STKLVLS"),
	MSR(0x1d1, "IA32_FRED_SSP1"),
	MSR(0x1d2, "IA32_FRED_SSP2"),
	MSR(0x1d3, "IA32_FRED_SSP3"),
	MSR(0x1d4, "IA32_FRED_CONFIG"),
	MSR(0x1d9, "IA32_DEBUGCTL", .bits = debugctl_bits),
	MSR(0x1db, "IA32_LASTBRANCHFROMIP"),
	MSR(0x1dc, "IA32_LASTBRANCHTOIP"),
	MSR(0x1dd, "IA32_LASTINTFROMIP"),
	MSR(0x1de, "IA32_LASTINTTOIP"),
	MSR(0x1fc, "IA32_POWER_CTL"),
	MSR(0x250, "IA32_MTRR_FIX64K_00000"),
	MSR(0x258, "IA32_MTRR_FIX16K_80000"),
	MSR(0x259, "IA32_MTRR_FIX16K_A0000"),
	MSR(0x268, "IA32_MTRR_FIX4K_C0000"),
	MSR(0x269, "IA32_MTRR_FIX4K_C8000"),
	MSR(0x26a, "IA32_MTRR_FIX4K_D0000"),
	MSR(0x26b, "IA32_MTRR_FIX4K_D8000"),
	MSR(0x26c, "IA32_MTRR_FIX4K_E0000"),
	MSR(0x26d, "IA32_MTRR_FIX4K_E8000"),
	MSR(0x26e, "IA32_MTRR_FIX4K_F0000"),
	MSR(0x26f, "IA32_MTRR_FIX4K_F8000"),
	MSR(0x277, "IA32_PAT", .reset = 0x0007040600070406, .bits = pat_bits),
	MSR(0x2ff, "IA32_MTRR_DEF_TYPE", .bits = mtrr_def_type_bits),
	MSR(0x345, "IA32_PERF_CAPABILITIES"),
	MSR(0x38d, "IA32_FIXED_CTR_CTRL"),
	MSR(0x38e, "IA32_PERF_GLOBAL_STATUS"),
	MSR(0x38f, "IA32_PERF_GLOBAL_CTRL"),
	MSR(0x390, "IA32_PERF_GLOBAL_STATUS_RESET"),
	MSR(0x391, "IA32_PERF_GLOBAL_STATUS_SET"),
	MSR(0x392, "IA32_PERF_GLOBAL_INUSE"),
	MSR(0x3f1, "IA32_PEBS_ENABLE"),
	MSR(0x3f2, "PEBS_DATA_CFG"),
	MSR(0x3f6, "PEBS_LD_LAT"),
	MSR(0x3f7, "PEBS_FRONTEND"),
	MSR(0x480, "IA32_VMX_BASIC"),
	MSR(0x481, "IA32_VMX_PINBASED_CTLS"),
	MSR(0x482, "IA32_VMX_PROCBASED_CTLS"),
	MSR(0x483, "IA32_VMX_EXIT_CTLS"),
	MSR(0x484, "IA32_VMX_ENTRY_CTLS"),
	MSR(0x485, "IA32_VMX_MISC"),
	MSR(0x486, "IA32_VMX_CR0_FIXED0", .bits = cr0_bits),
	MSR(0x487, "IA32_VMX_CR0_FIXED1", .bits = cr0_bits),
	MSR(0x488, "IA32_VMX_CR4_FIXED0", .bits = cr4_bits),
	MSR(0x489, "IA32_VMX_CR4_FIXED1", .bits = cr4_bits),
	MSR(0x48a, "IA32_VMX_VMCS_ENUM"),
	MSR(0x48b, "IA32_VMX_PROCBASED_CTLS2"),
	MSR(0x48c, "IA32_VMX_EPT_VPID_CAP"),
	MSR(0x48d, "IA32_VMX_TRUE_PINBASED_CTLS"),
	MSR(0x48e, "IA32_VMX_TRUE_PROCBASED_CTLS"),
	MSR(0x48f, "IA32_VMX_TRUE_EXIT_CTLS"),
	MSR(0x490, "IA32_VMX_TRUE_ENTRY_CTLS"),
	MSR(0x491, "IA32_VMX_VMFUNC"),
	MSR(0x492, "IA32_VMX_PROCBASED_CTLS3"),
	MSR(0x493, "IA32_VMX_EXIT_CTLS2"),
	MSR(0x4d0, "IA32_MCG_EXT_CTL"),
	MSR(0x560, "IA32_RTIT_OUTPUT_BASE"),
	MSR(0x561, "IA32_RTIT_OUTPUT_MASK_PTRS"),
	MSR(0x570, "IA32_RTIT_CTL"),
	MSR(0x571, "IA32_RTIT_STATUS"),
	MSR(0x572, "IA32_RTIT_CR3_MATCH"),
	MSR(0x600, "IA32_DS_AREA"),
	MSR(0x606, "RAPL_POWER_UNIT"),
	MSR(0x6a0, "IA32_U_CET", .bits = cet_bits),
	MSR(0x6a2, "IA32_S_CET", .bits = cet_bits),
	MSR(0x6a4, "IA32_PL0_SSP"),
	MSR(0x6a5, "IA32_PL1_SSP"),
	MSR(0x6a6, "IA32_PL2_SSP"),
	MSR(0x6a7, "IA32_PL3_SSP"),
	MSR(0x6a8, "IA32_INTERRUPT_SSP_TABLE_ADDR"),
	MSR(0x6e0, "IA32_TSC_DEADLINE"),
	MSR(0x6e1, "IA32_PKRS"),
	MSR(0xd90, "IA32_BNDCFGS", .bits = bndcfgs_bits),
	MSR(0xd93, "IA32_PASID"),
	MSR(0xda0, "IA32_XSS", .bits = xss_bits),
	MSR(0x14ce, "IA32_LBR_CTL"),
	MSR(0x14cf, "IA32_LBR_DEPTH"),

	MSR(0x40000000, "HV_GUEST_OS_ID"),
	MSR(0x40000001, "HV_HYPERCALL"),
	MSR(0x40000002, "HV_VP_INDEX", .reset_is_vcpu = true),
	MSR(0x40000003, "HV_RESET"),
	MSR(0x40000010, "HV_VP_RUNTIME"),
	MSR(0x40000020, "HV_TIME_REF_COUNT"),
	MSR(0x40000021, "HV_REFERENCE_TSC"),
	MSR(0x40000022, "HV_TSC_FREQUENCY"),
	MSR(0x40000023, "HV_APIC_FREQUENCY"),
	MSR(0x40000070, "HV_EOI"),
	MSR(0x40000071, "HV_ICR"),
	MSR(0x40000072, "HV_TPR"),
	MSR(0x40000073, "HV_VP_ASSIST_PAGE"),
	MSR(0x40000080, "HV_SCONTROL"),
	MSR(0x40000081, "HV_SVERSION"),
	MSR(0x40000082, "HV_SIEFP"),
	MSR(0x40000083, "HV_SIMP"),
	MSR(0x40000084, "HV_EOM"),
	MSR(0x400000f0, "HV_GUEST_IDLE"),
	MSR(0x400000f1, "HV_SYNDBG_CONTROL"),
	MSR(0x400000f2, "HV_SYNDBG_STATUS"),
	MSR(0x400000f3, "HV_SYNDBG_SEND_BUFFER"),
	MSR(0x400000f4, "HV_SYNDBG_RECV_BUFFER"),
	MSR(0x400000f5, "HV_SYNDBG_PENDING_BUFFER"),
	MSR(0x400000ff, "HV_SYNDBG_OPTIONS"),
	MSR(0x40000105, "HV_CRASH_CTL"),
	MSR(0x40000106, "HV_REENLIGHTENMENT_CONTROL"),
	MSR(0x40000107, "HV_TSC_EMULATION_CONTROL"),
	MSR(0x40000108, "HV_TSC_EMULATION_STATUS"),
	MSR(0x40000118, "HV_TSC_INVARIANT_CONTROL"),

	MSR(0x4b564d00, "KVM_WALL_CLOCK_NEW"),
	MSR(0x4b564d01, "KVM_SYSTEM_TIME_NEW", .bits = address_4_bits),
	MSR(0x4b564d02, "KVM_ASYNC_PF_EN", .bits = async_pf_en_bits),
	MSR(0x4b564d03, "KVM_STEAL_TIME", .bits = address_64_bits),
	MSR(0x4b564d04, "KVM_PV_EOI_EN", .bits = address_4_bits),
	MSR(0x4b564d05, "KVM_POLL_CONTROL", .reset = 1, .bits = enabled_bits),
	MSR(0x4b564d06, "KVM_ASYNC_PF_INT", .bits = async_pf_int_bits),
	MSR(0x4b564d07, "KVM_ASYNC_PF_ACK"),
	MSR(0x4b564d08, "KVM_MIGRATION_CONTROL", .bits = enabled_bits),

	MSR(0xc0000080, "IA32_EFER", .bits = efer_bits),
	MSR(0xc0000081, "IA32_STAR"),
	MSR(0xc0000082, "IA32_LSTAR"),
	MSR(0xc0000083, "IA32_CSTAR"),
	MSR(0xc0000084, "IA32_FMASK"),
	MSR(0xc00000e7, "MPERF_RO"),
	MSR(0xc00000e8, "APERF_RO"),
	MSR(0xc00000e9, "IRPERF"),
	MSR(0xc0000100, "IA32_FS_BASE"),
	MSR(0xc0000101, "IA32_GS_BASE"),
	MSR(0xc0000102, "IA32_KERNEL_GS_BASE"),
	MSR(0xc0000103, "IA32_TSC_AUX"),
	MSR(0xc0000104, "TSC_RATIO", .reset = 0x100000000), /* 1.0 (APM volume 2, 15.30.5) */
	MSR(0xc000010e, "AMD_LBR_SELECT"),
	MSR(0xc000010f, "DBG_EXTN_CFG"),
	MSR(0xc0000300, "PERF_CNTR_GLOBAL_STATUS"),
	MSR(0xc0000301, "PERF_CNTR_GLOBAL_CTL"),
	MSR(0xc0000302, "PERF_CNTR_GLOBAL_STATUS_CLR"),
	MSR(0xc0000303, "PERF_CNTR_GLOBAL_STATUS_SET"),
	MSR(0xc0010010, "SYSCFG", .bits = syscfg_bits),
	MSR(0xc0010015, "HWCR", .bits = hwcr_bits),
	MSR(0xc001001a, "TOP_MEM"),
	MSR(0xc001001d, "TOP_MEM2"),
	MSR(0xc001001f, "NB_CFG"),
	MSR(0xc0010020, "PATCH_LOADER"),
	MSR(0xc0010055, "INT_PENDING_MSG"),
	MSR(0xc0010058, "MMIO_CONFIG_BASE"),
	MSR(0xc0010061, "PSTATE_CUR_LIMIT"),
	MSR(0xc0010062, "PSTATE_CTL"),
	MSR(0xc0010063, "PSTATE_STATUS"),
	MSR(0xc0010111, "SMBASE"),
	MSR(0xc0010112, "SMM_ADDR"),
	MSR(0xc0010113, "SMM_MASK"),
	MSR(0xc0010114, "VM_CR", .bits = vm_cr_bits),
	MSR(0xc0010115, "VM_IGNNE"),
	MSR(0xc0010117, "VM_HSAVE_PA"),
	MSR(0xc001011b, "SVM_AVIC_DOORBELL"),
	MSR(0xc001011e, "VM_PAGE_FLUSH"),
	MSR(0xc001011f, "VIRT_SPEC_CTRL", .bits = virt_spec_ctrl_bits),
	MSR(0xc0010130, "GHCB"),
	MSR(0xc0010131, "SEV_STATUS"),
	MSR(0xc0010140, "OSVW_ID_LENGTH"),
	MSR(0xc0010141, "OSVW_STATUS"),
	MSR(0xc0011020, "LS_CFG"),
	MSR(0xc0011021, "IC_CFG"),
	MSR(0xc0011022, "DC_CFG"),
	MSR(0xc0011023, "BU_CFG"),
	MSR(0xc0011029, "DE_CFG", .bits = de_cfg_bits),
	MSR(0xc001102a, "BU_CFG2"),

	SYNTHETIC(KVM_REG_GUEST_SSP, "GUEST_SSP"),
};
#undef SYNTHETIC
#undef MSR

/* Registers that differ only in a number: member n of a family is MSR first + n * step, its name prefix n suffix. */
static const struct family {
	uint32_t first, step, count;
	const char *prefix, *suffix;
} families[] = {
	{ 0x8c, 1, 4, "IA32_SGXLEPUBKEYHASH", "" },
	{ 0xc1, 1, 8, "IA32_PMC", "" },
	{ 0x186, 1, 8, "IA32_PERFEVTSEL", "" },
	{ 0x200, 2, 10, "IA32_MTRR_PHYSBASE", "" },
	{ 0x201, 2, 10, "IA32_MTRR_PHYSMASK", "" },
	{ 0x280, 1, 32, "IA32_MC", "_CTL2" },
	{ 0x309, 1, 7, "IA32_FIXED_CTR", "" },
	{ 0x400, 4, 32, "IA32_MC", "_CTL" },
	{ 0x401, 4, 32, "IA32_MC", "_STATUS" },
	{ 0x402, 4, 32, "IA32_MC", "_ADDR" },
	{ 0x403, 4, 32, "IA32_MC", "_MISC" },
	{ 0x4c1, 1, 8, "IA32_A_PMC", "" },
	{ 0x580, 2, 4, "IA32_RTIT_ADDR", "_A" },
	{ 0x581, 2, 4, "IA32_RTIT_ADDR", "_B" },
	{ 0x680, 1, 32, "LASTBRANCH_", "_FROM_IP" },
	{ 0x6c0, 1, 32, "LASTBRANCH_", "_TO_IP" },
	{ 0xdc0, 1, 32, "LBR_INFO_", "" },
	{ 0x1200, 1, 32, "IA32_LBR_", "_INFO" },
	{ 0x1500, 1, 32, "IA32_LBR_", "_FROM_IP" },
	{ 0x1600, 1, 32, "IA32_LBR_", "_TO_IP" },
	{ 0x40000090, 1, 16, "HV_SINT", "" },
	{ 0x400000b0, 2, 4, "HV_STIMER", "_CONFIG" },
	{ 0x400000b1, 2, 4, "HV_STIMER", "_COUNT" },
	{ 0x40000100, 1, 5, "HV_CRASH_P", "" },
	{ 0xc0010000, 1, 4, "PERF_LEGACY_CTL", "" },
	{ 0xc0010004, 1, 4, "PERF_LEGACY_CTR", "" },
	{ 0xc0010064, 1, 8, "PSTATE_DEF", "" },
	{ 0xc0010200, 2, 6, "PERF_CTL", "" },
	{ 0xc0010201, 2, 6, "PERF_CTR", "" },
	{ 0xc0010300, 2, 16, "AMD_LBR_FROM", "" },
	{ 0xc0010301, 2, 16, "AMD_LBR_TO", "" },
};
/* clang-format on */

/* Registers that nobody has given a name, by type. */
#define MSR_PREFIX       "MSR_"
#define SYNTHETIC_PREFIX "SYNTHETIC_"

const struct kvm_reg_info *kvm_reg_table(size_t *ret_nr)
{
	*ret_nr = ARRAY_SIZE(table);
	return table;
}

static int compare_ids(const void *key, const void *row)
{
	uint64_t id = *(const uint64_t *)key, other = ((const struct kvm_reg_info *)row)->id;
	return id < other ? -1 : id > other;
}

const struct kvm_reg_info *kvm_reg_info(uint64_t id)
{
	return bsearch(&id, table, ARRAY_SIZE(table), sizeof(table[0]), compare_ids);
}

static void name_member(const struct family *family, uint32_t number, char ret[KVM_REG_NAME_MAX])
{
	snprintf(ret, KVM_REG_NAME_MAX, "%s%" PRIu32 "%s", family->prefix, number, family->suffix);
}

static bool name_by_family(uint32_t index, char ret[KVM_REG_NAME_MAX])
{
	for (size_t i = 0; i < ARRAY_SIZE(families); i++) {
		const struct family *family = &families[i];
		uint32_t distance = index - family->first;
		if (index >= family->first && distance % family->step == 0 && distance / family->step < family->count) {
			name_member(family, distance / family->step, ret);
			return true;
		}
	}
	return false;
}

void kvm_reg_name(uint64_t id, char ret[KVM_REG_NAME_MAX])
{
	const struct kvm_reg_info *info = kvm_reg_info(id);
	if (info != NULL)
		snprintf(ret, KVM_REG_NAME_MAX, "%s", info->name);
	else if (kvm_reg_is_msr(id) && name_by_family(kvm_reg_index(id), ret))
		return;
	else if (kvm_reg_is_msr(id))
		snprintf(ret, KVM_REG_NAME_MAX, MSR_PREFIX "0x%08" PRIx32, kvm_reg_index(id));
	else if (kvm_reg_is_synthetic(id))
		snprintf(ret, KVM_REG_NAME_MAX, SYNTHETIC_PREFIX "0x%08" PRIx32, kvm_reg_index(id));
	else
		snprintf(ret, KVM_REG_NAME_MAX, "0x%016" PRIx64, id);
}

static bool parse_family(const char *name, uint64_t *ret_id)
{
	for (size_t i = 0; i < ARRAY_SIZE(families); i++) {
		const struct family *family = &families[i];
		if (strncasecmp(name, family->prefix, strlen(family->prefix)) != 0)
			continue;
		for (uint32_t number = 0; number < family->count; number++) {
			char member[KVM_REG_NAME_MAX];
			name_member(family, number, member);
			if (strcasecmp(name, member) == 0) {
				*ret_id = KVM_X86_REG_MSR(family->first + number * family->step);
				return true;
			}
		}
	}
	return false;
}

/* Hexadecimal digits behind "0x" and nothing else; at most max. */
static bool parse_number(const char *text, uint64_t max, uint64_t *ret)
{
	if (strncasecmp(text, "0x", 2) != 0)
		return false;
	const char *digits = text + 2;
	size_t length = strspn(digits, "0123456789abcdefABCDEF");
	if (length == 0 || length > 16 || digits[length] != '\0')
		return false;
	uint64_t value = strtoull(digits, NULL, 16);
	if (value > max)
		return false;
	*ret = value;
	return true;
}

/* A number behind the prefix of a type, or alone: an MSR, or a whole id where it has more than 32 bits. */
static bool parse_unnamed(const char *name, uint64_t *ret_id)
{
	uint64_t number;
	if (strncasecmp(name, SYNTHETIC_PREFIX, strlen(SYNTHETIC_PREFIX)) == 0) {
		if (!parse_number(name + strlen(SYNTHETIC_PREFIX), UINT32_MAX, &number))
			return false;
		*ret_id = KVM_X86_REG_SYNTHETIC_MSR(number);
		return true;
	}
	bool has_prefix = strncasecmp(name, MSR_PREFIX, strlen(MSR_PREFIX)) == 0;
	const char *digits = has_prefix ? name + strlen(MSR_PREFIX) : name;
	if (!parse_number(digits, has_prefix ? UINT32_MAX : UINT64_MAX, &number))
		return false;
	*ret_id = number <= UINT32_MAX ? KVM_X86_REG_MSR(number) : number;
	return true;
}

bool kvm_reg_parse(const char *name, uint64_t *ret_id)
{
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		if (strcasecmp(name, table[i].name) == 0) {
			*ret_id = table[i].id;
			return true;
		}
	}
	return parse_family(name, ret_id) || parse_unnamed(name, ret_id);
}
