/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * From the exception to the thaw, with a restart of the mca-server in between: kernel/core/mca.c (mca_push, mca_process,
 * mca_harvest, mca_thaw, mca_bind), sched.c (guest_may_enter), objects.c (configure_vcpu), svm/entry.S (resume_guest);
 * mca-server/main/mca.c (harvest, take, end_pass, thaw_all), verdict.c, retire.c, notify/notify.c.
 *
 * run both: -DFIRST=1 -DSECOND=1
 * run twice: -DFIRST=2 -DSECOND=0 -DCREATE=0
 * run created: -DFIRST=1 -DSECOND=0 -DCREATE=1
 * run restart: -DFIRST=1 -DSECOND=0 -DRESTARTS=1
 *
 * mutation COUNT_LATE both: the epoch is counted when the records have been announced
 * mutation COMPLETE_EARLY both: mc_complete is counted before the records are in the ring
 * mutation NO_KICK created: lapic_kick_all is left out
 * mutation OTHERS_ONLY created: the kick leaves out the CPU itself
 * mutation HELD_UNASKED both: mca_process holds a thread even if its record was acknowledged meanwhile
 * mutation GUESSED created: configure_vcpu takes all epochs for decided when it sees nothing pending
 * mutation UNFILLED both: mca_harvest does not look whether the record is filled
 * mutation NEWEST_RECORD both: the VMs are thawed for the epoch of the newest record decided on, not of the pass
 * mutation NO_SEQUENCE restart: a record that is delivered again is taken again
 * mutation BATCH_FIRST restart: the batch is cleared before it is decided on
 * mutation STOP_CLEARS restart: a batch that was decided to end the system is cleared
 * mutation START_LATE restart: a complete batch that was left behind is decided on after its last record is acknowledged
 * mutation TOLD_TWICE restart: a notice is not looked for among those that wait before it is queued
 *
 * The CPUs do not meet here: any of them may be in any place of its stub (rendezvous.pml has the meeting).
 */
#define CPUS 2
#define VMM  0 /* the VM whose memory is lost, and on whose vmm-server's answer its thaw waits */
#ifndef FIRST
#define FIRST 1 /* exceptions of CPU 0 */
#endif
#ifndef SECOND
#define SECOND 1 /* … of CPU 1 */
#endif
#ifndef CREATE
#define CREATE 0 /* the VCpu of CPU 1 is made at any time */
#endif
#ifndef RESTARTS
#define RESTARTS 0
#endif
#define PER_CPU	  4 /* records */
#define BIT(s)	  (1 << ((s) - 1))
#define R(c, s)	  ((c) * PER_CPU + (s))
#define MASK(c)	  (15 << ((c) * PER_CPU))
#define SET(m, b) m = m | (b)
#define CLR(m, b) m = m & ~(b)

mtype = { none, harvest, thaw, bind, configure };

/* ---- the machine ---- */
bool in_guest[CPUS];
bool kick[CPUS];
bool gif_off[CPUS]; /* GIF = 0: no #MC */
bool waits[CPUS];   /* the CPU is in a guest, at user level or idle */
bool machine_stopped;
byte exceptions[CPUS]; /* still to come */

/* ---- the kernel ---- */
byte mc_epoch, mc_complete, mca_decided;
byte complete_last; /* complete_epoch's `last` */
byte head[CPUS], acknowledged[CPUS]; /* of each ring */
/* Of records: r->sequence, r->last; the first of its exception; and that the verdict must be reset. */
short filled, last, leading, deadly;
byte rec_epoch[CPUS * PER_CPU + 1];
bool mc_pending[CPUS], resched[CPUS], mc_context[CPUS], verdict[CPUS], again[CPUS];
byte mc_sequence[CPUS], held[CPUS];
byte thawed[CPUS]; /* of the VCpu on each CPU */
bool frozen[CPUS], configured[CPUS];
bool locked, bound, notified;
mtype mail[CPUS];
byte mail_arg[CPUS];
bool in_stub[CPUS + 1]; /* by process number: CPU c is process c + 1 */

