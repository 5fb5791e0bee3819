/*
 * Policies by name, compiled: CUBIT_POLICIES/NAME.json of the operator's, else the built-in one. What was read is kept
 * until policy_table_forget() (SIGHUP).
 *
 * Runs in: monitor. The first use of a policy costs milliseconds, every later one nothing.
 */
#pragma once

struct digest;
struct error;
struct policy_filter;
struct policy_table; /* opaque */

/* dir: borrowed, must outlive the table. Returns 0 or -errno: this machine's architecture has no filters. */
int policy_table_new(const char *dir, struct policy_table **ret, struct error *err);
void policy_table_free(struct policy_table *t);

/*
 * name        hostile: parse_id() form and nothing else, so it is one file name or none
 * ret         a reference of the caller's: policy_filter_unref()
 * ret_digest  of the profile's text
 *
 * Returns 0, or -errno: -EINVAL no name, or the operator's profile is wrong (never the built-in one of the same name
 * instead); -ENOENT.
 */
int policy_table_get(struct policy_table *t, const char *name, struct policy_filter **ret, struct digest *ret_digest,
		     struct error *err);

/* Read everything again from now on. Sandboxes keep what they have. */
void policy_table_forget(struct policy_table *t);
