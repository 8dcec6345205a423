/* SPDX-License-Identifier: BSD-2-Clause */
/* Bits of the machine-check registers (SDM 15.3; AMD's where they differ). */
#ifndef MCA_BITS_H
#define MCA_BITS_H

#define MCG_CAP_SER_P	(1ull << 24)
#define MCG_STATUS_RIPV (1ull << 0)
#define MCG_STATUS_EIPV (1ull << 1)
#define MCG_STATUS_MCIP (1ull << 2)

#define MCI_STATUS_VAL	    (1ull << 63)
#define MCI_STATUS_OVER	    (1ull << 62)
#define MCI_STATUS_UC	    (1ull << 61)
#define MCI_STATUS_EN	    (1ull << 60)
#define MCI_STATUS_MISCV    (1ull << 59)
#define MCI_STATUS_ADDRV    (1ull << 58)
#define MCI_STATUS_PCC	    (1ull << 57)
#define MCI_STATUS_S	    (1ull << 56) /* Intel with SER_P */
#define MCI_STATUS_AR	    (1ull << 55) /* Intel with SER_P */
#define MCI_STATUS_DEFERRED (1ull << 44) /* AMD */

#define MCACOD_MASK   0xffffull
#define MCACOD_FILTER 0x1000ull /* bit F of a compound code: not part of it (SDM 15.9.2.1) */

#define MISC_LSB(misc)	   ((misc)&0x3fu)
#define MISC_MODE(misc)	   (((misc) >> 6) & 7u)
#define MISC_MODE_PHYSICAL 2u

/* No CPU has more physical address bits. */
#define PHYSICAL_PAGE_MASK 0x000ffffffffff000ull

#endif
