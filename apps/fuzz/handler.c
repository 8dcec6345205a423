/* SPDX-License-Identifier: BSD-2-Clause */
/* What a domain's handlers do with messages: those of others' calls, and the exits of the domain's
 * VCpus. */
#include <cairn/status.h>
#include "fuzz.h"

#define PIECES 16u
#define CR0_ET 0x10ul

static struct vcpu_state *state_page(uint64_t n)
{
	return (struct vcpu_state *)DOMAIN_VA(PAGE_VCPU + (n & 1));
}

static void set_segment(struct vcpu_segment *segment, uint16_t attributes)
{
	*segment = (struct vcpu_segment){.attr = attributes, .limit = 0xffff};
}

/* Real mode, flat. */
static void start_up(struct vcpu_state *s)
{
	for (unsigned i = 0; i < SEG_COUNT; i++)
		set_segment(&s->seg[i], 0x93);
	set_segment(&s->seg[SEG_CS], 0x9b);
	set_segment(&s->seg[SEG_LDTR], 0x82);
	set_segment(&s->seg[SEG_TR], 0x8b);
	s->cr0 = CR0_ET;
	s->cr3 = s->cr4 = s->efer = s->cr8 = 0;
	s->dr6 = 0xffff0ff0;
	s->dr7 = 0x400;
	s->pat = 0x0007040600070406;
	s->rflags = 2;
	s->gpr[GPR_RSP] = 0x1f00;
	s->exceptions = s->inject_info = s->virq = s->ctl_nmi_window = 0;
	s->deadline = 0;
}

static uint64_t random_event(struct thread_state *t)
{
	/* Not EVENT_INTR: QEMU delivers it twice and loses the next kick. */
	return EVENT_VALID | (uint64_t)(2 + below(t, 3)) << 8 | below(t, one_in(t, 4) ? 256 : 32);
}

static void spoil(struct thread_state *t, struct vcpu_state *s)
{
	uint64_t *words = (uint64_t *)s;

	words[below(t, sizeof(*s) / 8)] = one_in(t, 2) ? random_word(t) : 1ul << below(t, 64);
	/* Leaving a guest with EFER.LME and without CR4.PAE, QEMU does not load the host's CR0. */
	s->efer = 0;
}

static uint32_t now(void)
{
	uint32_t low, high;

	__asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
	(void)high;
	return low;
}

/* What goes back to the guest: the mask of the reply. */
static uint64_t answer_exit(struct thread_state *t, struct vcpu_state *s, uint64_t class)
{
	uint64_t mask = VCPU_MTD_RIP;

	if (class == EXIT_STARTUP || class == EXIT_INVALID || class == EXIT_SHUTDOWN ||
	    one_in(t, 64)) {
		start_up(s);
		mask = VCPU_MTD_ALL;
	}
	s->rip = GUEST_CODE_GPA + GUEST_PIECE * below(t, PIECES);
	if (one_in(t, 8)) {
		s->inject_info = (uint32_t)random_event(t);
		s->virq = one_in(t, 2) ? (uint32_t)(EVENT_VALID | below(t, 256)) : 0;
		mask |= VCPU_MTD_INJECT;
	}
	if (one_in(t, 4)) {
		s->deadline = one_in(t, 2) ? 0 : (uint64_t)now() + below(t, 100000);
		mask |= VCPU_MTD_CTL;
	}
	if (one_in(t, 16)) {
		spoil(t, s);
		mask |= below(t, VCPU_MTD_ALL + 1);
	}
	if (class == EXIT_HLT || one_in(t, 16))
		mask |= VCPU_REPLY_HALT;
	if (one_in(t, 32))
		mask |= VCPU_REPLY_STOP;
	return mask;
}

_Noreturn void handle(unsigned place, uint64_t badge, uint64_t w1, uint64_t count)
{
	struct thread_state *t = &domain_state()->thread[place];
	uint64_t a[6] = {0,
			 random_word(t),
			 random_word(t),
			 random_word(t),
			 random_word(t),
			 below(t, MESSAGE_WORDS + 1)};

	/* It came here, so the reply before was accepted. */
	t->accepted[CAIRN_CALL_REPLY] += t->replying;
	t->replying = 0;
	generate_some(place, below(t, 4), true);
	if (badge < BADGE_CALL && count == 1)
		a[1] = answer_exit(t, state_page(badge), w1);
	if (one_in(t, 8)) {
		a[0] = one_in(t, 2);
		a[5] = a[0] ? a[5] : MESSAGE_WORDS + 1;
		hypercall(t, CAIRN_CALL_REPLY, a);
		a[5] = 1;
	}
	t->replying = 1;
	t->made[CAIRN_CALL_REPLY]++;
	t->calls++;
	domain_reply(place, a[1], a[2], a[3], a[4], a[5]);
}
