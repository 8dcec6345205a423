/* SPDX-License-Identifier: BSD-2-Clause */
/* From boot_main to the root-task: memory, one CPU, the first capabilities. */
#include <core/caps.h>
#include <core/smp.h>
#include <hal/hal.h>
#include <cairn/hypercall_numbers.h>
#include "arch.h"
#include "../../plat/multiboot.h"

#define GIB (1ul << 30)

static struct regions ram, device;
static struct boot_info info = {
#ifdef CAIRN_DEBUG
	.debug = 1,
#endif
};
static uint64_t image_size;
extern char kernel_end[], ap_start[], ap_end[];

static uint64_t check_image(void)
{
	const struct image_header *h = (const void *)IMAGE_PHYS;

	if (h->magic != IMAGE_MAGIC || h->version != IMAGE_VERSION)
		hal_panic("no system image behind the kernel: compose it with tools/compose");
	if (h->segment_count > IMAGE_SEGMENTS || h->module_count > IMAGE_MODULES || !h->root_slots ||
	    h->root_slots > SLOT_COUNT / 2 || h->size % PAGE_SIZE_2M || h->size > BOOT_LIMIT)
		hal_panic("the system image's header is damaged");
	return h->size;
}

static uint64_t find_memory(void)
{
	uint64_t i, top = 0;

	regions_add(&device, 0, WINDOW_LIMIT);
	for (i = 0; i < ram.count; i++) {
		regions_take(&device, ram.at[i].base, ram.at[i].end);
		info.memory_size += ram.at[i].end - ram.at[i].base;
		top = ram.at[i].end > top ? ram.at[i].end : top;
	}
	return top;
}

/* For the tables for RAM below `top`, as high as it can be below 4 GiB. RAM whose tables find no place is given up. */
static uint64_t choose_carve(uint64_t *top)
{
	uint64_t best, end, i;

	for (;; *top = (*top - 1) & ~(GIB - 1)) {
		for (best = 0, i = 0; i < ram.count; i++) {
			end = ram.at[i].end < BOOT_LIMIT ? ram.at[i].end : BOOT_LIMIT;
			end = (end & ~(PAGE_SIZE_2M - 1)) - carve_size(*top);
			if ((int64_t)end >= (int64_t)ram.at[i].base && end > best)
				best = end;
		}
		if (best)
			return best;
		if (*top <= GIB)
			hal_panic("too little memory for the kernel's tables");
	}
}

static void mark(uint64_t base, uint64_t end, uint8_t byte)
{
	for (; base < end; base += PAGE_SIZE_4K)
		hal_page_set(base, byte);
}

/* ---- the root-task's first capabilities ---- */

static uint32_t root_first, root_slots, next_sel;
static struct ec boot_self; /* stands for the root-task before it exists */

static uint32_t root_slot(uint32_t sel)
{
	return root_first + sel;
}

static uint32_t new_sel(void)
{
	if (next_sel >= root_slots)
		hal_panic("the root-task's CapTable is too small");
	return next_sel++;
}

static void give(uint32_t sel, uint8_t type, uint64_t base, uint64_t size)
{
	uint32_t s = root_slot(sel);

	slots[s].type = type;
	slots[s].base = base;
	slots[s].size = size;
	slot_set_rights(s, &all_rights, RIGHT_ALL);
	slot_insert(s, SLOT_NIL);
}

static uint32_t make(uint32_t untyped, uint8_t type, uint64_t bits, uint64_t param, uint32_t sel)
{
	if (cap_retype(root_slot(untyped), type, bits, root_slot(sel), param) != CAIRN_OK)
		hal_panic("too little memory for the root-task");
	return root_slot(sel);
}

/* Slot number 0 and the root-task's CapTable: the memory every other capability will stand on. */
static void make_root_table(struct region *from, uint32_t count)
{
	uint32_t pages, i;

	root_first = SLOTS_PER_PAGE;
	root_slots = (count + SLOTS_PER_PAGE - 1) & ~(SLOTS_PER_PAGE - 1);
	pages = 1 + root_slots / SLOTS_PER_PAGE;
	for (i = 0; i < pages; i++) {
		hal_page_set(from->base, CAP_CAPTABLE);
		hal_zero(from->base);
		hal_slots_map(i, from->base);
		from->base += PAGE_SIZE_4K;
	}
	for (i = 1; i < pages; i++)
		slot_page_set(i, 1); /* page 0 holds the list head only */
	give(ROOT_CAPTABLE, CAP_CAPTABLE, from->base - (pages - 1) * PAGE_SIZE_4K, (pages - 1) * PAGE_SIZE_4K);
	slots[root_slot(ROOT_CAPTABLE)].first = root_first;
	slots[root_slot(ROOT_CAPTABLE)].count = root_slots;
	boot_self.table_first = root_first;
	boot_self.table_count = root_slots;
}

