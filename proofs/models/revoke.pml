/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Taking away what other CPUs use: kernel/core/smp.c (lock_take, ask, ask_all, mail_serve), paging.c (take_down,
 * frame_poison), derive.c (slot_hide, remove_leaf),
 * slot.h (slot_is), objects.c (ec_destroy, memory_release), portal.c (check_call,
 * portal_enter), hal_inline.h (switch_rest), svm/svm.c, svm/exit.c (svm_exit), svm/entry.S. One CPU may die.
 *
 * run mappings: -DMAPPINGS=1
 * run split: -DSPLIT=1
 * run slots: -DSLOTS=1
 * live mappings: -DMAPPINGS=1
 * live slots: -DSLOTS=1
 *
 * mutation FLUSH_FIRST mappings: the page-table entry is cleared after the flush
 * mutation FLUSH_HERE mappings: only the CPU that revokes flushes
 * mutation NOT_HERE mappings: ask_all leaves out the CPU itself
 * mutation ANSWER_FIRST mappings: mail_serve says that it is done before it is
 * mutation LAST_GUEST mappings: a VCpu that was the last one on its CPU never flushes
 * mutation REFUSED_FLUSHED mappings: a VMRUN that was refused is taken for one that has flushed
 * mutation DEAF_SPINNER mappings: who waits for the lock does not serve its mail
 * mutation LOCK_FOREVER mappings: who waits for the lock of a CPU that has died waits for ever
 * mutation NO_PANIC mappings: a CPU that does not answer is waited for for ever
 * mutation NOT_WAITED mappings: ask_all does not collect the answers
 * mutation NO_WINDOW live-mappings: no interrupt is taken between a VM exit and the next entry
 * mutation SPLIT_LINKED split: the split is linked before the large page is flushed
 * mutation LIVE_LATE slots: a slot is marked dead after the barrier
 * mutation NO_BARRIER slots: slot_hide has no barrier
 * mutation LIVE_FIRST slots: who looks without the lock looks whether the slot is live, then at its type
 * mutation FILLED_LIVE slots: a slot is live before all of it is written
 *
 * CPU 0 revokes. CPU 1 runs a thread that uses the mapping and the Portal, CPU 2 a guest; both ask for the lock as well.
 */
#define CPUS   3
#define NOBODY CPUS
#ifndef MAPPINGS
#define MAPPINGS 0
#endif
#ifndef SPLIT
#define SPLIT 0
#endif
#ifndef SLOTS
#define SLOTS 0
#endif

mtype = { nothing, page, large, small };	   /* what an entry or a TLB holds */
mtype = { barrier, flush_host, flush_guest, destroy }; /* requests */
mtype = { frame, portal };			   /* types of a slot */

/* ---- the machine ---- */
bool dead[CPUS];
byte dies = NOBODY;
bool in_guest; /* CPU 2 */
bool panicked;

/* ---- entries, and what the TLBs hold of them ---- */
mtype host_entry = nothing, guest_entry = nothing;
mtype host_tlb[CPUS], guest_tlb = nothing;
bool host_gone, guest_gone; /* the hypercall that took it away has returned */
bool done;

/* ---- the kernel ---- */
byte lock_next, lock_serving;
byte ticket[CPUS];
bool waiting[CPUS]; /* struct mail */
mtype what[CPUS];
byte guest_flush, flush_seen; /* CPU 2, and its VCpu */
bool tlb_control;	      /* of the VMCB */

/* ---- a slot, and the Thread object behind it ---- */
bool s_live, s_rights, s_base;
mtype s_type = nothing;
bool object; /* the page is a Thread, and in the kernel window */
bool freed;  /* it is user memory again */

/* mail_serve, perform */
inline serve(c)
{
	if
	:: waiting[c] ->
#ifdef ANSWER_FIRST
		waiting[c] = false;
#endif
		perform(c, what[c]);
#ifndef ANSWER_FIRST
		waiting[c] = false
#endif
	:: !waiting[c]
	fi
}

/* On the CPU itself. FLUSH: CR3 is written, which is serializing; a guest flushes when it is entered. */
inline perform(c, request)
{
	d_step {
		if
		:: request == flush_host -> host_tlb[c] = nothing
		:: request == flush_guest && c == 2 -> guest_flush++
		:: else
		fi
	}
}

