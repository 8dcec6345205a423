/* SPDX-License-Identifier: BSD-2-Clause */
/* A world for the state machine: kernel, root-task and vmm-servers as plain memory that a test can
 * look into. */
#ifndef MCA_FAKE_H
#define MCA_FAKE_H

#include <setjmp.h>
#include "mca.h"

#define FAKE_VMS     3u
#define FAKE_CPUS    4u
#define FAKE_RECORDS 512u	/* of one CPU */
#define FAKE_TSC_KHZ 1000000ull /* one tick is a nanosecond */
#define FAKE_MS	     1000000ull

#define STATUS_SRAR	0xbd80000000000134ull
#define STATUS_SRAO	0xbd000000000000c0ull
#define STATUS_CE	0x9c00004000000091ull
#define STATUS_FATAL	0xbe00000000000134ull
#define STATUS_AMD_AR	0xbc00000000000134ull
#define STATUS_DEFERRED 0x9c00100000000811ull

/* The ring of a CPU, and the exception it is in. */
struct fake_cpu {
	struct mca_record ring[FAKE_RECORDS];
	uint64_t head, acknowledged, handed_out;
	uint64_t open; /* epoch of an exception that has begun and is not complete; 0: none */
};

struct fake {
	/* The kernel. */
	struct fake_cpu cpu[FAKE_CPUS];
	uint64_t begun, complete; /* exceptions of all CPUs */
	uint64_t told;		  /* the newest epoch up to which all were seen complete */
	uint32_t on;		  /* CPU that what follows happens on */
	void (*before_look)(uint32_t cpu);
	struct fake_holder {
		uint64_t page, address;
		uint32_t kind, label;
	} holder[4096];
	uint32_t holders;
	uint64_t poisoned[2048];
	uint32_t poisoned_count;
	uint64_t memory_end;	       /* poison answers ARG from here on */
	uint64_t thawed[2 * FAKE_VMS]; /* per vCPU */
	cairn_status_t thaw_status;
	/* The root-task. */
	uint32_t killed[FAKE_VMS]; /* how often */
	bool dead[FAKE_VMS];	   /* and not built anew since */
	uint64_t shutdowns, shutdown_value;
	/* The vmm-servers. */
	struct mca_channel channel[FAKE_VMS];
	uint32_t signals[FAKE_VMS];
	uint64_t now;
	/* The mca-server is gone at this call of the world, counted down; 0: it lives. */
	uint64_t dies_at;
	jmp_buf death;
	char log[1u << 20];
	size_t log_length;
};

extern struct fake fake;
extern struct mca mca;

/* A new world: three VMs of two vCPUs each, on Intel's rules. */
void fake_reset(void);
void fake_amd(bool override);
void fake_policy(uint32_t vm, uint32_t policy);

/* A new life of the mca-server, which finds nothing but struct mca_state. */
void fake_restart(void);

/* The root-task has built a VM anew: other VCpus, and an empty channel. */
void fake_built_anew(uint32_t vm);

/* A page mapped in VM `vm` at gpa, and in its vmm-server; or in any space. */
void fake_map_guest(uint32_t vm, uint64_t page, uint64_t gpa);
void fake_map(uint64_t page, uint32_t kind, uint32_t label, uint64_t address);

/* The kernel's stub, on CPU fake.on: an exception with one bank, or one bank of several (last says
 * which ends it). */
void fake_mce(uint64_t status, uint64_t addr, uint64_t mcg, uint32_t context, uint32_t label);
void fake_bank(uint64_t status, uint64_t addr, uint64_t mcg, uint32_t context, uint32_t label,
	       bool last);
/* An exception begins; it ends without (another) record. */
void fake_begin(void);
void fake_end(void);
/* Found by polling. */
void fake_polled(uint64_t status, uint64_t addr);
/* From before the machine was reset. */
void fake_left_over(uint64_t status, uint64_t addr);

/* Whether VM `vm` may enter its guest. */
bool fake_runs(uint32_t vm);

/* VM vm's vmm-server takes one notice (false: none) and, if told to, answers it. */
bool fake_take(uint32_t vm, struct mca_message *message);
void fake_answer(uint32_t vm, uint64_t sequence);
uint32_t fake_answer_all(uint32_t vm);

bool fake_logged(const char *text);
uint32_t fake_count(const char *text);
bool fake_is_poisoned(uint64_t page);

#endif
