/* SPDX-License-Identifier: BSD-2-Clause */
/* What can be wrong with each argument of each hypercall, tried one by one; and which documented
 * errors have been seen. */
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cairn/hypercalls.h>
#include <cairn/mca.h>
#include <cairn/types.h>
#include "check.h"
#include "registers.h"
#include "trial.h"
#include "worker.h"

enum kind {
	KIND_NUMBER,
	KIND_OTHER,
	KIND_SELECTOR,
	KIND_EMPTY_SLOT,
	KIND_USED_SLOT,
	KIND_RANGE,
	KIND_ONE,
	KIND_BITS,
	KIND_ADDRESS,
	KIND_PAGE,
	KIND_CPU,
};

struct argument {
	const char *name;
	enum kind kind;
	uint32_t types, rights; /* KIND_SELECTOR: bit per enum cairn_type; RIGHT_* */
	uint64_t low, high;	/* KIND_RANGE; KIND_ONE, KIND_BITS: high is a mask */
};
#define TYPES_ALL 0xffffffffu

struct call {
	const char *name;
	uint32_t errors; /* bit per status that is documented */
	void (*test)(void);
	unsigned argument_count;
	struct argument arguments[TRIAL_ARGUMENTS];
	unsigned field_count;
	struct argument fields[TRIAL_FIELDS];
	unsigned result_count;
};
#include "calls_generated.h"

#define BIT_32	    (1ul << 32)
#define BIT_63	    (1ul << 63)
#define ALL_ONES    (~0ul)
#define STATUSES    (CAIRN_ERR_AGAIN + 1u)
#define WRONG_MAX   96u
#define EMPTY_INDEX (TRIAL_SLOTS - 2)
#define USED_INDEX  (TRIAL_SLOTS - 1)

/* ---- what was answered ---- */

static uint8_t seen[CAIRN_CALL_COUNT][STATUSES], seen_at_random[CAIRN_CALL_COUNT][STATUSES];

cairn_status_t coverage_record(uint64_t number, cairn_status_t status)
{
	if (number < CAIRN_CALL_COUNT && status < STATUSES)
		seen[number][status] = 1;
	return status;
}

void coverage_random(uint64_t number, cairn_status_t status)
{
	if (number < CAIRN_CALL_COUNT && status < STATUSES)
		seen_at_random[number][status] = 1;
}

static bool never(void)
{
	return false;
}

static bool in_release_builds(void)
{
	return !cairn_info()->debug;
}

static bool in_debug_builds(void)
{
	return cairn_info()->debug;
}

static bool with_two_cpus(void)
{
	return cpu_count() > 1;
}

/* What not every system can show. */
static const struct {
	uint64_t number;
	cairn_status_t status;
	bool (*here)(void);
	const char *why;
} elsewhere_only[] = {
	{CAIRN_CALL_DEBUG_WRITE, CAIRN_ERR_CALL, in_release_builds, "release builds only"},
	{CAIRN_CALL_DEBUG_CHECK, CAIRN_ERR_CALL, in_release_builds, "release builds only"},
	{CAIRN_CALL_DEBUG_CHECK, CAIRN_ERR_ARG, in_debug_builds, "debug builds only"},
	{CAIRN_CALL_DEBUG_CHECK, CAIRN_OK, in_debug_builds, "debug builds only"},
	{CAIRN_CALL_CALL, CAIRN_ERR_CPU, with_two_cpus, "this machine runs one CPU only"},
	{CAIRN_CALL_CPU_START, CAIRN_ERR_MEMORY, never, "it takes a machine with 65 CPUs"},
};

static const char *excuse(uint64_t number, cairn_status_t status)
{
	for (unsigned i = 0; i < sizeof(elsewhere_only) / sizeof(elsewhere_only[0]); i++)
		if (elsewhere_only[i].number == number && elsewhere_only[i].status == status &&
		    !elsewhere_only[i].here())
			return elsewhere_only[i].why;
	return NULL;
}

