/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Memory is handed out in chunks: Untypeds of 2 MiB made from those the kernel gave. All that a
 * server and its VM consist of comes from chunks of their own, so revoking these takes them away at
 * once, and the chunks serve their next life.
 */
#include <cairn/hypercalls.h>
#include <cairn/log.h>
#include <cairn/types.h>
#include "root.h"

#define MAX_CHUNKS  6144u
#define PROBE_SLOTS (PAGE_SIZE_2M / PAGE_SIZE_4K * 32)

enum chunk_use { CHUNK_OBJECTS, CHUNK_FRAME, CHUNK_GIVEN };
enum chunk_state { CHUNK_USED, CHUNK_IDLE, CHUNK_RETIRED };

struct chunk {
	uint64_t physical;
	uint32_t selector;
	uint8_t owner, use, state, bits;
};

static struct chunk chunks[MAX_CHUNKS];
static uint32_t chunk_count;
static uint64_t used[BOOT_UNTYPED];	   /* of each boot Untyped, as the kernel counts it */
static uint64_t reserve_end, reserve_size; /* left unused below this physical address */
static bool running;
static uint32_t probe_slot;
static const struct domain chunk_domain = {.owner = OWNER_ROOT};

bool memory_init(void)
{
	for (uint32_t i = 0; i < boot->untyped_count && i < BOOT_UNTYPED; i++) {
		uint64_t end = boot->untyped[i].base + boot->untyped[i].size;

		if (end > reserve_end && !boot->untyped[i].device)
			reserve_end = end;
	}
	probe_slot = slot_take(&chunk_domain, false);
	return probe_slot != 0;
}

/* The description, and with it the reserve, is known only after the image was mapped. */
void memory_running(void)
{
	running = true;
}

static uint64_t align_up(uint64_t value, uint64_t unit)
{
	return (value + unit - 1) & ~(unit - 1);
}

/* Where the next object of this size would lie in boot Untyped `i`; 0: not there. */
static uint64_t place(uint32_t i, uint64_t size)
{
	uint64_t end = boot->untyped[i].base + boot->untyped[i].size;
	uint64_t at = align_up(boot->untyped[i].base + used[i], size);

	reserve_size = description != NULL ? (uint64_t)description->reserve_kib << 10 : 0;
	if (end == reserve_end)
		end -= reserve_size < boot->untyped[i].size ? reserve_size : boot->untyped[i].size;
	return at < end && size <= end - at ? at : 0;
}

static cairn_status_t make_untyped(uint8_t bits, uint32_t selector, uint64_t *physical)
{
	for (uint32_t i = 0; i < boot->untyped_count && i < BOOT_UNTYPED; i++) {
		uint64_t at = place(i, 1ul << bits);
		cairn_status_t status;

		if (at == 0 || boot->untyped[i].device)
			continue;
		status = cairn_retype(ROOT_UNTYPED + i, CAP_UNTYPED, bits, ROOT_CAPTABLE, selector,
				      0);
		if (status != CAIRN_OK)
			return status;
		used[i] = at + (1ul << bits) - boot->untyped[i].base;
		*physical = at;
		return CAIRN_OK;
	}
	return CAIRN_ERR_MEMORY;
}

/* A chunk from fresh memory; NULL after a message. */
static struct chunk *fresh(const struct domain *domain, enum chunk_use use, uint8_t bits)
{
	struct chunk *chunk = &chunks[chunk_count];
	cairn_status_t status;

	if (chunk_count == MAX_CHUNKS) {
		report_text("memory is exhausted: the root-task cannot keep track of more");
		return NULL;
	}
	*chunk = (struct chunk){.owner = domain->owner, .use = (uint8_t)use, .bits = bits};
	chunk->selector = slot_take(&chunk_domain, false);
	if (chunk->selector == 0)
		return NULL;
	status = make_untyped(bits, chunk->selector, &chunk->physical);
	if (status != CAIRN_OK) {
		slot_release(chunk->selector);
		if (status == CAIRN_ERR_MEMORY)
			report_text("memory is exhausted: the machine needs more, or the VMs less");
		else
			report(status, "take memory");
		return NULL;
	}
	chunk_count++;
	return chunk;
}

/*
 * Whether no page of a chunk is poisoned. Only kernel objects are refused on poisoned memory, so
 * the chunk is made one CapTable for a moment: it covers every page, and nothing reads or writes
 * the memory before the check.
 */
static bool clean(const struct chunk *chunk)
{
	uint64_t first = (boot->slots_total - PROBE_SLOTS) & ~31ul;
	cairn_status_t status = cairn_retype(chunk->selector, CAP_CAPTABLE, 0, ROOT_CAPTABLE,
					     probe_slot, first | (uint64_t)PROBE_SLOTS << 32);

	if (status == CAIRN_ERR_POISON)
		return false;
	if (!report(status, "look for poisoned pages"))
		return false;
	do {
		status = cairn_delete(ROOT_CAPTABLE, probe_slot);
	} while (status == CAIRN_ERR_AGAIN);
	return report(status, "look for poisoned pages");
}

