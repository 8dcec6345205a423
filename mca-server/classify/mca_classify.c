/* SPDX-License-Identifier: BSD-2-Clause */
/* Host tool: classifies machine-check records given as lines on stdin, with the mca-server's own
 * functions. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "classify.h"

#define FIELDS 7

static const char usage[] =
	"usage: mca-classify < RECORDS\n"
	"Each line: VENDOR MCG_CAP MCG_STATUS STATUS MISC CONTEXT PATH\n"
	"  VENDOR   intel, amd, or amd-succor (SUCCOR and overflow recovery)\n"
	"  four words in hexadecimal\n"
	"  CONTEXT  user (a guest or a server was interrupted) or kernel (Cairn's)\n"
	"  PATH     mce (machine-check handler) or cmc (CMCI or polling)\n"
	"Prints for each line: CLASS ACTION\n";

/* Splits at blanks; returns the number of fields, at most FIELDS + 1. */
static int split(char *line, char *fields[FIELDS + 1])
{
	int count = 0;
	char *save, *word = strtok_r(line, " \t\r\n", &save);

	while (word && count <= FIELDS) {
		fields[count++] = word;
		word = strtok_r(NULL, " \t\r\n", &save);
	}
	return count;
}

static bool parse_hex(const char *text, uint64_t *value)
{
	if (text[0] == '0' && (text[1] == 'x' || text[1] == 'X'))
		text += 2;

	size_t length = strlen(text);

	if (length == 0 || length > 16 || strspn(text, "0123456789abcdefABCDEF") != length)
		return false;
	*value = strtoull(text, NULL, 16);
	return true;
}

static bool parse_vendor(const char *text, struct mca_rules *rules)
{
	*rules = (struct mca_rules){0};
	if (!strcmp(text, "intel"))
		return true;
	rules->amd = true;
	if (!strcmp(text, "amd"))
		return true;
	rules->succor = rules->overflow_recovery = true;
	return !strcmp(text, "amd-succor");
}

/* One of two words. */
static bool parse_choice(const char *text, const char *yes, const char *no, bool *value)
{
	*value = !strcmp(text, yes);
	return *value || !strcmp(text, no);
}

/* Returns what is wrong with the line, or NULL. */
static const char *parse(char *line, struct mca_rules *rules, struct mca_bank *bank)
{
	char *fields[FIELDS + 1];
	int count = split(line, fields);

	if (count != FIELDS)
		return "needs 7 fields: VENDOR MCG_CAP MCG_STATUS STATUS MISC CONTEXT PATH";
	if (!parse_vendor(fields[0], rules))
		return "the vendor must be intel, amd or amd-succor";
	if (!parse_hex(fields[1], &bank->mcg_cap))
		return "MCG_CAP must be a hexadecimal word";
	if (!parse_hex(fields[2], &bank->mcg_status))
		return "MCG_STATUS must be a hexadecimal word";
	if (!parse_hex(fields[3], &bank->status))
		return "STATUS must be a hexadecimal word";
	if (!parse_hex(fields[4], &bank->misc))
		return "MISC must be a hexadecimal word";
	if (!parse_choice(fields[5], "kernel", "user", &bank->kernel))
		return "the context must be user or kernel";
	if (!parse_choice(fields[6], "mce", "cmc", &bank->exception))
		return "the path must be mce or cmc";
	return NULL;
}

int main(int argc, char **argv)
{
	char *line = NULL;
	size_t size = 0;
	ssize_t length;
	unsigned long number = 0;
	const char *error = NULL;

	if (argc > 1) {
		bool help = !strcmp(argv[1], "--help");

		fputs(usage, help ? stdout : stderr);
		return help ? 0 : 2;
	}
	while (!error && (length = getline(&line, &size, stdin)) > 0) {
		struct mca_rules rules;
		struct mca_bank bank;

		number++;
		if (strlen(line) != (size_t)length)
			error = "holds a NUL character";
		else
			error = parse(line, &rules, &bank);
		if (!error) {
			struct mca_judgement judgement = mca_classify(&rules, &bank);

			printf("%s %s\n", mca_class_name(judgement.class),
			       mca_action_name(judgement.action));
		}
	}
	free(line);
	fflush(stdout);
	if (error)
		fprintf(stderr, "mca-classify: line %lu: %s\n", number, error);
	else if (ferror(stdin) || ferror(stdout))
		fprintf(stderr, "mca-classify: %s\n", error = strerror(errno));
	return error ? 2 : 0;
}
