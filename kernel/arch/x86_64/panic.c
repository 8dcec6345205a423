/* SPDX-License-Identifier: BSD-2-Clause */
/* The end: what, where, the registers; then the machine stops. */
#include <hal/hal.h>
#include "arch.h"

_Noreturn void stop(void)
{
	print("cairn: stopped\n");
	for (;;)
		__asm__ volatile("cli; hlt");
}

static void print_registers(const struct trap_frame *f)
{
	print("rax %lx rbx %lx rcx %lx rdx %lx\n", f->rax, f->rbx, f->rcx, f->rdx);
	print("rsi %lx rdi %lx rbp %lx rsp %lx\n", f->rsi, f->rdi, f->rbp, f->rsp);
	print("r8 %lx r9 %lx r10 %lx r11 %lx\n", f->r8, f->r9, f->r10, f->r11);
	print("r12 %lx r13 %lx r14 %lx r15 %lx\n", f->r12, f->r13, f->r14, f->r15);
	print("rip %lx cs %lx rflags %lx ss %lx error %lx\n", f->rip, f->cs, f->rflags, f->ss, f->error);
	print("cr0 %lx cr2 %lx cr3 %lx cr4 %lx\n", read_cr0(), read_cr2(), read_cr3(), read_cr4());
}

_Noreturn void panic_frame(const char *what, const struct trap_frame *f)
{
	print("\ncairn: panic: %s, vector %lu\n", what, f->vector);
	print_registers(f);
	stop();
}

_Noreturn void hal_panic(const char *what)
{
	struct trap_frame f = {0};

	__asm__ volatile("mov %%rbx, %0; mov %%rbp, %1; mov %%rsp, %2; mov %%r12, %3"
			 : "=m"(f.rbx), "=m"(f.rbp), "=m"(f.rsp), "=m"(f.r12));
	f.rip = (uint64_t)__builtin_return_address(0);
	print("\ncairn: panic: %s\n", what);
	print_registers(&f);
	stop();
}

void hal_report_fault(uint32_t label, uint64_t vector, uint64_t error, uint64_t address, uint64_t rip)
{
	print("cairn: a thread of space %lu stopped: vector %lu error 0x%lx address 0x%lx rip 0x%lx\n", (uint64_t)label,
	      vector, error, address, rip);
}
