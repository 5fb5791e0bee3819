/*
 * From what an operator writes to a profile: a name such as "default", or a path.
 *
 * Runs in: monitor, cubit-sandbox, the cubit command. Reads one file; blocks on it.
 */
#pragma once

struct error;
struct policy_profile;

/*
 * name  with a '/' in it a path, resolved from the working directory; otherwise the name of a built-in profile.
 *       An operator's word, from a setting or a command line: a request may only choose among names already set up.
 * ret   owned by the caller: policy_profile_free(). Untouched on failure.
 *
 * Returns 0, or -errno with err filled: -ENOENT no such profile (the message lists those there are); others of
 * policy_profile_load().
 */
int policy_lookup(const char *name, struct policy_profile **ret, struct error *err);
