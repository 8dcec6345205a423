/* SPDX-License-Identifier: BSD-2-Clause */
/* Threads that run isolation.S in a space of their own. */
#include <string.h>
#include <cairn/hypercalls.h>
#include "domain.h"

#define PATIENCE 50000u /* times 200 microseconds */

/* The code's page and its data, the data in this server's space as well. */
static struct isolation *make_space(struct forge_space *space, uint64_t *first)
{
	uint64_t code = forge_frame();
	struct isolation *here = NULL;

	memcpy(forge_window(code), isolation_code, PAGE_SIZE_4K);
	forge_space_make(space, 0x7f);
	forge_space_map(space, code, 0, RIGHT_READ | RIGHT_EXEC);
	for (unsigned page = 1; page < ISOLATION_PAGES; page++) {
		uint64_t frame = forge_frame();
		void *window = forge_window(frame);

		if (page == 1) {
			here = window; /* the next ones follow */
			*first = frame;
		}
		forge_space_map(space, frame, page, RIGHT_READ | RIGHT_WRITE);
	}
	return here;
}

void domain_make_all(struct domain *domain, const uint8_t *entry, const struct forge_thread *more)
{
	struct forge_thread config = *more;
	struct forge_space space;

	domain->data = make_space(&space, &domain->frame);
	domain->captable = forge_captable(32);
	config.space = space.root;
	config.captable = domain->captable;
	config.rip = domain_address(entry);
	config.rsp = DOMAIN_DATA + PAGE_SIZE_4K;
	domain->thread = forge_thread(&config, &domain->buffer);
}

uint64_t domain_make(struct isolation **data, const uint8_t *entry, const struct forge_thread *more)
{
	struct domain domain;

	domain_make_all(&domain, entry, more);
	*data = domain.data;
	return domain.thread;
}

bool domain_wait(const volatile uint64_t *word, uint64_t other_than)
{
	for (unsigned i = 0; i < PATIENCE; i++) {
		if (*word != other_than)
			return true;
		pause_us(200);
	}
	return false;
}
