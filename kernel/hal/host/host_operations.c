/* SPDX-License-Identifier: BSD-2-Clause */
/* Capability operations with arguments from the test's source, such as often succeed. */
#include <cairn/hypercall_numbers.h>
#include "host_boot.h"
#include "host_check.h"
#include "host_operations.h"

#define POISON_MAX 24u

/* A selector of the root table that holds `type`, mostly; each with the same chance. */
static uint64_t pick(uint8_t type)
{
	uint32_t found = host_any(ROOT_SLOTS + 8), n = 0, i;

	if (host_any(16) == 0)
		return found;
	for (i = 0; i < ROOT_SLOTS; i++)
		if (SLOT(i).live && SLOT(i).type == type && host_any(++n) == 0)
			found = i;
	return found;
}

/* Low ones are used again and again. */
static uint64_t place(void)
{
	return S_FREE + host_any(host_any(3) ? 150 : ROOT_SLOTS);
}

static uint64_t table(void)
{
	return host_any(3) ? S_TABLE : pick(CAP_CAPTABLE);
}

static uint64_t pick_host_any(void)
{
	static const uint8_t types[] = {CAP_UNTYPED, CAP_FRAME, CAP_FRAME,   CAP_PAGETABLE, CAP_THREAD, CAP_VCPU,
					CAP_PORTAL,  CAP_IRQ,	CAP_IOPORTS, CAP_CAPTABLE,  CAP_FRAME};

	return pick(types[host_any(sizeof(types))]);
}

/* The first capabilities stay: everything is reached through them. */
static int first_ones(uint64_t table_sel, uint64_t index)
{
	return table_sel < ROOT_SLOTS && SLOT(table_sel).type == CAP_CAPTABLE && SLOT(table_sel).first == ROOT_FIRST &&
	       index < S_FREE;
}

static uint64_t op_retype(void)
{
	static const uint8_t types[] = {CAP_UNTYPED, CAP_UNTYPED, CAP_FRAME,	 CAP_FRAME,	CAP_FRAME,    CAP_THREAD,
					CAP_THREAD,  CAP_VCPU,	  CAP_PAGETABLE, CAP_PAGETABLE, CAP_CAPTABLE, CAP_PORTAL};
	uint8_t type = types[host_any(sizeof(types))];
	uint64_t param = 0, bits = host_any(4) ? 12 : 21;

	if (type == CAP_UNTYPED)
		bits = 12 + host_any(host_any(2) ? 11 : 4);
	if (type == CAP_CAPTABLE)
		param = (FAR + 32 * host_any(FAR_SLOTS / 32 - 1)) | (uint64_t)(32 * (1 + host_any(2))) << 32;
	if (type == CAP_PAGETABLE) {
		uint64_t level = host_any(3) ? 1 + host_any(4) : 1;

		param = level | host_any(2) << 8 | (level == 4 ? 5ull << 32 : 0);
	}
	return call6(RETYPE, pick(CAP_UNTYPED), type, bits, table(), place(), param);
}

static uint64_t op_copy(void)
{
	uint64_t src = pick_host_any(), badge = host_any(8) ? 0 : host_any(16) | host_any(16) << 16;

	return call5(COPY, src, table(), place(), host_any(4) ? RIGHT_ALL : host_any(64), badge);
}

static uint64_t op_move(void)
{
	uint64_t src = pick_host_any();

	return src < S_FREE ? CAIRN_OK : call3(MOVE, src, table(), place());
}

static uint64_t op_delete(void)
{
	uint64_t t = table(), i = host_any(3) ? pick_host_any() : place();

	return first_ones(t, i) ? CAIRN_OK : call2(DELETE, t, i);
}

static uint64_t op_revoke(void)
{
	uint64_t i = pick_host_any();

	/* Of everything only rarely: else there would never be much. */
	return (i <= S_UNTYPED && host_any(30)) || host_any(3) ? CAIRN_OK : call2(REVOKE, S_TABLE, i);
}

/* A PageTable of a level and kind, mostly. */
static uint64_t pick_pt(uint32_t level, uint32_t kind)
{
	uint32_t found = host_any(ROOT_SLOTS), n = 0, i;

	if (host_any(8) == 0)
		return pick(CAP_PAGETABLE);
	for (i = 0; i < ROOT_SLOTS; i++)
		if (SLOT(i).live && SLOT(i).type == CAP_PAGETABLE && SLOT(i).pt_level == level && SLOT(i).pt_kind == kind &&
		    host_any(++n) == 0)
			found = i;
	return found;
}

static uint64_t op_link(void)
{
	uint32_t level = 1 + host_any(3), kind = host_any(2);

	return call3(PAGETABLE_LINK, pick_pt(level + 1, kind), host_any(8) ? host_any(4) : host_any(520),
		     pick_pt(level, kind));
}

