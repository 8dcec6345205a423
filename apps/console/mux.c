/* SPDX-License-Identifier: BSD-2-Clause */
/* The console's multiplexer: who may write on the terminal's current line, and what is kept until
 * it is shown. */
#include <string.h>
#include "mux.h"

#define LOG_OUT 512u /* room that one log record needs with its mark */

void mux_init(struct mux *mux)
{
	memset(mux, 0, sizeof(*mux));
	mux->input = MUX_NOBODY;
	mux->owner = MUX_NOBODY;
}

uint32_t mux_room(const struct mux *mux)
{
	return MUX_OUT - (mux->out_head - mux->out_tail);
}

/* Callers have made sure that there is room. */
static void put(struct mux *mux, const char *bytes, size_t length)
{
	for (size_t i = 0; i < length && mux_room(mux) != 0; i++)
		mux->out[mux->out_head++ % MUX_OUT] = bytes[i];
}

static void put_text(struct mux *mux, const char *text)
{
	put(mux, text, strlen(text));
}

size_t mux_take(struct mux *mux, char *bytes, size_t length)
{
	size_t taken = 0;

	while (taken < length && mux->out_tail != mux->out_head)
		bytes[taken++] = mux->out[mux->out_tail++ % MUX_OUT];
	return taken;
}

/* Makes the cursor stand at the start of a line. */
static void close_line(struct mux *mux)
{
	if (mux->owner == MUX_NOBODY)
		return;
	put_text(mux, "\r\n");
	mux->owner = MUX_NOBODY;
}

static void put_mark(struct mux *mux, const char *name)
{
	put_text(mux, "[");
	put_text(mux, name);
	put_text(mux, "] ");
}

/* Puts the cursor behind what was shown of this VM's unfinished line, showing that again if need
 * be. */
static void own_line(struct mux *mux, int index)
{
	struct mux_vm *vm = &mux->vm[index];

	if (mux->owner == index)
		return;
	close_line(mux);
	if (mux->mode == MUX_ALL)
		put_mark(mux, vm->name);
	put(mux, vm->line, vm->shown);
	mux->owner = index;
}

static void show_rest(struct mux *mux, int index)
{
	struct mux_vm *vm = &mux->vm[index];

	own_line(mux, index);
	put(mux, vm->line + vm->shown, vm->length - vm->shown);
	vm->shown = vm->length;
}

static void end_line(struct mux *mux, int index)
{
	struct mux_vm *vm = &mux->vm[index];

	show_rest(mux, index);
	close_line(mux);
	vm->length = vm->shown = 0;
}

static void append(struct mux *mux, int index, char c)
{
	struct mux_vm *vm = &mux->vm[index];

	if (vm->length == MUX_LINE)
		end_line(mux, index);
	vm->line[vm->length++] = c;
}

/* A lone CR would let the line overwrite its mark: it is left out. */
static void marked_byte(struct mux *mux, int index, char c)
{
	if (c == '\n')
		end_line(mux, index);
	else if (c != '\r')
		append(mux, index, c);
}

static void raw_byte(struct mux *mux, int index, char c)
{
	struct mux_vm *vm = &mux->vm[index];

	own_line(mux, index);
	put(mux, &c, 1);
	if (c == '\n') {
		vm->length = vm->shown = 0;
		mux->owner = MUX_NOBODY;
		return;
	}
	if (vm->length == MUX_LINE) /* only what would be shown again is lost */
		vm->length = 0;
	vm->line[vm->length++] = c;
	vm->shown = vm->length;
}

static void keep(struct mux_vm *vm, const char *bytes, size_t length)
{
	for (size_t i = 0; i < length; i++)
		vm->backlog[vm->backlog_end++ % MUX_BACKLOG] = bytes[i];
}

void mux_vm_bytes(struct mux *mux, int index, const char *bytes, size_t length, uint64_t now_us)
{
	struct mux_vm *vm = &mux->vm[index];

	if (length == 0)
		return;
	if (mux->mode == MUX_RAW && mux->input != index) {
		keep(vm, bytes, length);
		return;
	}
	vm->changed_us = now_us;
	for (size_t i = 0; i < length; i++) {
		if (mux->mode == MUX_RAW)
			raw_byte(mux, index, bytes[i]);
		else
			marked_byte(mux, index, bytes[i]);
	}
	/* In a line that is on the screen already there is nothing to wait for. */
	if (mux->mode == MUX_ALL && mux->owner == index)
		show_rest(mux, index);
}