/* ---- struct mca_state: survives the mca-server ---- */
byte st_ack[CPUS];
byte st_verdict, st_thawed[CPUS];
short st_batch;	  /* records in the batches */
short st_retired; /* records whose page is in the list */
short st_owed, st_unsent;
/* ---- its channel to the vmm-server ---- */
short to_vmm, to_mca;

/* ---- what only the properties look at ---- */
short told, decided;
byte written; /* exceptions, by epoch, whose records are in the ring */
byte counting;

/* What must hold when VM c enters: all records that there are have their verdict, and its vmm-server has queued its notices. */
#define all_records ((1 << head[0]) - 1 | ((1 << head[1]) - 1) << PER_CPU)
#define enters(c)   ((all_records & ~decided) == 0 && (deadly & all_records) == 0 && (c != VMM || st_owed == 0))

/* ---- the kernel's part on each CPU ---- */

/* mail_serve: requests come under the lock, and touch what is this CPU's. */
inline serve(c)
{
	d_step {
		if
		:: mail[c] == harvest -> /* mca_harvest_here */
			if
			:: mail_arg[c] > acknowledged[c] ->
				acknowledged[c] = mail_arg[c];
				if
				:: held[c] && held[c] <= acknowledged[c] ->
					assert(decided & BIT(R(c, held[c])));
					held[c] = 0
				:: else
				fi
			:: else
			fi;
			verdict[c] = verdict[c] && acknowledged[c] < mc_sequence[c]
		:: mail[c] == thaw -> /* mca_thaw */
			if
			:: mail_arg[c] > mca_decided -> mca_decided = mail_arg[c]
			:: else
			fi;
			if
			:: mail_arg[c] > thawed[c] -> thawed[c] = mail_arg[c]
			:: else
			fi;
			frozen[c] = frozen[c] && thawed[c] < mc_epoch
		:: mail[c] == bind -> /* mca_bind_here */
			again[c] = again[c] || verdict[c]
		:: mail[c] == configure -> /* configure_vcpu */
			configured[c] = true;
#ifdef GUESSED
			thawed[c] = (mc_complete == mc_epoch && !mc_pending[0] && !mc_pending[1] && !verdict[0] && !verdict[1] ->
				mc_epoch : 0)
#else
			thawed[c] = mca_decided
#endif
		fi;
		mail[c] = none;
		resched[c] = true
	}
}

/* A CPU between two stubs. The stub may come between any two of its steps, but for GIF = 0. */
proctype cpu(byte c) provided (!machine_stopped && !in_stub[_pid])
{
	goto schedule;
end_waits:
	/* In the guest, at user level, idle. irq_handle sets resched; irq_window may take several interrupts. */
	if
	:: atomic { mail[c] != none -> in_guest[c] = false; serve(c); goto end_waits }
	:: atomic { kick[c] || resched[c] -> kick[c] = false; in_guest[c] = false; waits[c] = false; goto schedule }
	fi;
schedule:
	/* mca_process */
	atomic {
		if
		:: !mc_pending[c] -> goto no_record
		:: else -> mc_pending[c] = false
		fi
	}
	d_step {
		again[c] = false;
		verdict[c] = true;
		if
		:: mc_context[c] ->
#ifdef HELD_UNASKED
			held[c] = mc_sequence[c]
#else
			held[c] = (mc_sequence[c] > acknowledged[c] -> mc_sequence[c] : 0)
#endif
		:: else
		fi;
		mc_context[c] = false
	}
takes_lock:
	if
	:: atomic { mail[c] != none -> serve(c); goto takes_lock }
	:: d_step { !locked -> locked = true }
	fi;
	d_step { notified = notified || bound; locked = false } /* mca_notify, lock_drop */
no_record:
	/* schedule, guest_may_enter */
	atomic {
		resched[c] = false;
		frozen[c] = configured[c] && thawed[c] < mc_epoch;
		if
		:: !configured[c] || frozen[c] -> waits[c] = true; goto end_waits
		:: else
		fi
	}
	/* resume_guest behind CLGI */
	atomic {
		if
		:: resched[c] || thawed[c] < mc_epoch -> goto schedule
		:: else -> assert(enters(c)); gif_off[c] = true
		fi
	}
	atomic { in_guest[c] = true; waits[c] = true; gif_off[c] = false; goto end_waits }
}

