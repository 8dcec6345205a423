/* SPDX-License-Identifier: BSD-2-Clause */
/* Builds a server: CapTable, address space, program, stacks, heap, message buffers, threads,
 * granted capabilities. */
#include <string.h>
#include <cairn/elf.h>
#include <cairn/hypercalls.h>
#include <cairn/log.h>
#include <cairn/types.h>
#include "root.h"

#define PROGRAM_LOW	0x400000ul
#define PROGRAM_HIGH	SERVER_INFO_VA
#define MAX_TABLE_SLOTS 16384u /* what fits a chunk */
#define OWN_NUMBERS	2048u /* slot numbers for CapTables that a server with GRANT_MEMORY makes */
#define STACK_SPACING	0x100000ul

struct server servers[SYSTEM_SERVERS];

static bool give(const struct server *server, uint32_t source, uint32_t index, uint64_t rights,
		 uint64_t badge)
{
	return report(cairn_copy(source, server->table, index, rights, badge),
		      "give it a capability");
}

static bool build_table(struct server *server)
{
	uint64_t count = (server->desc->slots + 31) & ~31u;

	if (count > MAX_TABLE_SLOTS)
		return report_text("it has more slots than one CapTable can have: lower `slots`");
	if (server->numbers == 0)
		server->numbers = slot_numbers_take(count);
	if (server->numbers == 0)
		return false;
	server->table = domain_make(&server->domain, CAP_CAPTABLE, 0, server->numbers | count << 32,
				    "make its CapTable");
	return server->table != 0 && give(server, server->table, SEL_CAPTABLE, RIGHT_WRITE, 0);
}

/* A zeroed page of the server's memory at `address`; returns its selector, or 0. */
static uint32_t map_new_page(struct server *server, uint64_t address, uint64_t rights)
{
	uint32_t frame = domain_make(&server->domain, CAP_FRAME, PAGE_BITS_4K, 0, "make a page");

	return frame != 0 && space_map(&server->space, frame, address, rights) ? frame : 0;
}

/* One page of a segment, filled through the root-task's scratch window before it appears in the
 * server. */
static bool load_page(struct server *server, const unsigned char *file,
		      const struct elf_segment *segment, uint64_t page)
{
	uint64_t start = segment->vaddr > page ? segment->vaddr : page;
	uint64_t end = segment->vaddr + segment->file_size;
	uint64_t rights = RIGHT_READ | ((segment->flags & ELF_FLAG_W) != 0 ? RIGHT_WRITE : 0) |
			  ((segment->flags & ELF_FLAG_X) != 0 ? RIGHT_EXEC : 0);
	uint32_t frame = domain_make(&server->domain, CAP_FRAME, PAGE_BITS_4K, 0, "make a page");

	if (frame == 0)
		return false;
	if (end > page + PAGE_SIZE_4K)
		end = page + PAGE_SIZE_4K;
	if (start < end) {
		if (!space_map(&root_space, frame, WINDOW_SCRATCH, RIGHT_READ | RIGHT_WRITE))
			return false;
		memcpy((unsigned char *)WINDOW_SCRATCH + (start - page),
		       file + segment->offset + (start - segment->vaddr), end - start);
		if (!report(cairn_unmap(frame), "fill a page"))
			return false;
	}
	return space_map(&server->space, frame, page, rights);
}

static bool load_segment(struct server *server, const unsigned char *file,
			 const struct elf_segment *segment)
{
	uint64_t end = segment->vaddr + segment->memory_size;

	if ((segment->flags & ELF_FLAG_W) != 0 && (segment->flags & ELF_FLAG_X) != 0)
		return report_text("its program has a segment that is writable and executable");
	for (uint64_t page = segment->vaddr & ~(PAGE_SIZE_4K - 1); page < end;
	     page += PAGE_SIZE_4K) {
		if (!load_page(server, file, segment, page))
			return false;
	}
	return true;
}

static bool load_program(struct server *server, struct elf_image *program)
{
	uint64_t size = 0;
	const unsigned char *file = image_module(server->desc->module, &size);
	const char *wrong;

	if (file == NULL)
		return report_text("its program is not in the image");
	wrong = elf_parse(file, size, program);
	if (wrong == NULL)
		wrong = elf_check_range(program, PROGRAM_LOW, PROGRAM_HIGH);
	if (wrong != NULL) {
		cairn_log("server %s: its program cannot be loaded: %s", server->desc->name, wrong);
		return false;
	}
	for (unsigned i = 0; i < program->segment_count; i++) {
		if (!load_segment(server, file, &program->segment[i]))
			return false;
	}
	return true;
}

