/* The route table, of the native API and of the doors of others, and the schemas of their bodies. */
#include "supervisor/auth/auth.h"
#include "supervisor/doors/doors.h"
#include "supervisor/front/api.h"
#include "supervisor/front/views.h"
#include "supervisor/http/http.h"

#define RUN SCOPE_RUN
#define ADMIN SCOPE_ADMIN
#define PAGE "cursor string: where the last page ended; limit integer: 1 to 200, 50 when not given"

/* clang-format off */
const struct http_route api_routes[] = {
	{ "GET",    "/",                     0,     api_root,        "A page that says this is Cubit", NULL, NULL, NULL, 200, 0 },
	{ "GET",    "/healthz",              0,     api_health,      "The process serves", NULL, NULL, "status", 200, 0 },
	{ "GET",    "/readyz",               0,     api_ready,       "Does it take work; 503 with reasons if not", NULL, NULL, "ready", 200, 0 },
	{ "GET",    "/version",              0,     api_version,     "Version of the program", NULL, NULL, "version", 200, 0 },
	{ "GET",    "/metrics",              0,     api_metrics,     "Counters and histograms for Prometheus", NULL, NULL, NULL, 200, 0 },
	{ "GET",    "/openapi.json",         0,     api_openapi,     "This document", NULL, NULL, "any", 200, 0 },
	{ "POST",   "/v1/run",               RUN,   api_run,         "Run a program and wait for its result", NULL, "job", "result", 200, 0 },
	{ "POST",   "/v1/jobs",              RUN,   api_submit,      "Queue a program; durable once answered. Header Idempotency-Key", NULL, "queued_job", "accepted", 202, 0 },
	{ "GET",    "/v1/jobs",              RUN,   api_list_jobs,   "Jobs, newest first", "state string: waiting, running, done, dead or cancelled; owner string: of whom, for admins; " PAGE, NULL, "jobs", 200, 0 },
	{ "GET",    "/v1/jobs/{id}",         RUN,   api_get_job,     "Where it stands, or its result", NULL, NULL, "result", 200, 0 },
	{ "DELETE", "/v1/jobs/{id}",         RUN,   api_cancel_job,  "Cancel it; 202 when it runs, 200 when it was waiting", NULL, NULL, "accepted", 200, 0 },
	{ "GET",    "/v1/jobs/{id}/events",  RUN,   views_events,    "Its output and states as server-sent events, or lines of JSON with Accept: application/x-ndjson; goes on behind Last-Event-ID", "from integer: number of the first event wanted", NULL, "event", 200, HTTP_ROUTE_STREAM },
	{ "GET",    "/v1/jobs/{id}/stream",  RUN,   views_stream,    "The same events on a WebSocket; takes stdin, stdin_end, signal, resize, cancel", "from integer: number of the first event wanted", NULL, NULL, 101, HTTP_ROUTE_WS },
	{ "GET",    "/v1/dead",              RUN,   api_list_dead,   "Jobs that could not be run, with reasons", "source string: redis for the dead letters of streams and lists; " PAGE, NULL, "jobs", 200, 0 },
	{ "POST",   "/v1/dead/{id}/replay",  RUN,   api_replay,      "Queue it again", "source string: redis", NULL, "accepted", 202, 0 },
	{ "DELETE", "/v1/dead/{id}",         RUN,   api_delete_dead, "Forget it", "source string: redis", NULL, NULL, 204, 0 },
	{ "GET",    "/v1/runtimes",          RUN,   api_runtimes,    "Languages", NULL, NULL, "runtimes", 200, 0 },
	{ "GET",    "/v1/pool",              ADMIN, api_pool,        "Sandboxes that stand ready", NULL, NULL, "any", 200, 0 },
	{ "GET",    "/v1/nodes",             ADMIN, api_nodes,       "Nodes and their capacity", NULL, NULL, "any", 200, 0 },
	{ "POST",   "/v1/nodes/{name}/drain", ADMIN, api_drain_node, "It takes no more work from queues", NULL, NULL, "any", 202, 0 },
	{ "DELETE", "/v1/nodes/{name}/drain", ADMIN, api_resume_node, "It takes work again", NULL, NULL, "any", 202, 0 },
	{ "GET",    "/v1/usage",             RUN,   auth_show_usage, "What an owner used today", "owner string: for admins", NULL, "any", 200, 0 },
	{ "GET",    "/v1/keys",              ADMIN, auth_list_keys,  "Keys, without their secrets", PAGE, NULL, "any", 200, 0 },
	{ "POST",   "/v1/keys",              ADMIN, auth_make_key,   "Make a key; its secret is shown this once", NULL, "new_key", "any", 201, 0 },
	{ "DELETE", "/v1/keys/{id}",         ADMIN, auth_delete_key, "Revoke a key", NULL, NULL, NULL, 204, 0 },
	{ "GET",    "/v1/audit",             ADMIN, auth_list_audit, "Who did what", "owner string: by whom; action string: which; " PAGE, NULL, "any", 200, 0 },
	{ "POST",   "/v1/login",             RUN,   auth_make_login, "A one-time link that logs a browser in", NULL, NULL, "any", 201, 0 },
	{ "POST",   "/v1/logout",            0,     auth_logout,     "Ends the session of a browser", NULL, NULL, NULL, 204, 0 },
	{ "GET",    "/login",                0,     auth_login,      "Where that link leads", "token string: from POST /v1/login", NULL, NULL, 303, 0 },

	/* doors of others: supervisor/doors */
	{ "POST",   "/api/run",              RUN,   stream_engine_run, "Stream engine: queue a program", NULL, "engine_program", "engine_job", 202, 0 },
	{ "GET",    "/api/ws",               RUN,   stream_engine_ws,  "Stream engine: its output and states on a WebSocket, from the beginning", "job_id string: from POST /api/run", NULL, NULL, 101, HTTP_ROUTE_WS },
	{ "POST",   "/run",                  RUN,   code_cell_run,     "Code cell: queue a program", NULL, "cell_program", "cell_job", 200, 0 },
	{ "GET",    "/stream/{jobId}",       RUN,   code_cell_ws,      "Code cell: its output and end on a WebSocket, from the beginning", NULL, NULL, NULL, 101, HTTP_ROUTE_WS },
	{ "GET",    "/stream",               RUN,   code_cell_ws,      "The same", "jobId string: from POST /run", NULL, NULL, 101, HTTP_ROUTE_WS },
	{ "POST",   "/trpc/{procedures...}", RUN,   trpc_call,         "tRPC v11 without a transformer: runCode {language, source} -> {jobId}, or several with commas", "batch integer: 1 when the body is an object of inputs", "any", "any", 200, 0 },
	{ "GET",    "/trpc/{procedures...}", RUN,   trpc_call,         "tRPC v11: there are no queries", NULL, NULL, NULL, 405, 0 },
	{ 0 },
};
/* clang-format on */

