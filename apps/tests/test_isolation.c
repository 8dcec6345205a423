/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Two servers in spaces of their own, two guests and their VMM fill every register they can write
 * with patterns, take turns, and find all of their own and nothing of another's
 * (docs/registers.md).
 */
#include <stdio.h>
#include <string.h>
#include <cairn/hypercalls.h>
#include "check.h"
#include "domain.h"
#include "guest.h"
#include "isolation.h"
#include "registers.h"

#define KEPT_FLAGS (RFLAGS_DF | RFLAGS_NT | RFLAGS_AC | RFLAGS_ID | 0x3000ul)
#define CR0_WP	   0x10000ul
#define EFER_NXE   0x800ul
#define SEL_DATA   0x23ul /* user level's data segment */

/* Where the registers lie in an FXSAVE or XSAVE image. */
#define FPU_ST	     32u
#define FPU_HEADER   512u
#define FPU_EXTENDED 576u

enum who { SERVER_A, SERVER_B, GUEST_A, GUEST_B, DOMAINS };
/* Each domain's registers are full of one byte, so two in a row tell whose they are. Below 0x80: as
 * an address, each is canonical. */
static const uint8_t patterns[DOMAINS + 1] = {0x51, 0x62, 0x73, 0x24, 0x35};
#define VMM DOMAINS
static const char *const names[DOMAINS] = {"server-a", "server-b", "guest-a", "guest-b"};

static struct isolation *data[DOMAINS];
static uint64_t context[DOMAINS]; /* selector of its Thread or VCpu */
static struct guest guest[2];

/* ---- patterns ---- */

static void fill(struct isolation *d, enum who domain, uint64_t mask)
{
	static const uint64_t selectors[DOMAINS][4] = {
		{SEL_DATA, 1, SEL_DATA, 2}, {3, SEL_DATA, 1, SEL_DATA}, {1, 2, 3, 1}, {2, 3, 1, 2}};
	static const uint64_t flags[DOMAINS] = {RFLAGS_NT | RFLAGS_AC, RFLAGS_DF | RFLAGS_ID,
						RFLAGS_DF | RFLAGS_AC, RFLAGS_NT | RFLAGS_ID};
	/* SYSENTER, STAR, LSTAR, CSTAR, FMASK, FS, GS and KERNEL_GS base: what a guest may write
	 * itself. */
	static const uint32_t numbers[ISOLATION_MSRS] = {
		0x174,	    0x175,	0x176,	    0xc0000081, 0xc0000082,
		0xc0000083, 0xc0000084, 0xc0000100, 0xc0000101, 0xc0000102};
	uint8_t pattern = patterns[domain];

	d->mask = mask;
	for (unsigned i = 0; i < GPR_COUNT; i++)
		d->in.gpr[i] = word_of(pattern, i);
	d->in.rflags = flags[domain] | 2;
	memcpy(d->in.selector, selectors[domain], sizeof(d->in.selector));
	for (unsigned i = 0; i < ISOLATION_MSRS; i++) {
		bool narrow = numbers[i] == 0x174 || numbers[i] == 0xc0000084;

		d->msr[i].number = numbers[i];
		d->msr[i].value = narrow ? pattern * 0x0101u : word_of(pattern, i);
	}
	d->cr2 = word_of(pattern, 0xc2);
	d->dr6 = 0xffff0ff0 | (pattern & 0xf);
	d->dr7 = 0x400 | (pattern & 0xff); /* breakpoints at address 0, where nothing is */
	fill_fpu(d->fpu, pattern, mask);
}

/* ---- what is found ---- */

/* Offset of the first two bytes in a row that belong to another domain; -1: there are none. */
static long foreign(const void *memory, size_t size, unsigned own)
{
	const uint8_t *bytes = memory;

	for (size_t i = 0; i + 1 < size; i++)
		for (unsigned domain = 0; domain <= VMM; domain++)
			if (domain != own && bytes[i] == patterns[domain] &&
			    bytes[i + 1] == bytes[i])
				return (long)i;
	return -1;
}

static void check_foreign(const char *who, const char *what, const void *memory, size_t size,
			  unsigned own)
{
	char name[64], why[64];
	long at = foreign(memory, size, own);

	snprintf(name, sizeof(name), "%s-finds-no-%s-of-another", who, what);
	snprintf(why, sizeof(why), "at byte %ld", at);
	check_true(name, at < 0, why);
}

