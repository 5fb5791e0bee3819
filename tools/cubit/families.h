/* The families of commands, each in the file of its name. Runs in: the cubit command. */
#pragma once

struct family;

extern const struct family audit_family, completion_family, dead_family, job_family, key_family, login_family,
	node_family, policy_family, pool_family, run_family, stats_family;
