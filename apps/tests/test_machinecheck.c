/* SPDX-License-Identifier: BSD-2-Clause */
/* The machine-check hypercalls without an error at hand: what they refuse, and that they say there
 * is none. */
#include <cairn/hypercalls.h>
#include "check.h"
#include "worker.h"

#define RAM_PAGE    0x100000ul
#define NO_RAM_PAGE 0xfffffffff000ul /* far above any RAM */

static void refusals(void)
{
	uint64_t frame = forge_frame(), vcpu = forge_select();

	forge_must(cairn_retype(forge_used(), CAP_VCPU, 0, SEL_CAPTABLE, vcpu, 0), "making a VCpu");
	check_status("the-root-task-gives-the-right-to-errors-to-one-server-only",
		     cairn_copy(SEL_MACHINECHECK, SEL_CAPTABLE, forge_select(), RIGHT_ALL, 0),
		     CAIRN_ERR_RIGHTS);
	check_status("mc-bind-to-no-thread-is-refused", cairn_mc_bind(SEL_MACHINECHECK, frame),
		     CAIRN_ERR_TYPE);
	check_status("mc-thaw-of-no-vcpu-is-refused", cairn_mc_thaw(SEL_MACHINECHECK, frame, 0),
		     CAIRN_ERR_TYPE);
	check_status("mc-thaw-of-the-future-is-refused",
		     cairn_mc_thaw(SEL_MACHINECHECK, vcpu, 1000), CAIRN_ERR_ARG);
	check_status("mc-harvest-of-the-future-is-refused",
		     cairn_mc_harvest(SEL_MACHINECHECK, 0, 1000, NULL, NULL), CAIRN_ERR_ARG);
	check_status(
		"mc-poison-of-a-part-of-a-page-is-refused",
		cairn_mc_poison(SEL_MACHINECHECK, NO_RAM_PAGE + 8, 0, NULL, NULL, NULL, NULL, NULL),
		CAIRN_ERR_ARG);
	check_status("mc-poison-beyond-all-memory-is-refused",
		     cairn_mc_poison(SEL_MACHINECHECK, 1ul << 60, 0, NULL, NULL, NULL, NULL, NULL),
		     CAIRN_ERR_ARG);
	check_status("mc-poison-with-a-silly-cursor-is-refused",
		     cairn_mc_poison(SEL_MACHINECHECK, RAM_PAGE, 1ul << 40, NULL, NULL, NULL, NULL,
				     NULL),
		     CAIRN_ERR_ARG);
	check_status(
		"mc-poison-of-what-is-no-ram-is-refused",
		cairn_mc_poison(SEL_MACHINECHECK, NO_RAM_PAGE, 0, NULL, NULL, NULL, NULL, NULL),
		CAIRN_ERR_ARG);
}

static void nothing_happened(void)
{
	uint64_t count = 9, epoch = 9;

	check_status("mc-bind-works", cairn_mc_bind(SEL_MACHINECHECK, SEL_SELF), CAIRN_OK);
	check_status("mc-harvest-works", cairn_mc_harvest(SEL_MACHINECHECK, 0, 0, &count, &epoch),
		     CAIRN_OK);
	check_value("no-record-is-waiting", count, 0);
	check_value("no-exception-has-happened", epoch, 0);
}

void suite_machinecheck(void)
{
	in_arena(refusals);
	in_arena(nothing_happened);
}