static bool build_stack(struct server *server, unsigned thread)
{
	uint64_t top = SERVER_STACK_VA + (thread + 1) * STACK_SPACING;
	uint64_t size = ((uint64_t)server->desc->stack_kib << 10) & ~(PAGE_SIZE_4K - 1);

	if (size == 0 || size > STACK_SPACING - 2 * PAGE_SIZE_4K)
		return report_text("its stack size is out of range");
	for (uint64_t page = top - size; page < top; page += PAGE_SIZE_4K) {
		if (map_new_page(server, page, RIGHT_READ | RIGHT_WRITE) == 0)
			return false;
	}
	return true;
}

/* Large pages where whole ones fit: fewer capabilities and paging structures. */
static bool build_heap(struct server *server)
{
	uint64_t size = ((uint64_t)server->desc->heap_kib << 10) & ~(PAGE_SIZE_4K - 1);
	uint64_t at = 0, physical;

	if (size > SERVER_STACK_VA - SERVER_HEAP_VA)
		return report_text("its heap is larger than its address window");
	for (; size - at >= PAGE_SIZE_2M; at += PAGE_SIZE_2M) {
		uint32_t frame = domain_make_large_frame(&server->domain, &physical);

		if (frame == 0 || !space_map_large(&server->space, frame, SERVER_HEAP_VA + at,
						   RIGHT_READ | RIGHT_WRITE))
			return false;
	}
	for (; at < size; at += PAGE_SIZE_4K) {
		if (map_new_page(server, SERVER_HEAP_VA + at, RIGHT_READ | RIGHT_WRITE) == 0)
			return false;
	}
	return true;
}

/* The description: read-only for the server, writable for the root-task through a mapping of its
 * own. */
static bool build_info(struct server *server)
{
	server->info = (struct server_info *)(WINDOW_INFO +
					      server->index * SERVER_INFO_PAGES * PAGE_SIZE_4K);
	for (uint64_t i = 0; i < SERVER_INFO_PAGES; i++) {
		uint32_t frame =
			map_new_page(server, SERVER_INFO_VA + i * PAGE_SIZE_4K, RIGHT_READ);
		uint32_t copy = frame != 0 ? slot_take(&server->domain, true) : 0;

		if (copy == 0 ||
		    !report(cairn_copy(frame, ROOT_CAPTABLE, copy, RIGHT_READ | RIGHT_WRITE, 0),
			    "share its description") ||
		    !space_map(&root_space, copy, (uintptr_t)server->info + i * PAGE_SIZE_4K,
			       RIGHT_READ | RIGHT_WRITE))
			return false;
	}
	memset(server->info, 0, sizeof(*server->info));
	return true;
}

/* A Thread object with stack and message buffer; what it runs is set elsewhere. */
static bool build_thread(struct server *server, unsigned n)
{
	struct thread_config *config = (struct thread_config *)ROOT_BUFFER_VA;
	uint32_t buffer =
		map_new_page(server, SERVER_BUFFER_VA + n * PAGE_SIZE_4K, RIGHT_READ | RIGHT_WRITE);

	if (buffer == 0 || !build_stack(server, n))
		return false;
	server->thread[n] = domain_make(&server->domain, CAP_THREAD, 0, 0, "make a thread");
	if (server->thread[n] == 0)
		return false;
	memset(config, 0, sizeof(*config));
	config->space = server->space.root;
	config->captable = server->table;
	config->buffer = buffer;
	config->cpu = server->cpu;
	config->supervisor = SEL_SUPERVISOR;
	config->ceiling = server->desc->ceiling;
	return report(cairn_thread_configure(server->thread[n], THREAD_SPACE), "set up a thread");
}

static bool configure_main(struct server *server, const struct elf_image *program)
{
	struct thread_config *config = (struct thread_config *)ROOT_BUFFER_VA;

	memset(config, 0, sizeof(*config));
	config->rip = program->entry;
	config->rsp = SERVER_STACK_VA + STACK_SPACING;
	config->syscall_entry = program->syscall_entry;
	config->fault_entry = program->fault_entry;
	config->priority = server->desc->priority;
	config->budget_us = server->desc->budget_us;
	config->period_us = server->desc->period_us;
	return report(cairn_thread_configure(server->thread[0],
					     THREAD_REGS | THREAD_UPCALLS | THREAD_TIME),
		      "set up its main thread");
}

