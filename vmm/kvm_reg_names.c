#include "kvm_reg.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "cold.h"

#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))

/*
 * Bit fields.  Numbers and names are those of the Intel SDM (volume 3 for CRs and DRs, volume 4 for MSRs), of the AMD
 * APM volume 2 for AMD's MSRs, and of Documentation/virt/kvm/x86/msr.rst for KVM's own.  A field is shown as it
 * stands, so BASE counts 4 KiB, ADDRESS_64 counts 64 bytes, ADDRESS_4 counts 4.
 */
/* clang-format off */
const char cr0_bits[] COLD_TEXT =
	"0 PE\0" "1 MP\0" "2 EM\0" "3 TS\0" "4 ET\0" "5 NE\0" "16 WP\0" "18 AM\0" "29 NW\0" "30 CD\0" "31 PG\0";

const char cr4_bits[] COLD_TEXT =
	"0 VME\0" "1 PVI\0" "2 TSD\0" "3 DE\0" "4 PSE\0" "5 PAE\0" "6 MCE\0" "7 PGE\0" "8 PCE\0" "9 OSFXSR\0"
	"10 OSXMMEXCPT\0" "11 UMIP\0" "12 LA57\0" "13 VMXE\0" "14 SMXE\0" "16 FSGSBASE\0" "17 PCIDE\0" "18 OSXSAVE\0"
	"19 KL\0" "20 SMEP\0" "21 SMAP\0" "22 PKE\0" "23 CET\0" "24 PKS\0" "25 UINTR\0" "27 LASS\0" "28 LAM_SUP\0"
	"32 FRED\0";

const char efer_bits[] COLD_TEXT =
	"0 SCE\0" "8 LME\0" "10 LMA\0" "11 NXE\0" "12 SVME\0" "13 LMSLE\0" "14 FFXSR\0" "15 TCE\0" "17 MCOMMIT\0"
	"18 INTWB\0" "20 UAIE\0" "21 AIBRSE\0";

/* XCR0, IA32_XFD and IA32_XFD_ERR (SDM volume 1, 13.1 and 13.14). */
const char xcr0_bits[] COLD_TEXT =
	"0 X87\0" "1 SSE\0" "2 AVX\0" "3 BNDREGS\0" "4 BNDCSR\0" "5 OPMASK\0" "6 ZMM_HI256\0" "7 HI16_ZMM\0"
	"9 PKRU\0" "17 TILECFG\0" "18 TILEDATA\0" "19 APX\0" "62 LWP\0";

const char rflags_bits[] COLD_TEXT =
	"0 CF\0" "1 \0" "2 PF\0" "4 AF\0" "6 ZF\0" "7 SF\0" "8 TF\0" "9 IF\0" "10 DF\0" "11 OF\0" "12+2 IOPL\0"
	"14 NT\0" "16 RF\0" "17 VM\0" "18 AC\0" "19 VIF\0" "20 VIP\0" "21 ID\0";

/* BLD and RTM report an event by being 0 (SDM volume 3, "Debug Status Register"): the names here say what 1 means. */
const char dr6_bits[] COLD_TEXT =
	"0 B0\0" "1 B1\0" "2 B2\0" "3 B3\0" "4+7 \0" "11 NO_BLD\0" "13 BD\0" "14 BS\0" "15 BT\0" "16 NO_RTM\0"
	"17+15 \0";

const char dr7_bits[] COLD_TEXT =
	"0 L0\0" "1 G0\0" "2 L1\0" "3 G1\0" "4 L2\0" "5 G2\0" "6 L3\0" "7 G3\0" "8 LE\0" "9 GE\0" "10 \0" "11 RTM\0"
	"13 GD\0" "16+2 RW0\0" "18+2 LEN0\0" "20+2 RW1\0" "22+2 LEN1\0" "24+2 RW2\0" "26+2 LEN2\0" "28+2 RW3\0"
	"30+2 LEN3\0";

