/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Supervision. On each CPU a handler thread takes faults and requests on its callers' time, reports
 * faults at once and queues what is to be done; the main thread does it, so that a server is never
 * changed by a thread that runs for another. A caller that is suspended or destroyed meanwhile does
 * not keep its handler: the kernel lets that finish.
 */
#include <stdio.h>
#include <string.h>
#include <cairn/hypercalls.h>
#include <cairn/log.h>
#include <cairn/runtime.h>
#include <cairn/types.h>
#include "requests.h"
#include "root.h"

#define STACK_PAGES 8u
#define STACK_SPACING                                                                              \
	0x10000ul /* in WINDOW_STACKS; the stack ends where the next one's place begins */
#define WAKE	      1ull
#define FIRST_REQUEST ROOT_EXIT
#define REQUEST_FAULT 1u /* in the queue only */
#define POISON_FLAG   0x100u
#define FAULT_WORDS   16u

extern char cairn_handler_trampoline[], cairn_syscall_entry[];

static uint32_t handler_thread[CPUS], wake_main;

/* The badge of a server's portal says which life of it speaks. */
static uint64_t badge_of(const struct server *server)
{
	return server->index | (uint64_t)server->generation << 32;
}

static bool enqueue(uint64_t badge, uint64_t kind, uint64_t first, uint64_t second)
{
	const struct request request = {
		.kind = kind, .value = {first, second}, .generation = (uint32_t)(badge >> 32)};

	return requests_put((uint32_t)badge, &request) && cairn_signal(wake_main) == CAIRN_OK;
}

static unsigned thread_of(uint64_t rsp)
{
	return (unsigned)((rsp - SERVER_STACK_VA) >> 20);
}

/* The calling handler thread's, found from its stack pointer: the threads have nothing else of
 * their own. */
static const struct message_buffer *own_buffer(void)
{
	uint64_t rsp;

	__asm__ volatile("mov %%rsp, %0" : "=r"(rsp));
	return (const struct message_buffer *)(WINDOW_BUFFERS + (rsp - WINDOW_STACKS) /
									STACK_SPACING *
									PAGE_SIZE_4K);
}

/* w1..w4 as in types.h; the rest lies in the buffer. */
static void report_fault(uint32_t server, uint64_t w1, uint64_t error, uint64_t address,
			 uint64_t rip, uint64_t count)
{
	static const char *const names[] = {"rax", "rcx", "rdx", "rbx", "rbp",
					    "rsi", "rdi", "r8",	 "r9",	"r10"};
	const uint64_t *word = own_buffer()->words + 4;
	const char *name = servers[server].desc->name;
	char line[CAIRN_LOG_LINE];
	size_t length = 0;

	if (count < FAULT_WORDS) {
		cairn_log("server %s: reported a fault of its own making", name);
		return;
	}
	cairn_log("server %s: fault vector %lu address 0x%lx at rip 0x%lx rsp 0x%lx error 0x%lx "
		  "rflags 0x%lx "
		  "thread %u%s",
		  name, w1 & 0xff, address, rip, word[0], error, word[1], thread_of(word[0]),
		  (w1 & POISON_FLAG) != 0 ? " (memory error)" : "");
	for (unsigned i = 0; i < 10; i++)
		length += (size_t)snprintf(line + length, sizeof(line) - length, " %s 0x%lx",
					   names[i], word[2 + i]);
	cairn_log("server %s: registers%s", name, line);
}

/* Whether a server may ask for this; the answer comes at once, the deed follows. */
static cairn_status_t check(const struct server *server, uint64_t request, uint64_t w2)
{
	bool service = (server->desc->grants & GRANT_ROOT_SERVICE) != 0;

	switch (request) {
	case ROOT_EXIT:
		return CAIRN_OK;
	case ROOT_VM_STOPPED:
	case ROOT_VM_RESET:
		return server->desc->role == ROLE_VMM ? CAIRN_OK : CAIRN_ERR_RIGHTS;
	case ROOT_VM_KILL:
		if (!service)
			return CAIRN_ERR_RIGHTS;
		return w2 < description->vm_count ? CAIRN_OK : CAIRN_ERR_ARG;
	case ROOT_SHUTDOWN:
		return service ? CAIRN_OK : CAIRN_ERR_RIGHTS;
	default:
		return CAIRN_ERR_ARG;
	}
}

