/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The mca-server's state machine. It never waits: not for a VM, not for a full ring. Each turn does
 * what can be done and returns when it wants to be woken next.
 */
#ifndef MCA_MCA_H
#define MCA_MCA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cairn/mca.h>
#include <cairn/server.h>
#include <cairn/status.h>
#include "../classify/classify.h"
#include "../log/events.h"

#define MCA_CPUS    64u	  /* that records may come from */
#define MCA_BATCH   64u	  /* banks of one exception */
#define MCA_RETIRED 1024u /* retired ranges that are remembered */
#define MCA_NOTICES 512u  /* of one VM that it has not answered */
#define MCA_HOLDERS 64u	  /* of one page that are told */

#define MCA_POLL_US   100000u  /* R-MC polling of corrected and deferred errors */
#define MCA_ANSWER_US 2000000u /* what a frozen VM's vmm-server has to queue a notice */
#define MCA_RETRY_US  10000u   /* a full ring is tried again */
#define MCA_FLUSH_US  200000u  /* what the console gets to print why the system ends */

#define MCA_EXIT_RESET 0x20u /* the system's exit value after a verdict of reset */

/* One page of a VM that its vmm-server is to be told about. */
struct mca_notice {
	struct mca_message message;
	bool answered;
};

enum mca_kill {
	MCA_KILL_NONE,
	MCA_KILL_POLICY,  /* its policy */
	MCA_KILL_SILENT,  /* its vmm-server did not answer in time */
	MCA_KILL_FLOOD,	  /* more lost pages than can be told */
	MCA_KILL_CONTEXT, /* RIPV=0: its vCPU cannot be resumed (R-MC-8, R-BAS-3) */
	MCA_KILL_NOWHERE, /* it consumes memory that cannot be retired */
};

struct mca_vm {
	bool dead;	     /* killed; not thawed again in this life */
	bool thaw_said;	     /* that it cannot be thawed */
	uint64_t thaw_fails; /* TSC since when it cannot; 0: it can */
	enum mca_kill kill;  /* to be killed, and why */
	uint64_t kill_spa;   /* … for which page */
	uint64_t thawed;     /* epoch up to which it may enter */
	uint64_t sequence;   /* of the newest notice */
	uint64_t deadline;   /* TSC, while it owes an answer for which it is frozen */
	uint32_t owed;	     /* such answers */
	uint32_t first, count,
		sent;	     /* notices: oldest, how many, how many of them are in the channel */
	uint32_t generation; /* the life that all this is about */
	uint32_t nonsense;   /* messages from its vmm-server that made no sense */
	uint64_t injected;   /* vMCEs its vmm-server says it delivered */
	struct mca_notice notice[MCA_NOTICES];
};

/* The banks of one exception, while it is not complete. */
struct mca_batch {
	uint32_t count;
	struct mca_record record[MCA_BATCH];
};

/* Everything that a restarted mca-server must find again; nothing in it is a pointer. */
struct mca_state {
	uint64_t acknowledged[MCA_CPUS]; /* newest sequence that has taken effect */
	uint64_t verdict_epoch;		 /* exceptions of all CPUs up to this one are decided */
	struct mca_batch batch[MCA_CPUS];
	uint32_t retired_count;
	struct {
		uint64_t first, pages;
	} retired[MCA_RETIRED];
	struct mca_vm vm[SYSTEM_VMS];
};

/* A step of mc_poison. */
struct mca_holding {
	uint64_t cursor;
	uint32_t kind; /* enum mca_holder */
	uint32_t label;
	uint64_t address, rights;
};

/* What the state machine needs from the world; the host tests have another one. */
struct mca_system {
	cairn_status_t (*harvest)(uint32_t cpu, uint64_t acknowledged, struct mca_record *record,
				  uint64_t *count, uint64_t *epoch);
	cairn_status_t (*poison)(uint64_t page, uint64_t cursor, struct mca_holding *holding);
	cairn_status_t (*thaw)(uint32_t vcpu, uint64_t epoch);
	uint64_t (*kill_vm)(uint32_t vm, bool restart);
	uint64_t (*shutdown)(uint64_t value);
	void (*signal)(uint32_t channel);
	struct mca_channel *(*channel)(uint32_t channel);
	uint64_t (*now)(void);
	void (*print)(const char *line, size_t length);
};

struct mca {
	const struct mca_system *system;
	const struct server_info *info;
	struct mca_rules rules;
	struct mca_state *state;
	struct mca_events *events;
	uint64_t ticks_per_ms;		/* of the TSC */
	uint64_t acknowledge[MCA_CPUS]; /* that the next look acknowledges; 0: none yet */
	/*
	 * A pass looks into the ring of each CPU until it was seen empty. All exceptions up to the
	 * epoch that the kernel told at its first look had left their records by then.
	 */
	uint64_t pass_epoch;
	uint64_t undrained; /* bit per CPU whose ring was not seen empty in this pass; 0: it is over
			     */
	bool stopping;	    /* a reset was decided: nothing is thawed any more */
	bool stop_refused;  /* said once */
	uint64_t stop_at;   /* TSC */
};

/* Prepares for the first turn, with the state that an earlier life left, and logs whose rules hold.
 * succor, overflow_recovery: what CPUID reports. */
void mca_start(struct mca *mca, bool succor, bool overflow_recovery);

/* One turn. Returns the TSC value at which the next is due at the latest. */
uint64_t mca_turn(struct mca *mca);

/* ---- Between the files of the state machine ---- */

uint64_t mca_ticks(const struct mca *mca, uint64_t us);

/* Logs a record from before the last reset: it concerns nobody who runs now (verdict.c). */
void mca_left_over(struct mca *mca, const struct mca_record *record);

/* Decides on the records of one exception, or on one polled record, and carries the verdict out
 * (verdict.c). */
void mca_decide(struct mca *mca, const struct mca_record *records, size_t count);

/* The verdict is reset: nothing is thawed any more, and the system ends when the console has had
 * time to say why. */
void mca_stop(struct mca *mca, const char *reason);

/* Retires what a record covers, if it was not; returns who held it, for the log (retire.c). */
struct mca_owners {
	char text[96]; /* names joined by commas, or "none" */
	uint32_t count;
};
void mca_retire(struct mca *mca, const struct mca_record *record, enum mca_class class,
		struct mca_owners *owners);
void mca_owner_add(struct mca_owners *owners, const char *name);

/* Names of spaces and VMs (names.c). */
int mca_vm_of_label(const struct mca *mca, uint32_t label); /* guest space; -1: none */
const char *mca_space_name(const struct mca *mca, uint32_t label, char buffer[24]);
int mca_vm_of_address(const struct mca *mca, uint64_t spa, uint64_t *gpa); /* -1: not a VM's RAM */
const char *mca_context_name(uint32_t context);

/*
 * Asks for a VM's death; carried out after the others were thawed. Each turn begins with a look at
 * who was built anew, by the guest's wish or after a kill (kill.c).
 */
void mca_kill(struct mca *mca, uint32_t vm, enum mca_kill why, uint64_t spa);
void mca_kills_carry_out(struct mca *mca);
void mca_lives(struct mca *mca);

#endif