static const char xss_bits[] COLD_TEXT =
	"8 PT\0" "10 PASID\0" "11 CET_U\0" "12 CET_S\0" "13 HDC\0" "14 UINTR\0" "15 LBR\0" "16 HWP\0";

static const char apic_base_bits[] COLD_TEXT = "8 BSP\0" "10 X2APIC\0" "11 ENABLE\0" "12+40 BASE\0";

static const char feature_control_bits[] COLD_TEXT =
	"0 LOCK\0" "1 VMX_IN_SMX\0" "2 VMX_OUTSIDE_SMX\0" "8+7 SENTER_LOCAL\0" "15 SENTER_GLOBAL\0"
	"17 SGX_LAUNCH_CONTROL\0" "18 SGX\0" "20 LMCE\0";

static const char spec_ctrl_bits[] COLD_TEXT =
	"0 IBRS\0" "1 STIBP\0" "2 SSBD\0" "3 IPRED_DIS_U\0" "4 IPRED_DIS_S\0" "5 RRSBA_DIS_U\0" "6 RRSBA_DIS_S\0"
	"7 PSFD\0" "8 DDPD_U\0" "10 BHI_DIS_S\0";

static const char platform_info_bits[] COLD_TEXT = "8+8 RATIO\0" "31 CPUID_FAULTING\0";

static const char umwait_control_bits[] COLD_TEXT = "0 C02_DISABLE\0" "2+30 MAX_TIME\0";

static const char mtrrcap_bits[] COLD_TEXT = "0+8 VCNT\0" "8 FIX\0" "10 WC\0" "11 SMRR\0";

static const char arch_capabilities_bits[] COLD_TEXT =
	"0 RDCL_NO\0" "1 IBRS_ALL\0" "2 RSBA\0" "3 SKIP_L1DFL_VMENTRY\0" "4 SSB_NO\0" "5 MDS_NO\0"
	"6 IF_PSCHANGE_MC_NO\0" "7 TSX_CTRL\0" "8 TAA_NO\0" "10 MISC_PACKAGE_CTLS\0" "11 ENERGY_FILTERING_CTL\0"
	"12 DOITM\0" "13 SBDR_SSDP_NO\0" "14 FBSDP_NO\0" "15 PSDP_NO\0" "17 FB_CLEAR\0" "18 FB_CLEAR_CTRL\0"
	"19 RRSBA\0" "20 BHI_NO\0" "21 XAPIC_DISABLE_STATUS\0" "23 OVERCLOCKING_STATUS\0" "24 PBRSB_NO\0"
	"25 GDS_CTRL\0" "26 GDS_NO\0" "27 RFDS_NO\0" "28 RFDS_CLEAR\0" "62 ITS_NO\0";

static const char tsx_ctrl_bits[] COLD_TEXT = "0 RTM_DISABLE\0" "1 TSX_CPUID_CLEAR\0";

static const char misc_features_bits[] COLD_TEXT = "0 CPUID_FAULT\0" "1 RING3_MWAIT\0";

static const char mcg_cap_bits[] COLD_TEXT =
	"0+8 COUNT\0" "8 CTL_P\0" "9 EXT_P\0" "10 CMCI_P\0" "11 TES_P\0" "16+8 EXT_CNT\0" "24 SER_P\0" "25 EMC_P\0"
	"26 ELOG_P\0" "27 LMCE_P\0";

static const char mcg_status_bits[] COLD_TEXT = "0 RIPV\0" "1 EIPV\0" "2 MCIP\0" "3 LMCE_S\0";

static const char misc_enable_bits[] COLD_TEXT =
	"0 FAST_STRING\0" "3 TCC\0" "7 PERFMON\0" "11 BTS_UNAVAILABLE\0" "12 PEBS_UNAVAILABLE\0" "16 EIST\0"
	"18 MONITOR_FSM\0" "22 LIMIT_CPUID\0" "23 XTPR_DISABLE\0" "34 XD_DISABLE\0";

