/* SPDX-License-Identifier: BSD-2-Clause */
/* What is the same for all hypercalls: unknown numbers, selectors without a capability or of
 * another type. */
#include <stdio.h>
#include <cairn/hypercalls.h>
#include "check.h"
#include "worker.h"

struct table_call {
	const char *name;
	uint64_t number;
	uint64_t type; /* of the first argument; CAP_FREE: any */
};
#include "table_generated.h"

static cairn_status_t raw_call(uint64_t number, uint64_t first)
{
	uint64_t rax = TABLE_BASE + number, rdi = first;
	register uint64_t r10 __asm__("r10") = 0;
	register uint64_t r8 __asm__("r8") = 0;
	register uint64_t r9 __asm__("r9") = 0;
	uint64_t rsi = 0, rdx = 0;

	__asm__ volatile("syscall"
			 : "+a"(rax), "+D"(rdi), "+S"(rsi), "+d"(rdx), "+r"(r10), "+r"(r8), "+r"(r9)
			 :
			 : "rcx", "r11", "cc", "memory");
	return (cairn_status_t)rax;
}

static void check_call(const struct table_call *call, const char *what, uint64_t first,
		       cairn_status_t want)
{
	char name[96];

	snprintf(name, sizeof(name), "%s-%s", call->name, what);
	check_status(name, raw_call(call->number, first), want);
}

static void selectors(void)
{
	uint64_t empty = forge_select(), frame = forge_frame();

	for (unsigned i = 0; i < sizeof(table_calls) / sizeof(table_calls[0]); i++) {
		const struct table_call *call = &table_calls[i];

		check_call(call, "of-an-empty-slot-is-refused", empty, CAIRN_ERR_CAP);
		check_call(call, "beyond-the-captable-is-refused", 1ul << 24, CAIRN_ERR_CAP);
		/* Numbers that would be in range if their upper half were lost. */
		check_call(call, "with-bit-32-set-is-refused", 1ul << 32, CAIRN_ERR_CAP);
		check_call(call, "of-all-ones-is-refused", ~0ul, CAIRN_ERR_CAP);
		if (call->type == CAP_FREE)
			continue;
		check_call(call, "of-another-type-is-refused",
			   call->type == CAP_FRAME ? SEL_CAPTABLE : frame, CAIRN_ERR_TYPE);
	}
}

static void numbers(void)
{
	uint64_t version = 0;

	check_status("number-beyond-the-last-is-refused", raw_call(TABLE_HIGHEST + 1, 0),
		     CAIRN_ERR_CALL);
	check_status("the-last-number-of-the-range-is-refused", raw_call(0xfff, 0), CAIRN_ERR_CALL);
	check_status("identify-succeeds", cairn_identify(&version), CAIRN_OK);
	check_value("identify-returns-the-version", version, 1);
	check_status("debug-write-answers-as-the-build-says", cairn_debug_write(0),
		     cairn_info()->debug ? CAIRN_OK : CAIRN_ERR_CALL);
}

void suite_table(void)
{
	in_arena(numbers);
	in_arena(selectors);
}
