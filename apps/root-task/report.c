/* SPDX-License-Identifier: BSD-2-Clause */
/* Errors while building, as sentences that say what for and why. */
#include <cairn/log.h>
#include <cairn/runtime.h>
#include "root.h"

static const char *subject_kind = "system", *subject_name = "";

void report_subject(const char *kind, const char *name)
{
	subject_kind = kind;
	subject_name = name;
}

bool report_text(const char *what)
{
	cairn_log("%s %s: %s", subject_kind, subject_name, what);
	return false;
}

bool report(cairn_status_t status, const char *what)
{
	if (status != CAIRN_OK)
		cairn_log("%s %s: cannot %s (%s)", subject_kind, subject_name, what,
			  cairn_status_name(status));
	return status == CAIRN_OK;
}