static const char debugctl_bits[] COLD_TEXT =
	"0 LBR\0" "1 BTF\0" "2 BLD\0" "6 TR\0" "7 BTS\0" "8 BTINT\0" "9 BTS_OFF_OS\0" "10 BTS_OFF_USR\0"
	"11 FREEZE_LBRS_ON_PMI\0" "12 FREEZE_PERFMON_ON_PMI\0" "14 FREEZE_WHILE_SMM\0" "15 RTM_DEBUG\0";

static const char pat_bits[] COLD_TEXT =
	"0+3 PA0\0" "8+3 PA1\0" "16+3 PA2\0" "24+3 PA3\0" "32+3 PA4\0" "40+3 PA5\0" "48+3 PA6\0" "56+3 PA7\0";

static const char mtrr_def_type_bits[] COLD_TEXT = "0+8 TYPE\0" "10 FIXED_ENABLE\0" "11 ENABLE\0";

static const char cet_bits[] COLD_TEXT =
	"0 SH_STK_EN\0" "1 WR_SHSTK_EN\0" "2 ENDBR_EN\0" "3 LEG_IW_EN\0" "4 NO_TRACK_EN\0" "5 SUPPRESS_DIS\0"
	"10 SUPPRESS\0" "11 WAIT_ENDBRANCH\0" "12+52 EB_LEG_BITMAP_BASE\0";

static const char bndcfgs_bits[] COLD_TEXT = "0 EN\0" "1 BNDPRESERVE\0" "12+52 BASE\0";

static const char syscfg_bits[] COLD_TEXT =
	"18 MTRR_FIX_DRAM_EN\0" "19 MTRR_FIX_DRAM_MOD_EN\0" "20 MTRR_VAR_DRAM_EN\0" "21 MTRR_TOM2_EN\0"
	"22 TOM2_FORCE_WB\0" "23 MEM_ENCRYPT_EN\0" "24 SNP_EN\0" "25 VMPL_EN\0";

static const char hwcr_bits[] COLD_TEXT =
	"0 SMMLOCK\0" "3 TLBCACHEDIS\0" "4 INVD_WBINVD\0" "6 FFDIS\0" "8 IGNNE_EM\0" "9 MONMWAITDIS\0"
	"17 WRAP32DIS\0" "18 MCSTATUSWREN\0" "24 TSCFREQSEL\0" "25 CPBDIS\0" "30 IRPERFEN\0" "35 CPUIDUSERDIS\0";

static const char vm_cr_bits[] COLD_TEXT = "0 DPD\0" "1 R_INIT\0" "2 DIS_A20M\0" "3 LOCK\0" "4 SVMDIS\0";

static const char virt_spec_ctrl_bits[] COLD_TEXT = "2 SSBD\0";
static const char de_cfg_bits[] COLD_TEXT = "1 LFENCE_SERIALIZE\0";

static const char async_pf_en_bits[] COLD_TEXT =
	"0 ENABLED\0" "1 SEND_ALWAYS\0" "2 DELIVERY_AS_PF_VMEXIT\0" "3 DELIVERY_AS_INT\0" "6+58 ADDRESS_64\0";

static const char async_pf_int_bits[] COLD_TEXT = "0+8 VECTOR\0";
static const char enabled_bits[] COLD_TEXT = "0 ENABLED\0";
static const char address_4_bits[] COLD_TEXT = "0 ENABLED\0" "2+62 ADDRESS_4\0";
static const char address_64_bits[] COLD_TEXT = "0 ENABLED\0" "6+58 ADDRESS_64\0";

/*
 * MSRs by number, hexadecimal, in ascending order: "10 IA32_TSC\0".  Those whose names differ only in a number are one
 * entry: "200+10/2 IA32_MTRR_PHYSBASE#\0" are ten, two apart, counted from 0 where the # is.  "IA32_" names are the
 * SDM's, shared by AMD where AMD has the register; names without it are the SDM's model-specific ones, the APM's, the
 * Hyper-V TLFS's ("HV_") and KVM's own, each without the "MSR_" that stands before a number.
 */
