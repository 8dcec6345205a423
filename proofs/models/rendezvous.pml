/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The CPUs meet in a machine check: kernel/arch/x86_64/mca/mca.c (harvest, meet, fatal), panic.c (stop_others),
 * svm/entry.S (resume_guest). One CPU may be late or die; a second machine check comes at any time.
 *
 * run broadcast: -DALONE=0
 * run dead: -DALONE=0 -DEXCEPTIONS=1 -DDEAD=1
 * run alone: -DALONE=1 -DDEAD=1
 *
 * mutation COUNT_LATE alone: the epoch is counted when the records are in the ring, not when the exception begins
 * mutation NO_KICK alone: lapic_kick_all is left out
 * mutation ONE_MEETING alone: the CPUs do not meet again after they have looked at their banks
 * mutation NO_TIMEOUT dead: meet waits for ever
 * mutation CLEARED_EARLY alone: a bank is cleared as soon as it is in the ring
 * mutation FOUND_LATE alone: found_tsc is written after the second meeting
 * mutation STAGE_KEPT alone: mc_stage is not cleared on the way out
 * mutation NO_STOP alone: fatal stops its own CPU only
 *
 * Time: a CPU that is neither late nor dead comes, and does each step, before anybody's MEET_US or LATE_US passes; where a
 * late one is concerned, they may pass at any moment.
 */
#define CPUS	   3
#ifndef EXCEPTIONS
#define EXCEPTIONS 2
#endif
#define NOBODY	   CPUS
#ifndef ALONE
#define ALONE 0 /* the last exception is one CPU's alone (LMCE) */
#endif
#ifndef DEAD
#define DEAD 0 /* a CPU may die */
#endif

/* The machine. */
bool due[CPUS];	 /* a #MC waits to be taken */
bool mcip[CPUS]; /* MCG_STATUS.MCIP */
bool lmce[CPUS]; /* MCG_STATUS.LMCE_S */
bool kick[CPUS]; /* VECTOR_MCA is pending */
bool nmi[CPUS];	 /* an NMI is pending */
bool in_guest[CPUS];
bool dead[CPUS];
bool shared;	    /* a bank that all CPUs share holds an error */
bool reset;	    /* a #MC met MCIP: the CPU shuts down, and the platform resets the machine */
byte slow = NOBODY; /* the CPU that is late, or dies */
bool dies;

/* The kernel. */
byte mc_epoch, mc_complete, thawed;
byte mc_stage[CPUS];
bool found_lately;    /* now - found_tsc < LATE_US, for whoever is not late */
bool machine_stopped;
bool undecided[CPUS]; /* its ring holds a record that the mca-server has not decided on */

/* What only the properties look at. */
byte called[CPUS]; /* the last exception that the CPU was called for */
bool looked[CPUS]; /* it has looked at its banks for that */
byte counting;	   /* CPUs between counting an epoch and the kick */
bool explained;	   /* a bank explains the last exception */
bool all_see;	   /* the last exception is of the shared bank */

/* May c give up waiting for i? The late one may, and who waits for the late one or for one that was not called. */
#ifdef NO_TIMEOUT
#define PATIENCE_ENDS(c, i) false
#else
#define PATIENCE_ENDS(c, i) (i == slow || c == slow || !(due[i] || mcip[i]))
#endif
#define ALL_DECIDED (!undecided[0] && !undecided[1] && !undecided[2])
#define QUIET	    (!mcip[0] && !mcip[1] && !mcip[2])
#define NONE_DUE    (!due[0] && !due[1] && !due[2])
#define ALL_ALIVE   (!dead[0] && !dead[1] && !dead[2])
/* It has been through a machine check: mca_process has asked the mca-server's CPU (0) to notify it. */
#define NOTIFIES(i) (called[i] && !due[i] && !mcip[i] && !dead[i])
/* It runs guest code although an epoch was counted that nobody has decided on, and nothing will make it leave. */
#define STAYS(i) (in_guest[i] && thawed < mc_epoch && !kick[i] && !dead[i] && !counting)

#define EACH(i, what) do :: i < CPUS -> what; i++ :: else -> break od; i = 0

/*
 * stop_others: a flag, and an NMI to each of the others, which halts them for good (entry.S, nmi_entry). What they do until it
 * is there is not followed: they enter no guest, for an epoch was counted that will not be complete.
 */
inline stop_others(self)
{
	machine_stopped = true;
#ifndef NO_STOP
	EACH(i, nmi[i] = i != self);
#endif
}

/* mca.c meet: own stage, then each other's in turn. What the loop has seen it need not see again: one step where it can. */
inline meet(c, stage)
{
	if
	:: c == slow && dies -> goto dies_now
	:: mc_stage[c] = stage
	fi;
	if
	:: c == slow && dies -> goto dies_now
	:: atomic {
			lmce[c] || mc_stage[0] != stage - 1 || PATIENCE_ENDS(c, 0);
			lmce[c] || mc_stage[1] != stage - 1 || PATIENCE_ENDS(c, 1);
			lmce[c] || mc_stage[2] != stage - 1 || PATIENCE_ENDS(c, 2)
		}
	fi
}

inline count_epoch()
{
	d_step { /* __atomic_add_fetch(&mc_epoch) */
		mc_epoch++;
		counting++
	}
	d_step { /* lapic_kick_all: one write to the ICR */
#ifndef NO_KICK
		EACH(i, kick[i] = true);
#endif
		counting--
	}
}

