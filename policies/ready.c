/* A filter without compiling, where that can be: see ready.h. */
#include "policies/ready.h"

#include <fcntl.h>
#include <string.h>

#include "policies/builtin.h"
#include "policies/compile.h"
#include "policies/embedded.h"
#include "policies/filter_dir.h"
#include "policies/lookup.h"
#include "policies/profile.h"
#include "policies/rules.h"
#include "runtime/base/buf.h"
#include "runtime/base/error.h"
#include "runtime/base/fd.h"
#include "runtime/base/log.h"

static int compile_named(const char *name, const struct policy_context *context, struct policy_filter **ret,
			 struct error *err)
{
	cleanup_policy_profile struct policy_profile *profile = NULL;
	int r = policy_lookup(name, &profile, err);

	return r < 0 ? r : policy_compile(profile, context, ret, err);
}

static int compile_text(const struct buf *text, const char *path, const struct policy_context *context,
			struct policy_filter **ret, struct error *err)
{
	cleanup_policy_profile struct policy_profile *profile = NULL;
	int r = policy_profile_parse(buf_str(text), text->size, path, &profile, err);

	return r < 0 ? r : policy_compile(profile, context, ret, err);
}

static void say(const struct error *why)
{
	if (why->code)
		log_debug(LOG_FACTS(LOG_STR("error", why->text)), "compiling a policy");
}

static int ready_file(const char *path, const struct policy_context *context, int filters_fd,
		      struct policy_filter **ret, struct error *err)
{
	cleanup_buf struct buf text = BUF_BOUNDED((size_t)POLICY_FILE_MAX + 1);
	struct error why = ERROR_INIT;
	int r = fd_read_file(AT_FDCWD, path, POLICY_FILE_MAX, &text, err);

	if (r < 0)
		return r;
	if (filters_fd >= 0 && filter_dir_get(filters_fd, buf_str(&text), text.size, context, ret, &why) == 0)
		return 0;
	say(&why);
	r = compile_text(&text, path, context, ret, err);
	if (r == 0 && filters_fd >= 0 && filter_dir_put(filters_fd, buf_str(&text), text.size, context, *ret, &why) < 0)
		say(&why);
	return r;
}

int policy_ready(const char *name, const struct policy_context *context, int filters_fd, struct policy_filter **ret,
		 struct error *err)
{
	const struct policy_builtin *builtin = strchr(name, '/') ? NULL : policy_builtin_find(name);
	const struct policy_embedded *embedded = builtin ? policy_embedded_find(name, context->arch) : NULL;
	struct error why = ERROR_INIT;

	if (strchr(name, '/'))
		return ready_file(name, context, filters_fd, ret, err);
	if (embedded && policy_embedded_filter(embedded, builtin->text, policy_builtin_size(builtin), ret, &why) == 0)
		return 0;
	say(&why);
	return compile_named(name, context, ret, err);
}
