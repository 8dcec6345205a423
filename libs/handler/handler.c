/* SPDX-License-Identifier: BSD-2-Clause */
/* Sets up a portal handler thread: entry, stack, thread-local storage shared with the main thread,
 * upcalls. */
#include <string.h>
#include <cairn/hypercalls.h>
#include <cairn/runtime.h>

#define STACK_SPACING 0x100000ul

extern char cairn_handler_trampoline[], cairn_syscall_entry[], cairn_fault_entry[];

/* musl's thread descriptor holds its own address first, and FS points to it. */
static uint64_t fs_base(void)
{
	uint64_t base;

	__asm__("mov %%fs:0, %0" : "=r"(base));
	return base;
}

cairn_status_t cairn_handler_setup(unsigned n, cairn_handler_fn *handler)
{
	struct thread_config *config = (struct thread_config *)cairn_buffer();
	uint64_t *top = (uint64_t *)(SERVER_STACK_VA + (n + 1) * STACK_SPACING) - 2;

	if (n == 0 || n >= cairn_info()->thread_count)
		return CAIRN_ERR_ARG;
	top[0] = (uintptr_t)handler;
	memset(config, 0, sizeof(*config));
	config->rip = (uintptr_t)cairn_handler_trampoline;
	config->rsp = (uintptr_t)top;
	config->fs_base = fs_base();
	config->syscall_entry = (uintptr_t)cairn_syscall_entry;
	config->fault_entry = (uintptr_t)cairn_fault_entry;
	return cairn_thread_configure(SEL_THREAD + n, THREAD_REGS | THREAD_UPCALLS);
}
