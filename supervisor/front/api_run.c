/* POST /v1/run: one job, its client waits. */
#include <errno.h>
#include <stdlib.h>

#include "runtime/base/error.h"
#include "supervisor/front/api.h"
#include "supervisor/front/api_spec.h"
#include "supervisor/front/dispatch.h"
#include "supervisor/front/front_impl.h"
#include "supervisor/http/http.h"
#include "supervisor/spec/spec.h"

static void on_gone(struct http_request *rq, void *data)
{
	(void)rq;
	dispatch_abandon(data);
}

static void on_result(const struct error *e, char *json, size_t size, void *arg)
{
	struct http_request *rq = arg;

	if (e && (e->code == ESHUTDOWN || e->code == EHOSTDOWN || e->code == ENOMEDIUM))
		api_refuse_work(rq, -e->code, e->code == ENOMEDIUM ? 30 : 5, e);
	else if (e)
		http_error(rq, 500, "internal_error", NULL, "%s", e->text);
	else
		http_reply(rq, 200, "application/json", json, size);
	free(json);
}

void api_run(struct http_request *rq)
{
	struct front *f = front_of(rq);
	struct error e = ERROR_INIT;
	struct job_spec *spec = api_spec(rq, false);
	struct direct *d = NULL;
	unsigned retry_s = 1;
	int r;

	if (!spec)
		return;
	if (spec->is_interactive) {
		job_spec_free(spec);
		http_error(rq, 400, "invalid_request", "interactive",
			   "interactive: only for POST /v1/jobs, whose stream takes standard input");
		return;
	}
	r = dispatch_run(f->dispatch, front_caller(rq), spec, on_result, rq, &d, &retry_s, &e);
	if (r < 0) {
		api_refuse_work(rq, r, r == -EHOSTDOWN ? 5 : retry_s, &e);
		return;
	}
	http_on_gone(rq, on_gone, d);
	dispatch_poke(f->dispatch);
}
