/* SPDX-License-Identifier: BSD-2-Clause */
/* The part of Linux that stock musl needs, made of hypercalls: what the parts of the personality
 * share. */
#ifndef LIBS_PERSONALITY_H
#define LIBS_PERSONALITY_H

#include <stddef.h>
#include <stdint.h>

/* A bounced system call, as entry.S lays it out. */
struct linux_call {
	uint64_t arg[6];
	uint64_t number;
};
_Static_assert(sizeof(struct linux_call) == 56, "built by entry.S");

/* Before musl starts: where its memory is. */
void personality_init(unsigned char *heap, size_t size);

/* Random bytes: RDRAND where the CPU has it, mixed with the TSC; without RDRAND they can be
 * guessed. */
void personality_random(void *to, size_t length);

/* The name of a Linux call ("openat"), or "?". */
const char *linux_call_name(uint64_t number);

/* The calls, by file. Each returns what Linux would return in RAX. */
long linux_write(const struct linux_call *call);
long linux_writev(const struct linux_call *call);
long linux_read(const struct linux_call *call);
long linux_readv(const struct linux_call *call);
long linux_ioctl(const struct linux_call *call);
long linux_close(const struct linux_call *call);
long linux_lseek(const struct linux_call *call);
void personality_output_flush(void);

long linux_brk(const struct linux_call *call);
long linux_mmap(const struct linux_call *call);
long linux_munmap(const struct linux_call *call);
long linux_mprotect(const struct linux_call *call);
long linux_mremap(const struct linux_call *call);
long linux_madvise(const struct linux_call *call);
void personality_memory_init(unsigned char *heap, size_t size);

long linux_clock_gettime(const struct linux_call *call);
long linux_clock_getres(const struct linux_call *call);
long linux_gettimeofday(const struct linux_call *call);
long linux_nanosleep(const struct linux_call *call);
long linux_clock_nanosleep(const struct linux_call *call);
long linux_sched_yield(const struct linux_call *call);
long linux_futex(const struct linux_call *call);

long linux_arch_prctl(const struct linux_call *call);
long linux_set_tid_address(const struct linux_call *call);
long linux_getpid(const struct linux_call *call);
long linux_getuid(const struct linux_call *call);
long linux_rt_sigaction(const struct linux_call *call);
long linux_rt_sigprocmask(const struct linux_call *call);
long linux_tkill(const struct linux_call *call);
long linux_tgkill(const struct linux_call *call);
long linux_kill(const struct linux_call *call);
long linux_exit(const struct linux_call *call);
long linux_getrandom(const struct linux_call *call);
__attribute__((noreturn)) void personality_end(int status);

#endif
