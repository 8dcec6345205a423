/* SPDX-License-Identifier: BSD-2-Clause */
/* The table of policies (R-VIRT-5: the forward model injects where the basic model kills). */
#include <cairn/system.h>
#include "policy.h"

static const struct mca_policy policies[] = {
	[POLICY_INJECT] = {.name = "inject", .inject = true},
	[POLICY_KILL] = {.name = "kill"},
	[POLICY_RESTART] = {.name = "restart", .restart = true},
};

const struct mca_policy *mca_policy_of(uint32_t policy)
{
	if (policy >= sizeof(policies) / sizeof(policies[0]))
		policy = POLICY_KILL;
	return &policies[policy];
}
