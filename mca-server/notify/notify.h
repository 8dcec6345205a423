/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Telling vmm-servers of lost pages, without ever waiting for one of them: notices are queued per
 * VM, go into its channel when there is room, and are crossed off when the vmm-server says that it
 * has queued them for its guest. Until then a VM that was frozen by the error stays so; after a
 * deadline it is killed.
 */
#ifndef MCA_NOTIFY_H
#define MCA_NOTIFY_H

#include "../main/mca.h"

/* After a restart: counts what is owed from the notices that wait, and gives the time for it anew.
 */
void notify_resume(struct mca *mca);

/* Queues a notice, unless it waits there already. A frozen VM whose queue is full is killed;
 * another one is told by its own access later. */
void notify_page(struct mca *mca, uint32_t vm, const struct mca_record *record, uint64_t spa,
		 uint64_t gpa, uint32_t flags);

/* Takes what the vmm-servers have said: a bounded number of messages, each checked. */
void notify_receive(struct mca *mca);

/* Moves queued notices into the channels as far as there is room, and signals. */
void notify_send(struct mca *mca);

/* Kills VMs whose vmm-server owes an answer for too long. */
void notify_deadlines(struct mca *mca);

/* When the next deadline or retry is due; `limit` when that is earlier. */
uint64_t notify_next(const struct mca *mca, uint64_t limit);

#endif