static const char msr_names[] COLD_TEXT =
	"0 IA32_P5_MC_ADDR\0" "1 IA32_P5_MC_TYPE\0" "10 IA32_TSC\0" "11 KVM_WALL_CLOCK\0" "12 KVM_SYSTEM_TIME\0"
	"17 IA32_PLATFORM_ID\0" "1b IA32_APIC_BASE\0" "2a EBL_CR_POWERON\0" "33 TEST_CTRL\0" "34 SMI_COUNT\0"
	"3a IA32_FEATURE_CONTROL\0" "3b IA32_TSC_ADJUST\0" "48 IA32_SPEC_CTRL\0" "49 IA32_PRED_CMD\0"
	"79 IA32_UCODE_WRITE\0" "8b IA32_UCODE_REV\0" "8c+4 IA32_SGXLEPUBKEYHASH#\0" "9b IA32_SMM_MONITOR_CTL\0"
	"9e IA32_SMBASE\0" "c1+8 IA32_PMC#\0" "cd FSB_FREQ\0" "ce PLATFORM_INFO\0" "cf IA32_CORE_CAPABILITIES\0"
	"e1 IA32_UMWAIT_CONTROL\0" "e7 IA32_MPERF\0" "e8 IA32_APERF\0" "fe IA32_MTRRCAP\0"
	"10a IA32_ARCH_CAPABILITIES\0" "10b IA32_FLUSH_CMD\0" "11e BBL_CR_CTL3\0" "122 IA32_TSX_CTRL\0"
	"123 IA32_MCU_OPT_CTRL\0" "140 MISC_FEATURES_ENABLES\0" "174 IA32_SYSENTER_CS\0" "175 IA32_SYSENTER_ESP\0"
	"176 IA32_SYSENTER_EIP\0" "179 IA32_MCG_CAP\0" "17a IA32_MCG_STATUS\0" "17b IA32_MCG_CTL\0"
	"186+8 IA32_PERFEVTSEL#\0" "198 IA32_PERF_STATUS\0" "199 IA32_PERF_CTL\0" "19a IA32_CLOCK_MODULATION\0"
	"19b IA32_THERM_INTERRUPT\0" "19c IA32_THERM_STATUS\0" "1a0 IA32_MISC_ENABLE\0" "1a4 MISC_FEATURE_CONTROL\0"
	"1a6+2 OFFCORE_RSP_#\0" "1b0 IA32_ENERGY_PERF_BIAS\0" "1c4 IA32_XFD\0" "1c5 IA32_XFD_ERR\0" "1c8 LBR_SELECT\0"
	"1c9 LASTBRANCH_TOS\0" "1cc+4 IA32_FRED_RSP#\0" "1d0 IA32_FRED_STKLVLS\0" "1d1 IA32_FRED_SSP1\0"
	"1d2 IA32_FRED_SSP2\0" "1d3 IA32_FRED_SSP3\0" "1d4 IA32_FRED_CONFIG\0" "1d9 IA32_DEBUGCTL\0"
	"1db IA32_LASTBRANCHFROMIP\0" "1dc IA32_LASTBRANCHTOIP\0" "1dd IA32_LASTINTFROMIP\0" "1de IA32_LASTINTTOIP\0"
	"1fc IA32_POWER_CTL\0" "200+10/2 IA32_MTRR_PHYSBASE#\0" "201+10/2 IA32_MTRR_PHYSMASK#\0"
	"250 IA32_MTRR_FIX64K_00000\0" "258 IA32_MTRR_FIX16K_80000\0" "259 IA32_MTRR_FIX16K_A0000\0"
	"268 IA32_MTRR_FIX4K_C0000\0" "269 IA32_MTRR_FIX4K_C8000\0" "26a IA32_MTRR_FIX4K_D0000\0"
	"26b IA32_MTRR_FIX4K_D8000\0" "26c IA32_MTRR_FIX4K_E0000\0" "26d IA32_MTRR_FIX4K_E8000\0"
	"26e IA32_MTRR_FIX4K_F0000\0" "26f IA32_MTRR_FIX4K_F8000\0" "277 IA32_PAT\0" "280+32 IA32_MC#_CTL2\0"
	"2ff IA32_MTRR_DEF_TYPE\0" "309+7 IA32_FIXED_CTR#\0" "345 IA32_PERF_CAPABILITIES\0" "38d IA32_FIXED_CTR_CTRL\0"
	"38e IA32_PERF_GLOBAL_STATUS\0" "38f IA32_PERF_GLOBAL_CTRL\0" "390 IA32_PERF_GLOBAL_STATUS_RESET\0"
	"391 IA32_PERF_GLOBAL_STATUS_SET\0" "392 IA32_PERF_GLOBAL_INUSE\0" "3f1 IA32_PEBS_ENABLE\0"
	"3f2 PEBS_DATA_CFG\0" "3f6 PEBS_LD_LAT\0" "3f7 PEBS_FRONTEND\0" "400+32/4 IA32_MC#_CTL\0"
	"401+32/4 IA32_MC#_STATUS\0" "402+32/4 IA32_MC#_ADDR\0" "403+32/4 IA32_MC#_MISC\0" "480 IA32_VMX_BASIC\0"
	"481 IA32_VMX_PINBASED_CTLS\0" "482 IA32_VMX_PROCBASED_CTLS\0" "483 IA32_VMX_EXIT_CTLS\0"
	"484 IA32_VMX_ENTRY_CTLS\0" "485 IA32_VMX_MISC\0" "486+2 IA32_VMX_CR0_FIXED#\0" "488+2 IA32_VMX_CR4_FIXED#\0"
	"48a IA32_VMX_VMCS_ENUM\0" "48b IA32_VMX_PROCBASED_CTLS2\0" "48c IA32_VMX_EPT_VPID_CAP\0"
	"48d IA32_VMX_TRUE_PINBASED_CTLS\0" "48e IA32_VMX_TRUE_PROCBASED_CTLS\0" "48f IA32_VMX_TRUE_EXIT_CTLS\0"
	"490 IA32_VMX_TRUE_ENTRY_CTLS\0" "491 IA32_VMX_VMFUNC\0" "492 IA32_VMX_PROCBASED_CTLS3\0"
	"493 IA32_VMX_EXIT_CTLS2\0" "4c1+8 IA32_A_PMC#\0" "4d0 IA32_MCG_EXT_CTL\0" "560 IA32_RTIT_OUTPUT_BASE\0"
	"561 IA32_RTIT_OUTPUT_MASK_PTRS\0" "570 IA32_RTIT_CTL\0" "571 IA32_RTIT_STATUS\0" "572 IA32_RTIT_CR3_MATCH\0"
	"580+4/2 IA32_RTIT_ADDR#_A\0" "581+4/2 IA32_RTIT_ADDR#_B\0" "600 IA32_DS_AREA\0" "606 RAPL_POWER_UNIT\0"
	"680+32 LASTBRANCH_#_FROM_IP\0" "6a0 IA32_U_CET\0" "6a2 IA32_S_CET\0" "6a4+4 IA32_PL#_SSP\0"
	"6a8 IA32_INTERRUPT_SSP_TABLE_ADDR\0" "6c0+32 LASTBRANCH_#_TO_IP\0" "6e0 IA32_TSC_DEADLINE\0" "6e1 IA32_PKRS\0"
	"d90 IA32_BNDCFGS\0" "d93 IA32_PASID\0" "da0 IA32_XSS\0" "dc0+32 LBR_INFO_#\0" "1200+32 IA32_LBR_#_INFO\0"
	"14ce IA32_LBR_CTL\0" "14cf IA32_LBR_DEPTH\0" "1500+32 IA32_LBR_#_FROM_IP\0" "1600+32 IA32_LBR_#_TO_IP\0"

	"40000000 HV_GUEST_OS_ID\0" "40000001 HV_HYPERCALL\0" "40000002 HV_VP_INDEX\0" "40000003 HV_RESET\0"
	"40000010 HV_VP_RUNTIME\0" "40000020 HV_TIME_REF_COUNT\0" "40000021 HV_REFERENCE_TSC\0"
	"40000022 HV_TSC_FREQUENCY\0" "40000023 HV_APIC_FREQUENCY\0" "40000070 HV_EOI\0" "40000071 HV_ICR\0"
	"40000072 HV_TPR\0" "40000073 HV_VP_ASSIST_PAGE\0" "40000080 HV_SCONTROL\0" "40000081 HV_SVERSION\0"
	"40000082 HV_SIEFP\0" "40000083 HV_SIMP\0" "40000084 HV_EOM\0" "40000090+16 HV_SINT#\0"
	"400000b0+4/2 HV_STIMER#_CONFIG\0" "400000b1+4/2 HV_STIMER#_COUNT\0" "400000f0 HV_GUEST_IDLE\0"
	"400000f1 HV_SYNDBG_CONTROL\0" "400000f2 HV_SYNDBG_STATUS\0" "400000f3 HV_SYNDBG_SEND_BUFFER\0"
	"400000f4 HV_SYNDBG_RECV_BUFFER\0" "400000f5 HV_SYNDBG_PENDING_BUFFER\0" "400000ff HV_SYNDBG_OPTIONS\0"
	"40000100+5 HV_CRASH_P#\0" "40000105 HV_CRASH_CTL\0" "40000106 HV_REENLIGHTENMENT_CONTROL\0"
	"40000107 HV_TSC_EMULATION_CONTROL\0" "40000108 HV_TSC_EMULATION_STATUS\0"
	"40000118 HV_TSC_INVARIANT_CONTROL\0"

	"4b564d00 KVM_WALL_CLOCK_NEW\0" "4b564d01 KVM_SYSTEM_TIME_NEW\0" "4b564d02 KVM_ASYNC_PF_EN\0"
	"4b564d03 KVM_STEAL_TIME\0" "4b564d04 KVM_PV_EOI_EN\0" "4b564d05 KVM_POLL_CONTROL\0"
	"4b564d06 KVM_ASYNC_PF_INT\0" "4b564d07 KVM_ASYNC_PF_ACK\0" "4b564d08 KVM_MIGRATION_CONTROL\0"

	"c0000080 IA32_EFER\0" "c0000081 IA32_STAR\0" "c0000082 IA32_LSTAR\0" "c0000083 IA32_CSTAR\0"
	"c0000084 IA32_FMASK\0" "c00000e7 MPERF_RO\0" "c00000e8 APERF_RO\0" "c00000e9 IRPERF\0"
	"c0000100 IA32_FS_BASE\0" "c0000101 IA32_GS_BASE\0" "c0000102 IA32_KERNEL_GS_BASE\0" "c0000103 IA32_TSC_AUX\0"
	"c0000104 TSC_RATIO\0" "c000010e AMD_LBR_SELECT\0" "c000010f DBG_EXTN_CFG\0"
	"c0000300 PERF_CNTR_GLOBAL_STATUS\0" "c0000301 PERF_CNTR_GLOBAL_CTL\0" "c0000302 PERF_CNTR_GLOBAL_STATUS_CLR\0"
	"c0000303 PERF_CNTR_GLOBAL_STATUS_SET\0" "c0010000+4 PERF_LEGACY_CTL#\0" "c0010004+4 PERF_LEGACY_CTR#\0"
	"c0010010 SYSCFG\0" "c0010015 HWCR\0" "c001001a TOP_MEM\0" "c001001d TOP_MEM2\0" "c001001f NB_CFG\0"
	"c0010020 PATCH_LOADER\0" "c0010055 INT_PENDING_MSG\0" "c0010058 MMIO_CONFIG_BASE\0"
	"c0010061 PSTATE_CUR_LIMIT\0" "c0010062 PSTATE_CTL\0" "c0010063 PSTATE_STATUS\0" "c0010064+8 PSTATE_DEF#\0"
	"c0010111 SMBASE\0" "c0010112 SMM_ADDR\0" "c0010113 SMM_MASK\0" "c0010114 VM_CR\0" "c0010115 VM_IGNNE\0"
	"c0010117 VM_HSAVE_PA\0" "c001011b SVM_AVIC_DOORBELL\0" "c001011e VM_PAGE_FLUSH\0" "c001011f VIRT_SPEC_CTRL\0"
	"c0010130 GHCB\0" "c0010131 SEV_STATUS\0" "c0010140 OSVW_ID_LENGTH\0" "c0010141 OSVW_STATUS\0"
	"c0010200+6/2 PERF_CTL#\0" "c0010201+6/2 PERF_CTR#\0" "c0010300+16/2 AMD_LBR_FROM#\0"
	"c0010301+16/2 AMD_LBR_TO#\0" "c0011020 LS_CFG\0" "c0011021 IC_CFG\0" "c0011022 DC_CFG\0" "c0011023 BU_CFG\0"
	"c0011029 DE_CFG\0" "c001102a BU_CFG2\0";