static void judge_pair(uint64_t number, cairn_status_t status)
{
	const struct call *call = &calls[number];
	bool documented = (call->errors >> status & 1) != 0;
	char name[64];

	snprintf(name, sizeof(name), "%s-answers-%s", call->name, cairn_status_name(status));
	if (!documented && (seen[number][status] || seen_at_random[number][status]))
		check_true(name, false, "kernel/abi/hypercalls.toml does not list this error");
	else if (documented && !seen[number][status] && excuse(number, status))
		printf("skip %s: %s\n", name, excuse(number, status));
	else if (documented)
		check_true(name, seen[number][status], "no test has seen this documented error");
}

void suite_coverage(void)
{
	for (uint64_t number = 0; number < CAIRN_CALL_COUNT; number++)
		for (unsigned status = 1; status < STATUSES; status++)
			judge_pair(number, (cairn_status_t)status);
}

/* ---- calls ---- */

cairn_status_t raw_call(uint64_t number, const uint64_t *arguments)
{
	unsigned results = number < CAIRN_CALL_COUNT ? calls[number].result_count : 0;

	return coverage_record(number, (cairn_status_t)leak_hypercall(number, arguments, results));
}

#define PAGE_WORDS (PAGE_SIZE_4K / 8)

static unsigned buffer_changes; /* words of the message buffer that changed although none should */

/* mc_harvest copies a record, and call the words of the reply, of which there are none in trials.
 */
static unsigned may_change(uint64_t number, cairn_status_t status)
{
	return number == CAIRN_CALL_MC_HARVEST && status == CAIRN_OK ? sizeof(struct mca_record) / 8
								     : 0;
}

/* The message buffer is full of a pattern but for what the call reads from it. */
static cairn_status_t attempt(const struct trial *trial, const uint64_t *values)
{
	static uint64_t before[PAGE_WORDS];
	struct message_buffer *buffer = cairn_buffer();
	cairn_status_t status;

	for (unsigned i = 0; i < sizeof(buffer->words) / 8; i++)
		buffer->words[i] = word_of(0x48, i & 0xff);
	memcpy(buffer->words, values + TRIAL_ARGUMENTS, TRIAL_FIELDS * sizeof(values[0]));
	memcpy(before, buffer, sizeof(before));
	status = (trial->call ? trial->call : raw_call)(trial->number, values);
	for (unsigned i = may_change(trial->number, status); i < PAGE_WORDS; i++)
		buffer_changes += ((const uint64_t *)buffer)[i] != before[i];
	return status;
}

uint64_t trial_table(void)
{
	uint64_t table = forge_captable(TRIAL_SLOTS);

	forge_must(cairn_copy(forge_frame(), table, USED_INDEX, RIGHT_ALL, 0), "filling a slot");
	return table;
}

bool trial_empty(uint64_t table, uint64_t index)
{
	return cairn_revoke(table, index) == CAIRN_ERR_CAP;
}

/* A retype that fails for lack of memory tells whether the slot could have been used. */
static cairn_status_t probe_own_slot(uint64_t index)
{
	return cairn_retype(forge_used(), CAP_UNTYPED, 48, SEL_CAPTABLE, index, 0);
}

/* Size of the own CapTable. */
static uint64_t own_slots(void)
{
	static uint64_t high;
	uint64_t low = 0;

	if (high)
		return high;
	for (high = 1ul << 20; high - low > 1;) {
		uint64_t middle = low + (high - low) / 2;

		if (probe_own_slot(middle) == CAIRN_ERR_ARG)
			high = middle;
		else
			low = middle;
	}
	return high;
}

unsigned cpu_count(void)
{
	static unsigned count;

	while (cairn_mc_harvest(SEL_ERRORS, count, 0, NULL, NULL) == CAIRN_OK)
		count++;
	return count ? count : 1; /* without the right to ask */
}

/* ---- wrong values ---- */

struct list {
	struct wrong wrong[WRONG_MAX];
	unsigned count;
};

