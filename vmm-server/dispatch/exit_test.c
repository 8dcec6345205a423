/* SPDX-License-Identifier: BSD-2-Clause */
/* Tests of whole exits: a guest's state page in, the reply and the changed state out; and that no
 * guest can harm us. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include <cairn/byte_ring.h>
#include <cairn/guestmem.h>
#include <cairn/hypercalls.h>
#include <cairn/log.h>
#include "dispatch/exit.h"

#define MIB    0x100000ull
#define MEMORY (4 * MIB)
#define CODE   0x8000ull

struct vm vm;

static uint8_t *ram;
static struct tty_channel tty;
static struct server_info info;
static struct vcpu_state state_page[2];
static unsigned recalls, signals, log_lines, waits;

/* ---- what the kernel and libs would do ---- */

cairn_status_t cairn_recall(uint64_t vcpu)
{
	(void)vcpu;
	recalls++;
	return CAIRN_OK;
}

cairn_status_t cairn_signal(uint64_t thread)
{
	(void)thread;
	signals++;
	return CAIRN_OK;
}

/* Another vCPU's handler had the lock, and comes to its end now that it gets the CPU. */
cairn_status_t cairn_wait(uint64_t deadline, uint64_t *bits)
{
	(void)bits;
	assert_true(deadline > cairn_tsc());
	waits++;
	vm.lock = 0;
	return CAIRN_ERR_TIMEOUT;
}

cairn_status_t cairn_reply(uint64_t zero, uint64_t w1, uint64_t w2, uint64_t w3, uint64_t w4,
			   uint64_t count)
{
	(void)zero, (void)w1, (void)w2, (void)w3, (void)w4, (void)count;
	return CAIRN_OK;
}

void cairn_log(const char *format, ...)
{
	(void)format;
	log_lines++;
}

uint64_t cairn_ticks_from_us(uint64_t us)
{
	return us * 1000;
}

/* Guest memory with one page that may be lost. */
static uint64_t lost = ~0ull;

static int check(uint64_t gpa, uint64_t length)
{
	if (gpa >= MEMORY || length > MEMORY - gpa)
		return GUESTMEM_FAULT;
	if (gpa < lost + 4096 && lost < gpa + length)
		return GUESTMEM_POISON;
	return GUESTMEM_OK;
}

int guest_read(void *to, uint64_t gpa, uint64_t length)
{
	int status = check(gpa, length);

	if (status == GUESTMEM_OK)
		memcpy(to, ram + gpa, length);
	return status;
}

int guest_write(uint64_t gpa, const void *from, uint64_t length)
{
	int status = check(gpa, length);

	if (status == GUESTMEM_OK)
		memcpy(ram + gpa, from, length);
	return status;
}

int guest_load(uint64_t gpa, unsigned size, uint64_t *value)
{
	*value = 0;
	return gpa % size ? GUESTMEM_FAULT : guest_read(value, gpa, size);
}

int guest_cmpxchg(uint64_t gpa, unsigned size, uint64_t *expected, uint64_t value, int *swapped)
{
	uint64_t old;
	int status = guest_load(gpa, size, &old);

	if (status != GUESTMEM_OK)
		return status;
	*swapped = old == *expected;
	*expected = old;
	return *swapped ? guest_write(gpa, &value, size) : GUESTMEM_OK;
}

/* ---- set-up ---- */

static struct vcpu *const v = &vm.vcpu[0];
static struct vcpu_state *const s = &state_page[0];

static int group_setup(void **state)
{
	(void)state;
	ram = aligned_alloc(4096, MEMORY);
	return ram == NULL ? -1 : 0;
}

static int group_teardown(void **state)
{
	(void)state;
	free(ram);
	return 0;
}

static void make_vcpu(unsigned index, bool amd)
{
	struct cpuid_host host;
	struct cpuid_config config = {.vcpus = vm.vcpus, .vcpu = index, .amd_profile = amd};

	memset(&host, 0xff, sizeof(host));
	host.basic[0] = amd ? (struct cpuid_regs){0xd, 0x68747541, 0x444d4163, 0x69746e65}
			    : (struct cpuid_regs){0xd, 0x756e6547, 0x6c65746e, 0x49656e69};
	host.extended[8].eax = 0x3028;
	vm.vcpu[index].index = index;
	vm.vcpu[index].state = &state_page[index];
	vm.vcpu[index].wait_for_sipi = index != 0;
	lapic_reset(&vm.vcpu[index].lapic, (uint8_t)index, index == 0);
	vmce_reset(&vm.vcpu[index].vmce, amd, vm.vcpus > 1);
	cpuid_build(&host, &config, &vm.vcpu[index].cpuid);
}

static void make_vm(unsigned vcpus, bool amd)
{
	memset(&vm, 0, sizeof(vm));
	memset(&tty, 0, sizeof(tty));
	memset(state_page, 0, sizeof(state_page));
	memset(ram, 0, MEMORY);
	vm.info = &info;
	info.vm.debug_exit = 1;
	vm.vcpus = vcpus;
	vm.low = MEMORY;
	vm.ram = ram;
	vm.amd = amd;
	vm.entry.eip = CODE;
	uart_reset(&vm.uart, &tty);
	ioapic_reset(&vm.ioapic);
	legacy_reset(&vm.legacy, 1000000, 0);
	for (unsigned i = 0; i < vcpus; i++)
		make_vcpu(i, amd);
	recalls = signals = 0;
	lost = ~0ull;
}

static int setup(void **state)
{
	(void)state;
	make_vm(1, false);
	assert_int_equal(exit_dispatch(v, EXIT_STARTUP), VCPU_MTD_ALL);
	s->cr4 = 1u << 6; /* MCE, as Linux has it */
	return 0;
}

static void code(const void *bytes, unsigned n)
{
	memcpy(ram + CODE, bytes, n);
	s->rip = CODE;
}
#define CODE_BYTES(...) code((const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

/* An exit whose handler asked for all state is followed by the recall that brings it. */
static uint64_t exit_with_redo(uint64_t exit_class)
{
	uint64_t reply = exit_dispatch(v, exit_class);

	return v->redo ? exit_dispatch(v, EXIT_RECALL) : reply;
}

static bool injected(uint32_t vector)
{
	return (s->inject_info & (EVENT_VALID | 0xff)) == (EVENT_VALID | vector);
}

static void set_tty_mcr(void)
{
	uart_write(&vm.uart, 4, 8);
	uart_write(&vm.uart, 1, 1);
}

/* ---- tests ---- */