/* KVM's own. */
static const char *const synthetic_names[] = { [KVM_REG_GUEST_SSP] = "GUEST_SSP" };

static const struct kvm_reg_info infos[] = {
	{ 0x12, .bits = address_4_bits },
	{ 0x1b, .bits = apic_base_bits },
	{ 0x3a, .bits = feature_control_bits },
	{ 0x48, .bits = spec_ctrl_bits },
	{ 0x9e, .reset = 0x30000 }, /* IA32_SMBASE */
	{ 0xce, .bits = platform_info_bits },
	{ 0xe1, .bits = umwait_control_bits },
	{ 0xfe, .bits = mtrrcap_bits },
	{ 0x10a, .bits = arch_capabilities_bits },
	{ 0x122, .bits = tsx_ctrl_bits },
	{ 0x140, .bits = misc_features_bits },
	{ 0x179, .bits = mcg_cap_bits },
	{ 0x17a, .bits = mcg_status_bits },
	{ 0x1a0, .bits = misc_enable_bits },
	{ 0x1c4, .bits = xcr0_bits },
	{ 0x1c5, .bits = xcr0_bits },
	{ 0x1d9, .bits = debugctl_bits },
	{ 0x277, .reset = 0x0007040600070406, .bits = pat_bits },
	{ 0x2ff, .bits = mtrr_def_type_bits },
	{ 0x486, .bits = cr0_bits },
	{ 0x487, .bits = cr0_bits },
	{ 0x488, .bits = cr4_bits },
	{ 0x489, .bits = cr4_bits },
	{ 0x6a0, .bits = cet_bits },
	{ 0x6a2, .bits = cet_bits },
	{ 0xd90, .bits = bndcfgs_bits },
	{ 0xda0, .bits = xss_bits },
	{ 0x40000002, .reset_is_vcpu = true }, /* HV_VP_INDEX */
	{ 0x4b564d01, .bits = address_4_bits },
	{ 0x4b564d02, .bits = async_pf_en_bits },
	{ 0x4b564d03, .bits = address_64_bits },
	{ 0x4b564d04, .bits = address_4_bits },
	{ 0x4b564d05, .reset = 1, .bits = enabled_bits },
	{ 0x4b564d06, .bits = async_pf_int_bits },
	{ 0x4b564d08, .bits = enabled_bits },
	{ 0xc0000080, .bits = efer_bits },
	{ 0xc0000104, .reset = 0x100000000 }, /* TSC_RATIO: 1.0 (APM volume 2, 15.30.5) */
	{ 0xc0010010, .bits = syscfg_bits },
	{ 0xc0010015, .bits = hwcr_bits },
	{ 0xc0010114, .bits = vm_cr_bits },
	{ 0xc001011f, .bits = virt_spec_ctrl_bits },
	{ 0xc0011029, .bits = de_cfg_bits },
};
/* clang-format on */

