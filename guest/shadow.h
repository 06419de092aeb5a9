/* What shadow.c and shadow_run.S share: MSRs and bits of CET (SDM volume 1, chapter 17; volume 4, table 2-2). */
#ifndef STASIS_GUEST_SHADOW_H
#define STASIS_GUEST_SHADOW_H

#define MSR_U_CET       0x6a0
#define MSR_S_CET       0x6a2
#define MSR_PL0_SSP     0x6a4
#define MSR_PL3_SSP     0x6a7
#define MSR_INT_SSP_TAB 0x6a8
#define MSR_XSS         0xda0
#define CET_SH_STK_EN   1

#define NEST_LEVELS 10 /* calls that nest() is deep */

#endif
