/* SPDX-License-Identifier: BSD-2-Clause */
/* The guest's linear addresses: walks its page tables, then RAM through the accessors, or a device.
 */
#include <string.h>
#include <cairn/guestmem.h>
#include "dispatch/exit.h"

#define PAGE		0x1000ull
#define OFFSET(address) ((address) & (PAGE - 1))
#define LINEAR_MAX	16u

/* Up to two pages of one access. */
struct pieces {
	unsigned count;
	uint64_t gpa[2];
	unsigned size[2];
};

static enum emu_result lost_page(struct access_context *access, uint64_t gpa)
{
	access->lost = true;
	access->lost_gpa = gpa;
	return EMU_ABORTED;
}

/* RAM that answers neither data nor poison cannot happen with all of it mapped; it reads as no
 * memory at all. */
static enum emu_result read_physical(struct access_context *access, uint64_t gpa, void *data,
				     unsigned size)
{
	uint32_t value;
	int status;

	if (vm_is_ram(gpa)) {
		status = guest_read(data, gpa, size);
		if (status == GUESTMEM_OK)
			return EMU_DONE;
		if (status == GUESTMEM_POISON)
			return lost_page(access, gpa);
	}
	memset(data, 0xff, size);
	if (!bus_is_mmio(gpa))
		return EMU_DONE;
	value = bus_mmio_read(access->v, gpa);
	memcpy(data, &value, size < sizeof(value) ? size : sizeof(value));
	return EMU_DONE;
}

static enum emu_result write_physical(struct access_context *access, uint64_t gpa, const void *data,
				      unsigned size)
{
	uint32_t value = 0;
	int status;

	if (vm_is_ram(gpa)) {
		status = guest_write(gpa, data, size);
		return status == GUESTMEM_POISON ? lost_page(access, gpa) : EMU_DONE;
	}
	if (!bus_is_mmio(gpa))
		return EMU_DONE;
	memcpy(&value, data, size < sizeof(value) ? size : sizeof(value));
	bus_mmio_write(access->v, gpa, value);
	return EMU_DONE;
}

static enum emu_result walk_read(void *context, uint64_t physical, unsigned size, uint64_t *value)
{
	int status = GUESTMEM_FAULT;

	if (vm_is_ram(physical))
		status = guest_load(physical, size, value);
	if (status == GUESTMEM_POISON)
		return lost_page(context, physical);
	if (status != GUESTMEM_OK)
		*value = size == 4 ? 0xffffffffu
				   : ~0ull; /* page tables where no memory is: reserved bits set */
	return EMU_DONE;
}

static enum emu_result walk_replace(void *context, uint64_t physical, unsigned size, uint64_t old,
				    uint64_t value)
{
	uint64_t expected = old;
	int swapped = 0, status;

	if (!vm_is_ram(physical))
		return EMU_DONE;
	status = guest_cmpxchg(physical, size, &expected, value, &swapped);
	if (status == GUESTMEM_POISON)
		return lost_page(context, physical);
	return status == GUESTMEM_OK && !swapped ? EMU_AGAIN : EMU_DONE;
}

static const struct emu_walk_ops walk_ops = {.read = walk_read, .replace = walk_replace};

static enum emu_result translate(struct access_context *access, uint64_t linear, unsigned kind,
				 uint64_t *gpa)
{
	const struct vcpu_state *s = access->v->state;
	struct emu_paging paging = {
		.cr0 = s->cr0,
		.cr3 = s->cr3,
		.cr4 = s->cr4,
		.efer = s->efer,
		.rflags = s->rflags,
		.physical_bits = cpuid_physical_bits(&access->v->cpuid),
		.pages_1g = cpuid_has_1g_pages(&access->v->cpuid),
	};
	struct emu_translation translation;
	enum emu_result result;

	if (s->cpl == 3)
		kind |= EMU_WALK_USER;
	result = emu_walk(&paging, &walk_ops, access, linear, kind, &translation);
	if (result == EMU_FAULT)
		access->emu.fault = translation.fault;
	else if (result == EMU_DONE)
		*gpa = translation.physical;
	return result;
}

static enum emu_result split(struct access_context *access, uint64_t linear, unsigned size,
			     unsigned kind, struct pieces *pieces)
{
	unsigned first = OFFSET(linear) + size > PAGE ? (unsigned)(PAGE - OFFSET(linear)) : size;
	enum emu_result result = translate(access, linear, kind, &pieces->gpa[0]);

	pieces->count = 1;
	pieces->size[0] = first;
	if (result != EMU_DONE || first == size)
		return result;
	pieces->count = 2;
	pieces->size[1] = size - first;
	return translate(access, linear + first, kind, &pieces->gpa[1]);
}

static enum emu_result op_read(struct emu_ctx *ctx, uint64_t linear, void *data, unsigned size,
			       bool to_write)
{
	struct access_context *access = (struct access_context *)ctx;
	struct pieces pieces;
	enum emu_result result =
		split(access, linear, size, to_write ? EMU_WALK_WRITE : 0, &pieces);
	uint8_t *bytes = data;

	for (unsigned i = 0; result == EMU_DONE && i < pieces.count; i++) {
		result = read_physical(access, pieces.gpa[i], bytes, pieces.size[i]);
		bytes += pieces.size[i];
	}
	return result;
}

