/*
 * What an author of a profile should know before it is used on this machine.
 *
 * Runs in: front, the cubit command. Pure but for uname(2).
 */
#pragma once

struct error;
struct policy_profile;

/*
 * Call fn with a sentence for each thing that is allowed and probably not meant: the profile's warnings, and that no program
 * can start under it. Returns 0, or -errno with err filled: what policy_rules_build() refuses.
 */
int policy_check(const struct policy_profile *profile, void (*fn)(const char *text, void *arg), void *arg,
		 struct error *err);
