/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a server finds in its address space and CapTable when it starts. Written by the root-task,
 * read-only for the server, at SERVER_INFO_VA.
 */
#ifndef CAIRN_SERVER_H
#define CAIRN_SERVER_H

#include <stdint.h>
#include <cairn/system.h>

/* Address map of every server (its ELF is linked at 0x400000). */
#define SERVER_INFO_VA	  0x10000000ul /* struct server_info */
#define SERVER_BUFFER_VA  0x10100000ul /* message buffer of thread n at + n * 4096 (main: 0) */
#define SERVER_STATE_VA	  0x10200000ul /* ROLE_VMM: state page of vCPU n at + n * 4096 */
#define SERVER_CHANNEL_VA 0x10400000ul /* channel n at + n * CHANNEL_SIZE */
#define SERVER_HEAP_VA	  0x20000000ul
#define SERVER_STACK_VA	  0x30000000ul	   /* thread n's stack ends at + (n + 1) * 0x100000 */
#define SERVER_PAYLOAD_VA 0x40000000ul	   /* ROLE_VMM: the modules of its VM, read-only */
#define SERVER_GUEST_VA	  0x100000000000ul /* ROLE_VMM: guest-physical address 0 */

#define CHANNEL_SIZE 0x10000ul /* 64 KiB each, shared by exactly two servers */

/* Selectors in every server's CapTable. */
enum server_selector {
	SEL_CAPTABLE = 0,
	SEL_SUPERVISOR = 1,   /* Portal to the root-task: requests and fatal faults */
	SEL_SELF = 2,	      /* own main Thread, SIGNAL right, badge SIGNAL_SELF */
	SEL_MACHINECHECK = 3, /* if granted */
	SEL_SERIAL_PORTS = 4, /* if granted: IoPorts serial_port .. + 7 */
	SEL_SERIAL_IRQ = 5,   /* if granted: Irq serial_line, unless that is SERIAL_NO_LINE */
	SEL_UNTYPED = 6,      /* if granted */
	SEL_SPACE = 7,	      /* with GRANT_MEMORY: root PageTable of its own space */
	SEL_THREAD = 8,	      /* + n: handler Thread n (from 1), CONTROL and SIGNAL */
	SEL_CHANNEL = 16,     /* + n: Thread of channel n's other end; badge 1 << its index there */
	SEL_VCPU = 48,	      /* + n: ROLE_VMM: its VCpus; ROLE_MCA: all VMs' in order (GRANT) */
	SEL_EXIT = 80,	      /* + 16 * n: ROLE_VMM: Portals of vCPU n, made by the server itself */
	SEL_IRQS = 192,	  /* GRANT_HARDWARE: Irq of all lines; this and the next with all rights */
	SEL_PORTS = 193,  /* IoPorts 0..0xffff */
	SEL_CPUS = 194,	  /* Cpus */
	SEL_ERRORS = 195, /* MachineCheck */
	SEL_FREE = 256,	  /* the first one that is the server's own business */
};

/* Bits of the main thread's notification word: 1 << channel index, and: */
#define SIGNAL_MCA    (1ull << 61) /* ROLE_MCA: new machine-check records */
#define SIGNAL_SERIAL (1ull << 62)
#define SIGNAL_SELF   (1ull << 63)

enum channel_kind {
	CHANNEL_LOG = 0,     /* server -> console: struct log_ring; every server's index 0 */
	CHANNEL_TTY = 1,     /* vmm-server <-> console: the VM's serial port: struct tty_channel */
	CHANNEL_MCA = 2,     /* vmm-server <-> mca-server: struct mca_channel */
	CHANNEL_COMMAND = 3, /* console <-> mca-server or root: reserved */
};

struct server_channel {
	uint32_t kind;	 /* enum channel_kind */
	uint32_t server; /* of the other end in the description; SYSTEM_NONE: the root-task */
	uint32_t vm;	 /* the VM it is about, or SYSTEM_NONE */
	uint32_t cpu;	 /* of the other end */
	uint32_t present;
	char peer[16]; /* name of the other end ("root" for the root-task) */
};