static uint32_t level2, level1[512]; /* one level-2 table covers what boot maps for the root-task */

static uint32_t make_table(uint32_t parent, uint64_t index, uint64_t level)
{
	uint32_t t = make(ROOT_UNTYPED, CAP_PAGETABLE, 0, level, new_sel());

	if (pt_link(parent, index, t) != CAIRN_OK)
		hal_panic("the root-task's tables cannot be made");
	return t;
}

static void map_page(uint64_t va, uint32_t frame, uint32_t rights)
{
	uint64_t i = va >> 21;

	if (va >= GIB)
		hal_panic("the root-task's segments do not lie in the first GiB");
	if (!level1[i])
		level1[i] = make_table(level2, i, 1);
	if (frame_map(frame, level1[i], va >> 12 & 511, rights, SLOT_NIL) != CAIRN_OK)
		hal_panic("the root-task's segments overlap");
}

static void map_segments(const struct image_header *h)
{
	uint64_t i, page, at = PAGE_SIZE_4K;

	for (i = 0; i < h->segment_count; i++) {
		const struct image_segment *g = &h->segment[i];
		uint32_t rights = RIGHT_READ | (g->flags & SEGMENT_WRITE ? RIGHT_WRITE : 0) |
				  (g->flags & SEGMENT_EXEC ? RIGHT_EXEC : 0);

		if (g->offset != at)
			hal_panic("the root-task's segments are not in order");
		for (page = 0; page < g->pages; page++)
			map_page(g->vaddr + page * PAGE_SIZE_4K, make(ROOT_IMAGE, CAP_FRAME, PAGE_BITS_4K, 0, new_sel()),
				 rights);
		at += g->pages * PAGE_SIZE_4K;
	}
}

static uint32_t fresh_page(uint64_t va, uint32_t rights, uint32_t sel)
{
	uint32_t f = make(ROOT_UNTYPED, CAP_FRAME, PAGE_BITS_4K, 0, sel);

	map_page(va, f, rights);
	return f;
}

/* Copies into a frame through the kernel window. */
static void fill(uint32_t frame, const void *from)
{
	uint64_t page = slots[frame].base;

	hal_window_map(page);
	if (hal_copy(from, hal_window(page), PAGE_SIZE_4K / 8))
		hal_panic("memory error while booting");
	hal_window_unmap(page);
}

static void make_root_thread(uint64_t entry)
{
	static struct message_buffer config;
	struct thread_config *c = (struct thread_config *)config.words;
	uint32_t t = make(ROOT_UNTYPED, CAP_THREAD, 0, 0, ROOT_THREAD);

	c->space = ROOT_SPACE;
	c->captable = ROOT_CAPTABLE;
	c->buffer = ROOT_BUFFER;
	c->supervisor = ~0ull;
	c->rip = entry;
	c->rsp = ROOT_STACK_TOP;
	c->priority = c->ceiling = boot_self.ceiling = PRIORITIES - 1;
	boot_self.buffer = &config;
	if (thread_configure(&boot_self, t, THREAD_SPACE | THREAD_REGS | THREAD_TIME) != CAIRN_OK ||
	    ec_resume(hal_window(slots[t].base)) != CAIRN_OK)
		hal_panic("the root-task's entry is out of range");
}

static void make_root_task(const struct image_header *h)
{
	uint32_t i;
	static uint64_t page[512];

	next_sel = ROOT_UNTYPED + info.untyped_count;
	i = make(ROOT_UNTYPED, CAP_PAGETABLE, 0, 4 | (uint64_t)PT_HOST << 8 | 1ull << 32, ROOT_SPACE);
	level2 = make_table(make_table(i, 0, 3), 0, 2);
	map_page(ROOT_IMAGE_VA, make(ROOT_IMAGE, CAP_FRAME, PAGE_BITS_4K, 0, new_sel()), RIGHT_READ);
	map_segments(h);
	fresh_page(ROOT_BUFFER_VA, RIGHT_READ | RIGHT_WRITE, ROOT_BUFFER);
	for (i = 1; i <= 16; i++)
		fresh_page(ROOT_STACK_TOP - i * PAGE_SIZE_4K, RIGHT_READ | RIGHT_WRITE, new_sel());
	i = fresh_page(ROOT_INFO_VA, RIGHT_READ, new_sel());
	make_root_thread(h->root_entry);
	info.first_free = next_sel;
	__builtin_memcpy(page, &info, sizeof(info));
	fill(i, page);
}

