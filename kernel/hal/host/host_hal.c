/* SPDX-License-Identifier: BSD-2-Clause */
/* The hal contract on the host. Window and slots[] are real mappings: what is not mapped cannot be touched. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "host_hal.h"

struct slot slots[SLOT_COUNT] __attribute__((aligned(4096)));
struct host host;
uint64_t hal_tsc_khz = 1000000; /* a microsecond is 1000 ticks */

/* Read by the address sanitizer's run-time: its leak scanner would walk slots[], and core allocates nothing. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
	return "detect_leaks=0";
}

static int memory = -1;
static uint8_t *physical, *window;
static uint8_t bytes[HOST_PAGES], in_window[HOST_PAGES];
static uint64_t slots_at[SLOT_COUNT / SLOTS_PER_PAGE];

static void must(int good, const char *what)
{
	if (good)
		return;
	perror(what);
	abort();
}

static void *map(void *at, uint64_t size, int protection, uint64_t offset)
{
	void *p = mmap(at, size, protection, MAP_SHARED | (at ? MAP_FIXED : 0), memory, (off_t)offset);

	must(p != MAP_FAILED, "mmap");
	return p;
}

void host_reset(void)
{
	uint32_t page;

	if (memory < 0) {
		memory = memfd_create("ram", 0);
		must(memory >= 0 && !ftruncate(memory, HOST_RAM_SIZE), "memfd_create");
		physical = map(NULL, HOST_RAM_SIZE, PROT_READ | PROT_WRITE, 0);
		window = map(NULL, HOST_RAM_SIZE, PROT_NONE, 0);
	} else {
		must(!mprotect(window, HOST_RAM_SIZE, PROT_NONE), "mprotect");
		must(!ftruncate(memory, 0) && !ftruncate(memory, HOST_RAM_SIZE), "ftruncate");
	}
	must(mmap(slots, sizeof(slots), PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == slots,
	     "mmap of slots[]");
	memset(bytes, 0, sizeof(bytes));
	memset(in_window, 0, sizeof(in_window));
	memset(slots_at, 0, sizeof(slots_at));
	memset(&host, 0, sizeof(host));
	host.now = 1000;
	for (page = 0; page < SLOT_COUNT / SLOTS_PER_PAGE; page++)
		slot_page_set(page, 0);
	mc_epoch = mc_complete = mca_decided = 0;
	host_cpus(1);
}

/* All but CPU 0 are idle; each answers a request at once. */
void host_cpus(uint32_t count)
{
	uint32_t i;

	must(count <= HOST_CPUS, "number of CPUs");
	for (i = 0; i < count; i++) {
		struct cpu *c = i ? &host.other[i - 1] : &host.cpu;

		c->index = c->apic_id = i;
		sched_init(c);
		cpus[i] = c;
	}
	cpu_count = count;
}

void host_on(uint32_t index)
{
	host.self = index;
}

static void answer(struct cpu *to)
{
	uint32_t self = host.self;

	host.self = to->index;
	mail_serve(to);
	host.self = self;
}

void hal_ipi(struct cpu *to)
{
	if (!host.deaf)
		answer(to);
}

void hal_nmi(struct cpu *to)
{
	host.nmis++;
	if (host.deaf == 1)
		answer(to);
}

void hal_relax(void)
{
	struct mail *m = &hal_cpu()->mail;

	if (host.deaf) {
		host.now += 1000000000; /* a second */
		return;
	}
	must(host.while_waiting.turns, "waiting for ever");
	if (host.while_waiting.e) {
		m->what = host.while_waiting.what;
		m->e = host.while_waiting.e;
		m->waiting = 1;
		host.while_waiting.e = NULL;
	}
	if (!--host.while_waiting.turns)
		lock_drop();
}

int hal_cpu_start(uint32_t index, uint32_t apic_id)
{
	if (apic_id >= HOST_CPUS)
		return -1;
	host.other[index - 1] = (struct cpu){.index = index, .apic_id = apic_id};
	cpus[index] = &host.other[index - 1];
	sched_init(cpus[index]);
	cpu_count++;
	return 0;
}

static int in_ram(uint64_t phys)
{
	return phys >= HOST_RAM_BASE && phys < HOST_RAM_END;
}

static uint64_t page_of(uint64_t phys)
{
	must(in_ram(phys), "physical address outside RAM");
	return (phys - HOST_RAM_BASE) / PAGE_SIZE_4K;
}

void *host_ram(uint64_t phys)
{
	must(in_ram(phys), "physical address outside RAM");
	return physical + (phys - HOST_RAM_BASE);
}