static void handle(uint64_t badge, uint64_t w1, uint64_t w2, uint64_t w3, uint64_t w4,
		   uint64_t count)
{
	uint32_t server = (uint32_t)badge;
	uint64_t answer = CAIRN_OK;

	if (w1 < FIRST_REQUEST) {
		report_fault(server, w1, w2, w3, w4, count);
		enqueue(badge, REQUEST_FAULT, 0, 0);
		answer = FAULT_REPLY_STOP;
	} else {
		answer = check(&servers[server], w1, w2);
		if (answer == CAIRN_OK && !enqueue(badge, w1, w2, w3))
			answer = CAIRN_ERR_BUSY;
	}
	/* A reply that is refused leaves nothing to go on with. */
	if (cairn_reply(0, answer, 0, 0, 0, 1) != CAIRN_OK)
		__builtin_trap();
}

static bool make_stack(uint32_t cpu)
{
	uint64_t top = WINDOW_STACKS + (cpu + 1) * STACK_SPACING;

	for (uint64_t page = top - STACK_PAGES * PAGE_SIZE_4K; page < top; page += PAGE_SIZE_4K) {
		uint32_t frame = domain_make(&root_domain, CAP_FRAME, PAGE_BITS_4K, 0,
					     "make a supervisor's stack");

		if (frame == 0 || !space_map(&root_space, frame, page, RIGHT_READ | RIGHT_WRITE))
			return false;
	}
	return true;
}

/* The C function waits at the top of the stack (libs/handler). */
static uint64_t prepare_stack(uint32_t cpu)
{
	uint64_t *top = (uint64_t *)(WINDOW_STACKS + (cpu + 1) * STACK_SPACING) - 2;

	top[0] = (uintptr_t)handle;
	return (uintptr_t)top;
}

static uint64_t fs_base(void)
{
	uint64_t base;

	__asm__("mov %%fs:0, %0" : "=r"(base));
	return base;
}

static bool configure(uint32_t cpu, uint32_t buffer)
{
	struct thread_config *config = (struct thread_config *)ROOT_BUFFER_VA;

	memset(config, 0, sizeof(*config));
	config->space = ROOT_SPACE;
	config->captable = ROOT_CAPTABLE;
	config->buffer = buffer;
	config->cpu = cpu;
	config->supervisor = ~0ull;
	config->rip = (uintptr_t)cairn_handler_trampoline;
	config->rsp = prepare_stack(cpu);
	config->fs_base = fs_base();
	config->syscall_entry = (uintptr_t)cairn_syscall_entry;
	return report(cairn_thread_configure(handler_thread[cpu],
					     THREAD_SPACE | THREAD_REGS | THREAD_UPCALLS),
		      "set up a supervisor's thread");
}

static bool make_handler(uint32_t cpu)
{
	uint32_t buffer = domain_make(&root_domain, CAP_FRAME, PAGE_BITS_4K, 0,
				      "make a supervisor's message buffer");

	handler_thread[cpu] =
		domain_make(&root_domain, CAP_THREAD, 0, 0, "make a supervisor's thread");
	return buffer != 0 && handler_thread[cpu] != 0 &&
	       space_map(&root_space, buffer, WINDOW_BUFFERS + cpu * PAGE_SIZE_4K,
			 RIGHT_READ | RIGHT_WRITE) &&
	       make_stack(cpu) && configure(cpu, buffer);
}

bool supervisor_start(void)
{
	wake_main = slot_take(&root_domain, true);
	if (wake_main == 0 ||
	    !report(cairn_copy(ROOT_THREAD, ROOT_CAPTABLE, wake_main, RIGHT_SIGNAL, WAKE),
		    "signal itself"))
		return false;
	for (uint32_t cpu = 0; cpu < cpus_running(); cpu++) {
		if (!make_handler(cpu))
			return false;
	}
	return true;
}

cairn_status_t supervisor_portal(const struct server *server)
{
	return cairn_portal_create(handler_thread[server->cpu], server->table, SEL_SUPERVISOR,
				   badge_of(server), 0);
}

static bool all_ended(void)
{
	for (unsigned i = 0; i < description->vm_count; i++) {
		if (!vms[i].stopped)
			return false;
	}
	if (description->vm_count != 0)
		return true;
	for (unsigned i = 0; i < description->server_count; i++) {
		if (servers[i].desc->role == ROLE_APP && servers[i].state == SERVER_RUNNING)
			return false;
	}
	return true;
}