static bool build_threads(struct server *server, const struct elf_image *program)
{
	server->thread_count = server->desc->handlers + 1;
	if (server->thread_count > SERVER_THREADS)
		return report_text("it has more handler threads than its CapTable has places for");
	for (unsigned n = 0; n < server->thread_count; n++) {
		if (!build_thread(server, n))
			return false;
	}
	if (!give(server, server->thread[0], SEL_SELF, RIGHT_SIGNAL, SIGNAL_SELF))
		return false;
	for (unsigned n = 1; n < server->thread_count; n++) {
		if (!give(server, server->thread[n], SEL_THREAD + n, RIGHT_CONTROL | RIGHT_SIGNAL,
			  0))
			return false;
	}
	return configure_main(server, program);
}

static bool grant_serial(struct server *server)
{
	return give(server, ROOT_IOPORTS, SEL_SERIAL_PORTS, RIGHT_WRITE,
		    serial.port | (uint64_t)(serial.port + 7) << 16) &&
	       (serial.line == SERIAL_NO_LINE ||
		give(server, ROOT_IRQ, SEL_SERIAL_IRQ, RIGHT_CONTROL,
		     serial.line | serial.line << 16));
}

static bool grant_machinecheck(struct server *server)
{
	return give(server, ROOT_MACHINECHECK, SEL_MACHINECHECK, RIGHT_CONTROL, 0);
}

/* What the root-task itself was given, with the right to give it on. */
static bool grant_hardware(struct server *server)
{
	return give(server, ROOT_IRQ, SEL_IRQS, RIGHT_ALL, 0) &&
	       give(server, ROOT_IOPORTS, SEL_PORTS, RIGHT_ALL, 0) &&
	       give(server, ROOT_CPUS, SEL_CPUS, RIGHT_ALL, 0) &&
	       give(server, ROOT_MACHINECHECK, SEL_ERRORS, RIGHT_ALL, 0);
}

/* Rounded up to a power of two, as Untypeds are. */
static bool grant_memory(struct server *server)
{
	uint64_t bits = PAGE_BITS_2M, physical = 0;

	while (bits < 40 && 1ul << bits < server->desc->untyped)
		bits++;
	if (server->own_numbers == 0)
		server->own_numbers = slot_numbers_take(OWN_NUMBERS);
	if (server->own_numbers == 0)
		return false;
	server->info->untyped_size = 1ul << bits;
	server->info->first_slot = server->own_numbers;
	server->info->slot_count = OWN_NUMBERS;
	if (!give(server, server->space.root, SEL_SPACE, RIGHT_CONTROL | RIGHT_GRANT, 0) ||
	    !domain_give_untyped(&server->domain, bits, server->table, SEL_UNTYPED, &physical))
		return false;
	if ((server->desc->grants & GRANT_HARDWARE) != 0)
		server->info->untyped_base = physical;
	return true;
}

static bool give_grants(struct server *server)
{
	uint32_t grants = server->desc->grants;

	if (!report(supervisor_portal(server), "give it a portal to the root-task"))
		return false;
	if ((grants & GRANT_SERIAL) != 0 && !grant_serial(server))
		return false;
	if ((grants & GRANT_MACHINECHECK) != 0 && !grant_machinecheck(server))
		return false;
	if ((grants & GRANT_HARDWARE) != 0 && !grant_hardware(server))
		return false;
	return (grants & GRANT_MEMORY) == 0 || grant_memory(server);
}

bool server_build(struct server *server)
{
	struct elf_image program;

	report_subject("server", server->desc->name);
	server->domain.owner = (uint8_t)(OWNER_SERVER + server->index);
	if (!build_table(server) ||
	    !space_create(&server->space, &server->domain, PT_HOST, LABEL_SERVER(server->index)) ||
	    !load_program(server, &program) || !build_heap(server) || !build_info(server) ||
	    !build_threads(server, &program) || !give_grants(server))
		return false;
	server->state = SERVER_BUILT;
	return true;
}

bool server_start(struct server *server)
{
	report_subject("server", server->desc->name);
	if (!report(cairn_resume(server->thread[0]), "start it"))
		return false;
	server->state = SERVER_RUNNING;
	cairn_log("server %s: started", server->desc->name);
	return true;
}

/* A thread that is stopped for good already answers STATE: just as well. */
void server_suspend(struct server *server)
{
	for (unsigned n = 0; n < server->thread_count; n++) {
		cairn_status_t status = cairn_suspend(server->thread[n]);

		if (status != CAIRN_OK && status != CAIRN_ERR_STATE)
			report(status, "suspend a thread");
	}
}

bool server_destroy(struct server *server)
{
	report_subject("server", server->desc->name);
	if (!slots_delete_foreign(&server->domain) || !chunks_revoke(&server->domain))
		return false;
	slots_forget(&server->domain);
	server->state = SERVER_ABSENT;
	return true;
}
