/* SPDX-License-Identifier: BSD-2-Clause */
/* What the kernel tells of a hardware error. */
#ifndef CAIRN_MCA_H
#define CAIRN_MCA_H

#include <stdint.h>

/* What the machine-check exception interrupted. */
enum mca_context {
	MCA_CTX_POLL = 0, /* no exception: found by polling */
	MCA_CTX_GUEST_USER = 1,
	MCA_CTX_GUEST_KERNEL = 2,
	MCA_CTX_KERNEL = 3, /* Cairn's kernel */
	MCA_CTX_SERVER = 4, /* a user-level thread */
	MCA_CTX_IDLE = 5,
	MCA_CTX_RESET = 6, /* no exception: left in its bank from before the machine was reset */
};

struct mca_record {
	uint64_t sequence; /* per CPU, from 1, without gaps */
	uint32_t cpu;
	uint32_t bank;
	uint64_t status, addr, misc; /* MCi_STATUS, _ADDR, _MISC (0 where not valid) */
	uint64_t mcg_status, mcg_cap;
	uint64_t rip; /* interrupted instruction (the guest's, where a guest was interrupted) */
	uint32_t cs;
	uint32_t context; /* enum mca_context */
	uint32_t label;	  /* of the interrupted guest or host space; 0: none */
	uint32_t last;	  /* 1: the last record of its exception */
	uint64_t tsc;
	uint64_t epoch; /* the exception's number; 0: polled */
};
_Static_assert(sizeof(struct mca_record) == 96, "read by user level");

/* Who held a poisoned page (mc_poison). */
enum mca_holder {
	MCA_HOLDER_NONE = 0,
	MCA_HOLDER_HOST = 1,   /* mapping in a host space: label, virtual address */
	MCA_HOLDER_GUEST = 2,  /* mapping in a guest space: label, guest-physical address */
	MCA_HOLDER_BUFFER = 3, /* bound as message buffer or state page: label of its space */
	MCA_HOLDER_KERNEL = 4, /* page of a kernel object: label 0, address = enum cairn_type */
};

#endif
