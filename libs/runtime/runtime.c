/* SPDX-License-Identifier: BSD-2-Clause */
/* Small things every server needs: channels by kind, requests to the root-task, time, names of
 * statuses. */
#include <cairn/boot.h>
#include <cairn/hypercalls.h>
#include <cairn/runtime.h>

int cairn_find_channel(enum channel_kind kind, uint32_t vm, unsigned first)
{
	const struct server_info *info = cairn_info();

	for (unsigned i = first; i < SERVER_CHANNELS; i++) {
		const struct server_channel *channel = &info->channel[i];

		if (channel->present && channel->kind == (uint32_t)kind &&
		    (vm == SYSTEM_NONE || channel->vm == vm))
			return (int)i;
	}
	return -1;
}

uint64_t cairn_request(uint64_t request, uint64_t w2, uint64_t w3)
{
	uint64_t answer = CAIRN_OK;
	cairn_status_t status =
		cairn_call(SEL_SUPERVISOR, request, w2, w3, 0, 3, NULL, &answer, NULL, NULL, NULL);

	return status != CAIRN_OK ? (uint64_t)status : answer;
}

/* The root-task finds boot_info at the address where a server finds its server_info. */
static uint64_t tsc_khz(void)
{
	const struct boot_info *boot = (const struct boot_info *)ROOT_INFO_VA;
	uint64_t khz = boot->magic == BOOT_MAGIC ? boot->tsc_khz : cairn_info()->tsc_khz;

	return khz != 0 ? khz : 1;
}

uint64_t cairn_ticks_from_us(uint64_t us)
{
	uint64_t khz = tsc_khz();

	return us / 1000 * khz + us % 1000 * khz / 1000;
}

uint64_t cairn_us_from_ticks(uint64_t ticks)
{
	uint64_t khz = tsc_khz();

	return ticks / khz * 1000 + ticks % khz * 1000 / khz;
}

const char *cairn_status_name(uint64_t status)
{
	static const char *const names[] = {
		[CAIRN_OK] = "OK",
		[CAIRN_ERR_CALL] = "CALL",
		[CAIRN_ERR_CAP] = "CAP",
		[CAIRN_ERR_TYPE] = "TYPE",
		[CAIRN_ERR_RIGHTS] = "RIGHTS",
		[CAIRN_ERR_ARG] = "ARG",
		[CAIRN_ERR_BUSY] = "BUSY",
		[CAIRN_ERR_MEMORY] = "MEMORY",
		[CAIRN_ERR_STATE] = "STATE",
		[CAIRN_ERR_CPU] = "CPU",
		[CAIRN_ERR_DEPTH] = "DEPTH",
		[CAIRN_ERR_ABORTED] = "ABORTED",
		[CAIRN_ERR_TIMEOUT] = "TIMEOUT",
		[CAIRN_ERR_POISON] = "POISON",
		[CAIRN_ERR_AGAIN] = "AGAIN",
	};

	return status < sizeof(names) / sizeof(names[0]) ? names[status] : "?";
}
