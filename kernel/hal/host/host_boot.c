/* SPDX-License-Identifier: BSD-2-Clause */
/* The first capabilities of a test, and what most tests build from them. */
#include "host_boot.h"

struct ec driver;
struct message_buffer driver_buffer;
uint64_t make_on;
static uint32_t next_sel, home;

static void give(uint32_t sel, uint8_t type, uint64_t base, uint64_t size)
{
	uint32_t s = slot_of(sel);

	slots[s].type = type;
	slots[s].base = base;
	slots[s].size = size;
	slot_set_rights(s, &all_rights, RIGHT_ALL);
	slot_insert(s, SLOT_NIL);
}

int host_boot(void **state)
{
	uint64_t at = HOST_RAM_BASE;
	uint32_t page, pages = (ROOT_FIRST + ROOT_SLOTS) / SLOTS_PER_PAGE;

	(void)state;
	host_reset();
	for (page = 0; page < pages; page++, at += PAGE_SIZE_4K) {
		hal_page_set(at, CAP_CAPTABLE);
		hal_slots_map(page, at);
		slot_page_set(page, page != 0);
	}
	memset(host_ram(IMAGE_BASE), 0x5a, IMAGE_SIZE);
	give(S_TABLE, CAP_CAPTABLE, HOST_RAM_BASE + PAGE_SIZE_4K, (pages - 1) * PAGE_SIZE_4K);
	SLOT(S_TABLE).first = ROOT_FIRST;
	SLOT(S_TABLE).count = ROOT_SLOTS;
	give(S_MC, CAP_MACHINECHECK, 0, 0);
	give(S_PORTS, CAP_IOPORTS, 0, 0x10000);
	give(S_IRQ, CAP_IRQ, 0, HOST_LINES);
	give(S_IMAGE, CAP_UNTYPED, IMAGE_BASE, IMAGE_SIZE);
	SLOT(S_IMAGE).device = 1;
	give(S_UNTYPED, CAP_UNTYPED, at, IMAGE_BASE - at);
	give(S_CPUS, CAP_CPUS, 0, 0);
	memset(&driver, 0, sizeof(driver));
	memset(&driver_buffer, 0, sizeof(driver_buffer));
	driver.kind = EC_THREAD;
	driver.status = EC_READY;
	driver.table_first = ROOT_FIRST;
	driver.table_count = ROOT_SLOTS;
	driver.buffer = &driver_buffer;
	driver.ceiling = PRIORITIES - 1;
	driver.root = driver.leaf = &driver;
	next_sel = S_FREE;
	make_on = 0;
	home = 0;
	return 0;
}

static int exists(const struct ec *e)
{
	const struct ec *i;

	for (i = hal_cpu()->list; i && i != e; i = i->all_next)
		;
	return i != NULL;
}

/* As entry.S does it: call and reply take their words in registers, all else is dispatched. */
uint64_t ec_call(struct ec *e, uint32_t number, uint64_t a1, uint64_t a2, uint64_t a3, uint64_t a4, uint64_t a5, uint64_t a6)
{
	struct ec *before = hal_cpu()->current;
	status_t st;

	hal_cpu()->current = e;
	e->gpr[GPR_RAX] = CAIRN_CALL_BASE + number;
	if (number == CAIRN_CALL_CALL) {
		e->mode = MODE_SYSRET;
		portal_call(a1, a2, a3, a4, a5, a6);
		return e->gpr[GPR_RAX];
	}
	if (number == CAIRN_CALL_REPLY) {
		st = portal_reply(a1, a2, a3, a4, a5, a6);
		if (st != CAIRN_OK)
			e->gpr[GPR_RAX] = st;
		return st;
	}
	e->gpr[GPR_RDI] = a1;
	e->gpr[GPR_RSI] = a2;
	e->gpr[GPR_RDX] = a3;
	e->gpr[GPR_R10] = a4;
	e->gpr[GPR_R8] = a5;
	e->gpr[GPR_R9] = a6;
	syscall_dispatch(e);
	if (e == &driver) /* was never switched to */
		hal_cpu()->current = exists(before) ? before : NULL;
	return e == &driver || exists(e) ? e->gpr[GPR_RAX] : CAIRN_OK;
}

uint32_t new_sel(void)
{
	assert_true(next_sel < ROOT_SLOTS);
	return next_sel++;
}

uint32_t make(uint64_t type, uint64_t bits, uint64_t param)
{
	uint32_t sel = new_sel();

	must(call6(RETYPE, S_UNTYPED, type, bits, S_TABLE, sel, param));
	return sel;
}