#define SERIAL_NO_LINE	  (~0u)
#define SERVER_CHANNELS	  32
#define SERVER_RAM_PIECES 64

struct server_info {
	uint64_t magic; /* SYSTEM_MAGIC */
	char name[16];
	char args[240];
	uint32_t index; /* of this server in the system description */
	uint32_t role;
	uint32_t generation;   /* 0 at first; counts restarts */
	uint32_t thread_count; /* main + handlers */
	uint32_t cpu;	       /* index of the CPU that all its threads are on */
	uint32_t cpu_count;    /* CPUs that run: indices 0 .. cpu_count - 1 */
	uint64_t tsc_khz;
	uint64_t mcg_cap;
	uint32_t vendor; /* enum cpu_vendor */
	uint32_t debug;
	uint32_t mca_flags;
	uint32_t vm_count; /* VMs in the system */
	uint64_t heap_size;
	uint64_t untyped_size; /* GRANT_MEMORY */
	uint64_t first_slot;   /* slot numbers it may name when it retypes CapTables … */
	uint64_t slot_count;   /* … and how many of them (GRANT_MEMORY) */
	uint64_t boot_tsc;
	uint64_t untyped_base; /* GRANT_HARDWARE with GRANT_MEMORY: physical address of SEL_UNTYPED
				*/
	/* The serial port: its first I/O port, divisor of 115200 baud (0: the speed stays as it
	 * is), interrupt line. */
	uint32_t serial_port, serial_divisor, serial_line;
	/* ROLE_VMM */
	struct desc_vm vm; /* its VM */
	uint32_t vm_index;
	uint32_t vm_label;		     /* label of the guest space */
	uint64_t kernel_offset, kernel_size; /* in the payload window */
	uint64_t initrd_offset, initrd_size; /* size 0: none */
	/* ROLE_MCA: per VM */
	struct {
		char name[16];
		uint32_t label; /* of its guest space */
		uint32_t policy;
		uint32_t vcpus;
		uint32_t first_vcpu; /* its VCpus are SEL_VCPU + first_vcpu … */
		uint32_t channel;    /* index of the channel to its vmm-server */
		uint32_t profile;
		uint32_t generation; /* counts how often it was built anew; set when that is done */
	} vms[SYSTEM_VMS];
	/* For reports: LABEL_SERVER(i) is server i of the description. */
	char server_names[SYSTEM_SERVERS][16];
	struct server_channel channel[SERVER_CHANNELS];
	/* ROLE_MCA: the VMs' RAM in contiguous pieces, to name the owner of an address. */
	uint32_t ram_count;
	struct server_ram {
		uint64_t gpa, spa, size; /* bytes */
		uint32_t vm;
	} ram[SERVER_RAM_PIECES];
};
_Static_assert(sizeof(struct server_info) <= 8192, "two pages");
#define SERVER_INFO_PAGES 2

/* Labels of spaces. */
#define LABEL_ROOT	1u
#define LABEL_SERVER(i) (0x10u + (i)) /* host space of server i */
#define LABEL_VM(i)	(0x80u + (i)) /* guest space of VM i */

/* Requests to the root-task through SEL_SUPERVISOR: w1 = request; the reply's w1 = a status. */
enum root_request {
	ROOT_EXIT = 0x1000,	  /* w2 = status: this server is done (it is not restarted) */
	ROOT_VM_STOPPED = 0x1001, /* from its vmm-server: w2 = reason (enum vm_stop), w3 = value */
	ROOT_VM_KILL = 0x1002,	  /* GRANT_ROOT_SERVICE: w2 = VM index, w3 = 1: start it anew */
	ROOT_SHUTDOWN = 0x1003,	  /* GRANT_ROOT_SERVICE: w2 = value for the debug-exit port */
	ROOT_VM_RESET = 0x1004,	  /* from its vmm-server: build both anew */
};
enum vm_stop { VM_STOP_POWEROFF = 0, VM_STOP_DEBUG_EXIT = 1, VM_STOP_ERROR = 2 };

