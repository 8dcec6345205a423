/* SPDX-License-Identifier: BSD-2-Clause */
/* Bounds of guest memory: guest-physical addresses come from the guest and are checked here, then
 * copy.S touches. */
#include <stdbool.h>
#include <stddef.h>
#include <cairn/guestmem.h>

int guestmem_copy(void *to, const void *from, uint64_t length);
int guestmem_zero(void *to, uint64_t length);
int guestmem_load1(const void *from, uint64_t *value);
int guestmem_load2(const void *from, uint64_t *value);
int guestmem_load4(const void *from, uint64_t *value);
int guestmem_load8(const void *from, uint64_t *value);
int guestmem_store1(void *to, uint64_t value);
int guestmem_store2(void *to, uint64_t value);
int guestmem_store4(void *to, uint64_t value);
int guestmem_store8(void *to, uint64_t value);
int guestmem_cmpxchg1(void *at, uint64_t *expected, uint64_t value, int *swapped);
int guestmem_cmpxchg2(void *at, uint64_t *expected, uint64_t value, int *swapped);
int guestmem_cmpxchg4(void *at, uint64_t *expected, uint64_t value, int *swapped);
int guestmem_cmpxchg8(void *at, uint64_t *expected, uint64_t value, int *swapped);

static struct guest_region regions[GUESTMEM_REGIONS];
static unsigned region_count;

static bool overlaps(const struct guest_region *region, uint64_t gpa, uint64_t size)
{
	return gpa < region->gpa + region->size && region->gpa < gpa + size;
}

int guestmem_add_region(uint64_t gpa, uint64_t size, void *base)
{
	if (size == 0 || gpa + size < gpa || region_count == GUESTMEM_REGIONS)
		return -1;
	for (unsigned i = 0; i < region_count; i++) {
		if (overlaps(&regions[i], gpa, size))
			return -1;
	}
	regions[region_count++] = (struct guest_region){gpa, size, base};
	return 0;
}

/* Where [gpa, gpa + length) is in this address space; NULL: not wholly inside one region. */
static unsigned char *translate(uint64_t gpa, uint64_t length)
{
	for (unsigned i = 0; i < region_count; i++) {
		const struct guest_region *region = &regions[i];
		uint64_t offset = gpa - region->gpa;

		if (gpa >= region->gpa && offset <= region->size && length <= region->size - offset)
			return region->base + offset;
	}
	return NULL;
}

int guest_read(void *to, uint64_t gpa, uint64_t length)
{
	unsigned char *from = translate(gpa, length);

	return from == NULL ? GUESTMEM_FAULT : guestmem_copy(to, from, length);
}

int guest_write(uint64_t gpa, const void *from, uint64_t length)
{
	unsigned char *to = translate(gpa, length);

	return to == NULL ? GUESTMEM_FAULT : guestmem_copy(to, from, length);
}

int guest_zero(uint64_t gpa, uint64_t length)
{
	unsigned char *to = translate(gpa, length);

	return to == NULL ? GUESTMEM_FAULT : guestmem_zero(to, length);
}

/* An aligned access never crosses a page; its size may come from a decoder, so it is checked as
 * well. */
static unsigned char *translate_access(uint64_t gpa, unsigned size)
{
	bool power = size == 1 || size == 2 || size == 4 || size == 8;

	return power && gpa % size == 0 ? translate(gpa, size) : NULL;
}

int guest_load(uint64_t gpa, unsigned size, uint64_t *value)
{
	unsigned char *from = translate_access(gpa, size);

	if (from == NULL)
		return GUESTMEM_FAULT;
	switch (size) {
	case 1:
		return guestmem_load1(from, value);
	case 2:
		return guestmem_load2(from, value);
	case 4:
		return guestmem_load4(from, value);
	default:
		return guestmem_load8(from, value);
	}
}

int guest_store(uint64_t gpa, unsigned size, uint64_t value)
{
	unsigned char *to = translate_access(gpa, size);

	if (to == NULL)
		return GUESTMEM_FAULT;
	switch (size) {
	case 1:
		return guestmem_store1(to, value);
	case 2:
		return guestmem_store2(to, value);
	case 4:
		return guestmem_store4(to, value);
	default:
		return guestmem_store8(to, value);
	}
}

int guest_cmpxchg(uint64_t gpa, unsigned size, uint64_t *expected, uint64_t value, int *swapped)
{
	unsigned char *at = translate_access(gpa, size);

	if (at == NULL)
		return GUESTMEM_FAULT;
	switch (size) {
	case 1:
		return guestmem_cmpxchg1(at, expected, value, swapped);
	case 2:
		return guestmem_cmpxchg2(at, expected, value, swapped);
	case 4:
		return guestmem_cmpxchg4(at, expected, value, swapped);
	default:
		return guestmem_cmpxchg8(at, expected, value, swapped);
	}
}