int host_in_window(uint64_t phys)
{
	return in_window[page_of(phys)];
}

uint64_t host_slots_at(uint32_t page)
{
	return slots_at[page];
}

struct cpu *hal_cpu(void)
{
	return cpus[host.self];
}

uint64_t hal_now(void)
{
	return host.now;
}

void hal_timer(uint64_t when)
{
	host.timer = when;
}

void hal_switch(struct cpu *cpu, struct ec *next)
{
	cpu->current = next;
	host.switches++;
}

/* Would a kernel access at `p` be a page fault? */
static int gone(const void *p)
{
	uint64_t a = (uint64_t)p, w = (uint64_t)window;

	return a < PAGE_SIZE_4K || (a >= w && a < w + HOST_RAM_SIZE && !in_window[(a - w) / PAGE_SIZE_4K]);
}

int hal_copy(const uint64_t *from, uint64_t *to, uint64_t words)
{
	if (words && (gone(from) || gone(to) || gone(from + words - 1) || gone(to + words - 1)))
		return -1;
	memmove(to, from, words * 8);
	return 0;
}

void hal_report_fault(uint32_t label, uint64_t vector, uint64_t error, uint64_t address, uint64_t rip)
{
	(void)address;
	(void)rip;
	host.faults++;
	host.fault_label = label;
	host.fault_vector = vector;
	host.fault_error = error;
}

_Noreturn void hal_panic(const char *what)
{
	if (host.expect_fatal)
		longjmp(host.fatal, 2);
	fprintf(stderr, "hal_panic: %s\n", what);
	abort();
}

/* ---- page bytes ---- */

int hal_page_known(uint64_t phys)
{
	return in_ram(phys);
}

uint8_t hal_page_byte(uint64_t phys)
{
	return in_ram(phys) ? bytes[page_of(phys)] : PAGE_USER;
}

void hal_page_set(uint64_t phys, uint8_t byte)
{
	bytes[page_of(phys)] = byte;
}

/* ---- kernel window ---- */

void hal_window_map(uint64_t phys)
{
	must(!mprotect(window + page_of(phys) * PAGE_SIZE_4K, PAGE_SIZE_4K, PROT_READ | PROT_WRITE), "mprotect");
	in_window[page_of(phys)] = 1;
}

void hal_window_unmap(uint64_t phys)
{
	must(!mprotect(window + page_of(phys) * PAGE_SIZE_4K, PAGE_SIZE_4K, PROT_NONE), "mprotect");
	in_window[page_of(phys)] = 0;
}

void *hal_window(uint64_t phys)
{
	return window + page_of(phys) * PAGE_SIZE_4K + (phys & (PAGE_SIZE_4K - 1));
}

void hal_slots_map(uint32_t page, uint64_t phys)
{
	map(&slots[page * SLOTS_PER_PAGE], PAGE_SIZE_4K, PROT_READ | PROT_WRITE, page_of(phys) * PAGE_SIZE_4K);
	slots_at[page] = phys;
}

