/* SPDX-License-Identifier: BSD-2-Clause */
/* Faults of threads: what the supervisor gets and may answer, upcalls, privileged instructions,
 * foreign system calls. */
#include <stdio.h>
#include <cairn/hypercalls.h>
#include "check.h"
#include "worker.h"

#define VECTOR_DE 0u
#define VECTOR_BP 3u
#define VECTOR_UD 6u
#define VECTOR_GP 13u
#define VECTOR_PF 14u

extern char bounce_entry[], upcall_entry[], faulting_upcall[], faulting_upcall_at[];
extern volatile uint64_t bounced[5], upcalls, upcall_rsp, upcall_buffer, upcall_resume;

static volatile uint64_t went_on, fault_at, stack_at;

/* UD2 with known registers; goes on behind it if the supervisor lets it. */
static void ud2_worker(uint64_t arg)
{
	(void)arg;
	__asm__ volatile("leaq 1f(%%rip), %%rax\n\t"
			 "movq %%rax, %0\n\t"
			 "movq %%rsp, %1\n\t"
			 "movl $0xa0, %%eax\n\t"
			 "movl $0xa1, %%ecx\n\t"
			 "movl $0xa2, %%edx\n\t"
			 "movl $0xa5, %%esi\n\t"
			 "movl $0xa6, %%edi\n\t"
			 "movl $0xa7, %%r8d\n\t"
			 "movl $0xa8, %%r9d\n\t"
			 "movl $0xa9, %%r10d\n"
			 "1: ud2\n\t"
			 "movq $1, %2"
			 : "=m"(fault_at), "=m"(stack_at), "=m"(went_on)
			 :
			 : "rax", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "memory");
}

static void make(struct worker *w, void (*entry)(uint64_t))
{
	const struct forge_thread config = {.supervisor = supervisor_make()};

	went_on = 0;
	worker_make(w, entry, 0, PRIORITY_HIGH, &config);
}

static void supervisor_sees_all(void)
{
	struct worker w;
	volatile uint64_t *r = fault_seen.registers;

	make(&w, ud2_worker);
	worker_run(&w);
	check_value("the-supervisor-sees-one-fault", fault_seen.count, 1);
	check_value("with-its-own-badge", fault_seen.badge, 77);
	check_value("with-the-vector", fault_seen.vector, VECTOR_UD);
	check_value("without-poison", fault_seen.poison, 0);
	check_value("with-error-code-0", fault_seen.error, 0);
	check_value("with-the-instruction", fault_seen.rip, fault_at);
	check_value("with-the-stack", fault_seen.rsp, stack_at);
	check_true("with-interrupts-enabled", (fault_seen.rflags & 0x200) != 0,
		   "RFLAGS.IF is clear");
	/* RAX RCX RDX . . RSI RDI R8 R9 R10 */
	check_true("with-the-general-registers",
		   r[0] == 0xa0 && r[1] == 0xa1 && r[2] == 0xa2 && r[5] == 0xa5 && r[6] == 0xa6 &&
			   r[7] == 0xa7 && r[8] == 0xa8 && r[9] == 0xa9,
		   "one of them differs");
	check_value("and-the-thread-stays-stopped", went_on, 0);
	check_status("a-stopped-thread-does-not-resume", cairn_resume(w.thread), CAIRN_ERR_STATE);
}

static void supervisor_moves_rip(void)
{
	struct worker w;

	make(&w, ud2_worker);
	/* The address is known only once it has faulted: a first worker tells it. */
	worker_run(&w);
	make(&w, ud2_worker);
	fault_answer = FAULT_REPLY_RIP;
	fault_answer_rip = fault_at + 2;
	worker_run(&w);
	(void)main_wait();
	check_value("the-supervisor-may-move-rip", went_on, 1);

	make(&w, ud2_worker);
	fault_answer = FAULT_REPLY_RIP;
	fault_answer_rip = 0xffffffff80100000ul;
	worker_run(&w);
	pause_us(2000);
	check_true("but-not-into-the-kernel", went_on == 0 && fault_seen.count == 1,
		   "the thread went on");
}

