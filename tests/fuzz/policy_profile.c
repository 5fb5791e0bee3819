/* Any bytes as a profile: parsed, and compiled when that is quick. Messages must be there exactly when it fails. */
#include <errno.h>
#include <linux/audit.h>
#include <stdint.h>
#include <stdlib.h>

#include "policies/compile.h"
#include "policies/profile.h"
#include "policies/rules.h"
#include "runtime/base/error.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { COMPILE_MAX = 4096 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct policy_context context = {
		.caps = 0xff, .kernel_major = 6, .kernel_minor = 1, .arch = AUDIT_ARCH_X86_64
	};
	struct policy_profile *profile = NULL;
	struct policy_filter *filter = NULL;
	struct error err = ERROR_INIT;
	int r = policy_profile_parse((const char *)data, size, "fuzz", &profile, &err);

	if ((r == 0) != (profile != NULL) || (r == 0) != (err.text[0] == '\0'))
		abort();
	if (profile && size <= COMPILE_MAX) {
		r = policy_compile(profile, &context, &filter, &err);
		if (r == -EPROTO || (r == 0) != (filter != NULL)) /* a program that does not say what the rules say */
			abort();
	}
	policy_filter_unref(filter);
	policy_profile_free(profile);
	return 0;
}
