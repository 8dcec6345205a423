/* SPDX-License-Identifier: BSD-2-Clause */
/* A domain: its CapTable, its spaces, its threads and what it is given, made from an Untyped of its
 * own. */
#include <elf.h>
#include <string.h>
#include <cairn/hypercalls.h>
#include <cairn/runtime.h>
#include "driver.h"

#define DOMAIN_BITS	 23u /* memory of a domain with all that it makes */
#define DOMAIN_SELECTORS 64u /* in the driver's CapTable */
#define DOMAIN_NUMBERS	 (SLOTS + NUMBERS)
#define DOMAIN_WINDOW	 8u
#define LABEL_DOMAIN	 0x60u /* + index; + DOMAINS for the guest space */
#define CODE_PAGES	 64u
#define PRIORITY_RUN	 10u

/* Memory that mc_poison may take: one Untyped, the first thing made, so that its physical addresses
 * are known. */
#define BAD_BITS	22u
#define BAD_LARGE	0ul
#define BAD_SMALL	PAGE_SIZE_2M
#define BAD_SMALL_COUNT 64u
#define BAD_TABLES	0x280000ul
#define BAD_TABLES_BITS 18u

#define FIRST_LINE  16u /* of the interrupt lines and ports that nothing is connected to */
#define LAST_LINE   23u
#define FIRST_PORT  0x80u
#define LAST_PORT   0x87u
#define COM1_FIRST  0x3f8u
#define COM1_LAST   0x3ffu
#define SERIAL_EACH 8u /* one of so many domains may make that the kernel's serial port */

struct domain domains[DOMAINS];
unsigned wanted_cpus = 1, cpu_starts, first_cpu;
uint64_t total_made[CAIRN_CALL_COUNT], total_accepted[CAIRN_CALL_COUNT], total_calls, total_checks,
	domains_built;

static struct {
	uint64_t large, small[BAD_SMALL_COUNT], tables, next_small, next_table;
} bad;
static uint64_t code[CODE_PAGES], code_va[CODE_PAGES], guest_frame;
static unsigned code_pages;
static uint64_t code_copy[DOMAINS][CODE_PAGES], guest_copy[DOMAINS];
static uint64_t supervisor_portal[MAX_CPUS];
static uint64_t driver_random;

extern const Elf64_Ehdr __ehdr_start;

void driver_seed(uint64_t seed)
{
	driver_random = seed * 0x9e3779b97f4a7c15ul + 1;
}

static uint64_t driver_word(void)
{
	driver_random ^= driver_random << 13;
	driver_random ^= driver_random >> 7;
	driver_random ^= driver_random << 17;
	return driver_random;
}

uint32_t driver_below(uint32_t limit)
{
	return (uint32_t)((driver_word() >> 32) * limit >> 32);
}

static uint64_t make_in(uint64_t untyped, enum cairn_type type, unsigned bits, uint64_t param)
{
	uint64_t selector = forge_select();

	forge_must(cairn_retype(untyped, type, bits, SEL_CAPTABLE, selector, param),
		   "making an object");
	return selector;
}

static void prepare_bad(void)
{
	uint64_t memory = make_in(SEL_UNTYPED, CAP_UNTYPED, BAD_BITS, 0);

	bad.large = make_in(memory, CAP_FRAME, PAGE_BITS_2M, 0);
	for (unsigned i = 0; i < BAD_SMALL_COUNT; i++)
		bad.small[i] = make_in(memory, CAP_FRAME, PAGE_BITS_4K, 0);
	bad.tables = make_in(memory, CAP_UNTYPED, BAD_TABLES_BITS, 0);
	/* As long as this is there, what was used is not used again. */
	(void)make_in(bad.tables, CAP_FRAME, PAGE_BITS_4K, 0);
	bad.next_table = 1;
}

/* Copies what of this program is not written to: domains run it at the same addresses. */
static void prepare_code(void)
{
	const Elf64_Phdr *program =
		(const Elf64_Phdr *)((const char *)&__ehdr_start + __ehdr_start.e_phoff);

	for (unsigned i = 0; i < __ehdr_start.e_phnum; i++) {
		uint64_t page = program[i].p_vaddr & ~(PAGE_SIZE_4K - 1),
			 end = program[i].p_vaddr + program[i].p_memsz;

		if (program[i].p_type != PT_LOAD || (program[i].p_flags & PF_W))
			continue;
		for (; page < end; page += PAGE_SIZE_4K) {
			if (code_pages == CODE_PAGES || page >= STATE_VA)
				forge_must(CAIRN_ERR_MEMORY, "finding room for the code");
			code[code_pages] = forge_frame();
			memcpy(forge_window_copy(code[code_pages], RIGHT_READ | RIGHT_WRITE),
			       (const void *)page, PAGE_SIZE_4K);
			code_va[code_pages++] = page;
		}
	}
	for (unsigned d = 0; d < DOMAINS; d++)
		for (unsigned i = 0; i < code_pages; i++)
			code_copy[d][i] = forge_copy(code[i], RIGHT_READ | RIGHT_EXEC, 0);
	guest_frame = forge_frame();
	memcpy(forge_window(guest_frame), guest_code, (size_t)(guest_code_end - guest_code));
	for (unsigned d = 0; d < DOMAINS; d++)
		guest_copy[d] = forge_copy(guest_frame, RIGHT_ALL, 0);
}