static uint64_t page_frame, page_level_address;

static void touch_page(uint64_t arg)
{
	(void)arg;
	*(volatile uint64_t *)page_level_address = 5;
	went_on = 1;
}

static void supervisor_repairs(void)
{
	struct worker w;

	page_frame = forge_frame();
	page_level_address = (uint64_t)forge_window_copy(page_frame, RIGHT_READ);
	make(&w, touch_page);
	fault_answer = FAULT_REPLY_STOP;
	worker_run(&w);
	check_value("a-write-fault-reaches-the-supervisor", fault_seen.vector, VECTOR_PF);
	check_value("with-the-address", fault_seen.address, page_level_address);
	check_value("and-a-stop-keeps-it-from-going-on", went_on, 0);
}

static void no_supervisor(void)
{
	struct worker w;

	went_on = 0;
	worker_make(&w, ud2_worker, 0, PRIORITY_HIGH, NULL);
	worker_resume(&w);
	check_value("a-fault-without-supervisor-stops-the-thread", went_on, 0);
	check_status("for-good", cairn_resume(w.thread), CAIRN_ERR_STATE);
}

#define RAISER(name, code)                                                                         \
	static void name(uint64_t arg)                                                             \
	{                                                                                          \
		(void)arg;                                                                         \
		__asm__ volatile(code : : : "rax", "rcx", "rdx", "memory", "cc");                  \
		went_on = 1;                                                                       \
	}
RAISER(do_cli, "cli")
RAISER(do_hlt, "hlt")
RAISER(do_in, "inb $0x80, %%al")
RAISER(do_out, "outb %%al, $0xf4")
RAISER(do_rdmsr, "movl $0xc0000080, %%ecx; rdmsr")
RAISER(do_wrmsr, "movl $0xc0000082, %%ecx; xorl %%eax, %%eax; xorl %%edx, %%edx; wrmsr")
RAISER(do_cr3, "movq %%cr3, %%rax")
RAISER(do_cr0, "movq %%rax, %%cr0")
RAISER(do_dr7, "movq %%rax, %%dr7")
RAISER(do_lidt, "lidt (%%rsp)")
RAISER(do_lgdt, "lgdt (%%rsp)")
RAISER(do_swapgs, "swapgs")
RAISER(do_sysret, "sysretq")
RAISER(do_int80, "int $0x80")
RAISER(do_int2, "int $2")
RAISER(do_int18, "int $18")
RAISER(do_bad_segment, "movl $0x10, %%eax; movw %%ax, %%ds")
RAISER(do_noncanonical, "movq $1, %%rax; shlq $63, %%rax; movq (%%rax), %%rax")
RAISER(do_divide, "xorl %%edx, %%edx; xorl %%ecx, %%ecx; divl %%ecx")
RAISER(do_ud2, "ud2")
RAISER(do_int3, "int3")
RAISER(do_jump_up, "movq $-4096, %%rax; jmpq *%%rax")
RAISER(do_vmrun, "xorl %%eax, %%eax; .byte 0x0f, 0x01, 0xd8")
RAISER(do_invlpg, "invlpg (%%rsp)")
RAISER(do_sti, "sti")
RAISER(do_clts, "clts")
RAISER(do_invd, "invd")
RAISER(do_wbinvd, "wbinvd")
RAISER(do_lmsw, "xorl %%eax, %%eax; lmsw %%ax")
RAISER(do_ltr, "xorl %%eax, %%eax; ltr %%ax")
RAISER(do_lldt, "xorl %%eax, %%eax; lldt %%ax")
RAISER(do_cr8, "xorl %%eax, %%eax; movq %%rax, %%cr8")
RAISER(do_dr0, "xorl %%eax, %%eax; movq %%rax, %%dr0")
RAISER(do_dr6, "movq %%dr6, %%rax")
RAISER(do_rdpmc, "xorl %%ecx, %%ecx; rdpmc")
RAISER(do_xsetbv, "xorl %%ecx, %%ecx; movl $1, %%eax; xorl %%edx, %%edx; xsetbv")
RAISER(do_rdfsbase, "rdfsbase %%rax")
RAISER(do_wrgsbase, "xorl %%eax, %%eax; wrgsbase %%rax")
RAISER(do_stac, ".byte 0x0f, 0x01, 0xcb")
RAISER(do_vmmcall, ".byte 0x0f, 0x01, 0xd9")
RAISER(do_stgi, ".byte 0x0f, 0x01, 0xdc")
RAISER(do_sysenter, "sysenter")
RAISER(do_sgdt, "subq $16, %%rsp; sgdt (%%rsp); addq $16, %%rsp")
RAISER(do_sidt, "subq $16, %%rsp; sidt (%%rsp); addq $16, %%rsp")
RAISER(do_sldt, "sldt %%ax")
RAISER(do_str, "str %%ax")
RAISER(do_smsw, "smsw %%ax")

