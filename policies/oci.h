/*
 * A profile as runc, crun, Docker and Podman can read it and mean the same.
 *
 * Ours says "all ioctls but these two" as a rule and an exception. libseccomp, which those use, has no exceptions: it refuses
 * two rules that overlap with different actions, or silently keeps one. Here every call's arguments are cut into parts that do
 * not overlap, and each part is a rule (SCMP_CMP_MASKED_EQ).
 *
 * Runs in: the cubit command. Pure but for a memfd.
 */
#pragma once

struct buf;
struct error;
struct policy_profile;
struct policy_rules;

enum { POLICY_OCI_PARTS_MAX = 4096 }; /* of one call */

/*
 * rules  built from the profile: for one kernel, architecture and set of capabilities, which the document then is for
 * ret    the document, JSON, is appended
 *
 * libseccomp itself is asked what it makes of the document, on every witness of the rules.
 *
 * Returns 0, or -errno with err filled: -E2BIG a call falls into too many parts; -EPROTO libseccomp refuses the document, or
 * does not mean the same; -ENOMEM.
 */
int policy_oci_write(const struct policy_profile *profile, const struct policy_rules *rules, struct buf *ret,
		     struct error *err);
