/* Programs compiled at build time: see embedded.h. */
#include "policies/embedded.h"

#include <errno.h>
#include <string.h>

#include "policies/builtin.h"
#include "policies/compile.h"
#include "policies/profile.h"
#include "policies/rules.h"
#include "policies/stamp.h"
#include "runtime/base/error.h"
#include "runtime/base/log.h"

const struct policy_embedded *policy_embedded_find(const char *name, uint32_t arch)
{
	for (const struct policy_embedded *e = policy_embedded_programs; e->name; e++) {
		if (e->arch == arch && strcmp(e->name, name) == 0)
			return e;
	}
	return NULL;
}

int policy_embedded_filter(const struct policy_embedded *embedded, const char *text, size_t size,
			   struct policy_filter **ret, struct error *err)
{
	struct policy_filter *filter;

	if (embedded->stamp != policy_stamp(text, size))
		return error_set(err, ESTALE, "the embedded program of '%s' was made from something else",
				 embedded->name);
	filter = policy_filter_new(embedded->program, embedded->n_instructions, embedded->install_flags);
	if (!filter)
		return error_set(err, ENOMEM, "out of memory");
	*ret = filter;
	return 0;
}

static const struct policy_builtin *find_text(const struct policy_profile *profile)
{
	const struct policy_builtin *builtin;

	for (size_t i = 0; (builtin = policy_builtin_at(i)); i++) {
		if (policy_builtin_size(builtin) == profile->text_size &&
		    memcmp(builtin->text, profile->text, profile->text_size) == 0)
			return builtin;
	}
	return NULL;
}

int policy_filter_make(const struct policy_profile *profile, const struct policy_context *context,
		       struct policy_filter **ret, struct error *err)
{
	const struct policy_builtin *builtin = find_text(profile);
	const struct policy_embedded *embedded = builtin ? policy_embedded_find(builtin->name, context->arch) : NULL;

	struct error stale = ERROR_INIT;

	if (embedded && policy_embedded_filter(embedded, profile->text, profile->text_size, ret, &stale) == 0)
		return 0;
	if (stale.code)
		log_debug(LOG_FACTS(LOG_STR("error", stale.text)), "compiling a built-in policy");
	return policy_compile(profile, context, ret, err);
}