#define EITHER 0xffu  /* #GP or #UD: CPUs differ */
#define UMIP   0x100u /* #GP where the CPU can hide these from user level */

static const struct raiser {
	const char *name;
	void (*entry)(uint64_t);
	uint64_t vector;
} raisers[] = {
	{"cli-in-ring-3-is-a-fault", do_cli, VECTOR_GP},
	{"hlt-in-ring-3-is-a-fault", do_hlt, VECTOR_GP},
	{"in-without-the-port-is-a-fault", do_in, VECTOR_GP},
	{"out-without-the-port-is-a-fault", do_out, VECTOR_GP},
	{"rdmsr-in-ring-3-is-a-fault", do_rdmsr, VECTOR_GP},
	{"wrmsr-in-ring-3-is-a-fault", do_wrmsr, VECTOR_GP},
	{"reading-cr3-in-ring-3-is-a-fault", do_cr3, VECTOR_GP},
	{"writing-cr0-in-ring-3-is-a-fault", do_cr0, VECTOR_GP},
	{"writing-dr7-in-ring-3-is-a-fault", do_dr7, VECTOR_GP},
	{"lidt-in-ring-3-is-a-fault", do_lidt, VECTOR_GP},
	{"lgdt-in-ring-3-is-a-fault", do_lgdt, VECTOR_GP},
	{"swapgs-in-ring-3-is-a-fault", do_swapgs, VECTOR_GP},
	{"sysret-in-ring-3-is-a-fault", do_sysret, VECTOR_GP},
	{"invlpg-in-ring-3-is-a-fault", do_invlpg, VECTOR_GP},
	{"int-0x80-is-a-fault", do_int80, VECTOR_GP},
	{"int-2-is-a-fault", do_int2, VECTOR_GP},
	{"int-18-is-a-fault", do_int18, VECTOR_GP},
	{"sti-in-ring-3-is-a-fault", do_sti, VECTOR_GP},
	{"clts-in-ring-3-is-a-fault", do_clts, VECTOR_GP},
	{"invd-in-ring-3-is-a-fault", do_invd, VECTOR_GP},
	{"wbinvd-in-ring-3-is-a-fault", do_wbinvd, VECTOR_GP},
	{"lmsw-in-ring-3-is-a-fault", do_lmsw, VECTOR_GP},
	{"ltr-in-ring-3-is-a-fault", do_ltr, VECTOR_GP},
	{"lldt-in-ring-3-is-a-fault", do_lldt, VECTOR_GP},
	{"writing-cr8-in-ring-3-is-a-fault", do_cr8, VECTOR_GP},
	{"writing-dr0-in-ring-3-is-a-fault", do_dr0, VECTOR_GP},
	{"reading-dr6-in-ring-3-is-a-fault", do_dr6, VECTOR_GP},
	{"rdpmc-in-ring-3-is-a-fault", do_rdpmc, VECTOR_GP},
	{"xsetbv-in-ring-3-is-a-fault", do_xsetbv, EITHER},
	{"rdfsbase-is-not-offered", do_rdfsbase, VECTOR_UD},
	{"wrgsbase-is-not-offered", do_wrgsbase, VECTOR_UD},
	{"stac-in-ring-3-is-a-fault", do_stac, VECTOR_UD},
	{"vmmcall-is-not-offered", do_vmmcall, EITHER},
	{"stgi-in-ring-3-is-a-fault", do_stgi, EITHER},
	{"sysenter-is-not-offered", do_sysenter, EITHER},
	{"sgdt-in-ring-3-is-a-fault", do_sgdt, UMIP},
	{"sidt-in-ring-3-is-a-fault", do_sidt, UMIP},
	{"sldt-in-ring-3-is-a-fault", do_sldt, UMIP},
	{"str-in-ring-3-is-a-fault", do_str, UMIP},
	{"smsw-in-ring-3-is-a-fault", do_smsw, UMIP},
	{"a-kernel-selector-is-a-fault", do_bad_segment, VECTOR_GP},
	{"a-non-canonical-access-is-a-fault", do_noncanonical, VECTOR_GP},
	{"division-by-zero-is-a-fault", do_divide, VECTOR_DE},
	{"ud2-is-a-fault", do_ud2, VECTOR_UD},
	{"vmrun-in-ring-3-is-a-fault", do_vmrun, EITHER},
	{"int3-is-a-breakpoint-fault", do_int3, VECTOR_BP},
	{"a-jump-into-the-kernel-is-a-fault", do_jump_up, VECTOR_PF},
};