/* Steps over an UD2; a thread that faulted otherwise is stopped. */
static void supervise(uint64_t badge, uint64_t w1, uint64_t w2, uint64_t w3, uint64_t w4,
		      uint64_t count)
{
	bool ud2 = w1 == 6 && w4 == (uint64_t)domain_undefined;

	(void)badge, (void)w2, (void)w3, (void)count;
	forge_ignore(cairn_reply(0, ud2 ? FAULT_REPLY_RIP : FAULT_REPLY_STOP, w4 + 2, 0, 0, 2));
}

static uint8_t supervisor_stacks[MAX_CPUS][4096] __attribute__((aligned(16)));
extern char cairn_handler_trampoline[];

void supervisor_make(unsigned cpu)
{
	uint64_t *top = (uint64_t *)(supervisor_stacks[cpu] + sizeof(supervisor_stacks[cpu])) - 2;
	struct forge_thread config = {
		.rip = (uint64_t)cairn_handler_trampoline, .rsp = (uint64_t)top, .cpu = cpu};

	top[0] = (uint64_t)supervise;
	supervisor_portal[cpu] = forge_portal(forge_thread(&config, NULL), 0);
}

void domains_prepare(void)
{
	struct forge_mark mark;

	prepare_bad();
	forge_init();
	prepare_code();
	for (unsigned i = 0; i < DOMAINS; i++) {
		domains[i].index = i;
		domains[i].untyped = forge_untyped(DOMAIN_BITS);
	}
	(void)forge_table_param(0);
	mark = forge_mark();
	for (unsigned i = 0; i < DOMAINS; i++) {
		domains[i].mark = mark;
		mark.selector += DOMAIN_SELECTORS;
		mark.table_slot += DOMAIN_NUMBERS;
		mark.window += DOMAIN_WINDOW;
	}
	forge_release(mark);
}

uint64_t domains_numbers(void)
{
	return domains[DOMAINS - 1].mark.table_slot + DOMAIN_NUMBERS;
}

static struct hint *hints(const struct domain *d)
{
	return d->state->hint;
}

/* A copy of what the driver holds into the domain's CapTable. */
static void give(struct domain *d, uint64_t source, unsigned slot, uint32_t rights, uint64_t badge,
		 uint8_t type, uint8_t detail)
{
	forge_must(cairn_copy(source, d->table, slot, rights, badge),
		   "giving a domain a capability");
	hints(d)[slot] = (struct hint){.type = type, .detail = detail};
}

/* A new page at `page` of its space; the selector of its Frame. */
static uint64_t map_new(struct domain *d, unsigned page)
{
	uint64_t frame = forge_frame();

	forge_must(cairn_map(frame, d->space.level1, page, RIGHT_READ | RIGHT_WRITE, 0),
		   "mapping a domain's page");
	return frame;
}

static void build_space(struct domain *d)
{
	forge_space_make(&d->space, LABEL_DOMAIN + d->index);
	for (unsigned i = 0; i < code_pages; i++)
		forge_must(cairn_map(code_copy[d->index][i], d->space.level1,
				     (code_va[i] >> PAGE_BITS_4K & 511), RIGHT_READ | RIGHT_EXEC,
				     0),
			   "mapping a domain's code");
	for (unsigned i = 0; i < STATE_PAGES; i++) {
		uint64_t frame = map_new(d, PAGE_STATE + i);
		void *page = forge_window_copy(frame, RIGHT_READ | RIGHT_WRITE);

		if (i == 0)
			d->state = page;
	}
	for (unsigned i = 0; i < PLACES; i++)
		(void)map_new(d, PAGE_STACK + i);
}

static void build_guest(struct domain *d)
{
	uint64_t level3 = forge_pagetable(PT_GUEST, 3, 0), level2 = forge_pagetable(PT_GUEST, 2, 0);

	d->guest.root = forge_pagetable(PT_GUEST, 4, LABEL_DOMAIN + DOMAINS + d->index);
	d->guest.level1 = forge_pagetable(PT_GUEST, 1, 0);
	forge_must(cairn_pagetable_link(d->guest.root, 0, level3), "linking a guest's level 3");
	forge_must(cairn_pagetable_link(level3, 0, level2), "linking a guest's level 2");
	forge_must(cairn_pagetable_link(level2, 0, d->guest.level1), "linking a guest's level 1");
	forge_must(cairn_map(guest_copy[d->index], d->guest.level1, GUEST_CODE_GPA >> PAGE_BITS_4K,
			     RIGHT_ALL & 7, 0),
		   "mapping a guest's code");
}