static void cpuid_is_found_by_decoding_and_then_remembered(void **state)
{
	(void)state;
	CODE_BYTES(0x0f, 0xa2);
	s->gpr[GPR_RAX] = 0;
	(void)exit_with_redo(EXIT_CPUID);
	assert_int_equal(recalls, 1);
	assert_int_equal(s->rip, CODE + 2);
	assert_int_equal(s->gpr[GPR_RBX], 0x756e6547);
	s->rip = CODE;
	s->gpr[GPR_RAX] = 0x40000000;
	assert_int_equal(exit_dispatch(v, EXIT_CPUID), VCPU_MTD_RIP);
	assert_int_equal(recalls, 1);
	assert_int_equal(s->rip, CODE + 2);
	/* With a prefix it is longer, and what was remembered does not fit any more. */
	CODE_BYTES(0x66, 0x0f, 0xa2);
	(void)exit_with_redo(EXIT_CPUID);
	assert_int_equal(recalls, 2);
	assert_int_equal(s->rip, CODE + 3);
	s->rip = CODE;
	assert_int_equal(exit_dispatch(v, EXIT_CPUID), VCPU_MTD_RIP);
	assert_int_equal(s->rip, CODE + 3);
}

static void remembered_place_may_straddle_words(void **state)
{
	static const uint8_t cpuid[] = {0x0f, 0xa2};

	(void)state;
	for (unsigned i = 0; i < 16; i++) {
		memcpy(ram + CODE + i, cpuid, 2);
		s->rip = CODE + i;
		(void)exit_with_redo(EXIT_CPUID);
		s->rip = CODE + i;
		recalls = 0;
		assert_int_equal(exit_dispatch(v, EXIT_CPUID), VCPU_MTD_RIP);
		assert_int_equal(s->rip, CODE + i + 2);
		assert_int_equal(recalls, 0);
		memset(ram + CODE, 0x90, 32);
	}
}

static void single_step_over_cpuid_traps_after_it(void **state)
{
	(void)state;
	CODE_BYTES(0x0f, 0xa2);
	s->rflags |= RFLAGS_TF;
	assert_true(exit_with_redo(EXIT_CPUID) & VCPU_MTD_INJECT);
	assert_int_equal(s->rip, CODE + 2);
	assert_true(injected(VECTOR_DB));
	assert_int_equal(s->dr6 & 1u << 14, 1u << 14);
}

static void retiring_ends_the_shadow_and_rf(void **state)
{
	(void)state;
	CODE_BYTES(0xec);
	s->inst_len = 1;
	s->interruptibility = VCPU_BLOCK_STI;
	s->rflags |= RFLAGS_RF;
	s->qualification = VCPU_IO_IN | 1u << 4 | 0x3fdu << 16;
	assert_true(exit_dispatch(v, EXIT_IO) & VCPU_MTD_FLAGS);
	assert_int_equal(s->interruptibility, 0);
	assert_int_equal(s->rflags & RFLAGS_RF, 0);
	assert_int_equal(s->gpr[GPR_RAX] & 0xff, 0x60);
}

static void io_moves_only_its_bytes(void **state)
{
	(void)state;
	s->rip = CODE;
	s->inst_len = 2;
	s->gpr[GPR_RAX] = 0x1122334455667788;
	s->qualification = VCPU_IO_IN | 1u << 4 | 0x42u << 16;
	(void)exit_dispatch(v, EXIT_IO);
	assert_int_equal(s->gpr[GPR_RAX], 0x1122334455667700);
	s->qualification = VCPU_IO_IN | 2u << 4 | 0x1000u << 16;
	(void)exit_dispatch(v, EXIT_IO);
	assert_int_equal(s->gpr[GPR_RAX], 0x112233445566ffff);
	s->qualification = VCPU_IO_IN | 4u << 4 | 0xcfcu << 16;
	(void)exit_dispatch(v, EXIT_IO);
	assert_int_equal(s->gpr[GPR_RAX], 0xffffffff);
	assert_int_equal(s->rip, CODE + 6);
}

static void string_output_goes_through_the_emulator(void **state)
{
	char out[8] = {0};

	(void)state;
	CODE_BYTES(0xf3, 0x6e); /* rep outsb */
	memcpy(ram + 0x9000, "hello", 5);
	s->gpr[GPR_RSI] = 0x9000;
	s->gpr[GPR_RCX] = 5;
	s->gpr[GPR_RDX] = UART_PORT;
	s->inst_len = 2;
	s->qualification = VCPU_IO_STRING | VCPU_IO_REP | 1u << 4 | UART_PORT << 16;
	(void)exit_with_redo(EXIT_IO);
	assert_int_equal(s->gpr[GPR_RCX], 0);
	assert_int_equal(s->rip, CODE + 2);
	assert_int_equal(byte_ring_read(&tty.out, out, sizeof(out)), 5);
	assert_string_equal(out, "hello");
}

static void input_interrupts_the_halted_guest(void **state)
{
	uint64_t reply;

	(void)state;
	lapic_write(&v->lapic, LAPIC_SVR, 0x1ff, 0, &(struct lapic_effects){0});
	ioapic_write(&vm.ioapic, IOAPIC_SELECT, 0x18);
	ioapic_write(&vm.ioapic, IOAPIC_WINDOW, 0x34);
	set_tty_mcr();
	CODE_BYTES(0xf4);
	s->rflags |= RFLAGS_IF;
	reply = exit_with_redo(EXIT_HLT);
	assert_true(reply & VCPU_REPLY_HALT);
	assert_int_equal(s->rip, CODE + 1);
	reply = exit_dispatch(v, EXIT_RECALL);
	assert_true(reply & VCPU_REPLY_HALT); /* nothing came */
	assert_int_equal(byte_ring_write(&tty.in, "x", 1), 1);
	reply = exit_dispatch(v, EXIT_RECALL);
	assert_false(reply & VCPU_REPLY_HALT);
	assert_int_equal(s->virq, EVENT_VALID | 0x34);
	s->virq = 0; /* the guest took it */
	s->qualification = 0;
	(void)exit_dispatch(v, EXIT_RECALL);
	assert_int_equal(v->lapic.isr[1], 1u << 0x14);
	assert_int_equal(v->lapic.irr[1], 0);
}

static void disabled_interrupts_do_not_wake(void **state)
{
	(void)state;
	lapic_write(&v->lapic, LAPIC_SVR, 0x1ff, 0, &(struct lapic_effects){0});
	CODE_BYTES(0xf4);
	(void)exit_with_redo(EXIT_HLT);
	lapic_accept(&v->lapic, 0x40, false);
	assert_true(exit_dispatch(v, EXIT_RECALL) & VCPU_REPLY_HALT);
	v->nmi_pending = true;
	assert_false(exit_dispatch(v, EXIT_RECALL) & VCPU_REPLY_HALT);
	assert_int_equal(s->inject_info, EVENT_VALID | EVENT_NMI | 2);
}

