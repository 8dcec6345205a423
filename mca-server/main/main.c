/* SPDX-License-Identifier: BSD-2-Clause */
/* The mca-server: binds the kernel's machine-check notification and runs the state machine, turn by
 * turn. */
#include <cpuid.h>
#include <string.h>
#include <cairn/boot.h>
#include <cairn/hypercalls.h>
#include <cairn/log.h>
#include <cairn/runtime.h>
#include "mca.h"

static cairn_status_t harvest(uint32_t cpu, uint64_t acknowledged, struct mca_record *record,
			      uint64_t *count, uint64_t *epoch)
{
	cairn_status_t status = cairn_mc_harvest(SEL_MACHINECHECK, cpu, acknowledged, count, epoch);

	if (status == CAIRN_OK && *count)
		memcpy(record, cairn_buffer()->words, sizeof(*record));
	return status;
}

static cairn_status_t poison(uint64_t page, uint64_t cursor, struct mca_holding *holding)
{
	uint64_t kind = 0, label = 0;
	cairn_status_t status = cairn_mc_poison(SEL_MACHINECHECK, page, cursor, &holding->cursor,
						&kind, &label, &holding->address, &holding->rights);

	holding->kind = (uint32_t)kind;
	holding->label = (uint32_t)label;
	return status;
}

static cairn_status_t thaw(uint32_t vcpu, uint64_t epoch)
{
	return cairn_mc_thaw(SEL_MACHINECHECK, SEL_VCPU + vcpu, epoch);
}

static uint64_t kill_vm(uint32_t vm, bool restart)
{
	return cairn_request(ROOT_VM_KILL, vm, restart);
}

static uint64_t shutdown(uint64_t value)
{
	return cairn_request(ROOT_SHUTDOWN, value, 0);
}

static void signal_channel(uint32_t channel)
{
	cairn_status_t status = cairn_signal(SEL_CHANNEL + channel);

	/* A vmm-server that is gone cannot be woken; its VM's deadline deals with it. */
	if (status != CAIRN_OK)
		cairn_log("channel %u cannot be signalled: %s", channel, cairn_status_name(status));
}

static struct mca_channel *channel_of(uint32_t channel)
{
	const struct server_info *info = cairn_info();

	if (channel >= SERVER_CHANNELS || !info->channel[channel].present ||
	    info->channel[channel].kind != CHANNEL_MCA)
		return NULL;
	return cairn_channel(channel);
}

static const struct mca_system hypercalls = {
	.harvest = harvest,
	.poison = poison,
	.thaw = thaw,
	.kill_vm = kill_vm,
	.shutdown = shutdown,
	.signal = signal_channel,
	.channel = channel_of,
	.now = cairn_tsc,
	.print = cairn_log_text,
};

static struct mca_state state;
static struct mca_events events;
static struct mca mca = {.system = &hypercalls, .state = &state, .events = &events};

/* CPUID 8000_0007h EBX: bit 0 overflow recovery, bit 1 SUCCOR. */
static uint32_t amd_ras_features(void)
{
	uint32_t eax, ebx = 0, ecx, edx;

	return __get_cpuid(0x80000007, &eax, &ebx, &ecx, &edx) ? ebx : 0;
}

int main(void)
{
	uint32_t ras = amd_ras_features();
	cairn_status_t status = cairn_mc_bind(SEL_MACHINECHECK, SEL_SELF);

	mca.info = cairn_info();
	if (status != CAIRN_OK) {
		cairn_log("machine-check notification cannot be bound: %s",
			  cairn_status_name(status));
		return 1;
	}
	mca_start(&mca, ras & 2, ras & 1);
	for (;;)
		cairn_wait_signals(mca_turn(&mca));
}
