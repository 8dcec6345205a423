/* SPDX-License-Identifier: BSD-2-Clause */
/* What every nano guest has: a serial line, test reports, traps that can be expected, pages to play
 * with. */
#ifndef NANO_H
#define NANO_H

#include <stddef.h>
#include <stdint.h>

#define PORT_SERIAL	0x3f8 /* COM1: data */
#define PORT_LSR	0x3fd
#define PORT_SCRATCH	0x3ff /* its scratch register: a byte of storage */
#define PORT_DEBUG_EXIT 0xf4

#define LAPIC_BASE  0xfee00000ul
#define IOAPIC_BASE 0xfec00000ul

static inline void outb(uint16_t port, uint8_t value)
{
	__asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

static inline void outl(uint16_t port, uint32_t value)
{
	__asm__ volatile("outl %0, %1" : : "a"(value), "Nd"(port));
}

static inline uint8_t inb(uint16_t port)
{
	uint8_t value;

	__asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
	return value;
}

static inline uint64_t rdtsc(void)
{
	uint32_t low, high;

	__asm__ volatile("rdtsc" : "=a"(low), "=d"(high) : : "memory");
	return (uint64_t)high << 32 | low;
}

static inline void cpuid(uint32_t leaf, uint32_t out[4])
{
	__asm__ volatile("cpuid"
			 : "=a"(out[0]), "=b"(out[1]), "=c"(out[2]), "=d"(out[3])
			 : "a"(leaf), "c"(0));
}

static inline uint32_t lapic_read(uint32_t offset)
{
	return *(volatile uint32_t *)(LAPIC_BASE + offset);
}

static inline void lapic_write(uint32_t offset, uint32_t value)
{
	*(volatile uint32_t *)(LAPIC_BASE + offset) = value;
}

/* What a trap stub leaves on the stack. */
struct nano_frame {
	uint64_t r11, r10, r9, r8, rdi, rsi, rbp, rbx, rdx, rcx, rax;
	uint64_t vector, error;
	uint64_t rip, cs, rflags, rsp, ss;
};

/* The last trap, and how many there were since nano_trap_reset. */
extern volatile struct nano_trap_record {
	uint64_t count, vector, error, cr2, rip, cs, rflags, rsp;
} nano_last;

/* Where the next trap returns to instead of the interrupted instruction; 0: to that instruction.
 * Used up by a trap. */
extern volatile uint64_t nano_resume;

/* Runs inside each trap after it was recorded; a guest that needs it defines it. */
__attribute__((weak)) void nano_on_trap(struct nano_frame *frame);

/* A PVH guest's C code starts here. */
void nano_main(void);

void nano_puts(const char *text);
void nano_put_dec(uint64_t value);
void nano_put_hex(uint64_t value);

/* One line per check: `ok NAME`, or `FAIL NAME: what is VALUE, not EXPECTED`. */
void nano_ok(const char *name);
void nano_fail(const char *name, const char *what, uint64_t value, uint64_t expected);
/* `skip NAME: why`; counts neither way. */
void nano_skip(const char *name, const char *why);
/* Prints the totals and ends the guest through the debug-exit port: 0 when no check failed, else 1.
 */
_Noreturn void nano_finish(void);

void nano_trap_reset(void);
/* Changes a gate of the IDT: present or not (for double and triple faults). */
void nano_gate_present(unsigned vector, int present);

/* Page n (0..15) of the region at TEST_VA: maps it to `physical` with page-table flags (0: not
 * present). */
#define TEST_VA	    0x8000000000ul
#define PTE_PRESENT 0x1ul
#define PTE_WRITE   0x2ul
#define PTE_USER    0x4ul
#define PTE_NX	    (1ul << 63)
void nano_map(unsigned page, uint64_t physical, uint64_t flags);

/* Whether this is QEMU itself and no VMM of ours: some answers differ there (it has no #GP for
 * unknown MSRs). */
int nano_on_bare_qemu(void);

/* start.S */
extern uint8_t nano_trap_stubs[256][16];
extern uint64_t nano_gdt[7];
extern uint64_t nano_start_info;
extern uint64_t nano_pml4[512];
void nano_enter_user(uint64_t rip, uint64_t rsp);
extern uint8_t nano_leave_user[];

#endif
