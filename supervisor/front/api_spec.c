/* Bodies of POST /v1/run and /v1/jobs: see api_spec.h. */
#include "supervisor/front/api_spec.h"

#include "supervisor/front/api.h"
#include "supervisor/front/api_refusal.h"
#include "supervisor/front/front_impl.h"
#include "supervisor/front/submit.h"
#include "supervisor/http/http.h"

struct job_spec *api_spec(struct http_request *rq, bool is_queued)
{
	struct job_spec *spec = NULL;
	struct refusal why;
	size_t size;
	const char *body = http_body(rq, &size);

	if (submit_parse(&front_of(rq)->submit, front_caller(rq), body, size, is_queued, &spec, &why) < 0)
		api_refuse(rq, &why);
	return spec;
}

void api_refuse_work(struct http_request *rq, int r, unsigned retry_s, const struct error *e)
{
	struct refusal why;

	refusal_of_work(&why, r, retry_s, e);
	api_refuse(rq, &why);
}
