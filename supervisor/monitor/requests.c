/* What the front asks: each message to the part that does it, and REFUSED when that says no. */
#include <assert.h>
#include <errno.h>
#include <stdio.h>

#include "images/digest.h"
#include "images/store/store.h"
#include "runtime/base/error.h"
#include "runtime/base/fd.h"
#include "runtime/base/log.h"
#include "supervisor/monitor/image_table.h"
#include "supervisor/monitor/monitor_impl.h"
#include "supervisor/monitor/notify.h"
#include "supervisor/monitor/policy_table.h"
#include "supervisor/monitor/sandboxes.h"

typedef int request_fn(struct monitor *m, uint32_t seq, const union monitor_any *any, struct error *err);

static int serve_resolve(struct monitor *m, uint32_t seq, const union monitor_any *any, struct error *err)
{
	const struct image_entry *image = NULL;
	struct monitor_image answer = { .manifest = "" };
	cleanup_fd int config = -1;
	int r = image_resolve(m->images, any->resolve.image, &image, err);

	if (r < 0)
		return r;
	config = store_blob_open(m->store, image_config_digest(image), err);
	if (config < 0)
		return config;
	(void)snprintf(answer.manifest, sizeof(answer.manifest), "%s", image_manifest(image)->text);
	(void)snprintf(answer.config, sizeof(answer.config), "%s", image_config_digest(image)->text);
	front_link_send(&m->link, MONITOR_IMAGE, seq, &answer, &config, 1);
	return 0;
}

static int serve_create(struct monitor *m, uint32_t seq, const union monitor_any *any, struct error *err)
{
	return sandboxes_create(m->sandboxes, seq, &any->create, err);
}

static int serve_stage(struct monitor *m, uint32_t seq, const union monitor_any *any, struct error *err)
{
	return sandboxes_stage(m->sandboxes, seq, &any->stage, err);
}

static int serve_finish(struct monitor *m, uint32_t seq, const union monitor_any *any, struct error *err)
{
	return sandboxes_finish(m->sandboxes, seq, &any->finish, err);
}

static int serve_measure(struct monitor *m, uint32_t seq, const union monitor_any *any, struct error *err)
{
	return sandboxes_measure(m->sandboxes, seq, &any->measure, err);
}

static int serve_tag(struct monitor *m, uint32_t seq, const union monitor_any *any, struct error *err)
{
	(void)seq;
	(void)err;
	sandboxes_tag(m->sandboxes, &any->tag);
	return 0;
}

static int serve_kill(struct monitor *m, uint32_t seq, const union monitor_any *any, struct error *err)
{
	(void)seq;
	(void)err;
	sandboxes_kill(m->sandboxes, &any->kill);
	return 0;
}

static int serve_policies(struct monitor *m, uint32_t seq, const union monitor_any *any, struct error *err)
{
	cleanup_fd int list = policy_table_describe(m->policies, err);

	(void)any;
	if (list < 0)
		return list;
	front_link_send(&m->link, MONITOR_POLICY_LIST, seq, NULL, &list, 1);
	return 0;
}

static int serve_state(struct monitor *m, uint32_t seq, const union monitor_any *any, struct error *err)
{
	(void)seq;
	(void)err;
	if (any->state.state == MONITOR_STATE_LISTENING) {
		if (!m->has_listened)
			notify_send("READY=1");
		m->has_listened = true;
		m->ping_at_ns = 0;
		log_notice(LOG_FACTS(LOG_INT("front", m->front_number)), "ready: %s", any->state.text);
	}
	notify_status(any->state.text);
	return 0;
}

static int serve_pong(struct monitor *m, uint32_t seq, const union monitor_any *any, struct error *err)
{
	(void)seq;
	(void)any;
	(void)err;
	m->n_pings = 0;
	m->has_ponged = true;
	return 0;
}

static request_fn *const requests[] = {
	[MONITOR_RESOLVE] = serve_resolve,   [MONITOR_CREATE] = serve_create, [MONITOR_STAGE] = serve_stage,
	[MONITOR_TAG] = serve_tag,           [MONITOR_KILL] = serve_kill,     [MONITOR_FINISH] = serve_finish,
	[MONITOR_STATE] = serve_state,       [MONITOR_PONG] = serve_pong,     [MONITOR_MEASURE] = serve_measure,
	[MONITOR_POLICIES] = serve_policies,
};
static_assert(sizeof(requests) / sizeof(requests[0]) == MONITOR_REQUESTS, "a row for each message of the front");

/* Nothing that a request changed is forgotten: clocks are looked at again before the next wait. */
void requests_serve(const struct frame_header *h, const union monitor_any *any, void *arg)
{
	struct monitor *m = arg;
	struct monitor_refused refusal = { .text = "" };
	struct error err = ERROR_INIT;
	request_fn *serve = requests[h->type]; /* front_link lets only these through; NULL: a row was forgotten */
	int r = serve ? serve(m, h->seq, any, &err) : error_set(&err, ENOSYS, "nobody serves this message");

	m->next_check_ns = 0;
	if (r >= 0)
		return;
	refusal.code = (uint32_t)-r;
	(void)snprintf(refusal.text, sizeof(refusal.text), "%.*s", (int)sizeof(refusal.text) - 1, err.text);
	log_debug(LOG_FACTS(LOG_STR("request", monitor_message_name(h->type)), LOG_INT("code", -r)), "refused: %s",
		  err.text);
	front_link_send(&m->link, MONITOR_REFUSED, h->seq, &refusal, NULL, 0);
}