static struct chunk *idle(const struct domain *domain, enum chunk_use use)
{
	for (uint32_t i = 0; i < chunk_count; i++) {
		if (chunks[i].owner == domain->owner && chunks[i].state == CHUNK_IDLE &&
		    chunks[i].use == use)
			return &chunks[i];
	}
	return NULL;
}

/* A chunk of 2 MiB to use; one with a poisoned page is never handed out again. */
static struct chunk *get(const struct domain *domain, enum chunk_use use)
{
	for (;;) { /* each turn uses up a chunk */
		struct chunk *chunk = idle(domain, use);

		if (chunk == NULL)
			chunk = fresh(domain, use, PAGE_BITS_2M);
		if (chunk == NULL)
			return NULL;
		chunk->state = CHUNK_USED;
		if (!running || clean(chunk))
			return chunk;
		chunk->state = CHUNK_RETIRED;
		cairn_log("memory: 0x%lx..0x%lx has a poisoned page and is not used again",
			  chunk->physical, chunk->physical + PAGE_SIZE_2M);
	}
}

static bool next_chunk(struct domain *domain)
{
	struct chunk *chunk = get(domain, CHUNK_OBJECTS);

	domain->chunk = chunk != NULL ? (uint32_t)(chunk - chunks) + 1 : 0;
	return chunk != NULL;
}

/* Makes it in the current chunk, else in another one; a page poisoned since is stepped over as an
 * unused Frame. */
static cairn_status_t make(struct domain *domain, uint64_t type, uint64_t size_bits,
			   uint32_t selector, uint64_t param)
{
	cairn_status_t status = CAIRN_ERR_MEMORY;

	for (unsigned tries = 0; tries < 2 * PAGE_SIZE_2M / PAGE_SIZE_4K; tries++) {
		uint32_t pages;

		if (domain->chunk != 0)
			status = cairn_retype(chunks[domain->chunk - 1].selector, type, size_bits,
					      ROOT_CAPTABLE, selector, param);
		if (status == CAIRN_ERR_MEMORY && !next_chunk(domain))
			return CAIRN_ERR_MEMORY;
		if (status != CAIRN_ERR_MEMORY && status != CAIRN_ERR_POISON)
			return status;
		if (status != CAIRN_ERR_POISON)
			continue;
		pages = slot_take(domain, false);
		if (pages == 0)
			return CAIRN_ERR_MEMORY;
		status = cairn_retype(chunks[domain->chunk - 1].selector, CAP_FRAME, PAGE_BITS_4K,
				      ROOT_CAPTABLE, pages, 0);
		if (status != CAIRN_OK && status != CAIRN_ERR_MEMORY)
			return status;
	}
	return CAIRN_ERR_POISON;
}

uint32_t domain_make(struct domain *domain, uint64_t type, uint64_t size_bits, uint64_t param,
		     const char *what)
{
	uint32_t selector = slot_take(domain, false);
	cairn_status_t status;

	if (selector == 0)
		return 0;
	status = make(domain, type, size_bits, selector, param);
	if (status == CAIRN_OK)
		return selector;
	slot_release(selector);
	report(status, what);
	return 0;
}

bool domain_give_untyped(struct domain *domain, uint64_t size_bits, uint32_t table, uint32_t index,
			 uint64_t *physical)
{
	struct chunk *chunk = fresh(domain, CHUNK_GIVEN, (uint8_t)size_bits);

	if (chunk == NULL)
		return false;
	*physical = chunk->physical;
	return report(cairn_retype(chunk->selector, CAP_UNTYPED, size_bits, table, index, 0),
		      "give it memory of its own");
}

uint32_t domain_make_large_frame(struct domain *domain, uint64_t *physical)
{
	struct chunk *chunk = get(domain, CHUNK_FRAME);
	uint32_t selector;

	if (chunk == NULL)
		return 0;
	selector = slot_take(domain, false);
	if (selector == 0)
		return 0;
	*physical = chunk->physical;
	if (report(cairn_retype(chunk->selector, CAP_FRAME, PAGE_BITS_2M, ROOT_CAPTABLE, selector,
				0),
		   "make a 2 MiB frame"))
		return selector;
	slot_release(selector);
	return 0;
}

static bool revoke(const struct chunk *chunk)
{
	cairn_status_t status;

	do {
		status = cairn_revoke(ROOT_CAPTABLE, chunk->selector);
	} while (status == CAIRN_ERR_AGAIN);
	return report(status, "take its memory back");
}

bool chunks_revoke(struct domain *domain)
{
	for (uint32_t i = 0; i < chunk_count; i++) {
		if (chunks[i].owner != domain->owner || chunks[i].state != CHUNK_USED)
			continue;
		if (!revoke(&chunks[i]))
			return false;
		chunks[i].state = CHUNK_IDLE;
	}
	domain->chunk = 0;
	return true;
}

void memory_log_free(void)
{
	for (uint32_t i = 0; i < boot->untyped_count && i < BOOT_UNTYPED; i++) {
		uint64_t first = align_up(boot->untyped[i].base + used[i], PAGE_SIZE_4K);
		uint64_t end = boot->untyped[i].base + boot->untyped[i].size;

		if (first < end && !boot->untyped[i].device)
			cairn_log("memory: free at system-physical 0x%lx..0x%lx", first, end);
	}
}
