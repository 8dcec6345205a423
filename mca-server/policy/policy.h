/* SPDX-License-Identifier: BSD-2-Clause */
/* What is done with a VM whose memory is lost: one row per policy of the system description. */
#ifndef MCA_POLICY_H
#define MCA_POLICY_H

#include <stdbool.h>
#include <stdint.h>

struct mca_policy {
	const char *name;
	bool inject;  /* tell the guest; else the VM is killed */
	bool restart; /* after a kill, start it anew */
};

/* The row of an enum vm_policy; an unknown one is treated as POLICY_KILL. */
const struct mca_policy *mca_policy_of(uint32_t policy);

#endif