#define TEXT "{\"type\":\"string\"}"
#define WHOLE "{\"type\":\"integer\"}"
#define MAYBE_TEXT "{\"type\":[\"string\",\"null\"]}"
#define MAYBE_NUMBER "{\"type\":[\"number\",\"null\"]}"
#define SIZE "{\"type\":[\"integer\",\"string\"],\"description\":\"bytes, or a text such as 64M\"}"
#define STATES "{\"type\":\"string\",\"enum\":[\"waiting\",\"running\",\"done\",\"dead\",\"cancelled\"]}"
#define VERDICTS_ENUM                                                                                                  \
	"{\"type\":\"string\",\"enum\":[\"ok\",\"runtime_error\",\"signaled\",\"time_limit\",\"memory_limit\","           \
	"\"output_limit\",\"process_limit\",\"disk_limit\",\"policy_violation\",\"compile_error\",\"cancelled\","        \
	"\"internal_error\"]}"
#define LIMITS                                                                                                         \
	"{\"type\":\"object\",\"additionalProperties\":false,\"properties\":{\"cpu_ms\":" WHOLE ",\"wall_ms\":" WHOLE       \
	",\"memory\":" SIZE ",\"processes\":" WHOLE ",\"output\":" SIZE ",\"disk\":" SIZE ",\"open_files\":" WHOLE       \
	",\"cpus\":{\"type\":[\"number\",\"string\"]}}}"
#define JOB_PROPERTIES                                                                                                 \
	"\"runtime\":" TEXT ",\"source\":" TEXT ",\"files\":{\"type\":\"array\",\"items\":{\"type\":\"object\","            \
	"\"required\":[\"path\",\"content\"],\"properties\":{\"path\":" TEXT ",\"content\":" TEXT ",\"encoding\":"       \
	"{\"enum\":[\"utf-8\",\"base64\"]},\"mode\":" WHOLE "}}},\"args\":{\"type\":\"array\",\"items\":" TEXT "},"      \
	"\"stdin\":" TEXT ",\"stdin_encoding\":{\"enum\":[\"utf-8\",\"base64\"]},\"env\":{\"type\":\"object\","           \
	"\"additionalProperties\":" TEXT "},\"policy\":" TEXT ",\"network\":{\"enum\":[\"none\"]},\"limits\":" LIMITS    \
	",\"compile_limits\":" LIMITS ",\"outputs\":{\"type\":\"array\",\"items\":" TEXT "}"
#define QUEUED_PROPERTIES                                                                                              \
	",\"interactive\":{\"type\":\"boolean\"},\"tty\":{\"type\":\"object\",\"properties\":{\"cols\":" WHOLE ",\"rows\":" \
	WHOLE "}},\"priority\":" WHOLE ",\"delay_ms\":" WHOLE ",\"callback\":{\"type\":\"object\",\"required\":"         \
	"[\"url\"],\"properties\":{\"url\":" TEXT ",\"secret\":" TEXT "}}"