static void give_pages(struct domain *d)
{
	for (unsigned i = 0; i < PLACES; i++) {
		uint64_t frame = map_new(d, PAGE_BUFFER + i);

		give(d, frame, SLOT_BUFFER + i, RIGHT_ALL, 0, CAP_FRAME, 0);
		if (i < DRIVER_THREADS)
			d->buffer[i] = frame;
	}
	for (unsigned i = 0; i < VCPU_PAGES; i++)
		give(d, map_new(d, PAGE_VCPU + i), SLOT_VCPU_PAGE + i, RIGHT_ALL, 0, CAP_FRAME, 0);
}

static uint64_t bad_page(uint64_t offset)
{
	/* Its address is told to who may have all hardware. */
	return cairn_info()->untyped_base ? cairn_info()->untyped_base + offset : 0;
}

/* What mc_poison may take; it is another page for each domain, as long as there are any. */
static void give_bad(struct domain *d)
{
	uint64_t param = 1 | (uint64_t)driver_below(2) << 8;

	for (unsigned i = 0; i < BAD_FRAMES - 1; i++) {
		unsigned n = bad.next_small++ % BAD_SMALL_COUNT;

		give(d, bad.small[n], SLOT_BAD + i, RIGHT_ALL, 0, CAP_FRAME, 0);
		d->state->bad_page[i] = bad_page(BAD_SMALL + n * PAGE_SIZE_4K);
	}
	give(d, bad.large, SLOT_BAD + BAD_FRAMES - 1, RIGHT_ALL, 0, CAP_FRAME, 1);
	d->state->bad_page[BAD_FRAMES - 1] = bad_page(BAD_LARGE);
	if (cairn_retype(bad.tables, CAP_PAGETABLE, 0, d->table, SLOT_BAD_TABLE, param) != CAIRN_OK)
		return; /* there are no more */
	hints(d)[SLOT_BAD_TABLE] =
		(struct hint){.type = CAP_PAGETABLE, .detail = (uint8_t)(1 | param >> 8 << 4)};
	d->state->bad_page[BAD_FRAMES] = bad_page(BAD_TABLES + bad.next_table++ * PAGE_SIZE_4K);
}

static void give_hardware(struct domain *d)
{
	uint64_t line = FIRST_LINE + d->index;

	if (!cairn_info()->untyped_base)
		return;
	give(d, SEL_ERRORS, SLOT_ERRORS, RIGHT_ALL, 0, CAP_MACHINECHECK, 0);
	give(d, SEL_IRQS, SLOT_IRQS, RIGHT_ALL, FIRST_LINE | LAST_LINE << 16, CAP_IRQ, 0);
	give(d, SEL_IRQS, SLOT_IRQ, RIGHT_ALL, line | line << 16, CAP_IRQ, 1);
	/* Who could make these the kernel's serial port, would make it mute. */
	give(d, SEL_PORTS, SLOT_PORTS, RIGHT_ALL & ~RIGHT_CONTROL, FIRST_PORT | LAST_PORT << 16,
	     CAP_IOPORTS, 0);
	if (!first_cpu && driver_below(SERIAL_EACH) == 0) {
		give(d, SEL_PORTS, SLOT_COM, RIGHT_CONTROL, COM1_FIRST | COM1_LAST << 16,
		     CAP_IOPORTS, 0);
		d->state->serials = 1;
	}
	give(d, SEL_CPUS, SLOT_CPUS, RIGHT_CONTROL, 0, CAP_CPUS, 0);
}

/* Threads 0 and 1 run, handlers 2 and 3 lie on their CPUs. */
static void build_thread(struct domain *d, unsigned n)
{
	struct thread_config *c = (struct thread_config *)cairn_buffer()->words;
	uint64_t cpu = d->state->cpu[n & 1];

	d->thread[n] = forge_select();
	forge_must(cairn_retype(forge_used(), CAP_THREAD, 0, SEL_CAPTABLE, d->thread[n], 0),
		   "making a domain's thread");
	*c = (struct thread_config){
		.space = d->space.root, .captable = d->table, .buffer = d->buffer[n], .cpu = cpu};
	c->supervisor = SLOT_SUPERVISOR + cpu;
	c->rip = (uint64_t)(n < 2 ? domain_thread : domain_handler);
	c->rsp = DOMAIN_VA(PAGE_STACK + n + 1);
	c->syscall_entry = (uint64_t)domain_bounce;
	c->priority = n < 2 ? PRIORITY_RUN : 0;
	c->ceiling = PRIORITY_MAX;
	forge_must(cairn_thread_configure(d->thread[n], THREAD_SPACE | THREAD_REGS |
								THREAD_UPCALLS | THREAD_TIME),
		   "configuring a domain's thread");
	give(d, d->thread[n], SLOT_THREAD + n, RIGHT_ALL, 0, CAP_THREAD, 1);
	if (n < 2)
		d->signal[n] = forge_copy(d->thread[n], RIGHT_SIGNAL, 1ul << 63);
}

