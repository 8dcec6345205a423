/* SPDX-License-Identifier: BSD-2-Clause */
/* The host tool mca-classify: agrees with the table of rows on every combination, and refuses
 * malformed lines. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

/* Runs the tool on `input`; returns its exit status, and what it wrote (stdout and stderr
 * together). */
static int run(const char *input, size_t length, char *output, size_t size)
{
	char name[] = "/tmp/mca-classify-XXXXXX", command[512];
	int file = mkstemp(name), status;
	size_t got;
	FILE *pipe;

	assert_true(file >= 0);
	assert_int_equal(write(file, input, length), length);
	close(file);
	snprintf(command, sizeof(command), "'%s' <%s 2>&1", TOOL, name);
	pipe = popen(command, "r");
	assert_non_null(pipe);
	got = fread(output, 1, size - 1, pipe);
	output[got] = 0;
	status = pclose(pipe);
	unlink(name);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void every_combination_is_as_the_table_of_rows_says(void **unused)
{
	(void)unused;
	assert_int_equal(system("'" PYTHON "' -B '" CHECK "' '" TOOL "'"), 0);
}

static void known_words_are_classified(void **unused)
{
	static const char input[] = "intel 1000C02 5 BD2000008000017A 86 user mce\n"
				    "intel 0x1000c02 0x5 0xbd000000004000cf 0x86 kernel mce\r\n"
				    "intel 1000C02 0 BC20000080000136 86 user cmc\n"
				    "amd 6 5 9400000000000151 86 user mce\n"
				    "  intel\t1000C02 5 BF2000008000017A 86 user mce\n"
				    "amd-succor 6 7 BC00000000000134 0 user mce";
	char output[1024];

	(void)unused;
	assert_int_equal(run(input, sizeof(input) - 1, output, sizeof(output)), 0);
	assert_string_equal(output,
			    "SRAO recover-optional\nSRAO recover-optional\nUCNA log\nCE log\n"
			    "FATAL reset\nSRAR recover\n");
}

static void assert_refused(const char *second_line, size_t length, const char *why)
{
	char input[512] = "intel 0 0 0 0 user cmc\n", output[1024];
	size_t first = strlen(input);

	memcpy(input + first, second_line, length);
	assert_int_equal(run(input, first + length, output, sizeof(output)), 2);
	assert_non_null(strstr(output, "NONE ignore\n"));
	assert_non_null(strstr(output, "mca-classify: line 2: "));
	assert_non_null(strstr(output, why));
}

static void a_malformed_line_is_named(void **unused)
{
	static const struct {
		const char *line, *why;
	} cases[] = {
		{"\n", "7 fields"},
		{"intel 0 0 0 0 user\n", "7 fields"},
		{"intel 0 0 0 0 user mce more\n", "7 fields"},
		{"intel 0 0 0 0 user mce more and more fields still\n", "7 fields"},
		{"INTEL 0 0 0 0 user mce\n", "vendor"},
		{"amd- 0 0 0 0 user mce\n", "vendor"},
		{"intel 0g 0 0 0 user mce\n", "MCG_CAP"},
		{"intel 0x 0 0 0 user mce\n", "MCG_CAP"},
		{"intel 0 -1 0 0 user mce\n", "MCG_STATUS"},
		{"intel 0 0 12345678901234567 0 user mce\n", "STATUS"},
		{"intel 0 0 0 +1 user mce\n", "MISC"},
		{"intel 0 0 0 0 guest mce\n", "context"},
		{"intel 0 0 0 0 user poll\n", "path"},
	};

	(void)unused;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_refused(cases[i].line, strlen(cases[i].line), cases[i].why);
	assert_refused("intel 0 0 0 0 user mce\0\n", 24, "NUL");
}

static void no_input_is_no_error(void **unused)
{
	char output[64];

	(void)unused;
	assert_int_equal(run("", 0, output, sizeof(output)), 0);
	assert_string_equal(output, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_combination_is_as_the_table_of_rows_says),
		cmocka_unit_test(known_words_are_classified),
		cmocka_unit_test(a_malformed_line_is_named),
		cmocka_unit_test(no_input_is_no_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