static void add(struct list *list, uint64_t value, cairn_status_t status)
{
	if (list->count == WRONG_MAX)
		forge_must(CAIRN_ERR_MEMORY, "listing wrong values");
	list->wrong[list->count++] = (struct wrong){.value = value, .status = status};
}

/* One capability of each type. */
static uint64_t palette[CAP_CPUS + 1];

static void make_palette(void)
{
	struct worker handler;

	handler_make(&handler, NULL);
	palette[CAP_UNTYPED] = forge_untyped(12);
	palette[CAP_CAPTABLE] = forge_captable(TRIAL_SLOTS);
	palette[CAP_FRAME] = forge_frame();
	palette[CAP_PAGETABLE] = forge_pagetable(PT_HOST, 1, 0);
	palette[CAP_THREAD] = handler.thread;
	palette[CAP_PORTAL] = forge_portal(handler.thread, 0);
	palette[CAP_VCPU] = forge_select();
	forge_must(cairn_retype(forge_used(), CAP_VCPU, 0, SEL_CAPTABLE, palette[CAP_VCPU], 0),
		   "making a VCpu");
	palette[CAP_IRQ] = SEL_IRQS;
	palette[CAP_IOPORTS] = SEL_PORTS;
	palette[CAP_CPUS] = SEL_CPUS;
	palette[CAP_MACHINECHECK] = SEL_ERRORS;
}

/* A slot that held `good` and was emptied since, and one that holds a capability of another type by
 * now. */
static void add_stale(struct list *list, uint64_t good, uint32_t types)
{
	for (unsigned reuse = 0; reuse < 2; reuse++) {
		uint64_t slot = forge_select();
		enum cairn_type other = types & 1u << CAP_FRAME ? CAP_PORTAL : CAP_FRAME;

		if (cairn_copy(good, SEL_CAPTABLE, slot, RIGHT_ALL, 0) != CAIRN_OK)
			forge_must(cairn_copy(palette[CAP_FRAME], SEL_CAPTABLE, slot, RIGHT_ALL, 0),
				   "using a slot for the first time");
		forge_must(cairn_delete(SEL_CAPTABLE, slot), "emptying a slot");
		if (reuse && types == TYPES_ALL)
			return;
		if (reuse)
			forge_must(cairn_copy(palette[other], SEL_CAPTABLE, slot, RIGHT_ALL, 0),
				   "using a slot again");
		add(list, slot, reuse ? CAIRN_ERR_TYPE : CAIRN_ERR_CAP);
	}
}

static void add_selectors(struct list *list, const struct argument *argument, uint64_t good)
{
	add(list, forge_select(), CAIRN_ERR_CAP);
	add(list, own_slots(), CAIRN_ERR_CAP);
	add(list, ALL_ONES, CAIRN_ERR_CAP);
	add(list, good | BIT_32, CAIRN_ERR_CAP);
	add(list, good | BIT_63, CAIRN_ERR_CAP);
	add_stale(list, good, argument->types);
	for (unsigned type = CAP_UNTYPED; type <= CAP_CPUS; type++)
		if (!(argument->types >> type & 1))
			add(list, palette[type], CAIRN_ERR_TYPE);
	if (!(argument->types & 1u << CAP_CAPTABLE))
		add(list, 0, CAIRN_ERR_TYPE);
	for (uint32_t right = 1; right < RIGHT_ALL; right <<= 1) {
		uint64_t copy = forge_select();

		/* Not all can be copied. */
		if ((argument->rights & right) != 0 &&
		    cairn_copy(good, SEL_CAPTABLE, copy, RIGHT_ALL & ~right, 0) == CAIRN_OK)
			add(list, copy, CAIRN_ERR_RIGHTS);
	}
}

