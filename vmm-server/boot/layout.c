/* SPDX-License-Identifier: BSD-2-Clause */
/* Memory map, descriptor table and first state, for whatever payload. */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <cairn/guestmem.h>
#include "boot/acpi.h"
#include "boot/layout.h"
#include "dev/legacy.h"

#define PAGE 0x1000ull

#define GDT_CODE    0x10u /* selectors that Linux's 32-bit protocol asks for */
#define GDT_DATA    0x18u
#define GDT_TSS	    0x20u
#define ATTR_CODE32 0xc9bu /* VMCB format: G D, P S, code read accessed */
#define ATTR_DATA32 0xc93u
#define ATTR_TSS32  0x08bu
#define ATTR_LDT    0x082u
#define ATTR_CODE16 0x09bu
#define ATTR_DATA16 0x093u

#define CR0_PE	     0x1ull
#define CR0_ET	     0x10ull
#define CR0_NW_CD    0x60000000ull
#define RFLAGS_FIXED 2ull
#define PAT_RESET    0x0007040600070406ull
#define DR6_RESET    0xffff0ff0ull
#define DR7_RESET    0x400ull

/* clang-format off */
static const uint64_t gdt[] = {
	0, 0,
	0x00cf9b000000ffff, /* 0x10: flat 32-bit code */
	0x00cf93000000ffff, /* 0x18: flat data */
	0x00008b0000000067, /* 0x20: a TSS nobody uses */
};
/* clang-format on */

/*
 * What stands where a PC's firmware starts: a reset. Linux goes there (in real mode) to reboot a
 * machine that has hardware-reduced ACPI and no EFI.
 */
/* clang-format off */
static const uint8_t reset_vector[] = {
	0xba, RESET_PORT & 0xff, RESET_PORT >> 8, /* mov dx, RESET_PORT */
	0xb0, RESET_VALUE,                        /* mov al, RESET_VALUE */
	0xee,                                     /* out dx, al */
	0xf4, 0xeb, 0xfd,                         /* hlt, for ever */
};
/* clang-format on */

unsigned layout_ram_map(uint64_t memory, struct ram_range map[RAM_RANGES])
{
	uint64_t low = memory < GUEST_LOW_LIMIT ? memory : GUEST_LOW_LIMIT;
	unsigned n = 0;

	map[n++] = (struct ram_range){0, LAYOUT_LOW_END, RAM_USABLE};
	map[n++] = (struct ram_range){LAYOUT_LOW_END, LAYOUT_KERNEL_MIN - LAYOUT_LOW_END,
				      RAM_RESERVED};
	map[n++] = (struct ram_range){LAYOUT_KERNEL_MIN, low - LAYOUT_KERNEL_MIN, RAM_USABLE};
	if (memory > low)
		map[n++] = (struct ram_range){GUEST_HIGH_BASE, memory - low, RAM_USABLE};
	return n;
}

static bool has_word(const char *line, const char *word)
{
	const char *at = strstr(line, word);

	while (at != NULL) {
		if (at == line || at[-1] == ' ')
			return true;
		at = strstr(at + 1, word);
	}
	return false;
}

void boot_cmdline(const struct boot_payload *payload, char *out, uint64_t room)
{
	char line[BOOT_CMDLINE + 1];
	size_t length = strnlen(payload->cmdline, BOOT_CMDLINE);

	memcpy(line, payload->cmdline, length);
	line[length] = 0;
	/* Without PIT, HPET and PM timer the guest has nothing to measure the TSC against. */
	if (payload->tsc_khz == 0 || has_word(line, "tsc_early_khz="))
		(void)snprintf(out, room, "%s", line);
	else
		(void)snprintf(out, room, "%s%stsc_early_khz=%llu", line, length ? " " : "",
			       (unsigned long long)payload->tsc_khz);
}