static void build_state(struct domain *d, unsigned cpus)
{
	struct domain_state *s = d->state;
	unsigned usable = cpus - first_cpu;

	s->cpus = cpus;
	s->first_cpu = first_cpu;
	s->cpu[0] = first_cpu + d->index % usable;
	s->cpu[1] = first_cpu + (d->index + 1 + driver_below(usable > 1 ? usable - 1 : 1)) % usable;
	s->first_number = d->mark.table_slot + SLOTS;
	/* As QEMU numbers them. */
	s->next_apic = cpus < wanted_cpus ? cpus + driver_below(wanted_cpus - cpus) : 0;
	if (cpu_starts) {
		s->cpu_starts = 1;
		cpu_starts--;
	}
	for (unsigned i = 0; i < PLACES; i++) {
		s->thread[i].random = driver_word() | 1;
		s->thread[i].unchecked = driver_below(CHECK_EACH);
	}
}

void domain_build(struct domain *d, unsigned cpus)
{
	struct forge_mark before = forge_mark();
	uint64_t untyped = forge_use(d->untyped);

	domains_built++;
	forge_release(d->mark);
	d->table = forge_captable(SLOTS);
	build_space(d);
	build_guest(d);
	build_state(d, cpus);
	give(d, d->table, SLOT_TABLE, RIGHT_ALL, 0, CAP_CAPTABLE, 1);
	give(d, d->space.root, SLOT_SPACE, RIGHT_CONTROL | RIGHT_GRANT, 0, CAP_PAGETABLE, 4);
	give(d, d->guest.root, SLOT_GUEST, RIGHT_CONTROL | RIGHT_GRANT, 0, CAP_PAGETABLE,
	     4 | 1 << 4);
	give_pages(d);
	give_bad(d);
	give_hardware(d);
	for (unsigned i = 0; i < cpus; i++)
		give(d, supervisor_portal[i], SLOT_SUPERVISOR + i, RIGHT_SIGNAL, 0, CAP_PORTAL, 0);
	for (unsigned n = 0; n < DRIVER_THREADS; n++)
		build_thread(d, n);
	/* All that is left is its own: the largest of these sizes fits behind what was made so far.
	 */
	d->bits = driver_below(8) ? 17 + driver_below(3) : DOMAIN_BITS - 1;
	forge_must(cairn_retype(d->untyped, CAP_UNTYPED, d->bits, d->table, SLOT_UNTYPED, 0),
		   "giving a domain memory");
	hints(d)[SLOT_UNTYPED] = (struct hint){.type = CAP_UNTYPED, .detail = (uint8_t)d->bits};
	d->seen = d->still = 0;
	forge_use(untyped);
	forge_release(before);
}

void domain_start(struct domain *d)
{
	for (unsigned n = 0; n < 2; n++)
		forge_must(cairn_resume(d->thread[n]), "starting a domain");
}

void domain_connect(struct domain *d)
{
	for (unsigned i = 0; i < PEERS; i++) {
		struct domain *other = &domains[driver_below(DOMAINS)];
		unsigned n = driver_below(2);

		/* The slot may be taken, by what the domain put there itself. */
		if (other == d || !other->state || other->state->cpu[n] != d->state->cpu[i & 1] ||
		    cairn_portal_create(other->thread[2 + n], d->table, SLOT_PEER + i,
					BADGE_CALL + d->index, 0) != CAIRN_OK)
			continue;
		hints(d)[SLOT_PEER + i] = (struct hint){.type = CAP_PORTAL};
	}
}

uint64_t domain_calls(const struct domain *d)
{
	uint64_t calls = 0;

	for (unsigned i = 0; i < PLACES && d->state; i++)
		calls += d->state->thread[i].calls;
	return calls;
}

void domain_end(struct domain *d)
{
	cairn_status_t status;

	for (unsigned i = 0; i < PLACES; i++)
		for (unsigned n = 0; n < CAIRN_CALL_COUNT; n++) {
			total_made[n] += d->state->thread[i].made[n];
			total_accepted[n] += d->state->thread[i].accepted[n];
		}
	total_calls += domain_calls(d);
	total_checks += d->state->checks;
	d->state = NULL;
	do
		status = cairn_revoke(SEL_CAPTABLE, d->untyped);
	while (status == CAIRN_ERR_AGAIN);
	forge_must(status, "taking a domain's memory back");
}
