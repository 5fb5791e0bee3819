/* Bodies of POST /v1/run and /v1/jobs: see api_spec.h. */
#include "supervisor/front/api_spec.h"

#include <stdio.h>
#include <unistd.h>

#include "policies/builtin.h"
#include "runtime/base/parse.h"
#include "supervisor/front/front_impl.h"
#include "supervisor/front/submit.h"
#include "supervisor/http/http.h"

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

struct job_spec *api_spec(struct http_request *rq, bool is_queued)
{
	struct job_spec *spec = NULL;
	struct refusal why;
	size_t size;
	const char *body = http_body(rq, &size);

	if (submit_parse(front_of(rq), front_caller(rq), body, size, is_queued, &spec, &why) < 0)
		refusal_answer(rq, &why);
	return spec;
}

void api_refuse_work(struct http_request *rq, int r, unsigned retry_s, const struct error *e)
{
	struct refusal why;

	refusal_of_work(&why, r, retry_s, e);
	refusal_answer(rq, &why);
}