/* A 2 MiB Frame that hangs nowhere, if there is one. */
static uint64_t pick_large(void)
{
	uint32_t i, start = host_any(ROOT_SLOTS), sel;

	for (i = 0; i < ROOT_SLOTS; i++) {
		sel = (start + i) % ROOT_SLOTS;
		if (SLOT(sel).live && SLOT(sel).type == CAP_FRAME && SLOT(sel).size == PAGE_SIZE_2M && !SLOT(sel).map_pt)
			return sel;
	}
	return pick(CAP_FRAME);
}

static uint64_t op_map(void)
{
	uint64_t rights = host_any(4) ? RIGHT_READ | host_any(8) : host_any(16),
		 f = host_any(3) ? pick(CAP_FRAME) : pick_large();
	uint32_t kind = host_any(2), level = f < ROOT_SLOTS && SLOT(f).size == PAGE_SIZE_2M ? 2 : 1, tries;
	uint64_t deposit = pick_pt(1, kind);

	for (tries = 0; tries < 4 && deposit < ROOT_SLOTS && (SLOT(deposit).map_pt || SLOT(deposit).used); tries++)
		deposit = pick_pt(1, kind);
	return call5(MAP, f, pick_pt(level, kind), host_any(8) ? host_any(8) : host_any(520), rights, deposit);
}

static uint64_t op_unmap(void)
{
	return call1(UNMAP, pick(CAP_FRAME));
}

/* A Thread or VCpu that is configured, or one that is not, if there is one. */
static uint64_t pick_context(uint8_t type, int fresh)
{
	uint64_t found = pick(type);
	uint32_t i, n = 0;

	for (i = 0; i < ROOT_SLOTS && host_any(16); i++)
		if (SLOT(i).live && SLOT(i).type == type && (object_of(i)->status == EC_NEW) == fresh && host_any(++n) == 0)
			found = i;
	return found;
}

/* A Frame that is nobody's buffer. */
static uint64_t pick_buffer(void)
{
	uint64_t f = pick(CAP_FRAME);
	uint32_t i;

	for (i = 0; i < 4 && f < ROOT_SLOTS && (SLOT(f).bound || SLOT(f).size != PAGE_SIZE_4K); i++)
		f = pick(CAP_FRAME);
	return f;
}

static uint64_t op_thread(void)
{
	int fresh = host_any(3) != 0;
	struct thread_config c = {.space = pick_pt(4, PT_HOST),
				  .captable = pick(CAP_CAPTABLE),
				  .buffer = pick_buffer(),
				  .priority = host_any(5),
				  .supervisor = pick(CAP_PORTAL),
				  .cpu = host_any(cpu_count + (host_any(16) == 0)),
				  .rip = 0x1000};

	memcpy(driver_buffer.words, &c, sizeof(c));
	return call2(THREAD_CONFIGURE, pick_context(CAP_THREAD, fresh), host_any(8) == 0 ? host_any(17) : fresh ? 15 : 14);
}

static uint64_t op_vcpu(void)
{
	struct vcpu_config c = {.guest_root = pick_pt(4, PT_GUEST),
				.home = pick_pt(4, PT_HOST),
				.captable = pick(CAP_CAPTABLE),
				.state = pick_buffer(),
				.exit_base = host_any(64),
				.cpu = host_any(cpu_count + (host_any(16) == 0)),
				.priority = 1 + host_any(4)};

	memcpy(driver_buffer.words, &c, sizeof(c));
	return call1(VCPU_CONFIGURE, pick_context(CAP_VCPU, 1));
}

static uint64_t op_portal(void)
{
	return call5(PORTAL_CREATE, pick(CAP_THREAD), table(), place(), host_any(4), host_any(300));
}

static uint64_t op_state(void)
{
	uint64_t t = pick_context(host_any(2) ? CAP_THREAD : CAP_VCPU, host_any(8) == 0);

	return host_any(3) ? call1(RESUME, t) : call1(SUSPEND, t);
}

static uint64_t op_bind(void)
{
	return host_any(2) ? call2(IRQ_BIND, pick(CAP_IRQ), pick(CAP_THREAD)) : call2(MC_BIND, S_MC, pick(CAP_THREAD));
}

/* All steps: in between, what was not reached yet is still mapped. Pages whose loss stops the machine are no choice. */
static uint64_t op_poison(void)
{
	uint64_t f = pick(host_any(3) ? CAP_FRAME : CAP_PAGETABLE), page, cursor = 0, st;
	uint32_t p, n = 0, steps = 0;

	for (p = 0; p < HOST_PAGES; p++)
		n += host_poisoned[p];
	if (host_any(10) || n >= POISON_MAX || f >= ROOT_SLOTS || !SLOT(f).live)
		return CAIRN_OK;
	page = SLOT(f).base + host_any(512) * PAGE_SIZE_4K % (SLOT(f).size ? SLOT(f).size : PAGE_SIZE_4K);
	if (!hal_page_known(page) || (SLOT(f).type != CAP_FRAME && SLOT(f).type != CAP_PAGETABLE) ||
	    (hal_page_byte(page) == CAP_PAGETABLE && host_any(4)))
		return CAIRN_OK;
	do {
		st = call3(MC_POISON, S_MC, page, cursor);
		cursor = driver.gpr[GPR_RDI];
		if (st != CAIRN_OK || ++steps == 1000)
			host_fault("mc_poison comes to its end");
	} while (cursor);
	host_poisoned[host_page(page)] = 1;
	return st;
}

