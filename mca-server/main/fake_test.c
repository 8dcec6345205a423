/* SPDX-License-Identifier: BSD-2-Clause */
/* The world of the state machine's tests. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include <cairn/boot.h>
#include <cairn/mca_ring.h>
#include "fake_test.h"

struct fake fake;
struct mca mca;
static struct mca_state state;
static struct mca_events events;
static struct server_info info;

static void live(void)
{
	if (fake.dies_at && !--fake.dies_at)
		longjmp(fake.death, 1);
}

/* As the kernel does it: the epoch is told before the ring is looked into. */
static cairn_status_t harvest(uint32_t cpu, uint64_t acknowledged, struct mca_record *record,
			      uint64_t *count, uint64_t *epoch)
{
	struct fake_cpu *c = &fake.cpu[cpu];

	live();
	assert_true(cpu < FAKE_CPUS);
	if (acknowledged > c->head)
		return CAIRN_ERR_ARG;
	if (fake.begun == fake.complete)
		fake.told = fake.complete;
	*epoch = fake.told;
	if (fake.before_look)
		fake.before_look(cpu);
	if (acknowledged > c->acknowledged)
		c->acknowledged = acknowledged;
	*count = c->head - c->acknowledged;
	if (!*count)
		return CAIRN_OK;
	*record = c->ring[c->acknowledged];
	live();
	if (c->handed_out < record->sequence)
		c->handed_out = record->sequence;
	return CAIRN_OK;
}

static cairn_status_t poison(uint64_t page, uint64_t cursor, struct mca_holding *holding)
{
	live();
	assert_int_equal(page % 4096, 0);
	if (page >= fake.memory_end)
		return CAIRN_ERR_ARG;
	if (!cursor)
		fake.poisoned[fake.poisoned_count++ % 2048] = page;
	*holding = (struct mca_holding){0};
	/* It stays in the tree, poisoned, and is told again when it is asked for again. */
	for (; cursor < fake.holders; cursor++)
		if (fake.holder[cursor].page == page) {
			holding->kind = fake.holder[cursor].kind;
			holding->label = fake.holder[cursor].label;
			holding->address = fake.holder[cursor].address;
			holding->cursor = cursor + 1 < fake.holders ? cursor + 1 : 0;
			return CAIRN_OK;
		}
	return CAIRN_OK;
}

/* Whether every record of the exceptions up to `epoch` was handed out, and no other is to come. */
static bool is_known(uint64_t epoch)
{
	for (uint32_t cpu = 0; cpu < FAKE_CPUS; cpu++) {
		const struct fake_cpu *c = &fake.cpu[cpu];

		if (c->open && c->open <= epoch)
			return false;
		for (uint64_t i = c->handed_out; i < c->head; i++)
			if (c->ring[i].epoch && c->ring[i].epoch <= epoch)
				return false;
	}
	return epoch <= fake.told;
}

static cairn_status_t thaw(uint32_t vcpu, uint64_t epoch)
{
	assert_true(vcpu < 2 * FAKE_VMS);
	assert_true(is_known(epoch));	   /* never too early */
	assert_false(fake.dead[vcpu / 2]); /* a killed VM is never thawed */
	live();
	if (fake.thaw_status == CAIRN_OK && epoch > fake.thawed[vcpu])
		fake.thawed[vcpu] = epoch;
	live();
	return fake.thaw_status;
}

static uint64_t kill_vm(uint32_t vm, bool restart)
{
	assert_true(vm < FAKE_VMS);
	assert_true(restart == (info.vms[vm].policy == POLICY_RESTART));
	fake.killed[vm]++;
	fake.dead[vm] = true;
	return 0;
}

static uint64_t shutdown(uint64_t value)
{
	fake.shutdowns++;
	fake.shutdown_value = value;
	return 0;
}

static void signal_channel(uint32_t channel)
{
	live();
	fake.signals[channel - 1]++;
	live();
}

static struct mca_channel *channel_of(uint32_t channel)
{
	return &fake.channel[channel - 1];
}

static uint64_t now(void)
{
	live();
	return fake.now;
}

static void print(const char *line, size_t length)
{
	assert_true(fake.log_length + length + 2 < sizeof(fake.log));
	memcpy(fake.log + fake.log_length, line, length);
	fake.log_length += length;
	fake.log[fake.log_length++] = '\n';
	fake.log[fake.log_length] = 0;
}

static const struct mca_system system_fake = {
	.harvest = harvest,
	.poison = poison,
	.thaw = thaw,
	.kill_vm = kill_vm,
	.shutdown = shutdown,
	.signal = signal_channel,
	.channel = channel_of,
	.now = now,
	.print = print,
};

