/*
 * The version in a kernel's release string, as uname(2) has it: "6.1.0-25-amd64", "6.18.0-rc3+".
 *
 * Runs in: the cubit command.
 */
#pragma once

#include <stdbool.h>

/* Is it at least major.minor? False for a string that does not start with two numbers. */
bool kernel_release_at_least(const char *release, unsigned major, unsigned minor);
