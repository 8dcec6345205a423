/* SPDX-License-Identifier: BSD-2-Clause */
/* What the parts of the root-task share: servers, VMs, channels, and where things are in its own
 * address space. */
#ifndef ROOT_H
#define ROOT_H

#include <stdbool.h>
#include <stdint.h>
#include <cairn/boot.h>
#include <cairn/server.h>
#include <cairn/status.h>
#include <cairn/system.h>
#include <cairn/types.h>
#include "acpi.h"
#include "memory.h"
#include "space.h"

/* The root-task's own windows: the second 512 GiB of its space, where the kernel has mapped
 * nothing. */
#define WINDOW_IMAGE	0x8000000000ul /* the system blob */
#define WINDOW_SCRATCH	0x9000000000ul /* one page, while it is being filled */
#define WINDOW_INFO	0x9100000000ul /* struct server_info of server i at + i * 2 pages */
#define WINDOW_CHANNELS 0x9200000000ul /* channel n at + n * CHANNEL_SIZE */
#define WINDOW_BUFFERS	0x9300000000ul /* message buffers of the root-task's handler threads */
#define WINDOW_STACKS	0x9400000000ul /* their stacks */
#define WINDOW_PHYSICAL 0x9500000000ul /* device memory that is being read */

#define CPUS	       64
#define PHYSICAL_PAGES 65u /* at once */
#define SERVER_THREADS 8   /* main, and handlers in SEL_THREAD + 1 .. SEL_CHANNEL - 1 */
#define VM_VCPUS       7   /* one handler thread each */
#define VM_PIECES      32
#define CHANNELS       96
#define CHANNEL_PAGES  (CHANNEL_SIZE / PAGE_SIZE_4K)
#define END_ROOT       SYSTEM_NONE

enum server_state { SERVER_ABSENT, SERVER_BUILT, SERVER_RUNNING, SERVER_ENDED, SERVER_FAULTED };

struct server {
	const struct desc_server *desc;
	unsigned index;
	uint32_t cpu; /* index of the running CPU that all its threads are on */
	enum server_state state;
	uint32_t generation;
	struct domain domain;
	struct space space;
	uint32_t table; /* selector of its CapTable */
	uint32_t numbers,
		own_numbers; /* its slot numbers: of the CapTable; for tables it makes itself */
	uint32_t thread_count;
	uint32_t thread[SERVER_THREADS]; /* selectors, 0: main */
	struct server_info *info;	 /* writable, in WINDOW_INFO */
};

struct vm_piece {
	uint64_t gpa, spa, size;
};

struct vm {
	const struct desc_vm *desc;
	unsigned index;
	struct server *server; /* its vmm-server */
	bool stopped;
	struct space space; /* guest */
	uint32_t vcpu[VM_VCPUS];
	unsigned piece_count;
	struct vm_piece piece[VM_PIECES];
};

struct channel_end {
	uint32_t server; /* index, or END_ROOT */
	uint32_t index;	 /* of the channel there */
};

struct channel {
	enum channel_kind kind;
	uint32_t vm; /* or SYSTEM_NONE */
	struct channel_end end[2];
	uint32_t frame[CHANNEL_PAGES];
	void *memory; /* in WINDOW_CHANNELS */
};

extern const struct boot_info *const boot;
extern const struct image_header *const image;
extern const struct system_description *description;
extern struct server servers[SYSTEM_SERVERS];
extern struct vm vms[SYSTEM_VMS];
extern struct domain root_domain;
extern struct space root_space;

/* ---- physical.c ---- */
/* Device memory, read-only, until the next call of either; NULL: it is not there. At most
 * PHYSICAL_PAGES pages. */
const void *physical_map(uint64_t address, uint64_t length);
void physical_unmap(void);

/* ---- firmware.c ---- */
/*
 * The checked ACPI table with this signature, mapped until the next physical_map; *length 0: there
 * is none. Returns what is wrong with the tables, or NULL.
 */
const char *firmware_table(const char *signature, const uint8_t **table, uint32_t *length);
/* The same for the one that lies there. */
const char *firmware_table_at(uint64_t address, const char *signature, const uint8_t **table,
			      uint32_t *length);

/* ---- power.c ---- */
/* Reads how the machine is switched off, and says so if nobody knows. */
void power_find(void);
/* Switches it off; returns if that is not possible. */
void power_off(void);

/* ---- serial.c ---- */
extern struct acpi_serial serial;
/* Makes the port that the firmware names, if it names one, that of the root-task, of the kernel and
 * of the console server. */
void serial_find(void);

/* ---- cpus.c ---- */
/* Starts all CPUs that the firmware names, and logs which run. */
void cpus_start(void);
uint32_t cpus_running(void);
/* The index of the CPU that stands for CPU `wanted` of the description on this machine. */
uint32_t cpu_of(uint32_t wanted);

/* ---- image.c: the boot image, mapped read-only ---- */
bool image_open(void);
/* Bytes of a module, or NULL: there is no such module. */
const void *image_module(uint32_t index, uint64_t *size);
/* Maps a module into a server's payload window from `*used` bytes on; *offset: where it begins
 * there. */
bool image_map_module(struct server *server, uint32_t index, uint64_t *used, uint64_t *offset);

/* ---- server.c ---- */
bool server_build(struct server *server);
bool server_start(struct server *server);
void server_suspend(struct server *server);
/* Takes all it was made of away again. */
bool server_destroy(struct server *server);

/* ---- vm.c ---- */
bool vm_build(struct vm *vm);
void vm_suspend(struct vm *vm);
struct vm *vm_of(const struct server *server);

/* ---- channels.c ---- */
bool channels_plan(void);
/* Maps this server's channels and gives each side the capability to signal the other. */
bool channels_connect(struct server *server);
/* Zeroes the memory of this server's channels: its next generation starts with empty rings. */
void channels_clear(const struct server *server);
/* The root-task's own log goes through the console server from now on. */
void channels_use_console(void);
struct log_ring *channels_root_log(void);

/* ---- info.c ---- */
void info_fill(struct server *server);

/* ---- build.c ---- */
bool build_all(void);
/* Destroys a VM and its vmm-server and makes them anew. */
bool rebuild_vm(struct vm *vm);
/* Gives the mca-server what it needs to know of, and may do to, this VM. */
bool introduce_to_mca(struct vm *vm);

/* ---- supervisor.c ---- */
bool supervisor_start(void);
/* Derives a Portal for a server's faults and requests into its CapTable: to the supervisor's thread
 * on its CPU. */
cairn_status_t supervisor_portal(const struct server *server);
__attribute__((noreturn)) void supervise(void);

/* ---- finish.c ---- */
__attribute__((noreturn)) void finish(unsigned value, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* ---- report.c: errors as sentences ---- */
/* What the next messages are about ("server x"). */
void report_subject(const char *kind, const char *name);
/* Logs "SUBJECT: cannot WHAT: reason" unless status is OK; returns whether it is. */
bool report(cairn_status_t status, const char *what);
bool report_text(const char *what);

#endif
