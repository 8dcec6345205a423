/* SPDX-License-Identifier: BSD-2-Clause */
/* What the threads that take the paths (marks.S) are told; for C and assembler. */
#ifndef MARKS_H
#define MARKS_H

#define PATHS_MARK 0x7061746873 /* in R15 of all these threads */

/* Offsets in struct paths. */
#define PATHS_SAME   0
#define PATHS_CROSS  8
#define PATHS_SELF   16
#define PATHS_WAITER 24
#define PATHS_MAIN   32
#define PATHS_ROUNDS 40

#ifndef __ASSEMBLER__
#include <stddef.h>
#include <stdint.h>

/* Selectors, of one CPU. */
struct paths {
	uint64_t same, cross;  /* Portals to handlers in this space and in another */
	uint64_t self, waiter; /* Threads, to be signalled */
	uint64_t main;	       /* the server's own Thread, which is CPU 0's */
	uint64_t rounds;       /* how often the caller takes all paths */
};
_Static_assert(offsetof(struct paths, same) == PATHS_SAME &&
		       offsetof(struct paths, cross) == PATHS_CROSS &&
		       offsetof(struct paths, self) == PATHS_SELF &&
		       offsetof(struct paths, waiter) == PATHS_WAITER &&
		       offsetof(struct paths, main) == PATHS_MAIN &&
		       offsetof(struct paths, rounds) == PATHS_ROUNDS,
	       "marks.S");

/* Where a CPU's two threads begin. The caller has struct paths in RDI; it takes all paths
 * PATHS_ROUNDS times. */
extern const unsigned char paths_caller[], paths_waiter[];
#endif

#endif
