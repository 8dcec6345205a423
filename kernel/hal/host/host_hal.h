/* SPDX-License-Identifier: BSD-2-Clause */
/* The machine that the kernel's unit tests run on: physical RAM is a host mapping, every effect can be looked at. */
#ifndef HOST_HAL_H
#define HOST_HAL_H

#include <setjmp.h>
#include <core/caps.h>
#include <core/smp.h>
#include <hal/hal.h>

#define HOST_RAM_BASE 0x1000000ul
#define HOST_RAM_SIZE 0x4000000ul
#define HOST_RAM_END  (HOST_RAM_BASE + HOST_RAM_SIZE)
#define HOST_PAGES    (HOST_RAM_SIZE / PAGE_SIZE_4K)
#define HOST_LINES    24u
#define HOST_CPUS     4u
#define HOST_EVENTS   1024u
#define HOST_RECORDS  40u

/* A word of a paging structure: address, one of these, and RIGHT_* << HOST_PT_RIGHTS. */
#define HOST_PT_TABLE	1ul
#define HOST_PT_PAGE	2ul
#define HOST_PT_POISON	4ul
#define HOST_PT_KERNEL	8ul /* upper half of a host root */
#define HOST_PT_CHANGES 16ul
#define HOST_PT_RIGHTS	5
#define HOST_PT_ADDRESS 0xfffffffff000ul

enum host_op { HOST_TABLE = 1, HOST_PAGE, HOST_POISON, HOST_CHANGES, HOST_CLEAR, HOST_FLUSH };

/* One change of a paging structure, or a flush (index: kind). */
struct host_event {
	enum host_op op;
	uint64_t pt;
	uint32_t index;
};

struct host {
	struct cpu cpu; /* CPU 0 */
	struct {
		uint32_t what, turns; /* enum request, asked in the first of the turns after which the lock is free */
		struct ec *e;
	} while_waiting;
	uint32_t deaf; /* the other CPUs answer: 0: at once, 1: an NMI, 2: nothing */
	uint32_t nmis;
	struct cpu other[HOST_CPUS - 1];
	uint32_t self;	     /* the CPU that the test is on */
	uint64_t now;	     /* the virtual TSC */
	uint64_t timer;	     /* what hal_timer was given last */
	uint64_t flushes[2]; /* by kind */
	uint64_t switches;
	uint64_t space_left;		      /* hal_space_leave */
	struct host_event event[HOST_EVENTS]; /* the first ones since `events` was set to 0 */
	uint32_t events;
	struct {
		struct ec *thread;
		uint64_t badge;
		int unmasked;
	} line[HOST_LINES];
	uint64_t port, port_width, port_value; /* the last access; port_value is what reads return */
	uint64_t debug;
	uint64_t serial;		      /* the last hal_serial */
	struct mca_record poll[HOST_RECORDS]; /* what the banks hold for the poll */
	uint32_t polls;
	uint32_t vcpu_class, vcpu_groups; /* the last hal_vcpu_read or _write */
	uint64_t vcpu_root;
	jmp_buf fatal; /* where hal_mca_fatal goes to, if a test expects it */
	int expect_fatal;
	uint64_t fatal_page;
	uint32_t faults; /* hal_report_fault */
	uint64_t fault_label, fault_vector, fault_error;
};
extern struct host host;

/* An empty machine: RAM is zero, nothing is in the window, slots[] is not backed. */
void host_reset(void);
/* So many CPUs instead of one, and the one that the test's next calls happen on. */
void host_cpus(uint32_t count);
void host_on(uint32_t index);
/* The tests' own view of physical memory; the kernel's is hal_window(). */
void *host_ram(uint64_t phys);
/* Is the page in the kernel window? */
int host_in_window(uint64_t phys);
/* The page that backs page `page` of slots[]; 0: none. */
uint64_t host_slots_at(uint32_t page);
/* The word that maps `address` below `root` (0: none) and the address of the table it is in. */
uint64_t host_walk(uint64_t root, uint64_t address, uint64_t *table);

#endif