static void interrupted_delivery_is_repeated(void **state)
{
	(void)state;
	s->vectoring_info = EVENT_VALID | EVENT_EXC | EVENT_ERROR | VECTOR_PF;
	s->vectoring_error = 6;
	assert_true(exit_dispatch(v, EXIT_RECALL) & VCPU_MTD_INJECT);
	assert_int_equal(s->inject_info, EVENT_VALID | EVENT_EXC | EVENT_ERROR | VECTOR_PF);
	assert_int_equal(s->inject_error, 6);
	/* QEMU's mark of an interrupt that V_IRQ still holds */
	s->vectoring_info = EVENT_VALID | EVENT_EXC | 0x34;
	(void)exit_dispatch(v, EXIT_RECALL);
	assert_int_equal(s->inject_info, 0);
}

static void interrupt_of_a_low_vector_is_not_taken_for_an_exception(void **state)
{
	(void)state;
	lapic_write(&v->lapic, LAPIC_SVR, 0x1ff, 0, &(struct lapic_effects){0});
	lapic_accept(&v->lapic, 17, false);
	(void)exit_dispatch(v, EXIT_RECALL);
	assert_int_equal(s->virq, EVENT_VALID | 17);
	s->vectoring_info = EVENT_VALID | EVENT_EXC | EVENT_ERROR | 17;
	/* With interrupts off it can only be #AC. */
	(void)exit_dispatch(v, EXIT_RECALL);
	assert_true(injected(VECTOR_AC));
	s->rflags |= RFLAGS_IF;
	(void)exit_dispatch(v, EXIT_RECALL);
	assert_int_equal(s->inject_info, 0);
	assert_int_equal(s->virq, EVENT_VALID | 17);
	assert_int_equal(v->lapic.isr_words, 0);
	/* What is taken is no mark any more. */
	s->virq = 0;
	s->vectoring_info = EVENT_VALID | EVENT_EXC | EVENT_ERROR | 17;
	(void)exit_dispatch(v, EXIT_RECALL);
	assert_true(injected(VECTOR_AC));
}

static void interrupt_taken_but_not_delivered_waits_again(void **state)
{
	(void)state;
	lapic_write(&v->lapic, LAPIC_SVR, 0x1ff, 0, &(struct lapic_effects){0});
	lapic_accept(&v->lapic, 0x40, false);
	(void)exit_dispatch(v, EXIT_RECALL);
	assert_int_equal(s->virq, EVENT_VALID | 0x40);
	s->virq = 0;
	s->vectoring_info = EVENT_VALID | EVENT_INTR | 0x40;
	(void)exit_dispatch(v, EXIT_RECALL);
	assert_int_equal(s->virq, EVENT_VALID | 0x40);
	assert_int_equal(s->inject_info, 0);
}

static void lost_page_becomes_a_machine_check_with_its_address(void **state)
{
	uint64_t value;

	(void)state;
	s->cpl = 3;
	s->qualification2 = 0x123456;
	assert_true(exit_dispatch(v, EXIT_POISONED) & VCPU_MTD_INJECT);
	assert_int_equal(s->inject_info, EVENT_VALID | EVENT_EXC | VECTOR_MC);
	assert_int_equal(s->rip, CODE);
	assert_int_equal(msr_read(v, 0x406, &value), MSR_DONE);
	assert_int_equal(value, 0x123456);
	/* Once more before the guest is done: it shuts down, alone. */
	assert_int_equal(exit_dispatch(v, EXIT_POISONED), VCPU_REPLY_STOP);
	assert_int_equal(vm.mailbox.end, END_RESET);
}

static void guest_that_takes_no_machine_checks_shuts_down(void **state)
{
	(void)state;
	s->cr4 = 0;
	assert_int_equal(exit_dispatch(v, EXIT_POISONED), VCPU_REPLY_STOP);
	assert_int_equal(vm.mailbox.end, END_RESET);
}

static void guest_that_touches_a_lost_page_for_ever_does_not_flood_the_log(void **state)
{
	(void)state;
	log_lines = signals = 0;
	for (unsigned i = 0; i < 100; i++) {
		vm.report_second = cairn_tsc();
		(void)exit_dispatch(v, EXIT_POISONED);
		assert_true(injected(VECTOR_MC));
		assert_true(vmce_write_msr(&v->vmce, MSR_MCG_STATUS, 0));
	}
	assert_in_range(log_lines, 1, 40);
	assert_in_range(signals, 1, 40);
	vm.report_second -= cairn_ticks_from_us(1000000);
	log_lines = 0;
	(void)exit_dispatch(v, EXIT_POISONED);
	assert_int_equal(log_lines, 1);
}

static void machine_check_keeps_the_nmi_it_interrupted(void **state)
{
	(void)state;
	s->vectoring_info = EVENT_VALID | EVENT_NMI | 2;
	(void)exit_dispatch(v, EXIT_POISONED);
	assert_true(injected(VECTOR_MC));
	assert_true(v->nmi_pending);
	assert_int_equal(s->ctl_nmi_window, 1);
}

static void early_notice_waits_for_cr4_and_comes_before_an_nmi(void **state)
{
	(void)state;
	s->cr4 = 0;
	assert_true(mailbox_put(&vm.mailbox.notices, 0x5000, MCA_NOTICE_AO));
	(void)exit_dispatch(v, EXIT_RECALL);
	assert_int_equal(s->inject_info, 0);
	s->cr4 = 1u << 6;
	v->nmi_pending = true;
	(void)exit_dispatch(v, EXIT_RECALL);
	assert_true(injected(VECTOR_MC));
	assert_true(v->nmi_pending);
	(void)exit_dispatch(v, EXIT_RECALL);
	assert_int_equal(s->inject_info, EVENT_VALID | EVENT_NMI | 2);
}

static void amd_notice_is_found_by_polling(void **state)
{
	uint64_t value;

	(void)state;
	make_vm(1, true);
	(void)exit_dispatch(v, EXIT_STARTUP);
	assert_true(mailbox_put(&vm.mailbox.notices, 0x5000, MCA_NOTICE_AO));
	assert_true(mailbox_put(&vm.mailbox.notices, 0x6000, MCA_NOTICE_AO));
	(void)exit_dispatch(v, EXIT_RECALL);
	assert_int_equal(s->inject_info, 0);
	assert_int_equal(msr_read(v, 0x405, &value), MSR_DONE);
	assert_int_equal(value, 0x9c00100000000811);
	/* The guest clears the bank: the next one follows, although this exit does not know CR4. */
	CODE_BYTES(0x0f, 0x30);
	s->inst_len = 2;
	s->gpr[GPR_RCX] = 0x405;
	s->gpr[GPR_RAX] = s->gpr[GPR_RDX] = 0;
	s->qualification = 1;
	recalls = 0;
	(void)exit_dispatch(v, EXIT_MSR);
	assert_int_equal(recalls, 1);
	(void)exit_dispatch(v, EXIT_RECALL);
	assert_int_equal(msr_read(v, 0x406, &value), MSR_DONE);
	assert_int_equal(value, 0x6000);
}