static bool same_selectors(const struct isolation *d, bool may_be_cleared)
{
	for (unsigned i = 0; i < 4; i++)
		if (d->out.selector[i] != d->in.selector[i] &&
		    (!may_be_cleared || d->out.selector[i] != 0))
			return false;
	return true;
}

static uint64_t where; /* index of the CPU all of them are on */

static void check_line(enum who domain, const char *what, bool good)
{
	char name[80];

	snprintf(name, sizeof(name), "%s-of-cpu-%lu-keeps-its-%s", names[domain], where, what);
	check_true(name, good, "found something else than it loaded");
}

/* WT or WP for the first entry: other types are left to VM entry to refuse. */
static uint64_t pat_of(enum who domain)
{
	return 0x0007040600070404ul + (domain == GUEST_B);
}

static void check_guest_only(enum who domain)
{
	const struct isolation *d = data[domain];
	const volatile struct vcpu_state *state = guest[domain - GUEST_A].state;
	bool good = true;

	for (unsigned i = 0; i < ISOLATION_MSRS; i++)
		good = good && d->msr_found[i] == d->msr[i].value;
	check_line(domain, "msrs", good);
	check_line(domain, "cr2", d->cr2_found == d->cr2);
	check_line(domain, "cr3-and-cr4", d->cr3_found == state->cr3 && d->cr4_found == state->cr4);
	check_line(domain, "dr6-and-dr7", d->dr6_found == d->dr6 && d->dr7_found == d->dr7);
	check_true(domain == GUEST_A ? "writes-of-dr0-to-dr3-exit" : "of-the-other-guest-too",
		   guest[domain - GUEST_A].exits[EXIT_DR] == 4, "another number of exits");
	check_line(domain, "msrs-in-the-state-page",
		   state->msr.sysenter_cs == d->msr[0].value &&
			   state->msr.sysenter_esp == d->msr[1].value &&
			   state->msr.sysenter_eip == d->msr[2].value &&
			   state->msr.star == d->msr[3].value &&
			   state->msr.lstar == d->msr[4].value &&
			   state->msr.cstar == d->msr[5].value &&
			   state->msr.sfmask == d->msr[6].value &&
			   state->msr.kernel_gs_base == d->msr[9].value);
	check_line(domain, "segment-bases-in-the-state-page",
		   state->seg[SEG_FS].base == d->msr[7].value &&
			   state->seg[SEG_GS].base == d->msr[8].value);
	check_line(domain, "pat-efer-and-cr0",
		   state->pat == pat_of(domain) &&
			   (state->efer & 0xd01) == (domain == GUEST_A ? 0xd01ul : 0x501ul) &&
			   (state->cr0 & CR0_WP) == (domain == GUEST_A ? CR0_WP : 0));
	check_foreign(names[domain], "state-page", (const void *)state, 4096, domain);
}

static void check_domain(enum who domain)
{
	const struct isolation *d = data[domain];
	bool is_guest = domain >= GUEST_A;

	check_line(domain, "general-registers",
		   memcmp(d->in.gpr, d->out.gpr, sizeof(d->in.gpr)) == 0);
	check_line(domain, "flags", (d->out.rflags & KEPT_FLAGS) == (d->in.rflags & KEPT_FLAGS));
	check_line(domain, "selectors", same_selectors(d, !is_guest));
	check_line(domain, "fpu", same_fpu(d));
	check_foreign(names[domain], "register", &d->out, sizeof(d->out), domain);
	check_foreign(names[domain], "fpu", d->fpu_found, sizeof(d->fpu_found), domain);
	if (is_guest)
		check_guest_only(domain);
	else
		check_line(domain, "fs-base", d->out.word == d->in.word);
}

/* ---- domains ---- */

/* The guests differ in registers that exit when they are accessed, too. */
static void differ(struct guest *g)
{
	g->state->pat = pat_of(g == &guest[0] ? GUEST_A : GUEST_B);
	if (g != &guest[0])
		return;
	g->state->efer |= EFER_NXE;
	g->state->cr0 |= CR0_WP;
}

/* The VMM's handler finds a clean FPU at each exit, and leaves its own pattern in it. */
static volatile uint64_t unclean_exits;

