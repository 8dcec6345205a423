/* SPDX-License-Identifier: BSD-2-Clause */
/* A Linux process that owns one page, says where it lies in guest-physical memory, and loses it to
 * a memory error. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE_SIZE  4096ul
#define PAGE_WORDS (PAGE_SIZE / sizeof(uint64_t))
#define POOL_PAGES 512ul

/* Linux, Documentation/admin-guide/mm/pagemap.rst: bits 54:0 frame number, bit 63 present. */
#define PAGEMAP_FRAME	((1ull << 55) - 1)
#define PAGEMAP_PRESENT (1ull << 63)

static const char usage[] =
	"usage: victim spin|exit|sleep [SEED]\n"
	"  spin   reads its page all the time\n"
	"  exit   the same, with a CPUID instruction (a VM exit) before each read\n"
	"  sleep  leaves its page alone; SIGUSR1: reads it once; SIGUSR2: says that it is alive\n"
	"  SEED   chooses the page among 512\n";

static int guest_physical(const volatile void *page, uint64_t *gpa)
{
	uint64_t entry = 0;
	off_t where = (off_t)((uintptr_t)page / PAGE_SIZE * sizeof(entry));
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return -1;
	ssize_t got = pread(fd, &entry, sizeof(entry), where);
	close(fd);
	if (got != (ssize_t)sizeof(entry) || !(entry & PAGEMAP_PRESENT) ||
	    !(entry & PAGEMAP_FRAME)) {
		errno = EPERM; /* frame numbers read 0 without CAP_SYS_ADMIN */
		return -1;
	}
	*gpa = (entry & PAGEMAP_FRAME) * PAGE_SIZE;
	return 0;
}

static uint64_t pattern(uint64_t seed, uint64_t word)
{
	uint64_t x = seed + (word + 1) * 0x9e3779b97f4a7c15ull;

	x ^= x >> 29;
	x *= 0xbf58476d1ce4e5b9ull;
	return x ^ x >> 32;
}

/* One page out of a pool, so that successive victims get pages in many places; the rest is given
 * back. */
static volatile uint64_t *take_page(uint64_t seed)
{
	size_t size = POOL_PAGES * PAGE_SIZE;
	uint8_t *pool =
		mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (pool == MAP_FAILED)
		return NULL;
	/* A huge page would be one physical run; without THP in the kernel the call fails, which is
	 * fine. */
	(void)madvise(pool, size, MADV_NOHUGEPAGE);
	for (size_t i = 0; i < POOL_PAGES; i++)
		pool[i * PAGE_SIZE] = 1;

	size_t chosen = pattern(seed, 0) % POOL_PAGES;
	volatile uint64_t *page = (volatile uint64_t *)(pool + chosen * PAGE_SIZE);

	if (chosen > 0 && munmap(pool, chosen * PAGE_SIZE) != 0)
		return NULL;
	if (chosen + 1 < POOL_PAGES &&
	    munmap(pool + (chosen + 1) * PAGE_SIZE, (POOL_PAGES - chosen - 1) * PAGE_SIZE) != 0)
		return NULL;
	for (size_t i = 0; i < PAGE_WORDS; i++)
		page[i] = pattern(seed, i);
	return page;
}

/* Data that comes back wrong, instead of a signal, would be silent corruption: the worst outcome.
 */
static void check_word(volatile uint64_t *page, uint64_t seed, uint64_t word)
{
	uint64_t value = page[word];

	if (value == pattern(seed, word))
		return;
	printf("victim: pid %d CORRUPTED word %u: 0x%llx\n", getpid(), (unsigned int)word,
	       (unsigned long long)value);
	exit(1);
}

static void cpuid(void)
{
	uint32_t a = 0, b, c = 0, d;

	__asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d) : : "memory");
}

static void read_forever(volatile uint64_t *page, uint64_t seed, int with_exits)
{
	for (uint64_t i = 0;; i++) {
		if (with_exits)
			cpuid();
		check_word(page, seed, i % PAGE_WORDS);
	}
}

static void sleep_until_told(volatile uint64_t *page, uint64_t seed, const sigset_t *set)
{
	for (;;) {
		int sig = sigwaitinfo(set, NULL);

		if (sig == SIGUSR2)
			printf("victim: pid %d alive\n", getpid());
		if (sig != SIGUSR1)
			continue;
		for (uint64_t i = 0; i < PAGE_WORDS; i++)
			check_word(page, seed, i);
		printf("victim: pid %d page intact\n", getpid());
	}
}

int main(int argc, char **argv)
{
	const char *mode = argc > 1 ? argv[1] : "";
	uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 0) : (uint64_t)getpid();
	uint64_t gpa = 0;
	sigset_t set;

	if (argc > 3 || (strcmp(mode, "spin") && strcmp(mode, "exit") && strcmp(mode, "sleep"))) {
		fputs(usage, stderr);
		return 2;
	}
	/* Blocked before the page is announced: a signal sent as soon as the line appears is not
	 * lost. */
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGUSR2);
	sigprocmask(SIG_BLOCK, &set, NULL);
	setvbuf(stdout, NULL, _IOLBF, 0);

	volatile uint64_t *page = take_page(seed);

	if (!page || guest_physical(page, &gpa) != 0) {
		fprintf(stderr, "victim: no page: %s\n", strerror(errno));
		return 1;
	}
	printf("victim: pid %d gpa 0x%llx mode %s\n", getpid(), (unsigned long long)gpa, mode);
	if (strcmp(mode, "sleep") == 0)
		sleep_until_told(page, seed, &set);
	else
		read_forever(page, seed, strcmp(mode, "exit") == 0);
	return 0;
}