static uint64_t wrmsr(uint32_t msr, uint64_t value)
{
	CODE_BYTES(0x0f, 0x30);
	s->inst_len = 2;
	s->gpr[GPR_RCX] = msr;
	s->gpr[GPR_RAX] = (uint32_t)value;
	s->gpr[GPR_RDX] = value >> 32;
	s->qualification = 1;
	return exit_with_redo(EXIT_MSR);
}

static void unknown_msr_is_a_general_protection_fault(void **state)
{
	(void)state;
	(void)wrmsr(0x12345, 1);
	assert_int_equal(s->inject_info, EVENT_VALID | EVENT_EXC | EVENT_ERROR | VECTOR_GP);
	assert_int_equal(s->inject_error, 0);
	assert_int_equal(s->rip, CODE);
	s->qualification = 0;
	(void)exit_with_redo(EXIT_MSR);
	assert_true(injected(VECTOR_GP));
}

static void efer_follows_the_manual(void **state)
{
	(void)state;
	assert_true(wrmsr(0xc0000080, 0x901) & VCPU_MTD_CR);
	assert_int_equal(s->efer, 0x901);
	(void)wrmsr(0xc0000080, 0x1000); /* SVME */
	assert_true(injected(VECTOR_GP));
	v->have = VCPU_MTD_ALL;
	s->cr0 |= 1u << 31;
	assert_int_equal(msr_write(v, 0xc0000080, 0x801), MSR_FAULT); /* LME while paging is on */
	s->efer = 0xd01;
	assert_int_equal(msr_write(v, 0xc0000080, 0x901), MSR_DONE);
	assert_int_equal(s->efer, 0xd01); /* LMA is not written */
}

static void pat_takes_only_memory_types(void **state)
{
	(void)state;
	assert_true(wrmsr(0x277, 0x0007040600070406) & VCPU_MTD_MSR);
	assert_int_equal(s->inject_info, 0);
	(void)wrmsr(0x277, 0x0007040600070402);
	assert_true(injected(VECTOR_GP));
}

static void non_canonical_addresses_fault(void **state)
{
	(void)state;
	(void)wrmsr(0xc0000082, 0x0000800000000000);
	assert_true(injected(VECTOR_GP));
	(void)wrmsr(0xc0000082, 0xffff800000000000);
	assert_int_equal(s->msr.lstar, 0xffff800000000000);
	(void)wrmsr(0xc0000101, 0x7fff00000000);
	assert_int_equal(s->seg[SEG_GS].base, 0x7fff00000000);
}

static void deadline_in_the_past_interrupts_at_once(void **state)
{
	struct lapic_effects effects = {0};

	(void)state;
	lapic_write(&v->lapic, LAPIC_SVR, 0x1ff, 0, &effects);
	lapic_write(&v->lapic, LAPIC_LVT_TIMER, 2u << 17 | 0xec, 0, &effects);
	(void)wrmsr(0x6e0, 1);
	assert_int_equal(s->virq, EVENT_VALID | 0xec);
	assert_int_equal(s->deadline, 0);
	(void)wrmsr(0x6e0, ~0ull);
	assert_int_equal(s->deadline, ~0ull);
}

static void timers_and_clock_survive_a_write_of_the_tsc(void **state)
{
	struct lapic_effects effects = {0};

	(void)state;
	lapic_write(&v->lapic, LAPIC_SVR, 0x1ff, 0, &effects);
	lapic_write(&v->lapic, LAPIC_LVT_TIMER, 2u << 17 | 0xec, 0, &effects);
	(void)wrmsr(0x6e0, 1ull << 62);
	assert_int_equal(s->virq, 0);
	(void)wrmsr(0x10, 1ull << 63); /* past the deadline, by a larger offset than that */
	assert_int_equal(s->virq, EVENT_VALID | 0xec);
	/* A count goes on as it was, seen from outside. */
	lapic_write(&v->lapic, LAPIC_LVT_TIMER, 0xed, 0, &effects);
	lapic_write(&v->lapic, LAPIC_TIMER_DIVIDE, 0xa, 0, &effects);
	lapic_write(&v->lapic, LAPIC_TIMER_INITIAL, 0x80000000, vcpu_tsc(v), &effects);
	(void)wrmsr(0x10, 5);
	assert_in_range(v->lapic.timer_deadline, 1ull << 37, 1ull << 39);
	/* Less than a day passes here. */
	vm.legacy.start_tsc = cairn_tsc();
	vm.legacy.tsc_khz = 1000000000;
	(void)wrmsr(0x10, 1ull << 63);
	io_write(v, 0x70, 1, 9);
	assert_int_equal(io_read(v, 0x71, 1), 0x25);
}

static void registers_keep_what_is_written(void **state)
{
	uint64_t value;

	(void)state;
	(void)wrmsr(0x2ff, 0);
	assert_int_equal(msr_read(v, 0x2ff, &value), MSR_DONE);
	assert_int_equal(value, 0);
	CODE_BYTES(0xa3, 0x80, 0x00, 0xe0, 0xfe); /* mov [0xfee00080], eax */
	s->gpr[GPR_RAX] = 0x57;
	s->qualification2 = 0xfee00080;
	(void)exit_dispatch(v, EXIT_NESTED);
	(void)exit_dispatch(v, EXIT_RECALL);
	assert_int_equal(v->lapic.tpr, 0x57);
	s->cr8 = 6;
	(void)exit_dispatch(v, EXIT_RECALL);
	assert_int_equal(v->lapic.tpr, 0x60);
}

static void control_registers_are_checked(void **state)
{
	(void)state;
	CODE_BYTES(0x0f, 0x22, 0xe0); /* mov cr4, eax */
	s->gpr[GPR_RAX] = 1u << 12 | 1u << 6;
	(void)exit_dispatch(v, EXIT_CR);
	assert_true(injected(VECTOR_GP));
	s->gpr[GPR_RAX] = 1u << 5 | 1u << 6;
	assert_true(exit_dispatch(v, EXIT_CR) & VCPU_MTD_CR);
	assert_int_equal(s->cr4, 1u << 5 | 1u << 6);
	assert_int_equal(s->rip, CODE + 3);
	CODE_BYTES(0x0f, 0x22, 0xc0); /* mov cr0, eax */
	s->gpr[GPR_RAX] = 1u << 31;   /* PG without PE */
	(void)exit_dispatch(v, EXIT_CR);
	assert_true(injected(VECTOR_GP));
	s->gpr[GPR_RAX] = 1u << 29 | 1; /* NW without CD */
	(void)exit_dispatch(v, EXIT_CR);
	assert_true(injected(VECTOR_GP));
	CODE_BYTES(0x0f, 0x20, 0xe3); /* mov ebx, cr4 */
	(void)exit_dispatch(v, EXIT_CR);
	assert_int_equal(s->gpr[GPR_RBX], 1u << 5 | 1u << 6);
}