/* mca_push: claims a place; fills it later. */
inline claim(is_first, is_last, is_deadly)
{
	head[c]++;
	if
	:: is_first -> SET(leading, BIT(R(c, head[c])))
	:: else
	fi;
	rec_epoch[R(c, head[c])] = epoch;
	if
	:: is_last -> SET(last, BIT(R(c, head[c])))
	:: else
	fi;
	if
	:: is_deadly -> SET(deadly, BIT(R(c, head[c])))
	:: else
	fi
}
#define FILL SET(filled, BIT(R(c, head[c])))

#ifdef NO_KICK
#define KICK(i) skip
#elif defined(OTHERS_ONLY)
#define KICK(i) kick[i] = kick[i] || i != c
#else
#define KICK(i) kick[i] = true
#endif

/* __atomic_add_fetch(&mc_epoch), then lapic_kick_all: one write to the ICR. */
inline count_epoch()
{
	d_step { mc_epoch++; epoch = mc_epoch; counting++ }
	d_step { KICK(0); KICK(1); counting-- }
}

/* The stub: harvest() of arch/x86_64/mca/mca.c. */
proctype stub(byte c) provided (!machine_stopped)
{
	byte epoch;
	bool found, thread;

end_none:
	do
	:: d_step {
			exceptions[c] > 0 && !gif_off[c] ->
			exceptions[c]--;
			in_stub[c + 1] = true;
			/* it interrupts a guest, a thread that is not held, or the kernel */
			thread = waits[c] && !in_guest[c] && !held[c];
			in_guest[c] = false
		}
#ifdef COUNT_LATE
		epoch = mc_epoch + 1;
#else
		count_epoch();
#endif
#ifdef COMPLETE_EARLY
		mc_complete++;
#endif
		if
		:: found = false
		:: d_step { found = true; claim(true, true, false) };
			FILL
#if RESTARTS
		:: d_step { found = true; claim(true, false, false) };
			d_step { FILL; claim(false, true, false) }
			FILL
		:: d_step { found = true; claim(true, false, true) };
			d_step { FILL; claim(false, true, false) }
			FILL
#else
		:: d_step { c == 0 && SECOND -> found = true; claim(true, true, true) };
			FILL
#endif
		fi;
		d_step {
			SET(written, BIT(epoch));
#ifndef COMPLETE_EARLY
			mc_complete++
#endif
		}
		d_step {
			machine_stopped = found && !bound; /* "no mca-server" */
			mc_pending[c] = true;
			mc_sequence[c] = head[c];
			mc_context[c] = mc_context[c] || (found && thread);
			resched[c] = true;
			thread = false;
			found = false;
			epoch = 0;
#ifndef COUNT_LATE
			in_stub[c + 1] = false
#endif
		}
#ifdef COUNT_LATE
		count_epoch();
		in_stub[c + 1] = false
#endif
	od
}

/* ---- the mca-server ---- */

/* It may be gone after any of its steps. */
#if RESTARTS
#define MORTAL if :: restarts > 0 -> restarts--; goto dies :: skip fi
#else
#define MORTAL skip
#endif

