#include "state_bits.h"

#include <stddef.h>

#include "vmm/cold.h"
#include "vmm/vm.h"

/* clang-format off */

/* SDM volume 3, 12.4.8 (version), 12.9 (spurious vector), 12.5.1 (local vector table), 12.6.1 (interrupt command) */
const char lapic_version_bits[] COLD_TEXT = "0+8 VERSION\0" "16+8 MAX_LVT\0" "24 EOI_SUPPRESSION\0";

const char lapic_svr_bits[] COLD_TEXT = "0+8 VECTOR\0" "8 ENABLE\0" "9 NO_FOCUS_CHECK\0" "12 EOI_SUPPRESSION\0";

const char lapic_lvt_bits[] COLD_TEXT =
	"0+8 VECTOR\0" "8+3 DELIVERY\0" "12 PENDING\0" "13 ACTIVE_LOW\0" "14 REMOTE_IRR\0" "15 LEVEL\0" "16 MASKED\0"
	"17+2 TIMER_MODE\0";

const char lapic_icr_bits[] COLD_TEXT =
	"0+8 VECTOR\0" "8+3 DELIVERY\0" "11 LOGICAL\0" "12 PENDING\0" "14 ASSERT\0" "15 LEVEL\0" "18+2 SHORTHAND\0";

/* Intel 82093AA data sheet, 3.2.4 */
const char ioapic_entry_bits[] COLD_TEXT =
	"0+8 VECTOR\0" "8+3 DELIVERY\0" "11 LOGICAL\0" "12 PENDING\0" "13 ACTIVE_LOW\0" "14 REMOTE_IRR\0" "15 LEVEL\0"
	"16 MASKED\0" "56+8 DESTINATION\0";

/* The rest is named by arch/x86/include/uapi/asm/kvm.h and include/uapi/linux/kvm.h. */
const char sregs2_flags_bits[] COLD_TEXT = "0 PDPTRS_VALID\0";

const char events_flags_bits[] COLD_TEXT =
	"0 NMI_PENDING\0" "1 SIPI_VECTOR\0" "2 SHADOW\0" "3 SMM\0" "4 PAYLOAD\0" "5 TRIPLE_FAULT\0";

const char events_shadow_bits[] COLD_TEXT = "0 MOV_SS\0" "1 STI\0";

const char pit_flags_bits[] COLD_TEXT = "0 HPET_LEGACY\0" "1 SPEAKER_DATA_ON\0";

const char clock_flags_bits[] COLD_TEXT = "1 TSC_STABLE\0" "2 REALTIME\0" "3 HOST_TSC\0";

const char nested_flags_bits[] COLD_TEXT = "0 GUEST_MODE\0" "1 RUN_PENDING\0" "2 EVMCS\0" "3 MTF_PENDING\0" "8 GIF_SET\0";

const char nested_smm_flags_bits[] COLD_TEXT = "0 GUEST_MODE\0" "1 VMXON\0";

const char cpuid_flags_bits[] COLD_TEXT = "0 SIGNIFICANT_INDEX\0" "1 STATEFUL\0" "2 STATE_READ_NEXT\0";

const char memory_flags_bits[] COLD_TEXT = "0 ROM\0";

_Static_assert(MACHINE_EXCEPTION_PAYLOAD == 0 && MACHINE_TRIPLE_FAULT_EVENT == 1, "as named here");
const char machine_capabilities_bits[] COLD_TEXT = "0 EXCEPTION_PAYLOAD\0" "1 TRIPLE_FAULT_EVENT\0";

/* clang-format on */