static void apic_registers_are_memory(void **state)
{
	(void)state;
	CODE_BYTES(0xa1, 0x30, 0x00, 0xe0, 0xfe); /* mov eax, [0xfee00030] */
	s->qualification2 = 0xfee00030;
	(void)exit_dispatch(v, EXIT_NESTED);
	assert_int_equal(s->gpr[GPR_RAX], 0x60014);
	assert_int_equal(s->rip, CODE + 5);
	CODE_BYTES(0xa3, 0x80, 0x00, 0xe0, 0xfe); /* mov [0xfee00080], eax: TPR is CR8 */
	s->gpr[GPR_RAX] = 0x50;
	assert_true(exit_dispatch(v, EXIT_NESTED) & VCPU_MTD_CR);
	assert_int_equal(s->cr8, 5);
	CODE_BYTES(0xa1, 0x00, 0x00, 0x00, 0xd0); /* nothing there */
	s->qualification2 = 0xd0000000;
	(void)exit_dispatch(v, EXIT_NESTED);
	assert_int_equal(s->gpr[GPR_RAX], 0xffffffff);
}

static void emulated_instruction_that_needs_a_lost_page_is_a_machine_check(void **state)
{
	(void)state;
	CODE_BYTES(0xa4); /* movsb: from the APIC to a lost page */
	s->gpr[GPR_RSI] = 0xfee00030;
	s->gpr[GPR_RDI] = 0x9123;
	s->qualification2 = 0xfee00030;
	lost = 0x9000;
	(void)exit_dispatch(v, EXIT_NESTED);
	assert_true(injected(VECTOR_MC));
	assert_int_equal(s->rip, CODE);
	assert_int_equal(s->gpr[GPR_RDI], 0x9123);
	assert_int_equal(v->vmce.bank[1].addr, 0x9123);
}

static void instruction_on_a_lost_page_is_a_machine_check(void **state)
{
	(void)state;
	s->rip = CODE;
	lost = CODE;
	(void)exit_dispatch(v, EXIT_NESTED);
	assert_int_equal(v->vmce.bank[1].addr,
			 0); /* RAM, mapped again meanwhile: nothing is emulated */
	s->qualification2 = 0xfee00030;
	(void)exit_dispatch(v, EXIT_NESTED);
	assert_true(injected(VECTOR_MC));
	assert_int_equal(v->vmce.bank[1].addr, CODE);
}

static void page_table_on_a_lost_page_is_a_machine_check(void **state)
{
	(void)state;
	s->cr0 |= 1ull << 31;
	s->cr3 = 0x20000;
	s->cr4 |= 1u << 5;
	s->efer = 0xd00;
	s->seg[SEG_CS].attr |= 0x200;
	lost = 0x20000;
	s->qualification2 = 0xfee00030;
	s->rip = 0x1000;
	(void)exit_dispatch(v, EXIT_NESTED);
	assert_true(injected(VECTOR_MC));
	assert_int_equal(v->vmce.bank[1].addr & ~0xfffull, 0x20000);
}

static void delivery_into_nothing_resets_the_vm(void **state)
{
	(void)state;
	s->qualification2 = 0xd0000000;
	s->vectoring_info = EVENT_VALID | EVENT_EXC | VECTOR_GP | EVENT_ERROR;
	assert_int_equal(exit_dispatch(v, EXIT_NESTED), VCPU_REPLY_STOP);
	assert_int_equal(vm.mailbox.end, END_RESET);
}

static void triple_faults_and_debug_exits_end_the_vm(void **state)
{
	(void)state;
	assert_int_equal(exit_dispatch(v, EXIT_SHUTDOWN), VCPU_REPLY_STOP);
	assert_int_equal(vm.mailbox.end, END_RESET);
	setup(NULL);
	s->inst_len = 2;
	s->gpr[GPR_RAX] = 42;
	s->qualification = 1u << 4 | 0xf4u << 16;
	(void)exit_dispatch(v, EXIT_IO);
	assert_int_equal(vm.mailbox.end, END_DEBUG_EXIT);
	setup(NULL);
	assert_int_equal(exit_dispatch(v, EXIT_INVALID), VCPU_REPLY_STOP);
	assert_int_equal(vm.mailbox.end, END_ERROR);
}

static void exceptions_asked_for_are_reflected(void **state)
{
	(void)state;
	s->intr_info = EVENT_VALID | EVENT_EXC | EVENT_ERROR | VECTOR_PF;
	s->intr_error = 2;
	s->qualification = 0xabc000;
	(void)exit_dispatch(v, EXIT_EXCEPTION);
	assert_int_equal(s->inject_info, EVENT_VALID | EVENT_EXC | EVENT_ERROR | VECTOR_PF);
	assert_int_equal(s->inject_error, 2);
	assert_int_equal(s->cr2, 0xabc000);
	s->vectoring_info = EVENT_VALID | EVENT_EXC | EVENT_ERROR | VECTOR_PF;
	(void)exit_dispatch(v, EXIT_EXCEPTION);
	assert_int_equal(s->inject_info, EVENT_VALID | EVENT_EXC | EVENT_ERROR | VECTOR_DF);
	s->vectoring_info = EVENT_VALID | EVENT_EXC | EVENT_ERROR | VECTOR_DF;
	assert_int_equal(exit_dispatch(v, EXIT_EXCEPTION), VCPU_REPLY_STOP);
}

static void hypercalls_are_not_offered(void **state)
{
	(void)state;
	(void)exit_dispatch(v, EXIT_VMCALL);
	assert_true(injected(VECTOR_UD));
	CODE_BYTES(0x0f, 0x01, 0xd1); /* xsetbv */
	(void)exit_dispatch(v, EXIT_OTHER);
	assert_true(injected(VECTOR_UD));
	CODE_BYTES(0x0f, 0x09); /* wbinvd */
	(void)exit_dispatch(v, EXIT_OTHER);
	assert_int_equal(s->inject_info, 0);
	assert_int_equal(s->rip, CODE + 2);
}

static void instruction_swapped_behind_the_exit_gains_nothing(void **state)
{
	(void)state;
	CODE_BYTES(0x0f, 0xa2);
	s->cpl = 3;
	(void)exit_dispatch(v, EXIT_CPUID);
	assert_true(v->redo);
	CODE_BYTES(0x0f, 0x30); /* wrmsr, written by another vCPU */
	s->gpr[GPR_RCX] = 0x277;
	s->gpr[GPR_RAX] = s->gpr[GPR_RDX] = 0;
	(void)exit_dispatch(v, EXIT_RECALL);
	assert_true(injected(VECTOR_GP));
	assert_int_equal(s->pat, 0x0007040600070406);
	/* What runs natively meets CR4 there; here it must, too. */
	s->cr4 |= 1u << 2 | 1u << 11; /* TSD, UMIP */
	CODE_BYTES(0x0f, 0x31);	      /* rdtsc */
	(void)exit_dispatch(v, EXIT_OTHER);
	assert_true(injected(VECTOR_GP));
	CODE_BYTES(0x0f, 0x01, 0xe0); /* smsw eax */
	s->inject_info = 0;
	(void)exit_dispatch(v, EXIT_OTHER);
	assert_true(injected(VECTOR_GP));
}

