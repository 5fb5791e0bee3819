/*
 * What cubit-sandbox prints: a verdict as one JSON object, in the field names of the native API.
 *
 * Runs in: cubit-sandbox.
 */
#pragma once

#include <stdio.h>

#include "runtime/base/buf.h"

struct agent_ready;
struct run_result;

/*
 * output: stdout and stderr as collected, or NULL when they were passed through. Text that is not UTF-8 goes out as
 * base64 with "stdout_encoding". report: the probe's answer, or NULL. Returns 0 or -errno of the write.
 */
int report_print(FILE *to, const char *id, const struct run_result *r, const struct buf output[2],
		 const struct agent_ready *report);