static enum emu_result op_write(struct emu_ctx *ctx, uint64_t linear, const void *data,
				unsigned size)
{
	struct access_context *access = (struct access_context *)ctx;
	struct pieces pieces;
	enum emu_result result = split(access, linear, size, EMU_WALK_WRITE, &pieces);
	const uint8_t *bytes = data;
	uint8_t probe[LINEAR_MAX];

	/* Of two pages the second may be lost: know it before the first is written. */
	if (result == EMU_DONE && pieces.count == 2 && vm_is_ram(pieces.gpa[1]))
		result = read_physical(access, pieces.gpa[1], probe, pieces.size[1]);
	for (unsigned i = 0; result == EMU_DONE && i < pieces.count; i++) {
		result = write_physical(access, pieces.gpa[i], bytes, pieces.size[i]);
		bytes += pieces.size[i];
	}
	return result;
}

static enum emu_result op_replace(struct emu_ctx *ctx, uint64_t linear, const void *old,
				  const void *data, unsigned size)
{
	struct access_context *access = (struct access_context *)ctx;
	struct pieces pieces;
	enum emu_result result = split(access, linear, size, EMU_WALK_WRITE, &pieces);
	uint64_t expected = 0, value = 0;
	int swapped = 0, status;

	if (result != EMU_DONE)
		return result;
	/* Devices and split accesses know no atomic exchange; a bus would not either. */
	if (pieces.count == 2 || size > sizeof(value) || linear % size || !vm_is_ram(pieces.gpa[0]))
		return op_write(ctx, linear, data, size);
	memcpy(&expected, old, size);
	memcpy(&value, data, size);
	status = guest_cmpxchg(pieces.gpa[0], size, &expected, value, &swapped);
	if (status == GUESTMEM_POISON)
		return lost_page(access, pieces.gpa[0]);
	return status == GUESTMEM_OK && !swapped ? EMU_AGAIN : EMU_DONE;
}

static enum emu_result op_probe_write(struct emu_ctx *ctx, uint64_t linear, unsigned size)
{
	struct pieces pieces;

	return split((struct access_context *)ctx, linear, size, EMU_WALK_WRITE, &pieces);
}

/*
 * The emulator sees to it that the port is the one the exit was for; the CPU checked the guest's
 * right to as many bytes as the exit told, and another vCPU may have changed the instruction.
 */
static enum emu_result op_port_read(struct emu_ctx *ctx, uint16_t port, unsigned size,
				    uint32_t *value)
{
	struct vcpu *v = ((struct access_context *)ctx)->v;

	if (size != v->redo_size)
		return EMU_AGAIN;
	*value = io_read(v, port, size);
	return EMU_DONE;
}

static enum emu_result op_port_write(struct emu_ctx *ctx, uint16_t port, unsigned size,
				     uint32_t value)
{
	struct vcpu *v = ((struct access_context *)ctx)->v;

	if (size != v->redo_size)
		return EMU_AGAIN;
	io_write(v, port, size, value);
	return EMU_DONE;
}

static const struct emu_ops access_ops = {
	.read = op_read,
	.write = op_write,
	.replace = op_replace,
	.probe_write = op_probe_write,
	.port_read = op_port_read,
	.port_write = op_port_write,
};

void access_begin(struct access_context *access, struct vcpu *v, int32_t port)
{
	memset(access, 0, sizeof(*access));
	access->v = v;
	access->emu.state = v->state;
	access->emu.ops = &access_ops;
	access->emu.vm = access;
	access->emu.io_port = port;
}

enum emu_result access_fetch(struct access_context *access, uint8_t bytes[EMU_MAX_LENGTH],
			     unsigned *n, uint64_t *gpa)
{
	uint64_t linear = emu_fetch_address(access->v->state), second;
	unsigned first = OFFSET(linear) + EMU_MAX_LENGTH > PAGE ? (unsigned)(PAGE - OFFSET(linear))
								: EMU_MAX_LENGTH;
	enum emu_result result = translate(access, linear, EMU_WALK_FETCH, gpa);
	struct emu_insn insn;
	unsigned mode = emu_mode(access->v->state);

	if (result == EMU_DONE)
		result = read_physical(access, *gpa, bytes, first);
	*n = first;
	/* The next page counts only if the instruction reaches into it. */
	if (result != EMU_DONE || first == EMU_MAX_LENGTH ||
	    emu_decode(bytes, first, mode, &insn) != EMU_DECODE_MORE)
		return result;
	result = translate(access, linear + first, EMU_WALK_FETCH, &second);
	if (result == EMU_DONE)
		result = read_physical(access, second, bytes + first, EMU_MAX_LENGTH - first);
	*n = EMU_MAX_LENGTH;
	return result;
}