/* Registers that nobody has given a name, by type. */
#define MSR_PREFIX       "MSR_"
#define SYNTHETIC_PREFIX "SYNTHETIC_"

const struct kvm_reg_info *kvm_reg_info(uint64_t id)
{
	for (size_t i = 0; i < ARRAY_SIZE(infos) && kvm_reg_is_msr(id); i++)
		if (infos[i].msr == kvm_reg_index(id))
			return &infos[i];
	return NULL;
}

/* An entry of msr_names. */
struct named {
	uint32_t first, count, step;
	const char *name;
};

static bool next_named(const char **list, struct named *ret)
{
	char *at;
	cold_unpack();
	if (**list == '\0')
		return false;
	*ret = (struct named){ .first = (uint32_t)strtoul(*list, &at, 16), .count = 1, .step = 1 };
	if (*at == '+')
		ret->count = (uint32_t)strtoul(at + 1, &at, 10);
	if (*at == '/')
		ret->step = (uint32_t)strtoul(at + 1, &at, 10);
	ret->name = at + 1;
	*list = ret->name + strlen(ret->name) + 1;
	return true;
}

static void name_member(const struct named *named, uint32_t number, char ret[KVM_REG_NAME_MAX])
{
	int prefix = (int)strcspn(named->name, "#");
	if (named->name[prefix] == '\0')
		snprintf(ret, KVM_REG_NAME_MAX, "%s", named->name);
	else
		snprintf(ret, KVM_REG_NAME_MAX, "%.*s%" PRIu32 "%s", prefix, named->name, number,
			 named->name + prefix + 1);
}

