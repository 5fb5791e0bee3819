/*
 * Policies by name, compiled: CUBIT_POLICIES/NAME.json of the operator's, and the built-in ones. All are read at the start
 * and at SIGHUP; one that is asked for and was not there then is looked for once more.
 *
 * A policy that cannot be read or compiled does not take the place of what was read before: the last good one stays, and
 * why is kept with it. One that never was good is refused by its reason. A file with the name of a built-in policy is
 * such a mistake too, unless may_replace.
 *
 * Runs in: monitor. Reading a policy costs milliseconds, using one nothing.
 */
#pragma once

#include <stdbool.h>

struct digest;
struct error;
struct policy_filter;
struct policy_table; /* opaque */

/*
 * Empty: policy_table_read().
 * dir: borrowed, must outlive the table. may_replace: files may have the names of built-in policies.
 * Returns 0 or -errno: this machine's architecture has no filters.
 */
int policy_table_new(const char *dir, bool may_replace, struct policy_table **ret, struct error *err);
void policy_table_free(struct policy_table *t);

/* Read all of them (again), and log what is wrong. Sandboxes keep what they have. */
void policy_table_read(struct policy_table *t);

/*
 * name        hostile: parse_id() form and nothing else, so it is one file name or none
 * ret         a reference of the caller's: policy_filter_unref()
 * ret_digest  of the profile's text
 *
 * Returns 0, or -errno: -EINVAL no name, or the operator's profile is wrong and always was (never the built-in one of the
 * same name instead); -ENOENT.
 */
int policy_table_get(struct policy_table *t, const char *name, struct policy_filter **ret, struct digest *ret_digest,
		     struct error *err);

/*
 * What there is, for the front: POLICY_LIST of protocol/proto.h, a sealed file in memory. Returns its descriptor, or -errno.
 */
int policy_table_describe(const struct policy_table *t, struct error *err);