/* Control characters would garble the terminal, and with it the marks. */
static char printable(char c)
{
	return (char)((unsigned char)c >= ' ' && c != 0x7f ? c : c == '\t' ? ' ' : '?');
}

void mux_log(struct mux *mux, const char *server, const char *text, size_t length, bool vmm,
	     bool more)
{
	struct mux_log_record *record = &mux->log[mux->log_end % MUX_LOG_LINES];
	const struct mux_log_record *before =
		&mux->log[(mux->log_end + MUX_LOG_LINES - 1) % MUX_LOG_LINES];

	memset(record, 0, sizeof(*record));
	strncpy(record->server, server, sizeof(record->server) - 1);
	record->length = (uint16_t)(length < MUX_LOG_TEXT ? length : MUX_LOG_TEXT);
	for (size_t i = 0; i < record->length; i++)
		record->text[i] = printable(text[i]);
	record->vmm = vmm;
	record->more = more;
	record->continued = before->more && strcmp(before->server, record->server) == 0;
	mux->log_end++;
	if (mux->log_end - mux->log_next > MUX_LOG_LINES)
		mux->log_next = mux->log_end - MUX_LOG_LINES;
}

static void show_record(struct mux *mux, const struct mux_log_record *record)
{
	if (!record->continued || mux->owner != MUX_SYSTEM) {
		close_line(mux);
		put_mark(mux, "system");
		put_text(mux, record->server);
		put_text(mux, ": ");
	}
	put(mux, record->text, record->length);
	mux->owner = MUX_SYSTEM;
	if (!record->more)
		close_line(mux);
}

static bool hidden(const struct mux *mux, const struct mux_log_record *record)
{
	return mux->mode == MUX_RAW && record->vmm && mux->log_next >= mux->log_dump;
}

static void pump_log(struct mux *mux)
{
	while (mux->log_next < mux->log_end && mux_room(mux) >= LOG_OUT) {
		const struct mux_log_record *record = &mux->log[mux->log_next % MUX_LOG_LINES];

		if (!hidden(mux, record))
			show_record(mux, record);
		mux->log_next++;
	}
}

static bool has_prompt(const struct mux *mux, const struct mux_vm *vm)
{
	return mux->mode == MUX_ALL && vm->length > vm->shown;
}

void mux_pump(struct mux *mux, uint64_t now_us)
{
	pump_log(mux);
	for (unsigned i = 0; i < mux->vm_count; i++) {
		struct mux_vm *vm = &mux->vm[i];

		if (has_prompt(mux, vm) && now_us - vm->changed_us >= MUX_PROMPT_US &&
		    mux_room(mux) >= MUX_CHUNK_OUT)
			show_rest(mux, (int)i);
	}
}

uint64_t mux_due_us(const struct mux *mux)
{
	uint64_t due = 0;

	for (unsigned i = 0; i < mux->vm_count; i++) {
		const struct mux_vm *vm = &mux->vm[i];
		uint64_t at = vm->changed_us + MUX_PROMPT_US;

		if (has_prompt(mux, vm) && (due == 0 || at < due))
			due = at;
	}
	return due;
}

bool mux_is_empty(const struct mux *mux)
{
	return mux->out_head == mux->out_tail && mux->log_next == mux->log_end;
}

int mux_add_vm(struct mux *mux, const char *name)
{
	struct mux_vm *vm = &mux->vm[mux->vm_count];

	if (mux->vm_count == MUX_VMS)
		return MUX_NOBODY;
	strncpy(vm->name, name, sizeof(vm->name) - 1);
	if (mux->input == MUX_NOBODY)
		mux->input = (int)mux->vm_count;
	return (int)mux->vm_count++;
}

static int find_vm(const struct mux *mux, const char *name)
{
	for (unsigned i = 0; i < mux->vm_count; i++) {
		if (strcmp(mux->vm[i].name, name) == 0)
			return (int)i;
	}
	return MUX_NOBODY;
}