static bool name_msr(uint32_t index, char ret[KVM_REG_NAME_MAX])
{
	const char *list = msr_names;
	struct named named;
	while (next_named(&list, &named)) {
		uint32_t distance = index - named.first;
		if (index >= named.first && distance % named.step == 0 && distance / named.step < named.count) {
			name_member(&named, distance / named.step, ret);
			return true;
		}
	}
	return false;
}

void kvm_reg_name(uint64_t id, char ret[KVM_REG_NAME_MAX])
{
	uint32_t index = kvm_reg_index(id);
	if (kvm_reg_is_msr(id) && name_msr(index, ret))
		return;
	if (kvm_reg_is_msr(id))
		snprintf(ret, KVM_REG_NAME_MAX, MSR_PREFIX "0x%08" PRIx32, index);
	else if (kvm_reg_is_synthetic(id) && index < ARRAY_SIZE(synthetic_names))
		snprintf(ret, KVM_REG_NAME_MAX, "%s", synthetic_names[index]);
	else if (kvm_reg_is_synthetic(id))
		snprintf(ret, KVM_REG_NAME_MAX, SYNTHETIC_PREFIX "0x%08" PRIx32, index);
	else
		snprintf(ret, KVM_REG_NAME_MAX, "0x%016" PRIx64, id);
}

static bool parse_msr(const char *name, uint64_t *ret_id)
{
	const char *list = msr_names;
	struct named named;
	char member[KVM_REG_NAME_MAX];
	while (next_named(&list, &named)) {
		if (strncasecmp(name, named.name, strcspn(named.name, "#")) != 0)
			continue;
		for (uint32_t number = 0; number < named.count; number++) {
			name_member(&named, number, member);
			if (strcasecmp(name, member) == 0) {
				*ret_id = KVM_X86_REG_MSR(named.first + number * named.step);
				return true;
			}
		}
	}
	return false;
}

static bool parse_synthetic(const char *name, uint64_t *ret_id)
{
	for (size_t i = 0; i < ARRAY_SIZE(synthetic_names); i++) {
		if (strcasecmp(name, synthetic_names[i]) == 0) {
			*ret_id = KVM_X86_REG_SYNTHETIC_MSR(i);
			return true;
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
	return parse_msr(name, ret_id) || parse_synthetic(name, ret_id) || parse_unnamed(name, ret_id);
}
