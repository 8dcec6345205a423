/* SPDX-License-Identifier: BSD-2-Clause */
/* Builds what Linux would put on a new program's stack, and enters stock musl's start-up code with
 * it. */
#include <elf.h>
#include <stdint.h>
#include <string.h>
#include <cairn/boot.h>
#include <cairn/hooks.h>
#include <cairn/hypercalls.h>
#include <cairn/runtime.h>
#include "libs/personality/personality.h"

#define MAX_ARGUMENTS 32

/* Supplied by the linker: the program's own ELF header, in its first segment. */
extern const Elf64_Ehdr __ehdr_start __attribute__((visibility("hidden")));

extern char cairn_syscall_entry[];

int main(int argc, char **argv, char **envp);
int __libc_start_main(int (*main)(int, char **, char **), int argc, char **argv, void (*init)(void),
		      void (*fini)(void), void (*loader_fini)(void));

/* musl finds the environment behind argv, and the auxiliary vector behind that. */
static struct {
	char *argv[MAX_ARGUMENTS + 1];
	char *envp[1];
	Elf64_auxv_t auxv[16];
} start;

static char words[sizeof(((struct server_info *)0)->args) + 1];
static char name[16];
static uint8_t random_bytes[16];

static bool is_root(void)
{
	return *(const uint64_t *)ROOT_INFO_VA == BOOT_MAGIC;
}

/* Splits `words` at blanks; the vector must be without gaps, so it ends at the last argument. */
static int split_arguments(void)
{
	int argc = 0;
	char *at = words;

	start.argv[argc++] = name;
	while (argc < MAX_ARGUMENTS) {
		while (*at == ' ')
			*at++ = 0;
		if (*at == 0)
			break;
		start.argv[argc++] = at;
		while (*at != ' ' && *at != 0)
			at++;
	}
	return argc;
}

static Elf64_auxv_t *add(Elf64_auxv_t *at, uint64_t type, uint64_t value)
{
	at->a_type = type;
	at->a_un.a_val = value;
	return at + 1;
}

/* Moves the vectors up so that the NULL behind the last argument is followed by the environment at
 * once. */
static void place_vectors(int argc)
{
	char **end = start.argv + argc;
	Elf64_auxv_t *at = (Elf64_auxv_t *)(end + 2);

	end[0] = NULL; /* of argv */
	end[1] = NULL; /* of envp */
	at = add(at, AT_PHDR, (uintptr_t)&__ehdr_start + __ehdr_start.e_phoff);
	at = add(at, AT_PHENT, __ehdr_start.e_phentsize);
	at = add(at, AT_PHNUM, __ehdr_start.e_phnum);
	at = add(at, AT_PAGESZ, PAGE_SIZE_4K);
	at = add(at, AT_RANDOM, (uintptr_t)random_bytes);
	at = add(at, AT_EXECFN, (uintptr_t)name);
	/* Equal ids: musl then needs no look at the standard descriptors. */
	at = add(at, AT_UID, 0);
	at = add(at, AT_EUID, 0);
	at = add(at, AT_GID, 0);
	at = add(at, AT_EGID, 0);
	at = add(at, AT_SECURE, 0);
	add(at, AT_NULL, 0);
}

/* The root-task has nobody who could tell the kernel where its Linux calls go: it does so itself.
 */
static void register_root_upcalls(void)
{
	struct thread_config *config = (struct thread_config *)ROOT_BUFFER_VA;

	memset(config, 0, sizeof(*config));
	config->syscall_entry = (uintptr_t)cairn_syscall_entry;
	if (cairn_thread_configure(ROOT_THREAD, THREAD_UPCALLS) != CAIRN_OK)
		__builtin_trap(); /* no way to say anything yet; the kernel reports the fault */
}

static void start_root(void)
{
	register_root_upcalls();
	strcpy(name, "root-task");
	personality_init(cairn_hooks.heap, cairn_hooks.heap_size);
}

static void start_server(void)
{
	const struct server_info *info = cairn_info();

	memcpy(name, info->name, sizeof(name));
	name[sizeof(name) - 1] = 0;
	memcpy(words, info->args, sizeof(info->args));
	personality_init((unsigned char *)SERVER_HEAP_VA, info->heap_size);
}

__attribute__((noreturn, used)) void cairn_start(void)
{
	int argc;

	if (is_root())
		start_root();
	else
		start_server();
	personality_random(random_bytes, sizeof(random_bytes));
	argc = split_arguments();
	place_vectors(argc);
	__libc_start_main(main, argc, start.argv, NULL, NULL, NULL);
	__builtin_trap();
}