inline panic()
{
	panicked = true;
	false
}

/* A ticket; mail is served in each turn. Patience ends when the holder has died. */
inline lock_take(c)
{
	d_step { ticket[c] = lock_next; lock_next++ }
	do
	:: lock_serving == ticket[c] -> break
#ifndef DEAF_SPINNER
	:: lock_serving != ticket[c] && waiting[c] -> serve(c)
#endif
#ifndef LOCK_FOREVER
	:: dies != NOBODY && dead[dies] && lock_serving == ticket[dies] -> panic()
#endif
	od
}

#define lock_drop lock_serving++

inline post(i, request)
{
	d_step {
		what[i] = request;
		waiting[i] = true
	}
}

#ifdef NO_PANIC
#define SILENT(i) false
#else
#define SILENT(i) (waiting[i] && dead[i])
#endif

/* collect: after an NMI in vain, the end */
inline collect(i)
{
#ifdef NOT_WAITED
	skip
#else
	if
	:: !waiting[i]
	:: SILENT(i) -> panic()
	fi
#endif
}

inline ask_all(c, request)
{
#ifndef FLUSH_HERE
	post((c + 1) % CPUS, request);
	post((c + 2) % CPUS, request);
#endif
#ifndef NOT_HERE
	perform(c, request);
#endif
#ifndef FLUSH_HERE
	collect((c + 1) % CPUS);
	collect((c + 2) % CPUS)
#endif
}

/* hal_pt_clear, flush */
inline take_down(c, entry, request)
{
#ifdef FLUSH_FIRST
	ask_all(c, request);
	entry = nothing;
#else
	entry = nothing;
	ask_all(c, request);
#endif
}

#define MORTAL(c) if :: c == dies -> dead[c] = true; goto end_gone :: skip fi

/* A hypercall of somebody else who has all CPUs do something. */
inline contend(c)
{
	lock_take(c);
	MORTAL(c);
	ask_all(c, barrier);
	MORTAL(c);
	lock_drop
}

/* ---- CPU 0 ---- */

inline revoke_mappings()
{
	lock_take(0);
	take_down(0, host_entry, flush_host);
	lock_drop;
	host_gone = true;
	lock_take(0);
	take_down(0, guest_entry, flush_guest);
	lock_drop;
	guest_gone = true
}

/* frame_poison of a mapping of 2 MiB */
inline poison()
{
	lock_take(0);
#ifdef SPLIT_LINKED
	host_entry = nothing;
	host_entry = small;
	ask_all(0, flush_host);
#else
	host_entry = nothing;
	ask_all(0, flush_host);
	host_entry = small;
#endif
	ask_all(0, flush_host);
	lock_drop
}

inline slot_hide()
{
#ifdef LIVE_LATE
	ask_all(0, barrier);
	s_live = false
#else
	s_live = false;
#ifndef NO_BARRIER
	ask_all(0, barrier)
#endif
#endif
}

/* A Frame in the slot is deleted; a Thread is made, and a Portal to it in that slot; both are revoked. */
inline reuse_slot()
{
	lock_take(0);
	s_live = false;
	d_step { s_type = nothing; s_base = false; s_rights = false } /* slot_remove */
	lock_drop;
	lock_take(0);
	object = true; /* cap_retype: zeroed, then in the window */
	/* the fields, in whatever order the compiler likes; then slot_insert */
#ifdef FILLED_LIVE
	s_live = true;
#endif
	do
	:: s_type == nothing -> s_type = portal
	:: !s_base -> s_base = true
	:: !s_rights -> s_rights = true
	:: s_type == portal && s_base && s_rights -> break
	od;
	s_live = true;
	lock_drop;
	lock_take(0);
	slot_hide();
	d_step { s_type = nothing; s_base = false; s_rights = false }
	/* ec_destroy: its CPU; memory_release: out of the window, and no CPU keeps the translation */
	post(1, destroy);
	collect(1);
	object = false;
	ask_all(0, flush_host);
	freed = true;
	lock_drop
}

proctype cpu0() provided (!panicked)
{
#if MAPPINGS
	revoke_mappings();
#endif
#if SPLIT
	poison();
#endif
#if SLOTS
	reuse_slot();
#endif
	done = true;
end_done:
	do
	:: waiting[0] -> serve(0)
	od
}