static void add_numbers(struct list *list, const struct argument *argument)
{
	uint64_t largest = argument->high;

	if (argument->kind == KIND_RANGE) {
		add(list, largest + 1, CAIRN_ERR_ARG);
		if (argument->low)
			add(list, argument->low - 1, CAIRN_ERR_ARG);
	} else if (argument->kind == KIND_ONE) {
		for (uint64_t n = 0; n <= 16; n++)
			if (!(largest >> n & 1))
				add(list, n, CAIRN_ERR_ARG);
	} else {
		for (unsigned bit = 0; bit < 64; bit++)
			if (!(largest >> bit & 1))
				add(list, (largest & -largest) | 1ul << bit, CAIRN_ERR_ARG);
	}
}

static void add_addresses(struct list *list)
{
	static const uint64_t places[] = {USER_END,   USER_END + 1,	    1ul << 47,
					  ~0ul << 47, 0xffffffff80000000ul, BIT_63,
					  ALL_ONES};

	for (unsigned i = 0; i < sizeof(places) / sizeof(places[0]); i++)
		add(list, places[i], CAIRN_ERR_ARG);
}

static void add_pages(struct list *list, uint64_t good)
{
	for (uint64_t part = 1; part < PAGE_SIZE_4K; part <<= 1)
		add(list, good + part, CAIRN_ERR_ARG);
	for (unsigned bit = 48; bit < 64; bit++)
		add(list, good | 1ul << bit, CAIRN_ERR_ARG);
	add(list, 0xfffffffff000, CAIRN_ERR_ARG); /* far above any RAM */
}

/* All that is wrong with an argument because of its kind. */
static void list_wrong(struct list *list, const struct argument *argument, uint64_t good)
{
	cairn_status_t status = argument->kind == KIND_CPU ? CAIRN_ERR_CPU : CAIRN_ERR_ARG;

	list->count = 0;
	switch (argument->kind) {
	case KIND_NUMBER:
	case KIND_OTHER:
		return;
	case KIND_SELECTOR:
		add_selectors(list, argument, good);
		return;
	case KIND_EMPTY_SLOT:
		add(list, USED_INDEX, CAIRN_ERR_BUSY);
		add(list, TRIAL_SLOTS, CAIRN_ERR_ARG);
		break;
	case KIND_USED_SLOT:
		add(list, EMPTY_INDEX, CAIRN_ERR_CAP);
		add(list, TRIAL_SLOTS, CAIRN_ERR_ARG);
		break;
	case KIND_RANGE:
	case KIND_ONE:
	case KIND_BITS:
		add_numbers(list, argument);
		break;
	case KIND_ADDRESS:
		add_addresses(list);
		return;
	case KIND_PAGE:
		add_pages(list, good); /* a bit more may be another page of RAM */
		add(list, ALL_ONES, status);
		return;
	case KIND_CPU:
		add(list, cpu_count(), status);
		add(list, 64, status);
		break;
	}
	add(list, good | BIT_32, status);
	add(list, good | BIT_63, status);
	add(list, ALL_ONES, status);
}

/* ---- trials ---- */

static void report(const char *name, const struct wrong *wrong, cairn_status_t status)
{
	char why[96];

	snprintf(why, sizeof(why), "0x%lx answers %s, not %s", wrong->value,
		 cairn_status_name(status), cairn_status_name(wrong->status));
	check_true(name, false, why);
}

/* Whether this one wrong value is refused and changes nothing. */
static bool refused(const struct trial *trial, const char *name, unsigned argument,
		    const struct wrong *wrong)
{
	uint64_t values[TRIAL_ARGUMENTS + TRIAL_FIELDS];
	cairn_status_t status;
	char why[64];

	memcpy(values, trial->good, sizeof(values));
	values[argument] = wrong->value;
	status = attempt(trial, values);
	if (status != wrong->status) {
		report(name, wrong, status);
		return false;
	}
	if (!trial->unchanged || trial->unchanged())
		return true;
	snprintf(why, sizeof(why), "0x%lx was refused, but something has changed", wrong->value);
	check_true(name, false, why);
	return false;
}

