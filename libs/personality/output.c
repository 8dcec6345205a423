/* SPDX-License-Identifier: BSD-2-Clause */
/* Standard output and error: split into lines for the log. There is no other file. */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>
#include <cairn/log.h>
#include "libs/personality/personality.h"

#define LINE_MAX_BYTES 512
#define MAX_VECTORS    1024 /* IOV_MAX */

static struct line {
	size_t length;
	char text[LINE_MAX_BYTES];
} lines[2];

static struct line *line_of(uint64_t fd)
{
	return fd == STDOUT_FILENO || fd == STDERR_FILENO ? &lines[fd - STDOUT_FILENO] : NULL;
}

static void end_line(struct line *line)
{
	cairn_log_text(line->text, line->length);
	line->length = 0;
}

static void put(struct line *line, const char *bytes, size_t length)
{
	for (size_t i = 0; i < length; i++) {
		if (bytes[i] == '\n') {
			end_line(line);
			continue;
		}
		if (line->length == sizeof(line->text))
			end_line(line);
		line->text[line->length++] = bytes[i];
	}
}

/* An unfinished line must not be lost when the program ends. */
void personality_output_flush(void)
{
	for (size_t i = 0; i < 2; i++) {
		if (lines[i].length != 0)
			end_line(&lines[i]);
	}
}

long linux_write(const struct linux_call *call)
{
	struct line *line = line_of(call->arg[0]);

	if (line == NULL)
		return -EBADF;
	put(line, (const char *)call->arg[1], call->arg[2]);
	return (long)call->arg[2];
}

long linux_writev(const struct linux_call *call)
{
	struct line *line = line_of(call->arg[0]);
	const struct iovec *vector = (const struct iovec *)call->arg[1];
	long sum = 0;

	if (line == NULL)
		return -EBADF;
	if (call->arg[2] > MAX_VECTORS)
		return -EINVAL;
	for (uint64_t i = 0; i < call->arg[2]; i++) {
		put(line, vector[i].iov_base, vector[i].iov_len);
		sum += (long)vector[i].iov_len;
	}
	return sum;
}

/* Standard input is always at its end. */
long linux_read(const struct linux_call *call)
{
	return call->arg[0] == STDIN_FILENO ? 0 : -EBADF;
}

long linux_readv(const struct linux_call *call)
{
	return linux_read(call);
}

/*
 * The output is a terminal of unknown size: with that answer musl keeps stdout line-buffered, so
 * that a line reaches the log when it is complete; ENOTTY would hold it back until the buffer is
 * full.
 */
long linux_ioctl(const struct linux_call *call)
{
	if (call->arg[0] > STDERR_FILENO)
		return -EBADF;
	if (call->arg[1] != TIOCGWINSZ || call->arg[0] == STDIN_FILENO)
		return -ENOTTY;
	memset((void *)call->arg[2], 0, sizeof(struct winsize));
	return 0;
}

long linux_close(const struct linux_call *call)
{
	return call->arg[0] <= STDERR_FILENO ? 0 : -EBADF;
}

long linux_lseek(const struct linux_call *call)
{
	return call->arg[0] <= STDERR_FILENO ? -ESPIPE : -EBADF;
}
