/* SPDX-License-Identifier: BSD-2-Clause */
/* A VCpu from nothing: a guest of one page, exits to a handler in this server, state, halt and
 * recall. */
#include <string.h>
#include <cairn/hypercalls.h>
#include <cairn/vcpu.h>
#include "check.h"
#include "trial.h"
#include "worker.h"

#define CODE_GPA   0x1000ul
#define ABSENT_GPA 0x9000ul
#define CR0_ET	   0x10ul

/* movw $0x1234, %ax; cpuid; outb %al, $0x80; movb %al, 0x9000; hlt; nop: 16-bit code. */
static const uint8_t guest_code[] = {0xb8, 0x34, 0x12, 0x0f, 0xa2, 0xe6,
				     0x80, 0xa2, 0x00, 0x90, 0xf4, 0x90};
#define AT_CPUID 3u
#define AT_OUT	 5u
#define AT_MOV	 7u
#define AT_HLT	 10u

static volatile struct vcpu_state *state;
static volatile struct {
	unsigned classes[16], count;
	uint64_t rip[16], qualification[16], address[16], rax[16], badge;
} exits;

static void set_segment(volatile struct vcpu_segment *segment, uint16_t attributes)
{
	segment->sel = 0;
	segment->attr = attributes;
	segment->limit = 0xffff;
	segment->base = 0;
}

/* Real mode, flat, at CODE_GPA. */
static uint64_t start_up(void)
{
	for (unsigned i = 0; i < SEG_COUNT; i++)
		set_segment(&state->seg[i], 0x93);
	set_segment(&state->seg[SEG_CS], 0x9b);
	set_segment(&state->seg[SEG_LDTR], 0x82);
	set_segment(&state->seg[SEG_TR], 0x8b);
	state->seg[SEG_GDTR].limit = state->seg[SEG_IDTR].limit = 0xffff;
	state->seg[SEG_GDTR].base = state->seg[SEG_IDTR].base = 0;
	state->cr0 = CR0_ET;
	state->cr3 = state->cr4 = state->efer = 0;
	state->dr6 = 0xffff0ff0;
	state->dr7 = 0x400;
	state->pat = 0x0007040600070406;
	state->rflags = 2;
	state->rip = CODE_GPA;
	return VCPU_MTD_ALL;
}

static uint64_t skip(unsigned length)
{
	state->rip += length;
	return VCPU_MTD_RIP;
}

static uint64_t handle(uint64_t class)
{
	switch (class) {
	case EXIT_STARTUP:
		return start_up();
	case EXIT_CPUID:
		state->gpr[GPR_RAX] = 0x55;
		return skip(2);
	case EXIT_IO:
		return skip(2);
	case EXIT_NESTED:
		return skip(3);
	case EXIT_HLT:
		return skip(1) | VCPU_REPLY_HALT;
	default:
		return VCPU_REPLY_STOP;
	}
}

static void on_exit_class(uint64_t badge, uint64_t w1, uint64_t w2, uint64_t w3, uint64_t w4,
			  uint64_t count)
{
	unsigned n = exits.count++ & 15;
	uint64_t reply;

	(void)w2, (void)w3, (void)w4, (void)count;
	exits.badge = badge;
	exits.classes[n] = (unsigned)w1;
	exits.rip[n] = state->rip;
	exits.qualification[n] = state->qualification;
	exits.address[n] = state->qualification2;
	exits.rax[n] = state->gpr[GPR_RAX];
	reply = handle(w1);
	if (w1 == EXIT_HLT || (reply & VCPU_REPLY_STOP))
		worker_tell();
	forge_ignore(cairn_reply(0, reply, 0, 0, 0, 1));
}

static uint64_t new_vcpu(void)
{
	uint64_t vcpu = forge_select();

	forge_must(cairn_retype(forge_used(), CAP_VCPU, 0, SEL_CAPTABLE, vcpu, 0), "making a VCpu");
	return vcpu;
}

/* A guest space with the code's page and nothing else; returns its root. */
static uint64_t make_guest(void)
{
	uint64_t root = forge_pagetable(PT_GUEST, 4, 0x7e),
		 level3 = forge_pagetable(PT_GUEST, 3, 0);
	uint64_t level2 = forge_pagetable(PT_GUEST, 2, 0), level1 = forge_pagetable(PT_GUEST, 1, 0);
	uint64_t code = forge_frame(), copy = forge_copy(code, RIGHT_ALL, 0);

	memcpy(forge_window(code), guest_code, sizeof(guest_code));
	forge_must(cairn_pagetable_link(root, 0, level3), "linking a guest's level 3");
	forge_must(cairn_pagetable_link(level3, 0, level2), "linking a guest's level 2");
	forge_must(cairn_pagetable_link(level2, 0, level1), "linking a guest's level 1");
	forge_must(
		cairn_map(copy, level1, CODE_GPA >> 12, RIGHT_READ | RIGHT_WRITE | RIGHT_EXEC, 0),
		"mapping a guest's page");
	return root;
}

