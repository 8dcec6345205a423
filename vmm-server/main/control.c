/* SPDX-License-Identifier: BSD-2-Clause */
/* The control thread: takes signals, hands things to the handlers through the mailbox, and recalls
 * the vCPU. */
#include <cairn/byte_ring.h>
#include <cairn/hypercalls.h>
#include <cairn/log.h>
#include <cairn/mca_ring.h>
#include "main/control.h"
#include "main/vm.h"

#define DRAIN_TRIES 50u
#define DRAIN_US    2000u
#define RETRY_US    1000u /* when the mca-server has not taken what it was told */

static bool dropping; /* the mailbox was full, and that was said */
static uint64_t last_sequence;
static uint64_t own_sequence;

static void recall_vcpu(void)
{
	cairn_status_t status = cairn_recall(SEL_VCPU);

	if (status != CAIRN_OK)
		cairn_log("cannot recall the vCPU: %s", cairn_status_name(status));
}

static struct mca_channel *mca_channel(void)
{
	return cairn_channel((unsigned)vm.mca_channel);
}

/* The mca-server may be on another CPU and busy: what finds no room there waits here. */
static bool mca_has_room(void)
{
	return mca_ring_has_room(&mca_channel()->to_mca);
}

static void tell_mca(uint32_t kind, uint32_t flags, const struct mca_message *about)
{
	struct mca_message message = *about;

	message.sequence = kind == MCA_MSG_QUEUED ? about->sequence : ++own_sequence;
	message.kind = kind;
	message.flags = flags;
	if (!mca_ring_put(&mca_channel()->to_mca, &message))
		cairn_log("the mca-server does not take its messages; one is lost");
	if (cairn_signal(SEL_CHANNEL + (unsigned)vm.mca_channel) != CAIRN_OK)
		cairn_log("cannot signal the mca-server");
}

static void stop_vcpus(void)
{
	for (unsigned i = 0; i < vm.vcpus; i++)
		if (cairn_suspend(SEL_VCPU + i) != CAIRN_OK)
			cairn_log("cannot suspend vCPU %u", i);
}

/*
 * An early notice that finds the mailbox full is dropped: the vCPUs that could make room wait until
 * this is answered. The page is gone from the guest, so a touch still becomes a machine check.
 */
static void queue_early_notice(const struct mca_message *message)
{
	if (mailbox_put(&vm.mailbox.notices, message->gpa, message->flags)) {
		dropping = false;
		recall_vcpu();
		return;
	}
	if (!dropping)
		cairn_log("too many lost pages at once: the guest is not told of gpa 0x%llx and "
			  "further ones before it touches them",
			  (unsigned long long)message->gpa);
	dropping = true;
}

static void queue_bad_page(const struct mca_message *message)
{
	if (!vm_is_ram(message->gpa)) {
		cairn_log("the mca-server speaks of gpa 0x%llx, which is not RAM: ignored",
			  (unsigned long long)message->gpa);
		return;
	}
	/* Without AO: nothing before the guest touches it: that arrives as EXIT_POISONED. */
	if (message->flags & MCA_NOTICE_AO)
		queue_early_notice(message);
}

static void handle_mca(const struct mca_message *message)
{
	/* A repeat was queued already: only the answer is due again. */
	if (message->sequence > last_sequence) {
		switch (message->kind) {
		case MCA_MSG_BAD_PAGE:
			queue_bad_page(message);
			break;
		case MCA_MSG_CORRECTED:
			break;
		case MCA_MSG_STOP:
			cairn_log("the mca-server stops this VM");
			stop_vcpus();
			break;
		default:
			cairn_log("unknown message %u from the mca-server: ignored", message->kind);
			break;
		}
		last_sequence = message->sequence;
	}
	tell_mca(MCA_MSG_QUEUED, 0, message);
}

static void take_mca_messages(void)
{
	struct mca_message message;

	if (vm.mca_channel < 0)
		return;
	while (mca_has_room() && mca_ring_get(&mca_channel()->to_vmm, &message))
		handle_mca(&message);
}

static void report_injected(void)
{
	struct mca_message message = {0};
	uint32_t flags;

	while ((vm.mca_channel < 0 || mca_has_room()) &&
	       mailbox_get(&vm.mailbox.injected, &message.gpa, &flags))
		if (vm.mca_channel >= 0)
			tell_mca(MCA_MSG_INJECTED, flags, &message);
}

/* When to look again although nobody signals; 0: only then. */
uint64_t control_deadline(void)
{
	if (vm.mca_channel < 0 || mca_has_room())
		return 0;
	return cairn_tsc() + cairn_ticks_from_us(RETRY_US);
}

/* The console shall have shown the guest's last words before the VM is gone; it gets a moment for
 * that. */
static void drain_console(void)
{
	const struct tty_channel *tty = vm.uart.tty;

	if (tty == NULL)
		return;
	if (cairn_signal(SEL_CHANNEL + (unsigned)vm.tty_channel) != CAIRN_OK)
		cairn_log("cannot signal the console");
	for (unsigned i = 0; i < DRAIN_TRIES && byte_ring_used(&tty->out) != 0; i++) {
		(void)cairn_wait_signals(cairn_tsc() + cairn_ticks_from_us(DRAIN_US));
		/* Its signal was taken just now, and it waits for an answer. */
		take_mca_messages();
	}
}

static void request(uint64_t what, uint64_t w2, uint64_t w3)
{
	uint64_t status = cairn_request(what, w2, w3);

	if (status != CAIRN_OK)
		cairn_log("the root-task refuses request 0x%llx: %s", (unsigned long long)what,
			  cairn_status_name(status));
}

static void end_vm(uint32_t kind)
{
	uint32_t value = vm.mailbox.end_value;

	drain_console();
	switch (kind) {
	case END_RESET:
		cairn_log("VM %s: reset", vm.info->vm.name);
		request(ROOT_VM_RESET, 0, 0);
		break;
	case END_POWER_OFF:
		cairn_log("VM %s: powered off", vm.info->vm.name);
		request(ROOT_VM_STOPPED, VM_STOP_POWEROFF, 0);
		break;
	case END_DEBUG_EXIT:
		cairn_log("VM %s: debug exit with value %u", vm.info->vm.name, value);
		request(ROOT_VM_STOPPED, VM_STOP_DEBUG_EXIT, value);
		break;
	default:
		request(ROOT_VM_STOPPED, VM_STOP_ERROR, value);
		break;
	}
}

void control_step(uint64_t bits)
{
	uint64_t tty_bit = vm.tty_channel >= 0 ? 1ull << vm.tty_channel : 0;
	uint32_t end;

	take_mca_messages();
	report_injected();
	if ((bits & tty_bit) && !vm.stopping)
		recall_vcpu();
	end = atomic_exchange_explicit(&vm.mailbox.end, END_NONE, memory_order_acquire);
	if (end != END_NONE)
		end_vm(end);
}

void control_run(void)
{
	for (;;)
		control_step(cairn_wait_signals(control_deadline()));
}

void control_give_up(void)
{
	drain_console();
	request(ROOT_VM_STOPPED, VM_STOP_ERROR, 0);
	for (;;)
		(void)cairn_wait_signals(0);
}
