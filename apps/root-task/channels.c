/* SPDX-License-Identifier: BSD-2-Clause */
/* Channels: which there are, their shared memory, and the capabilities with which each side signals
 * the other. */
#include <string.h>
#include <cairn/hypercalls.h>
#include <cairn/log_ring.h>
#include <cairn/types.h>
#include "output.h"
#include "root.h"

static struct channel channels[CHANNELS];
static unsigned channel_count;
static unsigned ends_used[SYSTEM_SERVERS]; /* channels of each server so far */
static uint32_t console = SYSTEM_NONE, mca = SYSTEM_NONE;
static uint32_t console_signal; /* selector with which the root-task signals the console */

static void set_end(struct channel *channel, unsigned side, uint32_t server)
{
	channel->end[side].server = server;
	channel->end[side].index = server == END_ROOT ? 0 : ends_used[server]++;
}

static bool add(enum channel_kind kind, uint32_t first, uint32_t second, uint32_t vm)
{
	struct channel *channel = &channels[channel_count];

	if (channel_count == CHANNELS)
		return report_text("it has more channels than the root-task keeps track of");
	*channel = (struct channel){.kind = kind, .vm = vm};
	channel->memory = (void *)(WINDOW_CHANNELS + channel_count * CHANNEL_SIZE);
	set_end(channel, 0, first);
	set_end(channel, 1, second);
	channel_count++;
	if (ends_used[second] > SERVER_CHANNELS)
		return report_text("a server has more channels than its table has places");
	return true;
}

static bool make_memory(struct channel *channel)
{
	for (unsigned i = 0; i < CHANNEL_PAGES; i++) {
		channel->frame[i] =
			domain_make(&root_domain, CAP_FRAME, PAGE_BITS_4K, 0, "make a channel");
		if (channel->frame[i] == 0 ||
		    !space_map(&root_space, channel->frame[i],
			       (uintptr_t)channel->memory + i * PAGE_SIZE_4K,
			       RIGHT_READ | RIGHT_WRITE))
			return false;
	}
	return true;
}

static void find_services(void)
{
	for (uint32_t i = 0; i < description->server_count; i++) {
		if (description->server[i].role == ROLE_CONSOLE)
			console = i;
		if (description->server[i].role == ROLE_MCA)
			mca = i;
	}
}

static bool plan_server(uint32_t i)
{
	const struct desc_server *server = &description->server[i];
	uint32_t vm = server->role == ROLE_VMM ? server->vm : SYSTEM_NONE;

	if (i == console)
		return true;
	if (console != SYSTEM_NONE && !add(CHANNEL_LOG, i, console, vm))
		return false;
	if (server->role != ROLE_VMM)
		return true;
	if (console != SYSTEM_NONE && !add(CHANNEL_TTY, i, console, vm))
		return false;
	return mca == SYSTEM_NONE || add(CHANNEL_MCA, i, mca, vm);
}

/*
 * Every server's channel 0 is its log: the console's own place 0 stays empty. The mca-server's log
 * comes before the channels to the vmm-servers.
 */
bool channels_plan(void)
{
	find_services();
	if (console != SYSTEM_NONE) {
		ends_used[console] = 1;
		if (!add(CHANNEL_LOG, END_ROOT, console, SYSTEM_NONE))
			return false;
	}
	if (mca != SYSTEM_NONE && !plan_server(mca))
		return false;
	for (uint32_t i = 0; i < description->server_count; i++) {
		if (i != mca && !plan_server(i))
			return false;
	}
	for (unsigned n = 0; n < channel_count; n++) {
		if (!make_memory(&channels[n]))
			return false;
	}
	return true;
}

static void describe(struct server *server, const struct channel *channel, unsigned side)
{
	const struct channel_end *other = &channel->end[1 - side];
	struct server_channel *entry = &server->info->channel[channel->end[side].index];

	entry->kind = channel->kind;
	entry->server = other->server;
	entry->vm = channel->vm;
	entry->cpu = 0;
	strcpy(entry->peer, "root");
	if (other->server != END_ROOT) {
		entry->cpu = servers[other->server].cpu;
		memcpy(entry->peer, servers[other->server].desc->name, sizeof(entry->peer));
	}
	entry->present = 1;
}

static bool map_memory(struct server *server, const struct channel *channel, unsigned side)
{
	uint64_t address = SERVER_CHANNEL_VA + channel->end[side].index * CHANNEL_SIZE;

	for (unsigned i = 0; i < CHANNEL_PAGES; i++) {
		uint32_t copy = slot_take(&server->domain, true);

		if (copy == 0 ||
		    !report(cairn_copy(channel->frame[i], ROOT_CAPTABLE, copy,
				       RIGHT_READ | RIGHT_WRITE, 0),
			    "share a channel") ||
		    !space_map(&server->space, copy, address + i * PAGE_SIZE_4K,
			       RIGHT_READ | RIGHT_WRITE))
			return false;
	}
	return true;
}

/* Gives the end `side` the right to signal the other end, whose bit is its own channel index. */
static bool give_signal(const struct channel *channel, unsigned side)
{
	const struct channel_end *from = &channel->end[side], *to = &channel->end[1 - side];
	uint32_t thread = to->server == END_ROOT ? ROOT_THREAD : servers[to->server].thread[0];
	uint64_t badge = 1ul << to->index;

	if (from->server == END_ROOT) {
		if (console_signal == 0)
			console_signal = slot_take(&root_domain, true);
		return console_signal != 0 &&
		       report(cairn_copy(thread, ROOT_CAPTABLE, console_signal, RIGHT_SIGNAL,
					 badge),
			      "connect the console");
	}
	/* Nothing is signalled to the root-task this way: it reads no channel. */
	if (to->server == END_ROOT)
		return true;
	return report(cairn_copy(thread, servers[from->server].table, SEL_CHANNEL + from->index,
				 RIGHT_SIGNAL, badge),
		      "connect a channel");
}

static bool is_built(const struct channel_end *end)
{
	return end->server == END_ROOT || servers[end->server].state != SERVER_ABSENT;
}

static bool connect(struct server *server, const struct channel *channel, unsigned side)
{
	describe(server, channel, side);
	if (!map_memory(server, channel, side))
		return false;
	if (!is_built(&channel->end[1 - side]))
		return true; /* its own turn comes */
	return give_signal(channel, 0) && give_signal(channel, 1);
}

bool channels_connect(struct server *server)
{
	report_subject("server", server->desc->name);
	for (unsigned n = 0; n < channel_count; n++) {
		for (unsigned side = 0; side < 2; side++) {
			if (channels[n].end[side].server == server->index &&
			    !connect(server, &channels[n], side))
				return false;
		}
	}
	return true;
}

void channels_clear(const struct server *server)
{
	for (unsigned n = 0; n < channel_count; n++) {
		if (channels[n].end[0].server == server->index ||
		    channels[n].end[1].server == server->index)
			memset(channels[n].memory, 0, CHANNEL_SIZE);
	}
}

struct log_ring *channels_root_log(void)
{
	return console != SYSTEM_NONE ? channels[0].memory : NULL;
}

void channels_use_console(void)
{
	if (console != SYSTEM_NONE && console_signal != 0)
		output_to_console(channels_root_log(), console_signal);
}