static void wider_port_access_swapped_behind_the_exit_is_not_made(void **state)
{
	(void)state;
	s->cpl = 3;
	s->gpr[GPR_RAX] = 0x06000000; /* its fourth byte would be a reset */
	s->gpr[GPR_RDX] = 0xcf6;
	s->qualification = 1u << 4 | 0xcf6u << 16; /* out dx, al: allowed by its bitmap */
	CODE_BYTES(0xef);			   /* out dx, eax */
	(void)exit_dispatch(v, EXIT_IO);
	assert_true(v->redo);
	(void)exit_dispatch(v, EXIT_RECALL);
	assert_int_equal(vm.mailbox.end, END_NONE);
	assert_int_equal(s->rip, CODE);
}

static void next_nmi_waits_for_the_iret(void **state)
{
	(void)state;
	CODE_BYTES(0xcf);
	v->nmi_pending = true;
	(void)exit_dispatch(v, EXIT_RECALL);
	assert_int_equal(s->inject_info, EVENT_VALID | EVENT_NMI | 2);
	v->nmi_pending = true;
	(void)exit_dispatch(v, EXIT_RECALL);
	assert_int_equal(s->inject_info, 0);
	assert_true(exit_dispatch(v, EXIT_NMI_WINDOW) & VCPU_MTD_FLAGS);
	assert_int_equal(s->inject_info, 0);
	assert_true(s->rflags & RFLAGS_TF);
	s->rflags &= ~RFLAGS_TF;
	s->dr6 |= 1u << 14;
	s->intr_info = EVENT_VALID | EVENT_EXC | VECTOR_DB;
	(void)exit_dispatch(v, EXIT_EXCEPTION);
	assert_int_equal(s->inject_info, EVENT_VALID | EVENT_NMI | 2);
	assert_int_equal(s->dr6 & 1u << 14, 0);
}

static void fault_of_the_iret_that_is_stepped_shows_the_guests_own_tf(void **state)
{
	(void)state;
	CODE_BYTES(0xcf);
	v->nmi_pending = true;
	(void)exit_dispatch(v, EXIT_RECALL);
	(void)exit_dispatch(v, EXIT_NMI_WINDOW);
	assert_true(s->rflags & RFLAGS_TF);
	s->intr_info = EVENT_VALID | EVENT_EXC | EVENT_ERROR | VECTOR_AC;
	assert_true(exit_dispatch(v, EXIT_EXCEPTION) & VCPU_MTD_FLAGS);
	assert_true(injected(VECTOR_AC));
	assert_false(s->rflags & RFLAGS_TF);
}

static void nmi_comes_after_an_iret_that_faulted_in_the_guest(void **state)
{
	(void)state;
	CODE_BYTES(0xcf);
	v->nmi_pending = true;
	(void)exit_dispatch(v, EXIT_RECALL);
	(void)exit_dispatch(v, EXIT_NMI_WINDOW);
	assert_true(s->rflags & RFLAGS_TF);
	v->nmi_pending = true;
	(void)exit_dispatch(v, EXIT_RECALL); /* before the IRET */
	assert_int_equal(s->inject_info, 0);
	/* In the handler of its #GP, which the guest took itself. */
	s->rflags &= ~RFLAGS_TF;
	s->rip = 0x9000;
	(void)exit_dispatch(v, EXIT_RECALL);
	assert_int_equal(s->inject_info, EVENT_VALID | EVENT_NMI | 2);
	/* The handler returns to the frame that has our TF: that step stays hidden. */
	s->dr6 |= 1u << 14;
	s->intr_info = EVENT_VALID | EVENT_EXC | VECTOR_DB;
	(void)exit_dispatch(v, EXIT_EXCEPTION);
	assert_int_equal(s->inject_info, 0);
	assert_int_equal(s->dr6 & 1u << 14, 0);
	assert_int_equal(s->exceptions, 0);
	assert_true(v->nmi_masked);
	/* The next one is the guest's own. */
	s->dr6 |= 1u << 14;
	(void)exit_dispatch(v, EXIT_EXCEPTION);
	assert_true(injected(VECTOR_DB));
}

/* A machine check during the delivery of a single-step trap, up to the IRET of its handler, which
 * leads to rip. */
static void lose_page_under_single_step(uint64_t rip)
{
	setup(NULL);
	s->rip = 0x9000;
	s->rflags |= RFLAGS_TF;
	s->vectoring_info = EVENT_VALID | EVENT_EXC | VECTOR_DB;
	assert_true(exit_dispatch(v, EXIT_POISONED) & VCPU_MTD_CTL);
	assert_true(injected(VECTOR_MC));
	assert_int_equal(s->ctl_nmi_window, 1);
	s->vectoring_info = 0;
	s->rflags &= ~RFLAGS_TF;
	CODE_BYTES(0xcf);
	(void)exit_dispatch(v, EXIT_NMI_WINDOW);
	assert_int_equal(s->inject_info, 0);
	assert_true(s->rflags & RFLAGS_TF);
	s->rip = rip;
	s->dr6 |= 1u << 14;
	s->intr_info = EVENT_VALID | EVENT_EXC | VECTOR_DB;
	(void)exit_dispatch(v, EXIT_EXCEPTION);
}

static void single_step_trap_survives_the_machine_check_of_its_delivery(void **state)
{
	(void)state;
	lose_page_under_single_step(0x9000);
	assert_true(injected(VECTOR_DB));
	assert_int_equal(s->dr6 & 1u << 14, 1u << 14);
	/* The guest went on elsewhere: nothing of our step is seen. */
	lose_page_under_single_step(0xa000);
	assert_int_equal(s->inject_info, 0);
	assert_int_equal(s->dr6 & 1u << 14, 0);
	assert_false(v->trap_kept);
}

static void second_vcpu_waits_for_its_sipi(void **state)
{
	struct vcpu *second = &vm.vcpu[1];
	struct apic_message message = {
		.delivery = APIC_SIPI, .vector = 0x9a, .shorthand = APIC_TO_OTHERS};

	(void)state;
	make_vm(2, false);
	(void)exit_dispatch(v, EXIT_STARTUP);
	assert_true(exit_dispatch(second, EXIT_STARTUP) & VCPU_REPLY_HALT);
	second->nmi_pending = false;
	bus_send(v, &(struct apic_message){.delivery = APIC_NMI, .shorthand = APIC_TO_OTHERS});
	assert_false(second->nmi_pending); /* R-ACT-4 */
	bus_send(v, &message);
	assert_true(recalls > 0);
	assert_false(exit_dispatch(second, EXIT_RECALL) & VCPU_REPLY_HALT);
	assert_int_equal(state_page[1].seg[SEG_CS].base, 0x9a000);
	message.vector = 0x20;
	bus_send(v, &message);
	(void)exit_dispatch(second, EXIT_RECALL);
	assert_int_equal(state_page[1].seg[SEG_CS].base, 0x9a000); /* R-ACT-3 */
}

