/* SPDX-License-Identifier: BSD-2-Clause */
/* The compiled system description: module "system", written by the composer for the root-task. */
#ifndef CAIRN_SYSTEM_H
#define CAIRN_SYSTEM_H

#include <stdint.h>

#define SYSTEM_MAGIC   0x79532d6e72696143ull /* "Cairn-Sy" */
#define SYSTEM_VERSION 1
#define SYSTEM_SERVERS 32
#define SYSTEM_VMS     8
#define SYSTEM_NONE    0xffffffffu

enum server_role { ROLE_APP = 0, ROLE_CONSOLE = 1, ROLE_MCA = 2, ROLE_VMM = 3 };

/* What a server may do beyond its own channels (desc_server.grants). */
#define GRANT_SERIAL	   0x1u /* IoPorts and Irq of COM1 */
#define GRANT_MACHINECHECK 0x2u
#define GRANT_MEMORY	   0x4u /* an Untyped of `untyped` bytes, and slots of its own */
#define GRANT_ROOT_SERVICE 0x8u /* may ask the root-task to end the system, stop or restart VMs */
#define GRANT_HARDWARE                                                                             \
	0x10u /* all interrupt lines, ports, CPUs and machine checks, to use and to copy */

struct desc_server {
	char name[16];
	char args[240];	   /* handed to main as argv[1..], separated by blanks; "" : none */
	uint32_t module;   /* index in image_header.module: its ELF */
	uint32_t role;	   /* enum server_role */
	uint32_t vm;	   /* ROLE_VMM: index of its VM; else SYSTEM_NONE */
	uint32_t cpu;	   /* modulo the machine's number of CPUs: where all its threads run */
	uint32_t priority; /* of its main (control) thread, 1..63 */
	uint32_t handlers; /* portal handler threads it gets (ROLE_VMM: one per vCPU) */
	uint32_t heap_kib;
	uint32_t stack_kib; /* of each thread */
	uint32_t grants;    /* GRANT_* */
	uint32_t slots;	    /* of its CapTable, at least 64 */
	uint32_t ceiling;   /* the highest priority that it may give */
	uint32_t reserved;
	uint64_t untyped;	       /* GRANT_MEMORY: bytes */
	uint64_t budget_us, period_us; /* of the main thread; 0: no limit */
};

enum vm_policy { POLICY_INJECT = 0, POLICY_KILL = 1, POLICY_RESTART = 2 /* kill, start anew */ };
enum vm_profile { PROFILE_INTEL = 0, PROFILE_AMD = 1, PROFILE_HOST = 2 /* as the CPU's vendor */ };
enum vm_payload { PAYLOAD_LINUX = 0, PAYLOAD_ELF = 1 /* ELF with a PVH entry note */ };

struct desc_vm {
	char name[16];
	char cmdline[1024];
	uint64_t memory; /* bytes, a multiple of 2 MiB */
	uint32_t vcpus;
	uint32_t cpu;		/* that of its vmm-server: where all its vCPUs run */
	uint32_t priority;	/* of its vCPUs, 1..63 */
	uint32_t payload;	/* enum vm_payload */
	uint32_t kernel_module; /* index in image_header.module */
	uint32_t initrd_module; /* or SYSTEM_NONE */
	uint32_t policy;	/* enum vm_policy */
	uint32_t profile;	/* enum vm_profile */
	uint32_t on_shutdown;	/* 1: the system ends when this VM powers off */
	uint32_t debug_exit;	/* 1: a write to port 0xf4 ends the system with that value */
	uint64_t budget_us, period_us;
};

struct system_description {
	uint64_t magic;
	uint32_t version;
	uint32_t server_count, vm_count;
	uint32_t end_when_idle; /* 1: the system ends when every VM has stopped */
	uint32_t reserve_kib;	/* RAM that is left unused, for tests */
	uint32_t start_cpus;	/* so many CPUs are started at most */
	uint32_t mca_flags;	/* MCA_FLAG_* */
	char name[32];
	struct desc_server server[SYSTEM_SERVERS];
	struct desc_vm vm[SYSTEM_VMS];
};

/* Treat an AMD CPU as SUCCOR-capable although CPUID does not say so (QEMU). */
#define MCA_FLAG_SUCCOR_OVERRIDE 1u

#endif