static uint64_t thread_calls(struct ec *e)
{
	switch (host_any(8)) {
	case 0:
		if (host_any(4))
			return ec_call(e, CAIRN_CALL_SET_FS, host_any(8) * USER_END / 4, 0, 0, 0, 0, 0);
		thread_fault(e, host_any(32), 0, 0, 0);
		return CAIRN_OK;
	case 1:
		return ec_call(e, CAIRN_CALL_WAIT, host_any(4) ? host_any(4) * (host.now + host_any(100000)) : 1, 0, 0, 0, 0,
			       0);
	case 2:
		return ec_call(e, CAIRN_CALL_SIGNAL, pick(CAP_THREAD), 0, 0, 0, 0, 0);
	case 3:
	case 4:
		return ec_call(e, CAIRN_CALL_REPLY, host_any(8) == 0, host_any(1024), 0, 0, 0, host_any(18));
	default:
		ec_call(e, CAIRN_CALL_CALL, pick(CAP_PORTAL), 0, 0, 0, 0, host_any(18));
		return e->status == EC_READY ? CAIRN_ERR_CAP : CAIRN_OK;
	}
}

/* Time goes on, and whoever runs on this CPU then does something. */
static uint64_t op_run(void)
{
	struct cpu *cpu = hal_cpu();
	struct ec *e;

	host.now += host_any(1000) * host_any(1000);
	schedule(cpu);
	e = cpu->current;
	if (!e)
		return CAIRN_ERR_STATE;
	if (e->kind != EC_VCPU)
		return thread_calls(e);
	vcpu_exit(e, host_any(EXIT_CLASSES));
	return CAIRN_OK;
}

static uint64_t op_recall(void)
{
	return call1(RECALL, pick_context(CAP_VCPU, 0));
}

static const struct {
	const char *name;
	uint64_t (*operate)(void);
	uint32_t weight;
	int partly; /* refused, it may have done a part of its work; or the caller's registers tell of it */
} operations[] = {
	{"retype", op_retype, 8, 0}, {"copy", op_copy, 4, 0},	  {"move", op_move, 2, 0},     {"delete", op_delete, 4, 1},
	{"revoke", op_revoke, 2, 1}, {"link", op_link, 6, 0},	  {"map", op_map, 6, 0},       {"unmap", op_unmap, 2, 0},
	{"thread", op_thread, 5, 0}, {"vcpu", op_vcpu, 3, 0},	  {"portal", op_portal, 5, 0}, {"state", op_state, 5, 0},
	{"bind", op_bind, 2, 0},     {"poison", op_poison, 2, 0}, {"recall", op_recall, 1, 0}, {"run", op_run, 12, 1},
};
#define OPERATIONS (sizeof(operations) / sizeof(operations[0]))
#define WEIGHTS	   69u

static uint64_t succeeded[OPERATIONS];

const char *host_operation(uint32_t number, uint64_t *times)
{
	if (number >= OPERATIONS)
		return NULL;
	*times = succeeded[number];
	return operations[number].name;
}

/* A thread that runs, a handler, and a VCpu whose exits go there. */
static void populate(uint32_t cpu)
{
	uint32_t t, h, v, i, exits = 0;

	make_on = cpu;
	make_thread(2, &t);
	make_thread(0, &h);
	for (i = 0; i < EXIT_CLASSES; i++) {
		uint32_t p = make_portal(h, i, i);

		exits = i ? exits : p;
	}
	make_vcpu(1, exits, &v);
	must(call1(RESUME, t));
	must(call1(RESUME, v));
}

void host_operations_begin(uint32_t cpus)
{
	void *unused = NULL;
	uint32_t i;

	host_boot(&unused);
	host_cpus(cpus);
	memset(host_poisoned, 0, sizeof(host_poisoned));
	for (i = 0; i < cpus; i++)
		populate(i);
	make_on = 0;
}

void host_operate(int look)
{
	uint32_t w = host_any(WEIGHTS), n = 0;
	uint64_t before, st;

	while (w >= operations[n].weight)
		w -= operations[n++].weight;
	host_on(host_any(cpu_count));
	before = look && !operations[n].partly ? host_hash() : 0;
	st = operations[n].operate();
	succeeded[n] += st == CAIRN_OK;
	if (before && st != CAIRN_OK && host_hash() != before)
		host_fault("what was refused has changed nothing");
}

void host_operations_end(void)
{
	uint32_t i;

	if (revoke_all(S_TABLE, S_UNTYPED) != CAIRN_OK || revoke_all(S_TABLE, S_IMAGE) != CAIRN_OK)
		host_fault("all can be taken back");
	host_check();
	for (i = 0; i < cpu_count; i++)
		if (cpus[i]->list || cpus[i]->ready)
			host_fault("nothing is left on any CPU");
}