/* ---- CPU 1 ---- */

/* portal_call: check_call, portal_enter. No lock, interrupts off: no mail is served in it. */
inline portal_call()
{
#ifdef LIVE_FIRST
	live = s_live;
	is_portal = s_type == portal;
#else
	is_portal = s_type == portal; /* slot_is: acquire */
	live = s_live;
#endif
	if
	:: live && is_portal ->
		if
		:: s_rights ->
			assert(s_base); /* hal_window(0) */
			assert(object)	/* h->cpu, h->status, ... */
		:: !s_rights
		fi
	:: else
	fi;
	d_step { live = false; is_portal = false }
}

proctype cpu1() provided (!panicked)
{
	bool contended, live, is_portal;

end_user:
	do
	:: waiting[1] -> serve(1)
	:: !contended -> contended = true; contend(1)
	:: dies == 1 -> dead[1] = true; goto end_gone
#if SLOTS
	:: !waiting[1] -> portal_call() /* an interrupt that is pending comes first */
#endif
	od;
end_gone:
	false
}

/* ---- CPU 2 ---- */

proctype cpu2() provided (!panicked)
{
	bool contended;

end_host:
	do
	/* irq_handle in the kernel, or of a thread */
	:: waiting[2] -> serve(2)
	:: !contended -> contended = true; contend(2)
	:: dies == 2 -> dead[2] = true; goto end_gone
#if MAPPINGS
	/* switch_rest: what VMRUN must flush; then either it is refused or the guest runs until it is interrupted or exits */
	:: true ->
#ifndef LAST_GUEST
		d_step {
			if
			:: flush_seen != guest_flush -> flush_seen = guest_flush; tlb_control = true
			:: else
			fi
		}
#endif
		if
		:: d_step {
				guest_tlb = (tlb_control -> nothing : guest_tlb);
				in_guest = true
			}
end_guest:
			if
			:: waiting[2]
			:: true
			:: dies == 2 -> dead[2] = true; in_guest = false; goto end_gone
			fi;
			d_step { in_guest = false; tlb_control = false }
		:: true -> /* VMEXIT_INVALID */
#ifdef REFUSED_FLUSHED
			tlb_control = false
#endif
			skip
		fi;
#ifndef NO_WINDOW
		if /* irq_window, or the VMM's handler is interrupted */
		:: waiting[2] -> serve(2)
		:: else
		fi
#endif
#endif
	od;
end_gone:
	false
}

/* ---- the walkers, who fill TLBs whenever they like ---- */
proctype walkers() provided (!panicked)
{
end_walk:
	do
	:: d_step { host_entry != nothing && host_tlb[0] != host_entry -> host_tlb[0] = host_entry }
	:: d_step { host_entry != nothing && host_tlb[1] != host_entry -> host_tlb[1] = host_entry }
	:: d_step { in_guest && guest_entry != nothing && guest_tlb != guest_entry -> guest_tlb = guest_entry }
	od
}

/* After the revoke has returned, no CPU translates by what is gone; none ever meets two sizes for one address. */
#define STALE                                                                                                                    \
	((host_gone && (host_tlb[0] != nothing || host_tlb[1] != nothing)) || (guest_gone && in_guest && guest_tlb != nothing))
#define TWO_SIZES (host_entry == small && (host_tlb[0] == large || host_tlb[1] == large))

/* Revoking ends, or the machine does. */
ltl ends { <> (done || panicked) }

init {
	atomic {
		host_tlb[0] = nothing;
		host_tlb[1] = nothing;
		host_tlb[2] = nothing;
		what[0] = nothing;
		what[1] = nothing;
		what[2] = nothing;
#if MAPPINGS
		host_entry = page;
		guest_entry = page;
#endif
#if SPLIT
		host_entry = large;
#endif
#if SLOTS
		s_live = true;
		s_type = frame;
		s_rights = true;
		s_base = true;
#endif
		if
		:: dies = NOBODY
		:: dies = 1
		:: dies = 2
		fi;
		run cpu0();
		run cpu1();
		run cpu2();
		run walkers()
	}
end_watches:
	do
	:: panicked /* that is no deadlock */
	:: atomic { STALE || TWO_SIZES || (panicked && dies == NOBODY) -> assert(false) }
	od
}