const char *layout_write_common(const struct boot_payload *payload)
{
	static uint8_t acpi[ACPI_SIZE];
	static char line[LAYOUT_CMDLINE_SIZE];

	if (payload->memory < 2 * LAYOUT_KERNEL_MIN)
		return "its VM has less than 2 MiB of memory";
	acpi_build(acpi, payload->vcpus);
	boot_cmdline(payload, line, sizeof(line));
	if (guest_write(ACPI_BASE, acpi, sizeof(acpi)) ||
	    guest_write(LAYOUT_GDT, gdt, sizeof(gdt)) ||
	    guest_write(LAYOUT_RESET_VECTOR, reset_vector, sizeof(reset_vector)) ||
	    guest_write(LAYOUT_CMDLINE, line, strlen(line) + 1))
		return "the first MiB of guest memory cannot be written";
	return NULL;
}

uint64_t layout_place_initrd(const struct boot_payload *payload, uint64_t floor, uint64_t limit)
{
	uint64_t top = payload->memory < GUEST_LOW_LIMIT ? payload->memory : GUEST_LOW_LIMIT;
	uint64_t base;

	if (top > limit)
		top = limit;
	if (payload->initrd_size > top)
		return 0;
	base = (top - payload->initrd_size) & ~(PAGE - 1);
	return base < floor ? 0 : base;
}

static void set_segment(struct vcpu_state *state, enum vcpu_seg index, uint16_t sel, uint16_t attr,
			uint32_t limit, uint64_t base)
{
	state->seg[index] =
		(struct vcpu_segment){.sel = sel, .attr = attr, .limit = limit, .base = base};
}

static void reset_state(struct vcpu_state *state)
{
	memset(state->gpr, 0, sizeof(state->gpr));
	state->rflags = RFLAGS_FIXED;
	state->interruptibility = 0;
	state->cr2 = 0;
	state->cr3 = 0;
	state->cr4 = 0;
	state->cr8 = 0;
	state->efer = 0;
	state->dr6 = DR6_RESET;
	state->dr7 = DR7_RESET;
	memset(state->dr, 0, sizeof(state->dr));
	state->msr.star = state->msr.lstar = state->msr.cstar = state->msr.sfmask =
		state->msr.kernel_gs_base = 0;
	state->msr.sysenter_cs = state->msr.sysenter_esp = state->msr.sysenter_eip = 0;
	state->pat = PAT_RESET;
	state->inject_info = state->inject_error = state->inject_len = state->virq = 0;
	set_segment(state, SEG_LDTR, 0, ATTR_LDT, 0xffff, 0);
	set_segment(state, SEG_TR, 0, ATTR_TSS32, 0xffff, 0);
	state->seg[SEG_GDTR].base = state->seg[SEG_IDTR].base = 0;
	state->seg[SEG_GDTR].limit = state->seg[SEG_IDTR].limit = 0xffff;
}

void boot_state(const struct boot_entry *entry, struct vcpu_state *state)
{
	static const uint8_t data[] = {SEG_ES, SEG_SS, SEG_DS, SEG_FS, SEG_GS};

	reset_state(state);
	state->cr0 = CR0_PE | CR0_ET;
	state->rip = entry->eip;
	state->gpr[GPR_RBX] = entry->ebx;
	state->gpr[GPR_RSI] = entry->esi;
	set_segment(state, SEG_CS, GDT_CODE, ATTR_CODE32, 0xffffffffu, 0);
	for (unsigned i = 0; i < sizeof(data); i++)
		set_segment(state, data[i], GDT_DATA, ATTR_DATA32, 0xffffffffu, 0);
	set_segment(state, SEG_TR, GDT_TSS, ATTR_TSS32, 0x67, 0);
	state->seg[SEG_GDTR].base = LAYOUT_GDT;
	state->seg[SEG_GDTR].limit = sizeof(gdt) - 1;
	state->seg[SEG_IDTR].limit = 0;
}

void boot_sipi_state(uint8_t vector, struct vcpu_state *state)
{
	static const uint8_t data[] = {SEG_ES, SEG_SS, SEG_DS, SEG_FS, SEG_GS};

	reset_state(state);
	state->cr0 = CR0_ET | CR0_NW_CD;
	state->rip = 0;
	set_segment(state, SEG_CS, (uint16_t)(vector << 8), ATTR_CODE16, 0xffff,
		    (uint64_t)vector << 12);
	for (unsigned i = 0; i < sizeof(data); i++)
		set_segment(state, data[i], 0, ATTR_DATA16, 0xffff, 0);
}
