/* SPDX-License-Identifier: BSD-2-Clause */
/* Bounds of guest memory: guest-physical addresses come from the guest and are checked here, then
 * copy.S touches. */
#include <stdbool.h>
#include <stddef.h>
#include <cairn/guestmem.h>

int guestmem_copy(void *to, const void *from, uint64_t length);
int guestmem_zero(void *to, uint64_t length);
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

static bool inside(const struct guest_region *region, uint64_t gpa, uint64_t length)
{
	uint64_t offset = gpa - region->gpa; /* wraps to something large below the region */

	return offset < region->size && length <= region->size - offset;
}

/* Where [gpa, gpa + length) is in this address space; NULL: not wholly inside one region. */
static inline unsigned char *translate(uint64_t gpa, uint64_t length)
{
	/* Most VMs have one region only, and page walks come here at each exit that is decoded. */
	if (__builtin_expect(inside(&regions[0], gpa, length), 1))
		return regions[0].base + (gpa - regions[0].gpa);
	for (unsigned i = 1; i < region_count; i++) {
		if (inside(&regions[i], gpa, length))
			return regions[i].base + (gpa - regions[i].gpa);
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

#ifdef CAIRN_HOST
#define FIXUP_FLAGS "aw" /* as in copy.S */
#else
#define FIXUP_FLAGS "a"
#endif

/* One instruction with its fix-up: behind it, with the code in EAX and RCX lost (libs/fault). */
#define GUARDED(instruction)                                                                       \
	"1: " instruction "\n"                                                                     \
	"2:\n"                                                                                     \
	".pushsection cairn_fixups, \"" FIXUP_FLAGS "\", @progbits\n"                              \
	".quad 1b, 2b, 2b\n"                                                                       \
	".popsection\n"

#define DEFINE_ACCESS(type)                                                                        \
	static inline int load_##type(uint64_t gpa, uint64_t *value)                               \
	{                                                                                          \
		const volatile type *from = (const void *)translate(gpa, sizeof(type));            \
		int code = GUESTMEM_OK;                                                            \
		type loaded = 0;                                                                   \
                                                                                                   \
		if (gpa % sizeof(type) != 0 || from == NULL)                                       \
			return GUESTMEM_FAULT;                                                     \
		__asm__ volatile(GUARDED("mov %2, %1")                                             \
				 : "+a"(code), "+r"(loaded)                                        \
				 : "m"(*from)                                                      \
				 : "rcx", "cc", "memory");                                         \
		*value = loaded;                                                                   \
		return code;                                                                       \
	}                                                                                          \
                                                                                                   \
	static inline int store_##type(uint64_t gpa, uint64_t value)                               \
	{                                                                                          \
		volatile type *to = (void *)translate(gpa, sizeof(type));                          \
		int code = GUESTMEM_OK;                                                            \
                                                                                                   \
		if (gpa % sizeof(type) != 0 || to == NULL)                                         \
			return GUESTMEM_FAULT;                                                     \
		__asm__ volatile(GUARDED("mov %2, %1")                                             \
				 : "+a"(code), "+m"(*to)                                           \
				 : "q"((type)value)                                                \
				 : "rcx", "cc", "memory");                                         \
		return code;                                                                       \
	}

DEFINE_ACCESS(uint8_t)
DEFINE_ACCESS(uint16_t)
DEFINE_ACCESS(uint32_t)
DEFINE_ACCESS(uint64_t)

int guest_load(uint64_t gpa, unsigned size, uint64_t *value)
{
	switch (size) {
	case 1:
		return load_uint8_t(gpa, value);
	case 2:
		return load_uint16_t(gpa, value);
	case 4:
		return load_uint32_t(gpa, value);
	case 8:
		return load_uint64_t(gpa, value);
	default:
		return GUESTMEM_FAULT;
	}
}

int guest_store(uint64_t gpa, unsigned size, uint64_t value)
{
	switch (size) {
	case 1:
		return store_uint8_t(gpa, value);
	case 2:
		return store_uint16_t(gpa, value);
	case 4:
		return store_uint32_t(gpa, value);
	case 8:
		return store_uint64_t(gpa, value);
	default:
		return GUESTMEM_FAULT;
	}
}

/* The size may come from a decoder, so it is checked as well as the alignment. */
static unsigned char *translate_access(uint64_t gpa, unsigned size)
{
	bool power = size == 1 || size == 2 || size == 4 || size == 8;

	return power && gpa % size == 0 ? translate(gpa, size) : NULL;
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
