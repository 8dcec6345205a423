/* SPDX-License-Identifier: BSD-2-Clause */
/* Guests of a few pages in 64-bit mode: their space, their first state, their exits. */
#include <string.h>
#include <cairn/hypercalls.h>
#include "guest.h"

#define GUESTS	    4u
#define PML4	    0x1000ul
#define PDPT	    0x2000ul
#define PD	    0x3000ul
#define PT	    0x4000ul
#define PTE	    0x7ul /* present, writable, user */
#define CR0_PE	    0x1ul
#define CR0_MP	    0x2ul
#define CR0_ET	    0x10ul
#define CR0_NE	    0x20ul
#define CR0_PG	    (1ul << 31)
#define CR4_PAE	    0x20ul
#define CR4_MCE	    0x40ul
#define CR4_FXSR    0x600ul /* OSFXSR, OSXMMEXCPT */
#define CR4_OSXSAVE (1ul << 18)
#define EFER_SCE    0x1ul
#define EFER_LONG   0x500ul /* LME, LMA */
#define ATTR_CODE   0xa9bu  /* 64-bit */
#define ATTR_DATA   0xc93u
#define ATTR_PAGES  0x800u /* G: the limit is in pages */
#define ATTR_LDT    0x082u
#define ATTR_TSS    0x08bu
#define LABEL	    0x7e

static struct guest *guests[GUESTS];

static uint32_t cpuid_c(uint32_t leaf)
{
	uint32_t a = leaf, b, c = 0, d;

	__asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
	return c;
}

static void set_segment(volatile struct vcpu_state *state, enum vcpu_seg segment, uint16_t attr)
{
	state->seg[segment].sel = 0;
	state->seg[segment].attr = attr;
	state->seg[segment].limit = attr & ATTR_PAGES ? 0xffffffff : 0xffff;
	state->seg[segment].base = 0;
}

static void start_up(struct guest *guest)
{
	volatile struct vcpu_state *state = guest->state;

	for (enum vcpu_seg segment = SEG_ES; segment <= SEG_GS; segment++)
		set_segment(state, segment, ATTR_DATA);
	set_segment(state, SEG_CS, ATTR_CODE);
	set_segment(state, SEG_LDTR, ATTR_LDT);
	set_segment(state, SEG_TR, ATTR_TSS);
	state->cr0 = CR0_PE | CR0_MP | CR0_ET | CR0_NE | CR0_PG;
	state->cr3 = PML4;
	/* What the kernel does not switch for guests it keeps off by itself. */
	state->cr4 = CR4_PAE | CR4_MCE | CR4_FXSR | (cpuid_c(1) >> 27 & 1 ? CR4_OSXSAVE : 0);
	state->efer = EFER_SCE | EFER_LONG;
	state->dr6 = 0xffff0ff0;
	state->dr7 = 0x400;
	state->pat = 0x0007040600070406;
	state->rflags = guest->flags | 2;
	state->rip = GUEST_CODE + guest->entry;
}

/* The instruction the guest stands at has this many bytes. */
static uint64_t skip(struct guest *guest, unsigned length)
{
	guest->state->rip += length;
	return VCPU_MTD_RIP;
}

/* DR0 to DR3 do nothing. VT-x leaves DR6 and DR7 to the VMM as well: these accesses, to and from
 * RAX, are carried out and not counted. */
static uint64_t debug_register(struct guest *guest)
{
	uint64_t number = guest->state->qualification & 7;
	volatile uint64_t *value = number == 6 ? &guest->state->dr6 : &guest->state->dr7;

	if (number < 4)
		return skip(guest, 3);
	guest->exits[EXIT_DR]--;
	if (guest->state->qualification >> 8 & 1) /* a write */
		*value = guest->state->gpr[GPR_RAX];
	else
		guest->state->gpr[GPR_RAX] = *value;
	return skip(guest, 3) | VCPU_MTD_DR;
}

static uint64_t answer(struct guest *guest, enum vcpu_exit_class class)
{
	switch (class) {
	case EXIT_STARTUP:
		return VCPU_MTD_ALL;
	case EXIT_CPUID:
	case EXIT_MSR:
		return skip(guest, 2);
	case EXIT_DR:
		return debug_register(guest);
	case EXIT_VMCALL:
		return skip(guest, 3);
	case EXIT_RECALL:
		return 0;
	case EXIT_HLT:
		return skip(guest, 1) | VCPU_REPLY_HALT;
	default:
		return VCPU_REPLY_STOP;
	}
}

