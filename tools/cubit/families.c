/* The families there are: see family.h. */
#include "tools/cubit/families.h"

#include <stddef.h>

#include "tools/cubit/family.h"

const struct family *const families[] = { &audit_family, &completion_family, &dead_family,  &job_family,
					  &key_family,   &login_family,      &node_family,  &policy_family,
					  &pool_family,  &run_family,        &stats_family, NULL };
