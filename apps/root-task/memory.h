/* SPDX-License-Identifier: BSD-2-Clause */
/* Memory and capability slots of the root-task: each domain (a server with its VM, or the
 * root-task) owns chunks. */
#ifndef ROOT_MEMORY_H
#define ROOT_MEMORY_H

#include <stdbool.h>
#include <stdint.h>

/* Owners of slots and chunks: 0 nobody, 1 the root-task itself, 2 + i server i. */
#define OWNER_ROOT   1u
#define OWNER_SERVER 2u

struct domain {
	uint8_t owner;
	uint32_t chunk; /* index + 1 of the chunk that objects are made from; 0: none */
};

/* ---- slots.c ---- */
bool slots_init(void);
/* An empty selector, or 0 after a message. foreign: what goes there is not made from the domain's
 * own chunks. */
uint32_t slot_take(const struct domain *domain, bool foreign);
void slot_release(uint32_t selector);
/* Deletes a domain's foreign capabilities; the others must go by chunks_revoke(). */
bool slots_delete_foreign(const struct domain *domain);
/* Forgets the domain's slots except those of its chunks. */
void slots_forget(const struct domain *domain);
/* `count` slot numbers for a CapTable (a multiple of 32), or 0 after a message. */
uint32_t slot_numbers_take(uint64_t count);

/* ---- memory.c ---- */
bool memory_init(void);
/* From now on memory may hold poisoned pages: each chunk is looked at before it is used. */
void memory_running(void);
/* Makes an object in the domain's memory; returns its selector, or 0 after a message that says what
 * for. */
uint32_t domain_make(struct domain *domain, uint64_t type, uint64_t size_bits, uint64_t param,
		     const char *what);
/* An Untyped straight into another CapTable; size_bits may exceed a chunk's. *physical: where it
 * lies. */
bool domain_give_untyped(struct domain *domain, uint64_t size_bits, uint32_t table, uint32_t index,
			 uint64_t *physical);
/* A whole 2 MiB Frame and its physical address; 0 after a message. */
uint32_t domain_make_large_frame(struct domain *domain, uint64_t *physical);
/* Destroys everything the domain was made of; its chunks are kept for its next life. */
bool chunks_revoke(struct domain *domain);
/* Logs what is left. */
void memory_log_free(void);

#endif