static uint64_t make_exit_table(uint64_t thread)
{
	uint64_t first = forge_portal(thread, 0xe0);

	for (unsigned i = 1; i < EXIT_CLASSES; i++)
		(void)forge_portal(thread, 0xe0 + i);
	return first;
}

static struct vcpu_config *make_config(uint64_t guest_root, uint64_t exit_base)
{
	struct vcpu_config *config = (struct vcpu_config *)cairn_buffer()->words;

	memset(config, 0, sizeof(*config));
	config->guest_root = guest_root;
	config->home = SEL_SPACE;
	config->captable = SEL_CAPTABLE;
	config->exit_base = exit_base;
	config->state = forge_frame();
	config->priority = PRIORITY_HIGH;
	return config;
}

static void configuration(void)
{
	uint64_t vcpu = new_vcpu(), root = make_guest(), host = forge_pagetable(PT_HOST, 4, 1);
	struct vcpu_config *config = make_config(root, SEL_FREE);
	const struct vcpu_config good = *config;
	uint64_t no_signal = forge_copy(vcpu, RIGHT_CONTROL | RIGHT_GRANT, 0);
	uint64_t no_control = forge_copy(vcpu, RIGHT_SIGNAL | RIGHT_GRANT, 0);

	check_status("vcpu-resume-before-configuration-is-refused", cairn_resume(vcpu),
		     CAIRN_ERR_STATE);
	check_status("vcpu-recall-before-configuration-is-refused", cairn_recall(vcpu),
		     CAIRN_ERR_STATE);
#define REFUSED(name, field, value, want)                                                          \
	do {                                                                                       \
		*config = good;                                                                    \
		config->field = (value);                                                           \
		check_status(name, cairn_vcpu_configure(vcpu), want);                              \
	} while (0)
	REFUSED("vcpu-with-a-host-space-as-guest-is-refused", guest_root, host, CAIRN_ERR_TYPE);
	REFUSED("vcpu-with-a-guest-space-as-home-is-refused", home, root, CAIRN_ERR_TYPE);
	REFUSED("vcpu-without-a-home-is-refused", home, ~0ul, CAIRN_ERR_CAP);
	REFUSED("vcpu-with-no-captable-is-refused", captable, root, CAIRN_ERR_TYPE);
	REFUSED("vcpu-with-no-state-page-is-refused", state, SEL_CAPTABLE, CAIRN_ERR_TYPE);
	REFUSED("vcpu-on-a-cpu-that-is-not-there-is-refused", cpu, 4000, CAIRN_ERR_CPU);
	REFUSED("vcpu-without-time-is-refused", priority, 0, CAIRN_ERR_ARG);
	REFUSED("vcpu-with-priority-64-is-refused", priority, 64, CAIRN_ERR_ARG);
	REFUSED("vcpu-with-a-silly-exit-base-is-refused", exit_base, 1ul << 40, CAIRN_ERR_ARG);
#undef REFUSED
	*config = good;
	check_status("vcpu-configure-without-control-is-refused", cairn_vcpu_configure(no_control),
		     CAIRN_ERR_RIGHTS);
	*config = good;
	check_status("vcpu-configure-works", cairn_vcpu_configure(vcpu), CAIRN_OK);
	*config = good;
	check_status("vcpu-configure-works-once", cairn_vcpu_configure(vcpu), CAIRN_ERR_STATE);
	check_status("recall-without-signal-is-refused", cairn_recall(no_signal), CAIRN_ERR_RIGHTS);
}

static void check_exit(const char *name, unsigned n, unsigned class, uint64_t rip)
{
	if (exits.count <= n)
		check_value(name, exits.count, n + 1);
	else if (exits.classes[n] != class)
		check_value(name, exits.classes[n], class);
	else
		check_value(name, exits.rip[n], rip);
}

