/* SPDX-License-Identifier: BSD-2-Clause */
/* What a hypercall answers in RAX. */
#ifndef CAIRN_STATUS_H
#define CAIRN_STATUS_H

typedef enum {
	CAIRN_OK = 0,
	CAIRN_ERR_CALL = 1,	/* no such hypercall in this build */
	CAIRN_ERR_CAP = 2,	/* selector out of range, or its slot is empty */
	CAIRN_ERR_TYPE = 3,	/* the capability is of another type */
	CAIRN_ERR_RIGHTS = 4,	/* the capability lacks a right the call needs */
	CAIRN_ERR_ARG = 5,	/* a number is out of range or misaligned */
	CAIRN_ERR_BUSY = 6,	/* slot, entry or object is in use */
	CAIRN_ERR_MEMORY = 7,	/* the Untyped has not enough left */
	CAIRN_ERR_STATE = 8,	/* the object is not in a state that allows this */
	CAIRN_ERR_CPU = 9,	/* the object belongs to another CPU */
	CAIRN_ERR_DEPTH = 10,	/* calls are nested too deep */
	CAIRN_ERR_ABORTED = 11, /* the other side was destroyed during the call */
	CAIRN_ERR_TIMEOUT = 12, /* the deadline passed */
	CAIRN_ERR_POISON = 13,	/* the memory is poisoned */
	CAIRN_ERR_AGAIN = 14,	/* a bounded step is done; call again */
} cairn_status_t;

#endif