static void use_fpu(struct guest *g, enum vcpu_exit_class class)
{
	static uint8_t found[4096] __attribute__((aligned(64)));
	static uint8_t mine[4096] __attribute__((aligned(64)));
	uint64_t mask = components();

	if (class == EXIT_STARTUP)
		differ(g);
	store_fpu(found, mask);
	if (foreign(found + FPU_ST, FPU_HEADER - FPU_ST, VMM) >= 0 ||
	    foreign(found + FPU_EXTENDED, sizeof(found) - FPU_EXTENDED, VMM) >= 0)
		unclean_exits++;
	fill_fpu(mine, patterns[VMM], mask);
	load_fpu(mine, mask);
	reset_fpu(); /* C code again; the registers keep their content */
}

static void make_guest(unsigned n, const uint8_t *entry)
{
	struct guest *g = &guest[n];

	*g = (struct guest){.hook = use_fpu, .priority = PRIORITY_LOW, .cpu = where};
	guest_make(g, isolation_code, 1, (unsigned)(entry - isolation_code));
	data[GUEST_A + n] = guest_at(g, GUEST_CODE + PAGE_SIZE_4K);
	context[GUEST_A + n] = g->vcpu;
}

void isolation_on(uint64_t cpu)
{
	const struct forge_thread low = {.priority = PRIORITY_LOW, .cpu = where};
	struct isolation *servers[2];
	uint64_t mask = components();
	bool turned = true;

	where = cpu;
	unclean_exits = 0;
	context[SERVER_A] = domain_make(&data[SERVER_A], isolation_thread, &low);
	context[SERVER_B] = domain_make(&data[SERVER_B], isolation_thread, &low);
	make_guest(0, isolation_guest);
	make_guest(1, isolation_guest);
	for (enum who domain = SERVER_A; domain < DOMAINS; domain++)
		fill(data[domain], domain, mask);
	for (unsigned n = 0; n < 2; n++) {
		servers[n] = data[n];
		servers[n]->fs_base = FORGE_SPACE_VA + PAGE_SIZE_4K +
				      offsetof(struct isolation, in) +
				      offsetof(struct isolation_registers, word);
		servers[n]->in.word = word_of(patterns[n], 0xf5);
	}
	/* One after the other, in every order that two can have. */
	for (unsigned round = 0; round < 4 * DOMAINS && turned; round++)
		for (unsigned i = 0; i < DOMAINS && turned; i++) {
			unsigned domain = (i * (round % 3 + 1) + round) % DOMAINS;
			uint64_t before = data[domain]->turns;

			forge_must(cairn_resume(context[domain]), "resuming a domain");
			turned = domain_wait(&data[domain]->turns, before);
			forge_must(cairn_suspend(context[domain]), "suspending a domain");
		}
	check_true("all-domains-take-turns", turned, "one of them does not run");
	/* All at once: the timer switches. */
	for (unsigned i = 0; i < DOMAINS; i++)
		forge_must(cairn_resume(context[i]), "resuming a domain");
	pause_us(60000);
	for (unsigned i = 0; i < DOMAINS; i++)
		data[i]->go = 1;
	for (unsigned i = 0; i < DOMAINS; i++)
		turned = turned && domain_wait(&data[i]->done, 0);
	check_true("all-domains-come-to-their-end", turned, "one of them does not");
	for (enum who domain = SERVER_A; domain < DOMAINS; domain++)
		check_domain(domain);
	check_value("a-vmm-finds-a-clean-fpu-at-each-exit", unclean_exits, 0);
}

/* A guest's SYSENTER registers are not the host's: there the instruction is not offered. */
static void sysenter(uint64_t arg)
{
	(void)arg;
	__asm__ volatile("sysenter" : : : "memory");
}

static void after_guests(void)
{
	const struct forge_thread config = {.supervisor = supervisor_make()};
	struct worker w;

	worker_make(&w, sysenter, 0, PRIORITY_HIGH, &config);
	worker_run(&w);
	check_value("sysenter-stays-a-fault-after-guests-have-set-it-up", fault_seen.count, 1);
}

static void take_turns(void)
{
	isolation_on(0);
}

void suite_isolation(void)
{
	in_arena(take_turns);
	in_arena(after_guests);
}
