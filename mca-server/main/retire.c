/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Retiring memory: every page that a record covers is unmapped everywhere by the kernel, whose
 * answers are the reverse map (R-VIRT-2, R-VIRT-3); then each VM that held it is dealt with by its
 * policy.
 */
#include <inttypes.h>
#include <string.h>
#include <cairn/types.h>
#include "../notify/notify.h"
#include "../policy/policy.h"
#include "mca.h"

#define MCA_RANGE_LINES 64u /* pages of one record that get a line each in the log */
#define HOLDER_TEXT	64u /* most that one holder takes in a line */
#define MORE_TEXT	24u /* … and the count of those that have no room */

struct holders {
	struct mca_holding list[MCA_HOLDERS];
	uint32_t count;
	uint32_t more; /* that did not fit; their VMs are not told, but the page is unmapped there
			  too */
};

void mca_owner_add(struct mca_owners *owners, const char *name)
{
	size_t length = owners->count ? strlen(owners->text) : 0;
	size_t size = strlen(name);
	const char *at = owners->text;

	/* Each name once, as a whole word. */
	while (owners->count && (at = strstr(at, name))) {
		if ((at == owners->text || at[-1] == ',') && (at[size] == ',' || !at[size]))
			return;
		at++;
	}
	events_append(owners->text, sizeof(owners->text), length, "%s%s", owners->count ? "," : "",
		      name);
	owners->count++;
}

static bool is_retired(const struct mca_state *state, uint64_t page)
{
	for (uint32_t i = 0; i < state->retired_count; i++)
		if ((page - state->retired[i].first) >> PAGE_BITS_4K < state->retired[i].pages)
			return true;
	return false;
}

static void remember(struct mca *mca, const struct mca_range *range)
{
	struct mca_state *state = mca->state;

	if (state->retired_count == MCA_RETIRED) {
		/* The kernel still refuses the page to everyone; only a repeat is no longer
		 * recognised here. */
		events_add(mca->events,
			   "the list of retired pages is full: 0x%" PRIx64 " is not on it",
			   range->first);
		return;
	}
	state->retired[state->retired_count].first = range->first;
	state->retired[state->retired_count].pages = range->pages;
	state->retired_count++;
}

/* Unmaps one page everywhere. */
static cairn_status_t unmap(struct mca *mca, uint64_t page, struct holders *holders)
{
	uint64_t cursor = 0;

	holders->count = holders->more = 0;
	do {
		struct mca_holding step = {0};
		cairn_status_t status = mca->system->poison(page, cursor, &step);

		if (status != CAIRN_OK)
			return status;
		if (step.kind != MCA_HOLDER_NONE) {
			if (holders->count < MCA_HOLDERS)
				holders->list[holders->count++] = step;
			else
				holders->more++;
		}
		cursor = step.cursor;
	} while (cursor);
	return CAIRN_OK;
}

static size_t describe(const struct mca *mca, const struct mca_holding *holder, char *line,
		       size_t size, size_t at)
{
	char buffer[24];
	const char *name = mca_space_name(mca, holder->label, buffer);

	switch (holder->kind) {
	case MCA_HOLDER_GUEST:
		return events_append(line, size, at, "vm %s gpa 0x%" PRIx64, name, holder->address);
	case MCA_HOLDER_HOST:
		return events_append(line, size, at, "server %s va 0x%" PRIx64, name,
				     holder->address);
	case MCA_HOLDER_BUFFER:
		return events_append(line, size, at, "buffer %s", name);
	default:
		return events_append(line, size, at, "kernel object-0x%" PRIx64, holder->address);
	}
}

static void log_retired(struct mca *mca, uint64_t page, const struct holders *holders)
{
	char line[MCA_EVENT_TEXT];
	uint32_t shown = 0;
	size_t at =
		events_append(line, sizeof(line), 0, "retired page 0x%" PRIx64 " holders: ", page);

	if (!holders->count)
		at = events_append(line, sizeof(line), at, "none");
	for (; shown < holders->count && at + HOLDER_TEXT + MORE_TEXT < sizeof(line); shown++) {
		if (shown)
			at = events_append(line, sizeof(line), at, ", ");
		at = describe(mca, &holders->list[shown], line, sizeof(line), at);
	}
	if (shown < holders->count || holders->more)
		events_append(line, sizeof(line), at, ", and %u more",
			      holders->count - shown + holders->more);
	events_add(mca->events, "%s", line);
}

/* VMs first: the page is theirs, the vmm-server only maps it too. */
static void name_owners(const struct mca *mca, const struct holders *holders,
			struct mca_owners *owners)
{
	char buffer[24];
	bool guest = false;