#define STAGE_PROPERTIES                                                                                               \
	"\"status\":" VERDICTS_ENUM ",\"reason\":" TEXT ",\"exit_code\":{\"type\":[\"integer\",\"null\"]},\"signal\":"      \
	"{\"type\":[\"integer\",\"string\",\"null\"]},\"stdout\":" TEXT ",\"stderr\":" TEXT ",\"stdout_encoding\":" TEXT  \
	",\"stderr_encoding\":" TEXT ",\"stdout_truncated\":{\"type\":\"boolean\"},\"stderr_truncated\":{\"type\":"       \
	"\"boolean\"},\"wall_ms\":" MAYBE_NUMBER ",\"cpu_ms\":" MAYBE_NUMBER ",\"memory_peak\":" MAYBE_NUMBER            \
	",\"processes_peak\":" MAYBE_NUMBER

const char api_schemas[] =
	"{\"any\":{\"type\":\"object\"},"
	"\"status\":{\"type\":\"object\",\"properties\":{\"status\":" TEXT "}},"
	"\"ready\":{\"type\":\"object\",\"properties\":{\"ready\":{\"type\":\"boolean\"},\"reasons\":{\"type\":\"array\","
	"\"items\":" TEXT "}}},"
	"\"version\":{\"type\":\"object\",\"properties\":{\"name\":" TEXT ",\"version\":" TEXT ",\"api\":" TEXT "}},"
	"\"job\":{\"type\":\"object\",\"required\":[\"runtime\"],\"additionalProperties\":false,\"properties\":{" JOB_PROPERTIES
	"}},"
	"\"queued_job\":{\"type\":\"object\",\"required\":[\"runtime\"],\"additionalProperties\":false,\"properties\":{"
	JOB_PROPERTIES QUEUED_PROPERTIES "}},"
	"\"accepted\":{\"type\":\"object\",\"properties\":{\"id\":" TEXT ",\"state\":" STATES ",\"url\":" TEXT "}},"
	"\"result\":{\"type\":\"object\",\"properties\":{\"id\":" TEXT ",\"state\":" STATES "," STAGE_PROPERTIES
	",\"compile\":{\"type\":[\"object\",\"null\"],\"properties\":{" STAGE_PROPERTIES "}},\"outputs\":{\"type\":\"array\","
	"\"items\":{\"type\":\"object\",\"properties\":{\"path\":" TEXT ",\"size\":" WHOLE ",\"content\":" TEXT
	",\"encoding\":" TEXT "}}},\"runtime\":" TEXT ",\"version\":" MAYBE_TEXT ",\"policy\":" TEXT ",\"attempt\":" WHOLE
	",\"node\":" TEXT ",\"queued_at\":" MAYBE_TEXT ",\"started_at\":" MAYBE_TEXT ",\"finished_at\":" MAYBE_TEXT "}},"
	"\"jobs\":{\"type\":\"object\",\"properties\":{\"jobs\":{\"type\":\"array\",\"items\":{\"type\":\"object\","
	"\"properties\":{\"id\":" TEXT ",\"state\":" STATES ",\"status\":" TEXT ",\"attempt\":" WHOLE ",\"priority\":" WHOLE
	",\"owner\":" TEXT ",\"reason\":" TEXT "}}},\"next\":" TEXT "}},"
	"\"event\":{\"type\":\"object\",\"properties\":{\"n\":" WHOLE ",\"type\":{\"enum\":[\"stdout\",\"stderr\",\"status\","
	"\"exit\"]},\"at_ms\":" WHOLE ",\"data\":" TEXT ",\"encoding\":" TEXT ",\"state\":" TEXT ",\"status\":" TEXT "}},"
	"\"runtimes\":{\"type\":\"object\",\"properties\":{\"runtimes\":{\"type\":\"array\",\"items\":{\"type\":\"object\"}},"
	"\"problems\":{\"type\":\"array\",\"items\":" TEXT "}}},"
	"\"engine_program\":{\"type\":\"object\",\"required\":[\"code\",\"language\"],\"properties\":{\"code\":" TEXT
	",\"language\":" TEXT "}},"
	"\"engine_job\":{\"type\":\"object\",\"properties\":{\"job_id\":" TEXT ",\"status\":{\"enum\":[\"queued\"]}}},"
	"\"cell_program\":{\"type\":\"object\",\"required\":[\"language\",\"source\"],\"properties\":{\"jobId\":" TEXT
	",\"language\":" TEXT ",\"source\":{\"type\":\"string\",\"maxLength\":32000}}},"
	"\"cell_job\":{\"type\":\"object\",\"properties\":{\"jobId\":" TEXT "}},"
	"\"new_key\":{\"type\":\"object\",\"required\":[\"owner\"],\"additionalProperties\":false,\"properties\":{\"owner\":"
	TEXT ",\"scopes\":{\"type\":\"array\",\"items\":{\"enum\":[\"run\",\"cubes\",\"images\",\"policies\",\"admin\"]}},"
	"\"quota\":{\"type\":\"object\"},\"note\":" TEXT "}}}";