/* verdict.c mca_decide on the batch of CPU k, and retire.c: a page is in the list when its VM is told. */
inline decide(k)
{
	batch = st_batch & MASK(k);
	assert(batch & -batch & leading); /* it is whole */
#ifdef BATCH_FIRST
	CLR(st_batch, MASK(k));
	MORTAL;
#endif
	if
	:: batch & deadly ->
		stopping = true;
#ifdef STOP_CLEARS
		CLR(st_batch, MASK(k));
#endif
	:: else ->
		s = k * PER_CPU + 1;
		do
		:: s <= (k + 1) * PER_CPU && (batch & BIT(s)) && !(st_retired & BIT(s)) ->
			if /* notify_page */
#ifndef TOLD_TWICE
			:: st_owed & BIT(s)
#endif
			:: else ->
				assert(!(told & BIT(s)));
				SET(told, BIT(s));
#if RESTARTS
				SET(st_owed, BIT(s));
				SET(st_unsent, BIT(s))
#endif
			fi;
			MORTAL;
			SET(st_retired, BIT(s)) /* remember */
		:: s <= (k + 1) * PER_CPU && !((batch & BIT(s)) && !(st_retired & BIT(s))) -> s++
		:: s > (k + 1) * PER_CPU -> break
		od;
		SET(decided, batch);
#ifdef NEWEST_RECORD
		st_verdict = (rec_epoch[R(k, n)] > st_verdict -> rec_epoch[R(k, n)] : st_verdict);
#endif
		MORTAL;
		CLR(st_batch, MASK(k))
	fi;
	batch = 0;
	s = 0
}

/* take: into the batch; at the exception's last record, decides. */
inline take(k)
{
	SET(st_batch, BIT(R(k, n)));
#ifndef BATCH_FIRST
	MORTAL;
	st_ack[k] = n;
#endif
	MORTAL;
	if
	:: last & BIT(R(k, n)) -> decide(k)
	:: else
	fi;
#ifdef BATCH_FIRST
	MORTAL;
	st_ack[k] = n
#endif
}

inline leftover(k)
{
	n = 0;
	do
	:: n < PER_CPU && !(st_batch & MASK(k) & ~(BIT(R(k, n + 1)) - 1)) -> break
	:: else -> n++
	od;
	st_ack[k] = (n > st_ack[k] -> n : st_ack[k]);
	if
	:: n && !stopping && (last & BIT(R(k, n))) -> decide(k)
	:: else
	fi;
	n = 0
}

