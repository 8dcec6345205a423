/* SPDX-License-Identifier: BSD-2-Clause */
/* The end: what, where, the registers; then the machine stops. */
#include <core/smp.h>
#include <hal/hal.h>
#include "arch.h"

uint8_t machine_stopped; /* an NMI halts its CPU (entry.S) */
static int panicking;

void stop_others(void)
{
	static uint32_t stopping; /* APIC id + 1 of who stops the others */
	/* Not from GS: a machine check may have come from user level, whose GS is still there. */
	uint32_t first = 0, self = (cpuid(1, 0).b >> 24) + 1;

	if (!__atomic_compare_exchange_n(&stopping, &first, self, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE) && first != self)
		for (;;)
			__asm__ volatile("cli; hlt");
	if (machine_stopped)
		return;
	machine_stopped = 1;
	if (cpu_count > 1)
		lapic_broadcast(ICR_OTHERS | ICR_NMI);
}

_Noreturn void stop(void)
{
	stop_others();
	print("cairn: stopped\n");
	for (;;)
		__asm__ volatile("cli; hlt");
}

int panic_has_idt;

_Noreturn void panic_frame(const char *what, const struct trap_frame *f)
{
	stop_others();
	if (!panicking)
		print("\ncairn: panic: %s, vector %lu\n", what, f->vector);
	print("rax 0x%lx rbx 0x%lx rcx 0x%lx rdx 0x%lx\n", f->rax, f->rbx, f->rcx, f->rdx);
	print("rsi 0x%lx rdi 0x%lx rbp 0x%lx rsp 0x%lx\n", f->rsi, f->rdi, f->rbp, f->rsp);
	print("r8 0x%lx r9 0x%lx r10 0x%lx r11 0x%lx\n", f->r8, f->r9, f->r10, f->r11);
	print("r12 0x%lx r13 0x%lx r14 0x%lx r15 0x%lx\n", f->r12, f->r13, f->r14, f->r15);
	print("rip 0x%lx cs 0x%lx rflags 0x%lx ss 0x%lx error 0x%lx\n", f->rip, f->cs, f->rflags, f->ss, f->error);
	print("cr0 0x%lx cr2 0x%lx cr3 0x%lx cr4 0x%lx\n", read_cr0(), read_cr2(), read_cr3(), read_cr4());
	stop();
}

_Noreturn void hal_panic(const char *what)
{
	stop_others();
	print("\ncairn: panic: %s, at 0x%lx\n", what, (uint64_t)__builtin_return_address(0));
	panicking = 1;
	if (panic_has_idt)
		__asm__ volatile("ud2"); /* trap_kernel comes to panic_frame with all registers as they are here */
	stop();
}

void hal_report_fault(uint32_t label, uint64_t vector, uint64_t error, uint64_t address, uint64_t rip)
{
	print("cairn: a thread of space %lu stopped: vector %lu error 0x%lx address 0x%lx rip 0x%lx\n", (uint64_t)label,
	      vector, error, address, rip);
}