static bool has_umip(void)
{
	uint32_t a = 7, b, c = 0, d;

	__asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
	return (c >> 2 & 1) != 0;
}

static bool is_expected(uint64_t wanted)
{
	uint64_t vector = fault_seen.vector;

	if (wanted == EITHER)
		return vector == VECTOR_GP || vector == VECTOR_UD;
	return vector == (wanted == UMIP ? VECTOR_GP : wanted);
}

static void raise_each(void)
{
	for (unsigned i = 0; i < sizeof(raisers) / sizeof(raisers[0]); i++) {
		struct worker w;

		if (raisers[i].vector == UMIP && !has_umip()) {
			printf("skip %s: this CPU has no UMIP\n", raisers[i].name);
			continue;
		}
		workers_reset();
		make(&w, raisers[i].entry);
		worker_run(&w);
		if (went_on || fault_seen.count != 1)
			check_true(raisers[i].name, false, "the thread went on");
		else
			check_true(raisers[i].name, is_expected(raisers[i].vector),
				   "another vector");
	}
}

static volatile uint64_t call_result, call_rcx_ok, call_rsp_ok;

static void foreign_call(uint64_t arg)
{
	uint64_t rax = 39, rcx, rsp_before, rsp_after, rip;
	register uint64_t r9 __asm__("r9") = 0x99;

	(void)arg;
	__asm__ volatile("movq %%rsp, %3\n\t"
			 "syscall\n"
			 "1: movq %%rsp, %4\n\t"
			 "leaq 1b(%%rip), %5"
			 : "+a"(rax), "=&c"(rcx), "+r"(r9), "=&r"(rsp_before), "=&r"(rsp_after),
			   "=&r"(rip)
			 : "D"(0x77ul)
			 : "r11", "memory");
	call_result = rax;
	call_rcx_ok = rcx == rip && bounced[3] == rip;
	call_rsp_ok = rsp_before == rsp_after && bounced[4] == rsp_before;
}