static void end_if_idle(void)
{
	if (description->end_when_idle && all_ended())
		finish(0, "%s",
		       description->vm_count != 0 ? "every VM has stopped" : "every app has ended");
}

static void stop_vm(struct vm *vm, const char *why)
{
	if (vm->stopped)
		return;
	vm->stopped = true;
	vm_suspend(vm);
	cairn_log("vm %s: stopped (%s)", vm->desc->name, why);
}

static void server_gone(struct server *server, enum server_state state)
{
	struct vm *vm = vm_of(server);

	server->state = state;
	server_suspend(server);
	if (vm != NULL)
		stop_vm(vm, state == SERVER_FAULTED ? "its vmm-server faulted"
						    : "its vmm-server ended");
	if (vm != NULL && vm->desc->on_shutdown)
		finish(1, "vm %s has lost its vmm-server", vm->desc->name);
	if (server->desc->role == ROLE_MCA)
		cairn_log(
			"server %s: machine checks find nobody now; the next one stops the machine",
			server->desc->name);
	end_if_idle();
}

static void do_exit(struct server *server, uint64_t status)
{
	if (server->state != SERVER_RUNNING)
		return;
	cairn_log("server %s: ended with status %lu", server->desc->name, status);
	server_gone(server, SERVER_ENDED);
}

/* Indexed by enum vm_stop. */
static const char *const stop_words[] = {"powered off", "wrote to its debug-exit port", "error"};
#define STOP_REASONS (sizeof(stop_words) / sizeof(stop_words[0]))

static void do_stopped(struct vm *vm, uint64_t reason, uint64_t value)
{
	const struct desc_vm *desc = vm->desc;

	stop_vm(vm, reason < STOP_REASONS ? stop_words[reason] : "error");
	if (reason == VM_STOP_DEBUG_EXIT && desc->debug_exit)
		finish((unsigned)value & 0xff, "vm %s wrote %lu to its debug-exit port", desc->name,
		       value);
	if (reason == VM_STOP_POWEROFF && desc->on_shutdown)
		finish(0, "vm %s powered off", desc->name);
	if (reason != VM_STOP_POWEROFF && desc->on_shutdown)
		finish(1, "vm %s stopped", desc->name);
	end_if_idle();
}

static void do_reset(struct vm *vm)
{
	if (rebuild_vm(vm))
		return;
	stop_vm(vm, "it could not be built anew");
	end_if_idle();
}

static void do_kill(struct vm *vm, bool restart)
{
	stop_vm(vm, "killed");
	server_suspend(vm->server);
	vm->server->state = SERVER_ENDED;
	if (restart) {
		do_reset(vm);
		return;
	}
	if (vm->desc->on_shutdown)
		finish(1, "vm %s was killed", vm->desc->name);
	end_if_idle();
}

static void perform(struct server *server, const struct request *request)
{
	switch (request->kind) {
	case REQUEST_FAULT:
		if (server->state == SERVER_RUNNING)
			server_gone(server, SERVER_FAULTED);
		break;
	case ROOT_EXIT:
		do_exit(server, request->value[0]);
		break;
	case ROOT_VM_STOPPED:
		do_stopped(vm_of(server), request->value[0], request->value[1]);
		break;
	case ROOT_VM_RESET:
		/* Whoever was killed meanwhile stays so. */
		if (!vm_of(server)->stopped)
			do_reset(vm_of(server));
		break;
	case ROOT_VM_KILL:
		do_kill(&vms[request->value[0]], request->value[1] == 1);
		break;
	case ROOT_SHUTDOWN:
		finish((unsigned)request->value[0] & 0xff, "server %s asked for it",
		       server->desc->name);
	default:
		break;
	}
}

/* One request of each server, so that none keeps the others waiting; whether there was any. */
static bool perform_some(void)
{
	struct request request;
	bool any = false;

	for (unsigned i = 0; i < description->server_count; i++) {
		if (!requests_take(i, servers[i].generation, &request))
			continue;
		perform(&servers[i], &request);
		any = true;
	}
	return any;
}

void supervise(void)
{
	end_if_idle();
	for (;;) {
		while (perform_some())
			;
		cairn_wait_signals(0);
	}
}