/* Those who were called with this one, and are not late, have all looked; who has seen something fatal has stopped this. */
inline fatal_dominates(c)
{
	EACH(i, assert(c == slow || i == slow || lmce[c] || called[i] != called[c] || looked[i]));
}

proctype cpu(byte c) provided (!reset && !machine_stopped)
{
	byte i;
	bool found;

end_runs:
	do
	:: c == slow && dies -> goto dies_now
	/* irq_handle, then schedule: guest_may_enter */
	:: d_step { kick[c] -> kick[c] = false; in_guest[c] = false }
	/* resume_guest: behind CLGI one load of mc_epoch decides; a kick that comes from here on ends VMRUN at once. */
	:: atomic { !in_guest[c] && !kick[c] && thawed >= mc_epoch -> assert(ALL_DECIDED) };
		in_guest[c] = true
	/* mc_entry, harvest */
	:: d_step {
			due[c] ->
			due[c] = false;
			mcip[c] = true;
			in_guest[c] = false;
			found = false
		}
#ifndef COUNT_LATE
		count_epoch();
#endif
		meet(c, 1);
		/* read_bank, check_fatal, keep: nobody else reads what it writes before the second meeting */
		if
		:: d_step { looked[c] = true; stop_others(c) } /* something fatal */
		:: d_step { /* something to recover from */
				assert(lmce[c] || slow != NOBODY || !all_see || shared);
				looked[c] = true;
				found = true;
				explained = true;
				undecided[c] = true;
#ifdef CLEARED_EARLY
				shared = false;
#endif
#ifndef FOUND_LATE
				found_lately = true
#endif
			}
		:: d_step { !shared -> looked[c] = true } /* nothing */
		fi;
#ifndef ONE_MEETING
		meet(c, 2);
#endif
#ifdef FOUND_LATE
		found_lately = found_lately || found;
#endif
		if
		:: d_step {
				!found && (!found_lately || c == slow) ->
				/* "no bank holds an error": not where one does and all come in time */
				assert(!explained || slow != NOBODY);
				stop_others(c)
			}
		:: d_step {
				found || found_lately ->
				fatal_dominates(c);
				shared = shared && (lmce[c] || !found); /* clear_banks */
#ifndef STAGE_KEPT
				mc_stage[c] = 0;
#endif
				skip
			}
		fi;
#ifdef COUNT_LATE
		count_epoch();
#endif
		/* mc_complete; WRMSR in mc_entry; interrupts are on again soon, and a kick from before is taken */
		d_step {
			mc_complete++;
			mcip[c] = false;
			kick[c] = false
		}
	od;
dies_now:
	dead[c] = true;
	in_guest[c] = false
}

/*
 * The mca-server, on CPU 0, harvests all CPUs and thaws the VMs: in one step, for verdict.pml has it in full. A CPU that has
 * died does not answer: an NMI, then hal_panic (smp.c, wait_turn). It is asked at the next poll, or, if it is CPU 0, by who
 * notifies the mca-server.
 */
proctype server() provided (!reset && !machine_stopped)
{
	byte i;

end_waits:
	do
	:: d_step {
			(thawed < mc_epoch || !ALL_DECIDED) && mc_complete == mc_epoch && QUIET && ALL_ALIVE ->
			EACH(i, undecided[i] = false);
			thawed = mc_epoch
		}
	:: d_step { !ALL_ALIVE && !dead[0] && !mcip[0] -> stop_others(NOBODY) }
	:: d_step { dead[0] && (NOTIFIES(1) || NOTIFIES(2)) -> stop_others(NOBODY) }
	od
}

/* The CPU gets a machine check; one that is in its handler shuts down (SDM 15.10.4.1). */
inline call(c)
{
	if
	:: mcip[c] -> reset = true
	:: else -> lmce[c] = alone && !due[c]; due[c] = true; called[c] = n; looked[c] = false
	fi
}

/* Raises machine checks. */
proctype hardware() provided (!reset && !machine_stopped)
{
	byte n, c;
	bool alone;

	do
	:: n < EXCEPTIONS ->
		atomic {
			n++;
			alone = ALONE && n == EXCEPTIONS;
			if /* it comes soon, or long after the last one */
			:: QUIET && NONE_DUE -> found_lately = false
			:: skip
			fi;
			explained = false;
			all_see = false;
			if
			:: alone -> call(1)
			:: alone -> call(2)
			:: else ->
				if
				:: all_see = true; shared = true
				:: skip
				fi;
				EACH(c, call(c))
			fi
		}
	:: break
	od
}

init {
	byte c;

	atomic {
		if
		:: slow = NOBODY
		:: slow = CPUS - 1
		:: DEAD -> slow = CPUS - 1; dies = true
		:: DEAD -> slow = 0; dies = true
		fi;
		EACH(c, in_guest[c] = true; run cpu(c));
		run server();
		run hardware()
	}
end_watches:
	do
	:: atomic { reset || machine_stopped -> assert(reset || nmi[0] + nmi[1] + nmi[2] >= CPUS - 1) };
		goto over
	:: atomic { STAYS(0) || STAYS(1) || STAYS(2) -> assert(reset) }
	:: atomic {
			timeout -> /* nothing more happens */
			EACH(c, assert(dead[c] || (!due[c] && !mcip[c] && mc_stage[c] == 0 && in_guest[c])));
			assert(mc_complete == mc_epoch && thawed == mc_epoch && !reset && !machine_stopped);
			assert(!dead[1] && !dead[2]);
			break
		}
	od;
end_rests:
	false;
over:
	do
	:: reset || machine_stopped /* that is no deadlock */
	od
}