bool mux_set_mode(struct mux *mux, const char *argument)
{
	static const char raw[] = "mode=raw:";
	int vm;

	if (strcmp(argument, "mode=all") == 0) {
		mux->mode = MUX_ALL;
		return true;
	}
	if (strncmp(argument, raw, strlen(raw)) != 0)
		return false;
	vm = find_vm(mux, argument + strlen(raw));
	if (vm == MUX_NOBODY)
		return false;
	mux->mode = MUX_RAW;
	mux->input = vm;
	return true;
}

/* ---- keys ---- */

static void say(struct mux *mux, const char *text)
{
	mux_log(mux, "console", text, strlen(text), false, false);
}

/* Shows what a VM wrote while another one was shown. */
static void show_backlog(struct mux *mux, int index)
{
	struct mux_vm *vm = &mux->vm[index];
	uint64_t at = vm->backlog_end > MUX_BACKLOG ? vm->backlog_end - MUX_BACKLOG : 0;

	for (; at < vm->backlog_end && mux_room(mux) > MUX_CHUNK_OUT; at++)
		raw_byte(mux, index, vm->backlog[at % MUX_BACKLOG]);
	vm->backlog_end = 0;
}

static void set_raw(struct mux *mux, int index)
{
	mux->mode = MUX_RAW;
	mux->input = index;
	close_line(mux);
	put_mark(mux, mux->vm[index].name);
	put_text(mux, "\r\n");
	show_backlog(mux, index);
	own_line(mux, index);
}

/* What other VMs wrote unseen comes as marked lines now. */
static void set_all(struct mux *mux)
{
	mux->mode = MUX_ALL;
	for (unsigned i = 0; i < mux->vm_count; i++) {
		struct mux_vm *vm = &mux->vm[i];
		uint64_t at = vm->backlog_end > MUX_BACKLOG ? vm->backlog_end - MUX_BACKLOG : 0;

		for (; at < vm->backlog_end && mux_room(mux) > MUX_CHUNK_OUT; at++)
			marked_byte(mux, (int)i, vm->backlog[at % MUX_BACKLOG]);
		vm->backlog_end = 0;
	}
	say(mux, "all VMs are shown, each line with its name");
}

static void select_vm(struct mux *mux, int index)
{
	if (index >= (int)mux->vm_count) {
		say(mux, "there is no such VM");
		return;
	}
	if (mux->mode == MUX_RAW)
		set_raw(mux, index);
	else
		mux->input = index;
}

static void help(struct mux *mux)
{
	say(mux, "Ctrl-] and a digit: the keyboard goes to that VM");
	say(mux, "Ctrl-] a: show all VMs, each line marked; Ctrl-] r: show only the VM with the "
		 "keyboard, as it is");
	say(mux, "Ctrl-] s: show the system log; Ctrl-] h: this help; Ctrl-] Ctrl-]: send Ctrl-]");
}

static void command(struct mux *mux, uint8_t byte)
{
	if (byte >= '1' && byte <= '9') {
		select_vm(mux, byte - '1');
		return;
	}
	switch (byte) {
	case 'a':
		set_all(mux);
		break;
	case 'r':
		if (mux->input != MUX_NOBODY)
			set_raw(mux, mux->input);
		break;
	case 's':
		mux->log_next = mux->log_end > MUX_LOG_LINES ? mux->log_end - MUX_LOG_LINES : 0;
		mux->log_dump = mux->log_end;
		break;
	case 'h':
	case '?':
		help(mux);
		break;
	default:
		say(mux, "unknown key: Ctrl-] h shows those there are");
		break;
	}
}

struct mux_input mux_key(struct mux *mux, uint8_t byte)
{
	struct mux_input nothing = {MUX_NOBODY, 0}, typed = {mux->input, byte};

	if (!mux->escaped) {
		mux->escaped = byte == MUX_ESCAPE;
		return mux->escaped ? nothing : typed;
	}
	mux->escaped = false;
	if (byte == MUX_ESCAPE)
		return typed;
	command(mux, byte);
	return nothing;
}