proctype server() provided (!machine_stopped)
{
	byte ack[CPUS], pass, epoch, undrained, n, s, k, restarts = RESTARTS;
	short batch;
	bool stopping, first;

starts:
	/* mc_bind: the verdict's time once more, and what nobody has acknowledged is delivered again */
	atomic { !locked -> locked = true; bound = true };
#if RESTARTS
	if
	:: RESTARTS > restarts ->
		mail[0] = bind;
		atomic { mail[0] == none -> mail[1] = bind };
		mail[1] == none
	:: else
	fi;
#endif
	atomic {
		notified = head[0] > acknowledged[0] || head[1] > acknowledged[1];
		locked = false;
#ifndef START_LATE
		/* resume: what is in a batch is acknowledged; if it is whole, it is decided on before the kernel is told */
		leftover(0);
		leftover(1);
#endif
	}
	do
	:: !stopping ->
		atomic {
			/* notify_receive; an answer to what is not marked as sent is none */
			CLR(st_owed, to_mca & ~st_unsent);
			to_mca = 0;
			MORTAL;
			/* harvest: a pass */
			undrained = 3;
			first = true
		}
		do
		:: atomic {
				/* look: one mc_harvest, of each CPU in turn */
				undrained && !stopping && !locked ->
				k = (undrained & (1 << k) -> k : 1 - k);
				locked = true;
				epoch = mc_complete /* complete_epoch */
			}
			d_step {
				if
				:: epoch == mc_epoch ->
					complete_last = epoch;
					assert(((1 << epoch) - 1 & ~written) == 0)
				:: else
				fi;
				pass = (first -> complete_last : pass);
				epoch = 0;
				first = false;
				mail_arg[k] = ack[k];
				mail[k] = harvest
			}
			atomic {
				mail[k] == none ->
				n = acknowledged[k] + 1;
				if
#ifdef UNFILLED
				:: head[k] < n -> n = 0
#else
				:: head[k] < n || !(filled & BIT(R(k, n))) -> n = 0
#endif
				:: else -> assert(filled & BIT(R(k, n)))
				fi;
				locked = false;
				MORTAL;
				if
				:: n == 0 -> undrained = undrained & ~(1 << k)
				:: else ->
					if
#ifdef NO_SEQUENCE
					:: true -> take(k)
#else
					:: n > st_ack[k] -> take(k)
#endif
					:: n <= st_ack[k]
					fi;
					ack[k] = n;
					n = 0
				fi;
				k = 1 - k
			}
		:: atomic { !undrained || stopping -> break }
		od;
		atomic {
			k = 0;
			if
			:: stopping -> break
			:: else
			fi;
			/* end_pass: what is left in a batch belongs to an exception that is not complete */
#ifdef START_LATE
			if
			:: st_batch && pass == mc_epoch -> decide(0)
			:: else
			fi;
			if
			:: stopping -> break
			:: else
			fi;
#endif
			assert(!st_batch || pass < mc_epoch);
#ifndef NEWEST_RECORD
			st_verdict = (pass > st_verdict -> pass : st_verdict);
#endif
			pass = 0;
			MORTAL
		}
		/* thaw_all */
		do
		:: d_step { k < CPUS && st_verdict > st_thawed[k] && (k != VMM || !st_owed) && !locked ->
				locked = true; mail_arg[k] = st_verdict; mail[k] = thaw };
			d_step { mail[k] == none -> locked = false; st_thawed[k] = st_verdict; k++ }
		:: atomic { k < CPUS && !(st_verdict > st_thawed[k] && (k != VMM || !st_owed)) -> k++ }
		:: k == CPUS -> break
		od;
		atomic {
			k = 0;
			MORTAL;
			/* notify_send */
			SET(to_vmm, st_unsent);
			if
			:: st_unsent -> MORTAL
			:: else
			fi;
			st_unsent = 0
		}
end_waits:
		d_step { notified -> notified = false }
	:: else -> break
	od;
	/* The verdict was reset: the root-task ends the system soon; until then it may be gone once more. */
end_stopping:
#if RESTARTS
	atomic { restarts > 0 -> restarts--; goto dies }
#else
	false
#endif
dies:
	atomic {
		ack[0] = 0; ack[1] = 0;
		pass = 0; epoch = 0; undrained = 0; n = 0; s = 0; k = 0; batch = 0;
		stopping = false; first = false;
		bound = false; notified = false;
		goto starts
	}
}

/* The vmm-server of VM 0 queues its notices, and says so. The root-task makes a VCpu on CPU 1. */
proctype others() provided (!machine_stopped)
{
end_idle:
	do
	:: d_step { to_vmm -> SET(to_mca, to_vmm); to_vmm = 0; notified = notified || bound }
	:: d_step { !configured[1] && !locked -> locked = true; mail[1] = configure };
		d_step { mail[1] == none -> locked = false }
	od
}

#define STAYS(c) (in_guest[c] && thawed[c] < mc_epoch && !kick[c] && !counting)

init {
	atomic {
		mail[0] = none;
		mail[1] = none;
		configured[0] = true;
		exceptions[0] = FIRST;
		exceptions[1] = SECOND;
		run cpu(0);
		run cpu(1);
		run stub(0);
		run stub(1);
		run server();
		configured[1] = !CREATE;
		run others()
	}
end_watches:
	do
	:: machine_stopped /* that is no deadlock */
	:: atomic { STAYS(0) || STAYS(1) -> assert(false) }
	:: atomic {
			timeout -> /* nothing more happens */
			assert(mc_complete == mc_epoch && !locked && !mc_pending[0] && !mc_pending[1]);
			if
			:: deadly -> assert(!in_guest[0] && !in_guest[1])
			:: else ->
				assert(thawed[0] == mc_epoch && thawed[1] == mc_epoch);
				assert(in_guest[0] && in_guest[1]);
				assert(acknowledged[0] == head[0] && acknowledged[1] == head[1]);
				assert(told == all_records && decided == all_records);
				assert(!held[0] && !held[1] && !verdict[0] && !verdict[1])
			fi;
			break
		}
	od;
end_rests:
	false
}
