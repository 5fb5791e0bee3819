/*
 * Names of system calls: those that libseccomp knows, for whatever architecture, and those that kernels have since.
 *
 * Pure; runs anywhere.
 */
#pragma once

#include <stdbool.h>

enum { POLICY_CALLS_MAJOR = 6, POLICY_CALLS_MINOR = 19 }; /* the kernel up to which all names are known here */

enum policy_call_known {
	POLICY_CALL_UNKNOWN,
	POLICY_CALL_NEWER, /* a kernel has it, this libseccomp not yet: no rule can be made for it */
	POLICY_CALL_KNOWN,
};

/* Letters, digits and underscores, as the kernel names its calls. */
bool policy_call_is_name(const char *text);

enum policy_call_known policy_call_known(const char *name);