static void give_untyped(const struct region *r, uint8_t is_device)
{
	uint32_t n = info.untyped_count;

	if (r->base >= r->end || n == BOOT_UNTYPED)
		return;
	info.untyped[n] = (struct boot_untyped){r->base, r->end - r->base, is_device};
	give(ROOT_UNTYPED + n, CAP_UNTYPED, r->base, r->end - r->base);
	slots[root_slot(ROOT_UNTYPED + n)].device = is_device;
	info.untyped_count++;
}

static void give_memory(void)
{
	uint32_t i;

	for (i = 0; i < ram.count; i++) {
		mark(ram.at[i].base, ram.at[i].end, PAGE_USER);
		give_untyped(&ram.at[i], 0);
	}
	for (i = 0; i < device.count; i++)
		give_untyped(&device.at[i], 1);
	give(ROOT_IMAGE, CAP_UNTYPED, IMAGE_PHYS, image_size);
	slots[root_slot(ROOT_IMAGE)].device = 1; /* keeps its content */
	give(ROOT_MACHINECHECK, CAP_MACHINECHECK, 0, 0);
	give(ROOT_IOPORTS, CAP_IOPORTS, 0, 0x10000);
	give(ROOT_IRQ, CAP_IRQ, 0, IRQ_LINES);
	give(ROOT_CPUS, CAP_CPUS, 0, 0);
}

/* Largest region first: the root-task and its table come from Untyped 0. */
static void largest_first(void)
{
	uint32_t i, best = 0;
	struct region t;

	for (i = 1; i < ram.count; i++)
		if (ram.at[i].end - ram.at[i].base > ram.at[best].end - ram.at[best].base)
			best = i;
	t = ram.at[0];
	ram.at[0] = ram.at[best];
	ram.at[best] = t;
}

void boot_main(uint32_t magic, uint64_t from_loader)
{
	static struct image_header header;
	uint64_t carve, top, all;
	const char *sentence;

	serial_init();
	print("cairn: microhypervisor, interface version %lu%s\n", (uint64_t)CAIRN_INTERFACE_VERSION,
	      info.debug ? " (debug)" : "");
	sentence = multiboot_read(magic, from_loader, &ram, info.root_pointer);
	if (sentence)
		hal_panic(sentence);
	image_size = check_image();
	__builtin_memcpy(&header, (const void *)IMAGE_PHYS, sizeof(header));
	top = find_memory();
	regions_take(&ram, LOW_MEMORY, image_phys(kernel_end));
	regions_take(&ram, IMAGE_PHYS, IMAGE_PHYS + image_size);
	all = top;
	carve = choose_carve(&top);
	regions_take(&ram, carve, carve + carve_size(top));
	regions_take(&ram, top, WINDOW_LIMIT);
	if (top != all || ram.lost)
		print("cairn: memory from %lu MiB on is not used, and %lu KiB in small pieces\n", top >> 20, ram.lost >> 10);
	/* The kernel's own devices, and what a starting CPU executes first. */
	regions_take(&device, IOAPIC_PHYS, IOAPIC_PHYS + PAGE_SIZE_4K);
	regions_take(&device, lapic_phys(), lapic_phys() + PAGE_SIZE_4K);
	regions_take(&device, AP_PHYS, AP_PHYS + PAGE_SIZE_4K);

	__builtin_memcpy((void *)AP_PHYS, ap_start, (uint64_t)(ap_end - ap_start));
	paging_init(carve, top);
	cpu_prepare(&percpus[0], 0);
	cpu_init(&percpus[0]);
	cpus[0] = &percpus[0].cpu;
	cpu_count = 1;
	write_cr3(kernel_pml4());
	boot_self.cpu = 0;
	mark(LOW_MEMORY, image_phys(kernel_end), PAGE_KERNEL);
	mark(carve, carve + carve_size(top), PAGE_KERNEL);
	mark(IMAGE_PHYS, IMAGE_PHYS + image_size, PAGE_USER);
	sentence = guest_init(&percpus[0]);
	if (sentence) /* the root-task ends then; it knows where the serial port is */
		print("cairn: %s\n", sentence);
	info.no_guests = sentence != NULL;
	timer_init();
	irq_init();
	mca_init(hal_cpu());
	largest_first();
	make_root_table(&ram.at[0], (uint32_t)header.root_slots);
	info.magic = BOOT_MAGIC;
	info.version = CAIRN_INTERFACE_VERSION;
	info.vendor = cpu_vendor;
	info.apic_id = hal_cpu()->apic_id;
	info.tsc_khz = hal_tsc_khz;
	info.mcg_cap = mcg_cap;
	info.image_size = image_size;
	info.slots_total = SLOT_COUNT;
	info.slots_used = root_first + root_slots;
	give_memory();
	make_root_task(&header);
	__asm__ volatile("jmp resume");
}
