/* SPDX-License-Identifier: BSD-2-Clause */
/* Dispatches a bounced Linux system call; what is not in the table says its name once and fails
 * with ENOSYS. */
#include <errno.h>
#include <stdbool.h>
#include <sys/syscall.h>
#include <cairn/log.h>
#include "libs/personality/personality.h"
#include "libs/personality/text.h"

#define LINUX_CALLS 512

typedef long linux_call_fn(const struct linux_call *call);

static linux_call_fn *const calls[LINUX_CALLS] = {
	[SYS_read] = linux_read,
	[SYS_readv] = linux_readv,
	[SYS_write] = linux_write,
	[SYS_writev] = linux_writev,
	[SYS_close] = linux_close,
	[SYS_lseek] = linux_lseek,
	[SYS_ioctl] = linux_ioctl,
	[SYS_brk] = linux_brk,
	[SYS_mmap] = linux_mmap,
	[SYS_munmap] = linux_munmap,
	[SYS_mprotect] = linux_mprotect,
	[SYS_mremap] = linux_mremap,
	[SYS_madvise] = linux_madvise,
	[SYS_clock_gettime] = linux_clock_gettime,
	[SYS_clock_getres] = linux_clock_getres,
	[SYS_gettimeofday] = linux_gettimeofday,
	[SYS_nanosleep] = linux_nanosleep,
	[SYS_clock_nanosleep] = linux_clock_nanosleep,
	[SYS_sched_yield] = linux_sched_yield,
	[SYS_futex] = linux_futex,
	[SYS_arch_prctl] = linux_arch_prctl,
	[SYS_set_tid_address] = linux_set_tid_address,
	[SYS_getpid] = linux_getpid,
	[SYS_gettid] = linux_getpid,
	[SYS_getppid] = linux_getuid,
	[SYS_getuid] = linux_getuid,
	[SYS_geteuid] = linux_getuid,
	[SYS_getgid] = linux_getuid,
	[SYS_getegid] = linux_getuid,
	[SYS_rt_sigaction] = linux_rt_sigaction,
	[SYS_rt_sigprocmask] = linux_rt_sigprocmask,
	[SYS_tkill] = linux_tkill,
	[SYS_tgkill] = linux_tgkill,
	[SYS_kill] = linux_kill,
	[SYS_exit] = linux_exit,
	[SYS_exit_group] = linux_exit,
	[SYS_getrandom] = linux_getrandom,
};

static long unsupported(uint64_t number)
{
	static bool reported[LINUX_CALLS + 1];
	uint64_t index = number < LINUX_CALLS ? number : LINUX_CALLS;
	struct text text = {0};

	if (!reported[index]) {
		reported[index] = true;
		text_add(&text, "personality: unsupported Linux call ");
		text_add(&text, linux_call_name(number));
		text_add(&text, " (");
		text_add_number(&text, number);
		text_add(&text, ")");
		cairn_log_text(text.bytes, text.length);
	}
	return -ENOSYS;
}

/* Called by entry.S. */
__attribute__((used)) long personality_call(const struct linux_call *call)
{
	if (call->number >= LINUX_CALLS || calls[call->number] == NULL)
		return unsupported(call->number);
	return calls[call->number](call);
}

void personality_init(unsigned char *heap, size_t size)
{
	personality_memory_init(heap, size);
}