static const struct apic_message init_others = {
	.delivery = APIC_INIT, .shorthand = APIC_TO_OTHERS, .assert = true, .level = true};
static const struct apic_message sipi_others = {
	.delivery = APIC_SIPI, .vector = 0x9a, .shorthand = APIC_TO_OTHERS};

/* Two vCPUs, both running. */
static struct vcpu *start_second(void)
{
	make_vm(2, false);
	(void)exit_dispatch(v, EXIT_STARTUP);
	(void)exit_dispatch(&vm.vcpu[1], EXIT_STARTUP);
	bus_send(v, &sipi_others);
	assert_false(exit_dispatch(&vm.vcpu[1], EXIT_RECALL) & VCPU_REPLY_HALT);
	return &vm.vcpu[1];
}

static void holder_of_the_lock_gets_the_cpu(void **state)
{
	(void)state;
	(void)start_second();
	waits = 0;
	vm.lock = 1;
	alarm(5); /* who spins for it never gets it */
	(void)exit_dispatch(v, EXIT_RECALL);
	alarm(0);
	assert_int_equal(waits, 1);
	assert_int_equal(vm.lock, 0);
	(void)exit_dispatch(v, EXIT_RECALL);
	assert_int_equal(waits, 1);
}

static void sipi_before_the_first_entry_is_not_lost(void **state)
{
	(void)state;
	make_vm(2, false);
	(void)exit_dispatch(v, EXIT_STARTUP);
	bus_send(v, &sipi_others);
	assert_false(exit_dispatch(&vm.vcpu[1], EXIT_STARTUP) & VCPU_REPLY_HALT);
	assert_int_equal(state_page[1].seg[SEG_CS].base, 0x9a000);
}

static void init_forgets_the_interrupt_that_was_just_taken(void **state)
{
	struct vcpu *second = start_second();

	(void)state;
	lapic_write(&second->lapic, LAPIC_SVR, 0x1ff, 0, &(struct lapic_effects){0});
	lapic_accept(&second->lapic, 0xf3, false);
	(void)exit_dispatch(second, EXIT_RECALL);
	assert_int_equal(state_page[1].virq, EVENT_VALID | 0xf3);
	bus_send(v, &init_others);
	state_page[1].virq = 0; /* it took it before it saw the INIT */
	assert_true(exit_dispatch(second, EXIT_RECALL) & VCPU_REPLY_HALT);
	assert_int_equal(second->lapic.isr_words, 0);
}

static void interrupt_sent_again_while_the_first_is_served_is_not_lost(void **state)
{
	const struct apic_message ipi = {.vector = 0xfb, .shorthand = APIC_TO_OTHERS};
	struct vcpu *second = start_second();

	(void)state;
	lapic_write(&second->lapic, LAPIC_SVR, 0x1ff, 0, &(struct lapic_effects){0});
	bus_send(v, &ipi);
	(void)exit_dispatch(second, EXIT_RECALL);
	assert_int_equal(state_page[1].virq, EVENT_VALID | 0xfb);
	/* Not taken yet: one and the same. */
	bus_send(v, &ipi);
	(void)exit_dispatch(second, EXIT_RECALL);
	state_page[1].virq = 0;
	(void)exit_dispatch(second, EXIT_RECALL);
	assert_int_equal(second->lapic.irr_words, 0);
	lapic_write(&second->lapic, LAPIC_EOI, 0, 0, &(struct lapic_effects){0});
	/* Taken, and sent again before the vCPU exits. */
	bus_send(v, &ipi);
	(void)exit_dispatch(second, EXIT_RECALL);
	state_page[1].virq = 0;
	bus_send(v, &ipi);
	(void)exit_dispatch(second, EXIT_RECALL);
	assert_int_equal(second->lapic.isr[7], 1u << 27);
	assert_int_equal(second->lapic.irr[7], 1u << 27);
}

static void lowest_priority_interrupt_goes_to_one_that_can_take_it(void **state)
{
	const struct apic_message message = {
		.vector = 0x41, .delivery = APIC_LOWEST, .destination = 0xff};
	struct vcpu *second = start_second();

	(void)state;
	lapic_write(&second->lapic, LAPIC_SVR, 0x1ff, 0, &(struct lapic_effects){0});
	bus_send(v, &message); /* the first one's APIC is off */
	assert_int_equal(second->lapic.irr[2], 1u << 1);
	lapic_write(&v->lapic, LAPIC_SVR, 0x1ff, 0, &(struct lapic_effects){0});
	lapic_reset(&second->lapic, 1, false);
	lapic_write(&second->lapic, LAPIC_SVR, 0x1ff, 0, &(struct lapic_effects){0});
	v->wait_for_sipi = true;
	bus_send(second, &message);
	assert_int_equal(second->lapic.irr[2], 1u << 1);
	v->wait_for_sipi = false;
	lapic_reset(&second->lapic, 1, false);
	bus_send(second, &message);
	assert_int_equal(v->lapic.irr[2], 1u << 1);
	assert_int_equal(second->lapic.irr_words, 0);
}

static void init_cancels_what_the_vcpu_was_doing(void **state)
{
	struct vcpu *second = start_second();

	(void)state;
	/* It exits with HLT, or asks for all state, and the INIT comes before that is handled. */
	state_page[1].inst_len = 1;
	second->nmi_masked = true;
	second->redo = true;
	second->redo_rip = state_page[1].rip;
	bus_send(v, &init_others);
	state_page[1].vectoring_info = EVENT_VALID | EVENT_EXC | EVENT_ERROR | VECTOR_PF;
	assert_true(exit_dispatch(second, EXIT_HLT) & VCPU_REPLY_HALT);
	assert_int_equal(state_page[1].inject_info, 0);
	state_page[1].vectoring_info = 0;
	bus_send(v, &sipi_others);
	assert_false(exit_dispatch(second, EXIT_RECALL) & VCPU_REPLY_HALT);
	assert_int_equal(state_page[1].rip, 0);
	assert_false(second->nmi_masked);
	/* A triple fault after the INIT does not count either. */
	bus_send(v, &init_others);
	assert_true(exit_dispatch(second, EXIT_SHUTDOWN) & VCPU_REPLY_HALT);
	assert_int_equal(vm.mailbox.end, END_NONE);
}