	for (uint32_t i = 0; i < holders->count; i++)
		if (holders->list[i].kind == MCA_HOLDER_GUEST) {
			mca_owner_add(owners, mca_space_name(mca, holders->list[i].label, buffer));
			guest = true;
		}
	for (uint32_t i = 0; !guest && i < holders->count; i++)
		mca_owner_add(owners,
			      holders->list[i].kind == MCA_HOLDER_KERNEL
				      ? "kernel"
				      : mca_space_name(mca, holders->list[i].label, buffer));
}

static void tell_guests(struct mca *mca, const struct mca_record *record, enum mca_class class,
			uint64_t page, const struct holders *holders)
{
	/* An action-required error has no early notice: the guest's own access becomes the vMCE
	 * (R-VIRT-4). */
	uint32_t flags = class == MCA_CLASS_SRAR ? MCA_NOTICE_AR : MCA_NOTICE_AO;

	for (uint32_t i = 0; i < holders->count; i++) {
		const struct mca_holding *holder = &holders->list[i];
		int vm =
			holder->kind == MCA_HOLDER_GUEST ? mca_vm_of_label(mca, holder->label) : -1;

		if (vm < 0)
			continue;
		if (mca_policy_of(mca->info->vms[vm].policy)->inject)
			notify_page(mca, (uint32_t)vm, record, page,
				    holder->address & ~(PAGE_SIZE_4K - 1), flags);
		else
			mca_kill(mca, (uint32_t)vm, MCA_KILL_POLICY, page);
	}
}

/* The root-task cannot be built anew: without one of its pages nothing can be relied on. */
static void stop_with_root(struct mca *mca, const struct holders *holders)
{
	for (uint32_t i = 0; i < holders->count; i++)
		if (holders->list[i].kind != MCA_HOLDER_KERNEL &&
		    holders->list[i].label == LABEL_ROOT) {
			mca_stop(mca, "the root-task lost a page");
			return;
		}
}

/* The address is no memory: only its consumer can be stopped. */
static void nowhere(struct mca *mca, const struct mca_record *record, enum mca_class class,
		    uint64_t page, cairn_status_t status, bool log)
{
	int vm = mca_vm_of_label(mca, record->label);

	if (log)
		events_add(mca->events,
			   "page 0x%" PRIx64 " cannot be retired: the kernel answers %d", page,
			   (int)status);
	if (class == MCA_CLASS_SRAR && vm >= 0 &&
	    (record->context == MCA_CTX_GUEST_USER || record->context == MCA_CTX_GUEST_KERNEL))
		mca_kill(mca, (uint32_t)vm, MCA_KILL_NOWHERE, page);
}

enum outcome { NEWLY_RETIRED, RETIRED_BEFORE, NOT_RETIRED };

static enum outcome retire_page(struct mca *mca, const struct mca_record *record,
				enum mca_class class, uint64_t page, bool log,
				struct mca_owners *owners)
{
	struct holders holders;
	cairn_status_t status;

	if (is_retired(mca->state, page)) {
		if (log)
			events_add(mca->events, "page 0x%" PRIx64 " was retired before", page);
		return RETIRED_BEFORE;
	}
	status = unmap(mca, page, &holders);
	if (status != CAIRN_OK) {
		nowhere(mca, record, class, page, status, log);
		return NOT_RETIRED;
	}
	name_owners(mca, &holders, owners);
	tell_guests(mca, record, class, page, &holders);
	if (log)
		log_retired(mca, page, &holders);
	if (!mca->stopping)
		stop_with_root(mca, &holders);
	return NEWLY_RETIRED;
}

void mca_retire(struct mca *mca, const struct mca_record *record, enum mca_class class,
		struct mca_owners *owners)
{
	struct mca_range range =
		mca_range_of(&mca->rules, record->status, record->addr, record->misc);
	uint64_t outcomes[3] = {0};

	for (uint64_t i = 0; i < range.pages; i++)
		outcomes[retire_page(mca, record, class, range.first + i * PAGE_SIZE_4K,
				     i < MCA_RANGE_LINES, owners)]++;
	if (range.pages > 1)
		events_add(mca->events,
			   "retired range 0x%" PRIx64 " of %" PRIu64 " pages: %" PRIu64
			   " now, %" PRIu64 " before, %" PRIu64 " cannot be",
			   range.first, range.pages, outcomes[NEWLY_RETIRED],
			   outcomes[RETIRED_BEFORE], outcomes[NOT_RETIRED]);
	if (outcomes[NEWLY_RETIRED] && !outcomes[NOT_RETIRED])
		remember(mca, &range);
}