void hal_slots_unmap(uint32_t page)
{
	void *at = &slots[page * SLOTS_PER_PAGE];

	must(mmap(at, PAGE_SIZE_4K, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == at, "mmap");
	slots_at[page] = 0;
}

void hal_zero(uint64_t phys)
{
	must(!(phys & (PAGE_SIZE_4K - 1)), "zeroing what is no page");
	memset(host_ram(phys), 0, PAGE_SIZE_4K);
}

/* ---- paging structures ---- */

static void note(enum host_op op, uint64_t pt, uint32_t index)
{
	if (host.events < HOST_EVENTS)
		host.event[host.events++] = (struct host_event){op, pt, index};
}

/* As the machine does: words of a structure on a poisoned page go nowhere. */
static uint64_t *entry(uint64_t pt, uint32_t index)
{
	static uint64_t nowhere;

	must(index < 512, "index of a paging structure");
	nowhere = 0;
	return hal_page_byte(pt) & PAGE_POISONED ? &nowhere : (uint64_t *)hal_window(pt) + index;
}

void hal_pt_init(uint64_t pt, uint8_t kind, uint8_t level)
{
	uint32_t i;

	for (i = 256; i < 512 && kind == PT_HOST && level == 4; i++)
		*entry(pt, i) = HOST_PT_KERNEL;
}

uint32_t hal_pt_limit(uint8_t kind, uint8_t level)
{
	return kind == PT_HOST && level == 4 ? 255 : 512;
}

void hal_pt_table(uint64_t pt, uint8_t kind, uint32_t index, uint64_t child)
{
	(void)kind;
	note(HOST_TABLE, pt, index);
	*entry(pt, index) = child | HOST_PT_TABLE;
}

void hal_pt_page(uint64_t pt, uint8_t kind, uint8_t level, uint32_t index, uint64_t phys, uint32_t rights)
{
	(void)kind;
	must(level == 1 || level == 2, "level of a page");
	note(HOST_PAGE, pt, index);
	*entry(pt, index) = phys | HOST_PT_PAGE | (uint64_t)rights << HOST_PT_RIGHTS;
}

void hal_pt_poison(uint64_t pt, uint32_t index)
{
	note(HOST_POISON, pt, index);
	*entry(pt, index) = HOST_PT_POISON;
}

void hal_pt_changes(uint64_t pt, uint32_t index)
{
	note(HOST_CHANGES, pt, index);
	*entry(pt, index) = HOST_PT_CHANGES;
}

void hal_pt_clear(uint64_t pt, uint32_t index)
{
	note(HOST_CLEAR, pt, index);
	*entry(pt, index) = 0;
}

int hal_pt_used(uint64_t pt, uint32_t index)
{
	return *entry(pt, index) != 0;
}

void hal_flush(uint8_t kind)
{
	must(kind <= PT_GUEST, "kind of a flush");
	note(HOST_FLUSH, 0, kind);
	host.flushes[kind]++;
}

void hal_space_leave(uint64_t root)
{
	host.space_left = root;
}

uint64_t host_walk(uint64_t root, uint64_t address, uint64_t *table)
{
	uint64_t pt = root, e = 0;
	uint32_t level;

	for (level = 4; level >= 1; level--) {
		*table = pt;
		e = ((uint64_t *)host_ram(pt))[address >> (3 + 9 * level) & 511];
		if (!(e & HOST_PT_TABLE))
			break;
		pt = e & HOST_PT_ADDRESS;
	}
	return e;
}

/* ---- VCpus ---- */

void hal_vcpu_init(struct ec *v, uint64_t root)
{
	host.vcpu_root = root;
	v->vmcb_phys = v->phys + PAGE_SIZE_4K;
}

int hal_vcpu_read(struct ec *v, uint32_t class, uint32_t groups)
{
	if (!v->state)
		return -1;
	v->state->exit_class = class;
	host.vcpu_class = class;
	host.vcpu_groups = groups;
	return 0;
}

int hal_vcpu_write(struct ec *v, uint32_t groups)
{
	if (!v->state)
		return -1;
	host.vcpu_groups = groups;
	if (!(groups & VCPU_MTD_CTL))
		return 0;
	if (v->state->deadline)
		timer_arm(hal_cpu(), &v->deadline, v->state->deadline);
	else
		timer_cancel(hal_cpu(), &v->deadline);
	return 0;
}

void hal_vcpu_forget(struct ec *v)
{
	(void)v;
}

/* ---- interrupts, ports, machine check ---- */

int hal_irq_valid(uint64_t line)
{
	return line < HOST_LINES;
}

void hal_irq_bind(uint64_t line, struct ec *thread, uint64_t badge)
{
	must(line < HOST_LINES, "interrupt line");
	host.line[line].thread = thread;
	host.line[line].badge = badge;
	host.line[line].unmasked = 1;
}

void hal_irq_unbind(uint64_t line)
{
	memset(&host.line[line], 0, sizeof(host.line[line]));
}

void hal_irq_forget(struct ec *thread)
{
	uint32_t i;

	for (i = 0; i < HOST_LINES; i++)
		if (host.line[i].thread == thread)
			hal_irq_unbind(i);
}

void hal_irq_unmask(uint64_t line)
{
	must(line < HOST_LINES, "interrupt line");
	host.line[line].unmasked = 1;
}

uint64_t hal_port_in(uint64_t port, uint64_t width)
{
	host.port = port;
	host.port_width = width;
	return host.port_value;
}

void hal_port_out(uint64_t port, uint64_t width, uint64_t value)
{
	host.port = port;
	host.port_width = width;
	host.port_value = value;
}

void hal_debug_write(uint64_t characters)
{
	host.debug = characters;
}

void hal_serial(uint64_t port)
{
	host.serial = port;
}

_Noreturn void hal_mca_fatal(const char *why, uint64_t page)
{
	if (!host.expect_fatal)
		hal_panic(why);
	host.fatal_page = page;
	longjmp(host.fatal, 1);
}

/* What does not fit stays in its bank. */
void hal_mca_poll(void)
{
	uint32_t i, left = 0;

	for (i = 0; i < host.polls; i++)
		if (!mca_push(hal_cpu(), &host.poll[i], 1))
			host.poll[left++] = host.poll[i];
	host.polls = left;
}
