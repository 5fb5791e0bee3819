/* Bodies of POST /v1/run and /v1/jobs: see api_spec.h. */
#include "supervisor/front/api_spec.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "policies/builtin.h"
#include "runtime/base/error.h"
#include "runtime/base/parse.h"
#include "supervisor/front/front_impl.h"
#include "supervisor/http/http.h"
#include "supervisor/jobs/spec.h"

bool front_has_policy(const char *name, void *arg)
{
	const struct front *f = arg;
	char path[4352];

	if (parse_id(name, NULL) < 0)
		return false;
	if (policy_builtin_find(name))
		return true;
	(void)snprintf(path, sizeof(path), "%s/%s.json", f->settings.policies_dir, name);
	return access(path, F_OK) == 0;
}

static void refuse(struct http_request *rq, int r, const char *field, const struct error *e)
{
	const char *at = *field ? field : NULL;

	switch (-r) {
	case ENOENT:
		http_error(rq, 400, "unknown_runtime", at ? at : "runtime", "%s", e->text);
		return;
	case ERANGE:
		http_error(rq, 400, "above_ceiling", at, "%s", e->text);
		return;
	case E2BIG:
		http_error(rq, 413, "too_large", at, "%s", e->text);
		return;
	case EINVAL:
		http_error(rq, 400, "invalid_request", at, "%s", e->text);
		return;
	default:
		http_error(rq, 503, "overloaded", NULL, "%s", e->text);
		return;
	}
}

struct job_spec *api_spec(struct http_request *rq, bool is_queued)
{
	struct front *f = front_of(rq);
	const struct job_context context = {
		.settings = &f->settings,
		.runtimes = f->runtimes,
		.has_policy = front_has_policy,
		.arg = f,
		.is_queued = is_queued,
	};
	struct error e = ERROR_INIT;
	struct job_spec *spec = NULL;
	char field[160] = "";
	size_t size;
	const char *body = http_body(rq, &size);
	int r = job_spec_parse(body, size, &context, &spec, field, &e);

	if (r < 0)
		refuse(rq, r, field, &e);
	return r < 0 ? NULL : spec;
}

void api_refuse_work(struct http_request *rq, int r, unsigned retry_s, const struct error *e)
{
	http_set_header_f(rq, "Retry-After", "%u", retry_s ? retry_s : 1);
	if (r == -ESHUTDOWN)
		http_error(rq, 503, "stopping", NULL, "%s", e->text);
	else if (r == -EDQUOT)
		http_error(rq, 429, "quota_exceeded", NULL, "%s", e->text);
	else if (r == -EBUSY)
		http_error(rq, 429, "busy", NULL, "%s", e->text);
	else
		http_error(rq, 503, "overloaded", NULL, "%s", e->text);
}