static void try_argument(const struct trial *trial, unsigned number,
			 const struct argument *argument)
{
	static struct list list;
	bool good = true;
	char name[96];

	snprintf(name, sizeof(name), "%s-with-a-wrong-%s-is-refused", trial->name, argument->name);
	list_wrong(&list, argument, trial->good[number]);
	for (unsigned i = 0; i < list.count && good; i++)
		good = refused(trial, name, number, &list.wrong[i]);
	for (unsigned i = 0; i < trial->more_count && good; i++) {
		if (trial->more[i].argument != number)
			continue;
		good = refused(trial, name, number, &trial->more[i]);
		list.count++;
	}
	if (argument->kind == KIND_OTHER && list.count == 0)
		check_true(name, false, "this trial has no wrong value for it");
	else if (good && list.count)
		check_true(name, true, NULL);
}

/* A domain with an empty CapTable has none of the capabilities that the arguments name. */
static struct {
	uint64_t number, arguments[TRIAL_ARGUMENTS];
} strangers;

static void stranger(uint64_t badge, uint64_t w1, uint64_t w2, uint64_t w3, uint64_t w4,
		     uint64_t count)
{
	(void)badge, (void)w1, (void)w2, (void)w3, (void)w4, (void)count;
	forge_ignore(cairn_reply(0, raw_call(strangers.number, strangers.arguments), 0, 0, 0, 1));
}

static void try_stranger(const struct trial *trial)
{
	struct worker handler;
	uint64_t status = CAIRN_OK;
	char name[96];

	snprintf(name, sizeof(name), "%s-by-who-has-no-such-capability-is-refused", trial->name);
	handler_make_in(&handler, stranger, forge_captable(TRIAL_SLOTS));
	strangers.number = trial->number;
	memcpy(strangers.arguments, trial->good, sizeof(strangers.arguments));
	forge_must(cairn_call(forge_portal(handler.thread, 0), 0, 0, 0, 0, 0, NULL, &status, NULL,
			      NULL, NULL),
		   "calling a domain without capabilities");
	check_status(name, (cairn_status_t)status, CAIRN_ERR_CAP);
}

void trial_refused(const struct trial *trial)
{
	const struct call *call = &calls[trial->number];

	make_palette();
	for (unsigned i = 0; i < call->argument_count; i++)
		if (!(trial->ignored >> i & 1))
			try_argument(trial, i, &call->arguments[i]);
	for (unsigned i = 0; i < call->field_count; i++)
		try_argument(trial, TRIAL_FIELD(i), &call->fields[i]);
	if (call->arguments[0].kind == KIND_SELECTOR)
		try_stranger(trial);
}

void trial_accepted(const struct trial *trial)
{
	char name[96];

	snprintf(name, sizeof(name), "%s-with-good-arguments-works", trial->name);
	check_status(name, attempt(trial, trial->good), CAIRN_OK);
}

void trial_run(const struct trial *trial)
{
	trial_refused(trial);
	trial_accepted(trial);
}

static void numbers_without_a_call(void)
{
	static const uint64_t numbers[] = {CAIRN_CALL_COUNT, CAIRN_CALL_COUNT + 1, 0x800, 0xfff};
	static const uint64_t nothing[TRIAL_ARGUMENTS];
	cairn_status_t status = CAIRN_ERR_CALL;

	for (unsigned i = 0; i < sizeof(numbers) / sizeof(numbers[0]) && status == CAIRN_ERR_CALL;
	     i++)
		status = raw_call(numbers[i], nothing);
	check_status("a-number-without-a-hypercall-is-refused", status, CAIRN_ERR_CALL);
}

void suite_refusals(void)
{
	in_arena(numbers_without_a_call);
	for (unsigned number = 0; number < CAIRN_CALL_COUNT; number++) {
		char name[64];

		in_arena(calls[number].test);
		snprintf(name, sizeof(name), "%s-leaves-all-registers-as-documented",
			 calls[number].name);
		leak_report(name);
	}
	check_value("no-hypercall-changes-the-message-buffer", buffer_changes, 0);
}
