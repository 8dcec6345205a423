/* SPDX-License-Identifier: BSD-2-Clause */
/* Tests of the ELF reader: what it reads, and that it refuses everything malformed without looking
 * outside. */
#include <elf.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <cairn/elf.h>

#define SIZE 0x3000

struct file {
	Elf64_Ehdr header;
	Elf64_Phdr program[3];
	struct {
		Elf64_Nhdr header;
		char name[8];
		uint64_t entry[2];
	} __attribute__((packed)) note;
};

/* Exactly as large as it says: the sanitizer sees the first byte outside. */
static unsigned char *bytes;
static struct elf_image image;

static struct file *file(void)
{
	return (struct file *)bytes;
}

static int start(void **state)
{
	struct file *f;

	(void)state;
	bytes = calloc(1, SIZE);
	if (bytes == NULL)
		return 1;
	f = file();
	memcpy(f->header.e_ident, ELFMAG "\2\1\1", 7);
	f->header.e_type = ET_EXEC;
	f->header.e_machine = EM_X86_64;
	f->header.e_entry = 0x401000;
	f->header.e_phoff = offsetof(struct file, program);
	f->header.e_phentsize = sizeof(Elf64_Phdr);
	f->header.e_phnum = 3;
	f->program[0] = (Elf64_Phdr){PT_LOAD,  PF_R | PF_X, 0x1000, 0x401000,
				     0x401000, 0x800,	    0x800,  0x1000};
	f->program[1] = (Elf64_Phdr){PT_LOAD,  PF_R | PF_W, 0x2000, 0x402000,
				     0x402000, 0x100,	    0x5000, 0x1000};
	f->program[2] = (Elf64_Phdr){
		PT_NOTE,	 PF_R, offsetof(struct file, note), 0, 0, sizeof(f->note),
		sizeof(f->note), 4};
	f->note.header = (Elf64_Nhdr){6, 16, 1};
	strcpy(f->note.name, "Cairn");
	f->note.entry[0] = 0x401111;
	f->note.entry[1] = 0x402222;
	return 0;
}

static int end(void **state)
{
	(void)state;
	free(bytes);
	return 0;
}

static void good_file_is_read(void **state)
{
	(void)state;
	assert_null(elf_parse(bytes, SIZE, &image));
	assert_int_equal(image.entry, 0x401000);
	assert_int_equal(image.segment_count, 2);
	assert_int_equal(image.segment[1].memory_size, 0x5000);
	assert_int_equal(image.segment[1].file_size, 0x100);
	assert_int_equal(image.segment[0].flags, ELF_FLAG_R | ELF_FLAG_X);
	assert_int_equal(image.syscall_entry, 0x401111);
	assert_int_equal(image.fault_entry, 0x402222);
	assert_int_equal(image.pvh_entry, 0);
}

static void pvh_note_is_read(void **state)
{
	(void)state;
	strcpy(file()->note.name, "Xen");
	file()->note.header = (Elf64_Nhdr){4, 4, 18};
	/* the descriptor follows the name at the next multiple of four */
	memcpy(file()->note.name + 4, &(uint32_t){0x100020}, 4);
	assert_null(elf_parse(bytes, SIZE, &image));
	assert_int_equal(image.pvh_entry, 0x100020);
}

static void other_files_are_refused(void **state)
{
	(void)state;
	assert_non_null(elf_parse("MZ", 2, &image));
	assert_non_null(elf_parse(bytes, 63, &image));
	file()->header.e_ident[EI_CLASS] = 1;
	assert_non_null(elf_parse(bytes, SIZE, &image));
	file()->header.e_ident[EI_CLASS] = 2;
	file()->header.e_machine = EM_386;
	assert_non_null(elf_parse(bytes, SIZE, &image));
	file()->header.e_machine = EM_X86_64;
	file()->header.e_type = ET_DYN;
	assert_non_null(elf_parse(bytes, SIZE, &image));
}

static void segments_outside_the_file_are_refused(void **state)
{
	(void)state;
	file()->program[0].p_offset = SIZE - 0x10;
	assert_string_equal(elf_parse(bytes, SIZE, &image), "a segment lies outside the file");
	file()->program[0].p_offset = UINT64_MAX - 0x10;
	assert_string_equal(elf_parse(bytes, SIZE, &image), "a segment lies outside the file");
}

static void wrapping_segments_are_refused(void **state)
{
	(void)state;
	file()->program[1].p_vaddr = UINT64_MAX - 0x1000;
	assert_non_null(elf_parse(bytes, SIZE, &image));
	file()->program[1].p_vaddr = 0x402000;
	file()->program[1].p_memsz = 0x80;
	assert_non_null(elf_parse(bytes, SIZE, &image));
}

static void headers_outside_the_file_are_refused(void **state)
{
	(void)state;
	file()->header.e_phoff = SIZE - 8;
	assert_non_null(elf_parse(bytes, SIZE, &image));
	file()->header.e_phoff = UINT64_MAX - 8;
	assert_non_null(elf_parse(bytes, SIZE, &image));
	file()->header.e_phoff = offsetof(struct file, program);
	file()->header.e_phnum = 0;
	assert_string_equal(elf_parse(bytes, SIZE, &image), "it has nothing to load");
}

static void range_is_checked(void **state)
{
	(void)state;
	assert_null(elf_parse(bytes, SIZE, &image));
	assert_null(elf_check_range(&image, 0x400000, 0x10000000));
	assert_non_null(elf_check_range(&image, 0x401001, 0x10000000));
	assert_non_null(elf_check_range(&image, 0x400000, 0x406000));
}

/* Any damage is refused or read within bounds; what is accepted keeps the promises of the header.
 */
static void damaged_files_are_survived(void **state)
{
	unsigned char *copy = malloc(SIZE);

	(void)state;
	assert_non_null(copy);
	srand(5);
	for (int round = 0; round < 50000; round++) {
		size_t size = rand() % 4 == 0 ? (size_t)rand() % SIZE : SIZE;
		unsigned char *exact = malloc(size + 1);

		assert_non_null(exact);
		memcpy(copy, bytes, SIZE);
		for (int i = rand() % 8; i >= 0; i--)
			copy[(size_t)rand() % sizeof(struct file)] = (unsigned char)rand();
		memcpy(exact, copy, size);
		if (elf_parse(exact, size, &image) == NULL) {
			for (unsigned i = 0; i < image.segment_count; i++) {
				assert_true(image.segment[i].offset + image.segment[i].file_size <=
					    size);
				assert_true(image.segment[i].memory_size >=
					    image.segment[i].file_size);
			}
		}
		free(exact);
	}
	free(copy);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(good_file_is_read, start, end),
		cmocka_unit_test_setup_teardown(pvh_note_is_read, start, end),
		cmocka_unit_test_setup_teardown(other_files_are_refused, start, end),
		cmocka_unit_test_setup_teardown(segments_outside_the_file_are_refused, start, end),
		cmocka_unit_test_setup_teardown(wrapping_segments_are_refused, start, end),
		cmocka_unit_test_setup_teardown(headers_outside_the_file_are_refused, start, end),
		cmocka_unit_test_setup_teardown(range_is_checked, start, end),
		cmocka_unit_test_setup_teardown(damaged_files_are_survived, start, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