static void init_of_the_first_vcpu_makes_it_wait_for_a_sipi(void **state)
{
	struct vcpu *second = start_second();

	(void)state;
	lapic_write(&v->lapic, LAPIC_SVR, 0x1ff, 0, &(struct lapic_effects){0});
	s->cr4 = 1u << 6;
	bus_send(second, &init_others);
	assert_true(exit_dispatch(v, EXIT_HLT) & VCPU_REPLY_HALT);
	assert_true(v->lapic.bootstrap);
	/* It still serves the VM's devices, and a machine check waits. */
	vm.tty_deadline = 1;
	assert_true(mailbox_put(&vm.mailbox.notices, 0x5000, MCA_NOTICE_AO));
	assert_true(exit_dispatch(v, EXIT_RECALL) & VCPU_REPLY_HALT);
	assert_int_equal(vm.tty_deadline, 0);
	assert_int_equal(s->inject_info, 0);
	assert_int_equal(v->vmce.queued, 1);
	bus_send(second, &sipi_others);
	assert_false(exit_dispatch(v, EXIT_RECALL) & VCPU_REPLY_HALT);
	assert_int_equal(s->seg[SEG_CS].base, 0x9a000);
	assert_int_equal(s->rip, 0);
	/* Its own INIT has nobody who could end it. */
	bus_send(v, &(struct apic_message){.delivery = APIC_INIT, .assert = true});
	assert_false(v->wait_for_sipi);
}

/* Whatever a guest leaves in its registers, memory and devices: the server lives (the sanitizers
 * watch). */
static void any_state_is_survived(void **state)
{
	uint64_t seed = 88172645463325252ull;
	uint8_t *page = (uint8_t *)s;

	(void)state;
	for (unsigned run = 0; run < 200000; run++) {
		if (run % 500 == 0)
			make_vm(1, run % 1000 == 0);
		vm.stopping = false;
		vm.mailbox.end = END_NONE;
		for (unsigned i = 0; i < sizeof(*s); i++) {
			seed ^= seed << 13;
			seed ^= seed >> 7;
			seed ^= seed << 17;
			if (seed >> 60 < 4)
				page[i] = (uint8_t)(seed >> 32);
		}
		for (unsigned i = 0; i < 32; i++) {
			seed ^= seed << 13;
			seed ^= seed >> 7;
			seed ^= seed << 17;
			ram[CODE + i] = (uint8_t)(seed >> 24);
		}
		if (run % 2) {
			s->rip = CODE;
			s->cr0 &= ~(1ull << 31);
			s->seg[SEG_CS].base = 0;
		}
		lost = run % 7 ? ~0ull : CODE;
		if (run % 3 == 0)
			s->qualification2 = 0xfee00000 + (seed & 0xfff);
		(void)exit_dispatch(v, seed >> 8);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(cpuid_is_found_by_decoding_and_then_remembered, setup),
		cmocka_unit_test_setup(remembered_place_may_straddle_words, setup),
		cmocka_unit_test_setup(single_step_over_cpuid_traps_after_it, setup),
		cmocka_unit_test_setup(retiring_ends_the_shadow_and_rf, setup),
		cmocka_unit_test_setup(io_moves_only_its_bytes, setup),
		cmocka_unit_test_setup(string_output_goes_through_the_emulator, setup),
		cmocka_unit_test_setup(input_interrupts_the_halted_guest, setup),
		cmocka_unit_test_setup(disabled_interrupts_do_not_wake, setup),
		cmocka_unit_test_setup(interrupted_delivery_is_repeated, setup),
		cmocka_unit_test_setup(interrupt_taken_but_not_delivered_waits_again, setup),
		cmocka_unit_test_setup(lost_page_becomes_a_machine_check_with_its_address, setup),
		cmocka_unit_test_setup(guest_that_takes_no_machine_checks_shuts_down, setup),
		cmocka_unit_test_setup(
			guest_that_touches_a_lost_page_for_ever_does_not_flood_the_log, setup),
		cmocka_unit_test_setup(machine_check_keeps_the_nmi_it_interrupted, setup),
		cmocka_unit_test_setup(early_notice_waits_for_cr4_and_comes_before_an_nmi, setup),
		cmocka_unit_test_setup(amd_notice_is_found_by_polling, setup),
		cmocka_unit_test_setup(unknown_msr_is_a_general_protection_fault, setup),
		cmocka_unit_test_setup(efer_follows_the_manual, setup),
		cmocka_unit_test_setup(pat_takes_only_memory_types, setup),
		cmocka_unit_test_setup(non_canonical_addresses_fault, setup),
		cmocka_unit_test_setup(deadline_in_the_past_interrupts_at_once, setup),
		cmocka_unit_test_setup(timers_and_clock_survive_a_write_of_the_tsc, setup),
		cmocka_unit_test_setup(registers_keep_what_is_written, setup),
		cmocka_unit_test_setup(control_registers_are_checked, setup),
		cmocka_unit_test_setup(apic_registers_are_memory, setup),
		cmocka_unit_test_setup(
			emulated_instruction_that_needs_a_lost_page_is_a_machine_check, setup),
		cmocka_unit_test_setup(instruction_on_a_lost_page_is_a_machine_check, setup),
		cmocka_unit_test_setup(page_table_on_a_lost_page_is_a_machine_check, setup),
		cmocka_unit_test_setup(delivery_into_nothing_resets_the_vm, setup),
		cmocka_unit_test_setup(triple_faults_and_debug_exits_end_the_vm, setup),
		cmocka_unit_test_setup(exceptions_asked_for_are_reflected, setup),
		cmocka_unit_test_setup(hypercalls_are_not_offered, setup),
		cmocka_unit_test_setup(instruction_swapped_behind_the_exit_gains_nothing, setup),
		cmocka_unit_test_setup(wider_port_access_swapped_behind_the_exit_is_not_made,
				       setup),
		cmocka_unit_test_setup(next_nmi_waits_for_the_iret, setup),
		cmocka_unit_test_setup(fault_of_the_iret_that_is_stepped_shows_the_guests_own_tf,
				       setup),
		cmocka_unit_test_setup(second_vcpu_waits_for_its_sipi, setup),
		cmocka_unit_test_setup(sipi_before_the_first_entry_is_not_lost, setup),
		cmocka_unit_test_setup(init_forgets_the_interrupt_that_was_just_taken, setup),
		cmocka_unit_test_setup(init_cancels_what_the_vcpu_was_doing, setup),
		cmocka_unit_test_setup(interrupt_sent_again_while_the_first_is_served_is_not_lost,
				       setup),
		cmocka_unit_test_setup(lowest_priority_interrupt_goes_to_one_that_can_take_it,
				       setup),
		cmocka_unit_test_setup(init_of_the_first_vcpu_makes_it_wait_for_a_sipi, setup),
		cmocka_unit_test_setup(interrupt_of_a_low_vector_is_not_taken_for_an_exception,
				       setup),
		cmocka_unit_test_setup(nmi_comes_after_an_iret_that_faulted_in_the_guest, setup),
		cmocka_unit_test_setup(holder_of_the_lock_gets_the_cpu, setup),
		cmocka_unit_test_setup(single_step_trap_survives_the_machine_check_of_its_delivery,
				       setup),
		cmocka_unit_test(any_state_is_survived),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
