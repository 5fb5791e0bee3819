/*
 * The filter of a profile by name, the cheapest way that is right: a built-in one is embedded; one from a file is kept in
 * a directory after it was compiled once; anything else is compiled.
 *
 * name       as policy_lookup() takes it
 * filters_fd borrowed; a directory of filter_dir_open(); -1: nothing is kept
 * ret        owned by the caller, one reference: policy_filter_unref(). Untouched on failure.
 *
 * Returns 0, or -errno with err filled: those of policy_lookup() and policy_compile(). That nothing could be kept or
 * found is no error.
 *
 * Runs in: cubit-sandbox.
 */
#pragma once

struct error;
struct policy_context;
struct policy_filter;

int policy_ready(const char *name, const struct policy_context *context, int filters_fd, struct policy_filter **ret,
		 struct error *err);