/* ---- Rings. Each side reads a field once and checks it: the other may write anything. ---- */

/*
 * Log: several producers (the threads of one server), one consumer. Fixed records; a producer
 * claims the next with a compare-and-swap on `head` while head - tail < LOG_RECORDS (else it counts
 * a drop), fills it, then stores `committed` = claimed index + 1 (release). The consumer takes
 * records in order and then stores tail.
 */
#define LOG_RECORDS 255
#define LOG_TEXT    232
struct log_record {
	uint64_t committed;
	uint64_t tsc;
	uint32_t length; /* bytes of text, <= LOG_TEXT; a line longer than that spans records */
	uint32_t flags;	 /* 1: line goes on in the next record */
	char text[LOG_TEXT];
};
struct log_ring {
	uint64_t head, tail, dropped;
	uint64_t flush_asked;	 /* by the producer: answer when all put before is printed … */
	uint64_t flush_answered; /* … with the same number */
	uint64_t reserved[3];
	struct log_record record[LOG_RECORDS];
};
_Static_assert(sizeof(struct log_record) == 256, "whole cache lines");
_Static_assert(sizeof(struct log_ring) <= CHANNEL_SIZE, "fits a channel");

/* Byte ring, one producer, one consumer; indices run freely. */
#define BYTE_RING_SIZE 16384u
struct byte_ring {
	uint32_t head; /* written by the producer */
	uint32_t pad0[15];
	uint32_t tail; /* written by the consumer */
	uint32_t pad1[15];
	uint8_t data[BYTE_RING_SIZE];
};
struct tty_channel {
	struct byte_ring out; /* vmm-server -> console */
	struct byte_ring in;  /* console -> vmm-server */
};
_Static_assert(sizeof(struct tty_channel) <= CHANNEL_SIZE, "fits a channel");

/* mca-server -> vmm-server: notices; vmm-server -> mca-server: acknowledgements and reports. */
enum mca_message_kind {
	MCA_MSG_BAD_PAGE = 1,  /* to VMM: page `gpa` is gone; early notice as flags say */
	MCA_MSG_CORRECTED = 2, /* to VMM: a corrected error at `gpa` (optional) */
	MCA_MSG_STOP = 3,      /* to VMM: the VM is about to be killed */
	MCA_MSG_QUEUED = 4,    /* to MCA: `sequence` is queued (epoch copied): thaw me */
	MCA_MSG_INJECTED = 5,  /* to MCA: a vMCE for `gpa` was delivered (flags: MCA_NOTICE_*) */
};
#define MCA_NOTICE_AO	  0x1u /* action optional: SRAO (Intel) or deferred (AMD) at once */
#define MCA_NOTICE_AR	  0x2u /* action required: at consumption only */
#define MCA_NOTICE_UNUSED 0x4u

struct mca_message {
	uint64_t sequence; /* sender's own count, from 1; a repeat is dropped by the receiver */
	uint32_t kind, flags;
	uint64_t gpa;	       /* page address in guest-physical space */
	uint64_t spa;	       /* system-physical, for the log */
	uint64_t status, misc; /* of the hardware record */
	uint64_t epoch;
	uint64_t record_cpu_sequence; /* cpu << 48 | sequence of the record it comes from */
};
#define MCA_RING_MESSAGES 64
struct mca_ring {
	uint32_t head, pad0[15], tail, pad1[15];
	struct mca_message message[MCA_RING_MESSAGES];
};
struct mca_channel {
	struct mca_ring to_vmm, to_mca;
};
_Static_assert(sizeof(struct mca_channel) <= CHANNEL_SIZE, "fits a channel");

#endif