/* badge: number of the guest << 8 | class */
static void on_exit_of(uint64_t badge, uint64_t w1, uint64_t w2, uint64_t w3, uint64_t w4,
		       uint64_t count)
{
	struct guest *guest = guests[badge >> 8];
	enum vcpu_exit_class class = (enum vcpu_exit_class)w1;
	uint64_t reply;

	(void)w2, (void)w3, (void)w4, (void)count;
	if (class == EXIT_STARTUP)
		start_up(guest);
	if (guest->hook)
		guest->hook(guest, class);
	guest->exits[class]++;
	reply = answer(guest, class);
	if (class == EXIT_HLT || (reply & VCPU_REPLY_STOP))
		worker_tell();
	forge_ignore(cairn_reply(0, reply, 0, 0, 0, 1));
}

/* Its own paging structures map what there is where it is; level by level. */
static void fill_tables(const struct guest *guest)
{
	uint64_t *entry = guest_at(guest, PT);

	*(uint64_t *)guest_at(guest, PML4) = PDPT | PTE;
	*(uint64_t *)guest_at(guest, PDPT) = PD | PTE;
	*(uint64_t *)guest_at(guest, PD) = PT | PTE;
	for (uint64_t page = 1; page <= GUEST_PAGES; page++)
		entry[page] = page << 12 | PTE;
}

static uint64_t make_space(struct guest *guest)
{
	uint64_t root = forge_pagetable(PT_GUEST, 4, LABEL),
		 level3 = forge_pagetable(PT_GUEST, 3, 0);
	uint64_t level2 = forge_pagetable(PT_GUEST, 2, 0), level1 = forge_pagetable(PT_GUEST, 1, 0);

	forge_must(cairn_pagetable_link(root, 0, level3), "linking a guest's level 3");
	forge_must(cairn_pagetable_link(level3, 0, level2), "linking a guest's level 2");
	forge_must(cairn_pagetable_link(level2, 0, level1), "linking a guest's level 1");
	for (unsigned page = 0; page < GUEST_PAGES; page++) {
		uint64_t frame = forge_frame(), copy = forge_copy(frame, RIGHT_ALL, 0);
		uint8_t *here = forge_window(frame);

		if (page == 0)
			guest->memory = here; /* the next ones follow */
		if ((page + 1) << 12 == GUEST_CODE + PAGE_SIZE_4K)
			guest->data = frame;
		forge_must(
			cairn_map(copy, level1, page + 1, RIGHT_READ | RIGHT_WRITE | RIGHT_EXEC, 0),
			"mapping a guest's page");
	}
	return root;
}

static uint64_t make_portals(const struct guest *guest, unsigned number)
{
	uint64_t first = forge_select();

	for (unsigned class = 0; class < EXIT_CLASSES; class ++)
		forge_must(cairn_portal_create(guest->handler.thread, SEL_CAPTABLE,
					       class ? forge_select() : first, number << 8 | class,
					       guest->no_groups ? 0 : VCPU_MTD_ALL),
			   "making a Portal for exits");
	return first;
}

void guests_reset(void)
{
	memset(guests, 0, sizeof(guests));
}

void guest_make(struct guest *guest, const uint8_t *code, unsigned pages, unsigned entry)
{
	struct vcpu_config *config = (struct vcpu_config *)cairn_buffer()->words;
	uint64_t root = make_space(guest), state = forge_frame(), portals;
	unsigned number = 0;

	while (number < GUESTS && guests[number])
		number++;
	if (number == GUESTS)
		forge_must(CAIRN_ERR_MEMORY, "finding a number for a guest");
	guests[number] = guest;
	guest->root = root;
	guest->vcpu = forge_select();
	forge_must(cairn_retype(forge_used(), CAP_VCPU, 0, SEL_CAPTABLE, guest->vcpu, 0),
		   "making a VCpu");
	memcpy(guest_at(guest, GUEST_CODE), code, pages * PAGE_SIZE_4K);
	fill_tables(guest);
	handler_make_on(&guest->handler, on_exit_of, guest->cpu);
	portals = make_portals(guest, number);
	guest->state = forge_window_copy(state, RIGHT_READ | RIGHT_WRITE);
	for (unsigned class = 0; class < EXIT_CLASSES; class ++)
		guest->exits[class] = 0;
	guest->entry = entry;
	memset(config, 0, sizeof(*config));
	config->guest_root = root;
	config->home = SEL_SPACE;
	config->captable = SEL_CAPTABLE;
	config->exit_base = portals;
	config->state = state;
	config->cpu = guest->cpu;
	config->priority = guest->priority;
	config->budget_us = guest->budget_us;
	config->period_us = guest->period_us;
	forge_must(cairn_vcpu_configure(guest->vcpu), "configuring a VCpu");
}