void fake_reset(void)
{
	memset(&fake, 0, sizeof(fake));
	memset(&state, 0, sizeof(state));
	memset(&events, 0, sizeof(events));
	memset(&info, 0, sizeof(info));
	fake.now = 1000 * FAKE_MS;
	fake.memory_end = 1ull << 32;
	info.tsc_khz = FAKE_TSC_KHZ;
	info.vendor = VENDOR_INTEL;
	info.mcg_cap = 0x100010a;
	info.cpu_count = FAKE_CPUS;
	info.vm_count = FAKE_VMS;
	for (uint32_t i = 0; i < FAKE_VMS; i++) {
		snprintf(info.vms[i].name, sizeof(info.vms[i].name), "linux-%u", i + 1);
		info.vms[i].label = LABEL_VM(i);
		info.vms[i].policy = POLICY_INJECT;
		info.vms[i].vcpus = 2;
		info.vms[i].first_vcpu = 2 * i;
		info.vms[i].channel = i + 1;
		snprintf(info.server_names[i], sizeof(info.server_names[i]), "vmm-linux-%u", i + 1);
		info.ram[i] = (struct server_ram){
			.gpa = 0, .spa = 0x10000000 * (i + 1ul), .size = 0x8000000, .vm = i};
	}
	strcpy(info.server_names[FAKE_VMS], "console");
	info.ram_count = FAKE_VMS;
	mca = (struct mca){
		.system = &system_fake, .info = &info, .state = &state, .events = &events};
	mca_start(&mca, false, false);
	mca_turn(&mca);
}

void fake_restart(void)
{
	memset(&events, 0, sizeof(events));
	mca = (struct mca){
		.system = &system_fake, .info = &info, .state = &state, .events = &events};
	mca_start(&mca, false, false);
}

void fake_amd(bool override)
{
	info.vendor = VENDOR_AMD;
	info.mca_flags = override ? MCA_FLAG_SUCCOR_OVERRIDE : 0;
	mca_start(&mca, false, false);
	mca_turn(&mca);
}

void fake_policy(uint32_t vm, uint32_t policy)
{
	info.vms[vm].policy = policy;
}

void fake_built_anew(uint32_t vm)
{
	fake.dead[vm] = false;
	fake.thawed[2 * vm] = fake.thawed[2 * vm + 1] = 0;
	memset(&fake.channel[vm], 0, sizeof(fake.channel[vm]));
	info.vms[vm].generation++;
}

void fake_map(uint64_t page, uint32_t kind, uint32_t label, uint64_t address)
{
	assert_true(fake.holders < 4096);
	fake.holder[fake.holders++] = (struct fake_holder){
		.page = page, .kind = kind, .label = label, .address = address};
}

void fake_map_guest(uint32_t vm, uint64_t page, uint64_t gpa)
{
	fake_map(page, MCA_HOLDER_HOST, LABEL_SERVER(vm), SERVER_GUEST_VA + gpa);
	fake_map(page, MCA_HOLDER_GUEST, LABEL_VM(vm), gpa);
}

static void push(struct mca_record record)
{
	struct fake_cpu *c = &fake.cpu[fake.on];

	assert_true(c->head < FAKE_RECORDS);
	record.cpu = fake.on;
	record.sequence = c->head + 1;
	record.misc = 0x8c;
	record.mcg_cap = info.mcg_cap;
	record.bank = 4;
	c->ring[c->head++] = record;
}

void fake_begin(void)
{
	if (!fake.cpu[fake.on].open)
		fake.cpu[fake.on].open = ++fake.begun;
}

void fake_end(void)
{
	assert_true(fake.cpu[fake.on].open);
	fake.cpu[fake.on].open = 0;
	fake.complete++;
}

void fake_bank(uint64_t status, uint64_t addr, uint64_t mcg, uint32_t context, uint32_t label,
	       bool last)
{
	fake_begin();
	push((struct mca_record){.status = status,
				 .addr = addr,
				 .mcg_status = mcg,
				 .context = context,
				 .label = label,
				 .last = last,
				 .epoch = fake.cpu[fake.on].open});
	if (last)
		fake_end();
}

void fake_mce(uint64_t status, uint64_t addr, uint64_t mcg, uint32_t context, uint32_t label)
{
	fake_bank(status, addr, mcg, context, label, true);
}

void fake_polled(uint64_t status, uint64_t addr)
{
	push((struct mca_record){
		.status = status, .addr = addr, .context = MCA_CTX_POLL, .last = 1});
}

void fake_left_over(uint64_t status, uint64_t addr)
{
	push((struct mca_record){
		.status = status, .addr = addr, .context = MCA_CTX_RESET, .last = 1});
}

bool fake_runs(uint32_t vm)
{
	return !fake.dead[vm] && fake.thawed[2 * vm] >= fake.begun &&
	       fake.thawed[2 * vm + 1] >= fake.begun;
}

bool fake_take(uint32_t vm, struct mca_message *message)
{
	return mca_ring_get(&fake.channel[vm].to_vmm, message);
}

void fake_answer(uint32_t vm, uint64_t sequence)
{
	struct mca_message answer = {.sequence = sequence, .kind = MCA_MSG_QUEUED};

	assert_true(mca_ring_put(&fake.channel[vm].to_mca, &answer));
}

uint32_t fake_answer_all(uint32_t vm)
{
	struct mca_message message;
	uint32_t count = 0;

	while (fake_take(vm, &message)) {
		fake_answer(vm, message.sequence);
		count++;
	}
	return count;
}

bool fake_logged(const char *text)
{
	return strstr(fake.log, text) != NULL;
}

uint32_t fake_count(const char *text)
{
	uint32_t count = 0;

	for (const char *at = fake.log; (at = strstr(at, text)); at++)
		count++;
	return count;
}

bool fake_is_poisoned(uint64_t page)
{
	for (uint32_t i = 0; i < fake.poisoned_count && i < 2048; i++)
		if (fake.poisoned[i] == page)
			return true;
	return false;
}
