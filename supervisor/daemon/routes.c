/* The route table, of the native API and of the doors of others. The schemas it names are in openapi.json beside it. */
#include "supervisor/daemon/routes.h"

#include "supervisor/auth/auth.h"
#include "supervisor/doors/doors.h"
#include "supervisor/front/api.h"
#include "supervisor/http/http.h"

#define RUN    SCOPE_RUN
#define ADMIN  SCOPE_ADMIN
#define SOURCE "source string: embedded or redis, every one when not given"
#define PAGE   "cursor string: where the last page ended; limit integer: 1 to 200, 50 when not given"

/* clang-format off */
const struct http_route daemon_routes[] = {
	{ "GET",    "/",                     0,     api_root,        "A page that says this is Cubit", NULL, NULL, "text/html", 200, NULL, 0 },
	{ "GET",    "/healthz",              0,     api_health,      "The process serves", NULL, NULL, "Status", 200, NULL, 0 },
	{ "GET",    "/readyz",               0,     api_ready,       "Does it take work; 503 if not, with reasons for who may see them: CUBIT_STATUS_NETWORKS, scope status", NULL, NULL, "Ready", 200, "503 Ready", 0 },
	{ "GET",    "/version",              0,     api_version,     "Version of the program", NULL, NULL, "Version", 200, NULL, 0 },
	{ "GET",    "/metrics",              0,     api_metrics,     "Counters and histograms for Prometheus: for CUBIT_STATUS_NETWORKS and the scope status", NULL, NULL, "text/plain", 200, NULL, 0 },
	{ "GET",    "/openapi.json",         0,     api_openapi,     "This document", NULL, NULL, "OpenApi", 200, NULL, 0 },
	{ "POST",   "/v1/run",               RUN,   api_run,         "Run a program and wait for its result", NULL, "Job", "Result", 200, NULL, 0 },
	{ "POST",   "/v1/jobs",              RUN,   api_submit,      "Queue a program; durable once answered. Header Idempotency-Key", NULL, "QueuedJob", "Accepted", 202, NULL, 0 },
	{ "GET",    "/v1/jobs",              RUN,   api_list_jobs,   "Jobs of every source, of each the newest first", "state string: waiting, running, done, dead or cancelled; owner string: of whom, for admins; " SOURCE "; " PAGE, NULL, "Jobs", 200, NULL, 0 },
	{ "GET",    "/v1/jobs/{id}",         RUN,   api_get_job,     "Where it stands, or its result", NULL, NULL, "JobNow", 200, NULL, 0 },
	{ "DELETE", "/v1/jobs/{id}",         RUN,   api_cancel_job,  "Cancel it; 202 when it runs, 200 when it was waiting", NULL, NULL, "Accepted", 200, "202 Accepted", 0 },
	{ "GET",    "/v1/jobs/{id}/events",  RUN,   api_events,      "Its output and states as server-sent events, or lines of JSON with Accept: application/x-ndjson; goes on behind Last-Event-ID", "from integer: number of the first event wanted; ticket string: from POST /v1/jobs/{id}/ticket", NULL, "Event", 200, NULL, HTTP_ROUTE_STREAM },
	{ "GET",    "/v1/jobs/{id}/stream",  RUN,   api_stream,      "The same events on a WebSocket; takes stdin, stdin_end, signal, resize, cancel", "from integer: number of the first event wanted; ticket string: from POST /v1/jobs/{id}/ticket", NULL, NULL, 101, NULL, HTTP_ROUTE_WS },
	{ "POST",   "/v1/jobs/{id}/ticket",  RUN,   auth_make_ticket, "A ticket for its two streams, for pages that cannot set headers: ?ticket=, ten minutes", NULL, NULL, "Ticket", 201, NULL, 0 },
	{ "GET",    "/v1/dead",              RUN,   api_list_dead,   "Jobs that could not be run, with reasons; those of Redis for admins", SOURCE "; " PAGE, NULL, "DeadJobs", 200, NULL, 0 },
	{ "POST",   "/v1/dead/{id}/replay",  RUN,   api_replay,      "Queue it again", SOURCE, NULL, "Accepted", 202, NULL, 0 },
	{ "DELETE", "/v1/dead/{id}",         RUN,   api_delete_dead, "Forget it", SOURCE, NULL, NULL, 204, NULL, 0 },
	{ "GET",    "/v1/runtimes",          RUN,   api_runtimes,    "Languages", NULL, NULL, "Runtimes", 200, NULL, 0 },
	{ "GET",    "/v1/policies",          RUN,   api_policies,    "Policies that the caller may name, and what is wrong with them", NULL, NULL, "Policies", 200, NULL, 0 },
	{ "GET",    "/v1/policies/{name}",   RUN,   api_policy,      "One of them, with its profile", NULL, NULL, "Policy", 200, NULL, 0 },
	{ "GET",    "/v1/pool",              ADMIN, api_pool,        "Sandboxes that stand ready", NULL, NULL, "Pool", 200, NULL, 0 },
	{ "GET",    "/v1/nodes",             ADMIN, api_nodes,       "Nodes and their capacity", NULL, NULL, "Nodes", 200, NULL, 0 },
	{ "POST",   "/v1/nodes/{name}/drain", ADMIN, api_drain_node, "It takes no more work from queues", NULL, NULL, "NodeState", 202, NULL, 0 },
	{ "DELETE", "/v1/nodes/{name}/drain", ADMIN, api_resume_node, "It takes work again", NULL, NULL, "NodeState", 202, NULL, 0 },
	{ "GET",    "/v1/usage",             RUN,   auth_show_usage, "What an owner used today", "owner string: for admins", NULL, "Usage", 200, NULL, 0 },
	{ "GET",    "/v1/keys",              ADMIN, auth_list_keys,  "Keys, without their secrets", PAGE, NULL, "Keys", 200, NULL, 0 },
	{ "POST",   "/v1/keys",              ADMIN, auth_make_key,   "Make a key; its secret is shown this once", NULL, "NewKey", "Key", 201, NULL, 0 },
	{ "DELETE", "/v1/keys/{id}",         ADMIN, auth_delete_key, "Revoke a key", NULL, NULL, NULL, 204, NULL, 0 },
	{ "GET",    "/v1/audit",             ADMIN, auth_list_audit, "Who did what", "owner string: by whom; action string: which; " PAGE, NULL, "Audit", 200, NULL, 0 },
	{ "POST",   "/v1/login",             RUN,   auth_make_login, "A one-time link that logs a browser in", NULL, NULL, "Login", 201, NULL, 0 },
	{ "POST",   "/v1/logout",            0,     auth_logout,     "Ends the session of a browser", NULL, NULL, NULL, 204, NULL, 0 },
	{ "GET",    "/login",                0,     auth_login,      "Where that link leads", "token string: from POST /v1/login", NULL, NULL, 303, NULL, 0 },

	/* doors of others: supervisor/doors */
	{ "POST",   "/api/run",              RUN,   stream_engine_run, "Stream engine: queue a program", NULL, "EngineProgram", "EngineJob", 202, NULL, HTTP_ROUTE_DOOR },
	{ "GET",    "/api/ws",               RUN,   stream_engine_ws,  "Stream engine: its output and states on a WebSocket, from the beginning", "job_id string: from POST /api/run", NULL, NULL, 101, NULL, HTTP_ROUTE_WS | HTTP_ROUTE_DOOR },
	{ "POST",   "/run",                  RUN,   code_cell_run,     "Code cell: queue a program", NULL, "CellProgram", "CellJob", 200, NULL, HTTP_ROUTE_DOOR },
	{ "GET",    "/stream/{jobId}",       RUN,   code_cell_ws,      "Code cell: its output and end on a WebSocket, from the beginning", NULL, NULL, NULL, 101, NULL, HTTP_ROUTE_WS | HTTP_ROUTE_DOOR },
	{ "GET",    "/stream",               RUN,   code_cell_ws,      "The same", "jobId string: from POST /run", NULL, NULL, 101, NULL, HTTP_ROUTE_WS | HTTP_ROUTE_DOOR },
	{ "POST",   "/trpc/{procedures...}", RUN,   trpc_call,         "tRPC v11 without a transformer: runCode {language, source} -> {jobId}, or several with commas", "batch integer: 1 when the body is an object of inputs", "TrpcInput", "TrpcAnswer", 200, "4XX TrpcAnswer; 5XX TrpcAnswer", HTTP_ROUTE_DOOR },
	{ "GET",    "/trpc/{procedures...}", RUN,   trpc_call,         "tRPC v11: there are no queries", NULL, NULL, NULL, 405, "4XX TrpcAnswer", HTTP_ROUTE_DOOR },
	{ 0 },
};
/* clang-format on */