uint32_t make_untyped(uint64_t bits)
{
	return make(CAP_UNTYPED, bits, 0);
}

uint32_t make_frame(uint64_t bits)
{
	return make(CAP_FRAME, bits, 0);
}

uint32_t make_pt(uint8_t kind, uint8_t level, uint32_t label)
{
	return make(CAP_PAGETABLE, 0, level | (uint64_t)kind << 8 | (uint64_t)label << 32);
}

uint32_t make_table(uint32_t first, uint32_t count)
{
	return make(CAP_CAPTABLE, 0, first | (uint64_t)count << 32);
}

uint32_t copy_of(uint32_t sel, uint32_t rights, uint64_t badge)
{
	uint32_t to = new_sel();

	must(call5(COPY, sel, S_TABLE, to, rights, badge));
	return to;
}

void make_space(uint8_t kind, uint32_t label, uint32_t sel[5])
{
	uint8_t level;

	for (level = 4; level >= 1; level--) {
		sel[level] = make_pt(kind, level, level == 4 ? label : 0);
		if (level < 4)
			must(call3(PAGETABLE_LINK, sel[level + 1], 0, sel[level]));
	}
}

uint32_t home_space(void)
{
	if (!home)
		home = make_pt(PT_HOST, 4, 2);
	return home;
}

struct ec *object_of(uint32_t sel)
{
	return hal_window(SLOT(sel).base);
}

struct ec *make_thread(uint32_t priority, uint32_t *sel)
{
	struct thread_config c = {0};
	uint32_t t = make(CAP_THREAD, 0, 0);

	c.space = home_space();
	c.captable = S_TABLE;
	c.buffer = make_frame(PAGE_BITS_4K);
	c.supervisor = ~0ull;
	c.rip = 0x400000 + t;
	c.rsp = 0x800000 + t;
	c.priority = priority;
	c.cpu = make_on;
	memcpy(driver_buffer.words, &c, sizeof(c));
	must(call2(THREAD_CONFIGURE, t, THREAD_SPACE | THREAD_REGS | THREAD_TIME));
	*sel = t;
	return object_of(t);
}

struct ec *make_vcpu(uint32_t priority, uint32_t exit_base, uint32_t *sel)
{
	struct vcpu_config c = {0};
	uint32_t v = make(CAP_VCPU, 0, 0);

	c.guest_root = make_pt(PT_GUEST, 4, 3);
	c.home = home_space();
	c.captable = S_TABLE;
	c.exit_base = exit_base;
	c.state = make_frame(PAGE_BITS_4K);
	c.priority = priority;
	c.cpu = make_on;
	memcpy(driver_buffer.words, &c, sizeof(c));
	must(call1(VCPU_CONFIGURE, v));
	*sel = v;
	return object_of(v);
}

uint32_t make_portal(uint32_t thread, uint64_t badge, uint32_t mask)
{
	uint32_t p = new_sel();

	must(call5(PORTAL_CREATE, thread, S_TABLE, p, badge, mask));
	return p;
}

uint64_t delete_all(uint32_t table, uint32_t index)
{
	uint64_t st;

	do
		st = call2(DELETE, table, index);
	while (st == CAIRN_ERR_AGAIN);
	return st;
}

uint64_t revoke_all(uint32_t table, uint32_t index)
{
	uint64_t st;

	do
		st = call2(REVOKE, table, index);
	while (st == CAIRN_ERR_AGAIN);
	return st;
}

static uint32_t live_slots(void)
{
	uint32_t s, n = 0;

	for (s = 1; s < SLOT_COUNT; s++)
		n += slot_backed(s) && slots[s].live;
	return n;
}

uint32_t check_list(void)
{
	static uint32_t path[SLOT_MAX_DEPTH + 2];
	uint32_t s, before = SLOT_NIL, n = 0;

	path[0] = SLOT_NIL;
	for (s = slots[0].next; s != SLOT_NIL; before = s, s = slots[s].next, n++) {
		const struct slot *c = &slots[s];

		assert_true(slot_backed(s));
		assert_int_equal(c->live, 1);
		assert_int_equal(c->prev, before);
		assert_in_range(c->depth, 1, slots[before].depth + 1u);
		assert_int_equal(c->parent, path[c->depth - 1]);
		path[c->depth] = s;
		assert_true(n < SLOT_COUNT);
	}
	assert_int_equal(slots[0].prev, before);
	assert_int_equal(n, live_slots());
	return n;
}