static void a_guest_runs(void)
{
	uint64_t vcpu = new_vcpu(), root = make_guest();
	struct worker handler;
	struct vcpu_config *config;

	handler_make(&handler, on_exit_class);
	exits.count = 0;
	config = make_config(root, make_exit_table(handler.thread));
	state = forge_window_copy(config->state, RIGHT_READ | RIGHT_WRITE);
	forge_must(cairn_vcpu_configure(vcpu), "configuring a VCpu");
	check_value("a-vcpu-waits-for-resume", exits.count, 0);
	forge_must(cairn_resume(vcpu), "resuming a VCpu");
	(void)main_wait();
	check_true("the-first-exit-asks-for-the-state",
		   exits.count && exits.classes[0] == EXIT_STARTUP, "another class");
	check_exit("cpuid-exits-at-its-rip", 1, EXIT_CPUID, CODE_GPA + AT_CPUID);
	check_value("with-the-guests-registers", exits.rax[1] & 0xffff, 0x1234);
	check_exit("out-exits-at-its-rip", 2, EXIT_IO, CODE_GPA + AT_OUT);
	check_value("with-the-answer-of-the-last-exit", exits.rax[2] & 0xff, 0x55);
	check_value("with-port-and-size", exits.qualification[2] & 0xffff0075, 0x800010);
	check_exit("an-access-without-memory-exits", 3, EXIT_NESTED, CODE_GPA + AT_MOV);
	check_value("with-its-guest-physical-address", exits.address[3], ABSENT_GPA);
	check_true("as-a-write", (exits.qualification[3] & VCPU_NPF_WRITE) != 0, "it is no write");
	check_exit("hlt-exits", 4, EXIT_HLT, CODE_GPA + AT_HLT);
	check_value("each-class-has-its-portal", exits.badge, 0xe0 + EXIT_HLT);
	pause_us(2000);
	check_value("a-halted-vcpu-stays-out", exits.count, 5);
	check_status("recall-works", cairn_recall(vcpu), CAIRN_OK);
	(void)main_wait();
	check_exit("recall-ends-a-halt", 5, EXIT_RECALL, CODE_GPA + AT_HLT + 1);
	check_status("recall-of-a-stopped-vcpu-is-kept", cairn_recall(vcpu), CAIRN_OK);
	check_status("suspend-of-a-vcpu-works", cairn_suspend(vcpu), CAIRN_OK);
	pause_us(2000);
	check_value("a-suspended-vcpu-stays-out", exits.count, 6);
}

/* A guest that halts in `part`'s memory; *vcpu and its state page are made elsewhere. */
static struct vcpu_config start_halted(uint64_t part, uint64_t *vcpu)
{
	uint64_t before = forge_use(part), root = make_guest();
	struct vcpu_config *config, copy;
	struct worker handler;

	forge_use(before);
	*vcpu = new_vcpu();
	handler_make(&handler, on_exit_class);
	exits.count = 0;
	config = make_config(root, make_exit_table(handler.thread));
	state = forge_window_copy(config->state, RIGHT_READ | RIGHT_WRITE);
	copy = *config;
	forge_must(cairn_vcpu_configure(*vcpu), "configuring a VCpu");
	forge_must(cairn_resume(*vcpu), "resuming a VCpu");
	(void)main_wait();
	return copy;
}

static bool stays_halted(void)
{
	return exits.count == 5;
}

HYPERCALL_TEST(recall)
{
	const struct wrong more[] = {{0, new_vcpu(), CAIRN_ERR_STATE}};
	struct trial t = {.name = "recall",
			  .number = CAIRN_CALL_RECALL,
			  .unchanged = stays_halted,
			  TRIAL_MORE(more)};

	(void)start_halted(forge_used(), &t.good[0]);
	trial_run(&t);
	check_value("the-good-recall-ends-the-halt", exits.count, 6);
}

static void guest_space_goes(void)
{
	uint64_t part = forge_untyped(17), vcpu;

	(void)start_halted(part, &vcpu);
	check_value("a-guest-runs-up-to-its-halt", exits.count, 5);
	forge_must(revoke_all(part), "revoking the guest's space");
	check_status("a-vcpu-stops-when-its-guest-space-goes", cairn_recall(vcpu), CAIRN_ERR_STATE);
	check_status("and-does-not-resume", cairn_resume(vcpu), CAIRN_ERR_STATE);
}

static void state_page_goes(void)
{
	uint64_t vcpu;
	struct vcpu_config config = start_halted(forge_used(), &vcpu);

	forge_must(revoke_all(config.state), "revoking the state page");
	forge_must(delete_all(config.state), "deleting the state page");
	check_status("a-vcpu-stops-when-its-state-page-goes", cairn_recall(vcpu), CAIRN_ERR_STATE);
	check_status("and-stays-stopped", cairn_resume(vcpu), CAIRN_ERR_STATE);
}

static void exit_table_goes(void)
{
	uint64_t vcpu;
	struct vcpu_config config = start_halted(forge_used(), &vcpu);

	forge_must(cairn_delete(SEL_CAPTABLE, config.exit_base + EXIT_RECALL), "deleting a Portal");
	forge_must(cairn_recall(vcpu), "recalling");
	pause_us(2000);
	check_status("a-vcpu-without-a-portal-for-its-exit-stops", cairn_resume(vcpu),
		     CAIRN_ERR_STATE);
}

static void vcpu_goes(void)
{
	uint64_t vcpu;

	(void)start_halted(forge_used(), &vcpu);
	forge_must(cairn_recall(vcpu), "recalling");
	check_status("a-vcpu-can-be-deleted", delete_all(vcpu), CAIRN_OK);
	check_status("and-is-gone", cairn_recall(vcpu), CAIRN_ERR_CAP);
	pause_us(2000);
}

void suite_vcpu(void)
{
	in_arena(configuration);
	in_arena(a_guest_runs);
	in_arena(guest_space_goes);
	in_arena(state_page_goes);
	in_arena(exit_table_goes);
	in_arena(vcpu_goes);
}