static void foreign_calls_bounce(void)
{
	struct forge_thread config = {.supervisor = supervisor_make(),
				      .syscall_entry = (uint64_t)bounce_entry};
	struct worker w;

	worker_make(&w, foreign_call, 0, PRIORITY_HIGH, &config);
	worker_run(&w);
	check_value("a-foreign-call-bounces-with-its-number", bounced[0], 39);
	check_true("with-its-arguments", bounced[1] == 0x77 && bounced[2] == 0x99, "they differ");
	check_true("with-the-return-address-in-rcx", call_rcx_ok, "another address");
	check_true("with-the-callers-stack", call_rsp_ok, "another RSP");
	check_value("and-its-answer-arrives", call_result, 0x1234);

	call_result = 0;
	make(&w, foreign_call);
	worker_run(&w);
	check_true("without-an-entry-it-is-a-fault", fault_seen.count == 1 && !call_result,
		   "the thread went on");
	check_value("of-an-undefined-instruction", fault_seen.vector, VECTOR_UD);
}

static void read_null(uint64_t arg)
{
	(void)arg;
	__asm__ volatile("leaq 2f(%%rip), %%rax\n\t"
			 "movq %%rax, %0\n\t"
			 "leaq 1f(%%rip), %%rax\n\t"
			 "movq %%rax, %1\n\t"
			 "movq %%rsp, %2\n\t"
			 "movl $0x123, %%eax\n"
			 "1: movq (%%rax), %%rax\n"
			 "2:\n"
			 : "=m"(upcall_resume), "=m"(fault_at), "=m"(stack_at)
			 :
			 : "rax", "memory");
	went_on++;
}

static void own_faults(void)
{
	struct forge_thread config = {.supervisor = supervisor_make(),
				      .fault_entry = (uint64_t)upcall_entry};
	struct worker w;

	upcalls = 0;
	went_on = 0;
	worker_make(&w, read_null, 0, PRIORITY_HIGH, &config);
	upcall_buffer = (uint64_t)w.buffer;
	worker_run(&w);
	check_value("an-own-fault-is-reported-to-the-thread", upcalls, 1);
	check_value("it-goes-on-from-there", went_on, 1);
	check_value("the-supervisor-hears-nothing", fault_seen.count, 0);
	check_value("the-buffer-tells-the-vector", w.buffer->fault_vector, VECTOR_PF);
	check_value("the-buffer-tells-the-error-code", w.buffer->fault_error, 4);
	check_value("the-buffer-tells-the-address", w.buffer->fault_address, 0x123);
	check_value("the-buffer-tells-the-instruction", w.buffer->fault_rip, fault_at);
	check_value("the-buffer-tells-the-stack", w.buffer->fault_rsp, stack_at);
	check_value("the-buffer-tells-of-no-poison", w.buffer->fault_poison, 0);
	check_true("the-buffer-tells-the-flags", (w.buffer->fault_rflags & 0x200) != 0,
		   "RFLAGS.IF is clear");
	check_value("the-upcall-keeps-the-stack", upcall_rsp, stack_at);

	config.fault_entry = (uint64_t)faulting_upcall;
	config.supervisor = supervisor_make();
	upcalls = 0;
	worker_make(&w, read_null, 0, PRIORITY_HIGH, &config);
	upcall_buffer = (uint64_t)w.buffer;
	worker_run(&w);
	check_value("a-fault-in-the-upcall-goes-to-the-supervisor", fault_seen.count, 1);
	check_value("with-its-own-instruction", fault_seen.rip, (uint64_t)faulting_upcall_at);
	check_value("and-does-not-come-back", upcalls, 1);
}

void suite_faults(void)
{
	in_arena(supervisor_sees_all);
	in_arena(supervisor_moves_rip);
	in_arena(supervisor_repairs);
	in_arena(no_supervisor);
	in_arena(raise_each);
	in_arena(foreign_calls_bounce);
	in_arena(own_faults);
}
