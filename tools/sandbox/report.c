/* A verdict as JSON: see report.h. */
#include "tools/sandbox/report.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/agent/agent_proto.h"
#include "runtime/base/buf.h"
#include "runtime/base/clock.h"
#include "runtime/run.h"

enum { US_PER_MS = 1000, PAD = 64 /* the place of '=' among the digits */ };

/* Milliseconds with microseconds behind the point. */
static json_t *json_ms(uint64_t ns)
{
	uint64_t us = ns / NS_PER_US;

	return json_real((double)us / US_PER_MS);
}

static json_t *json_count(uint64_t n)
{
	return n == CGROUP_UNKNOWN ? json_null() : json_integer((json_int_t)n);
}

static char *base64(const struct buf *b)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=";
	char *text = malloc((b->size + 2) / 3 * 4 + 1), *p = text;
	const unsigned char *in = (const unsigned char *)b->data;

	for (size_t i = 0; text && i < b->size; i += 3) {
		size_t left = b->size - i;
		unsigned v =
			(unsigned)in[i] << 16 | (left > 1 ? (unsigned)in[i + 1] << 8 : 0) | (left > 2 ? in[i + 2] : 0);

		*p++ = digits[v >> 18];
		*p++ = digits[v >> 12 & 63];
		*p++ = digits[left > 1 ? v >> 6 & 63 : PAD];
		*p++ = digits[left > 2 ? v & 63 : PAD];
	}
	if (text)
		*p = '\0';
	return text;
}

static void add_stream(json_t *o, const char *name, const struct buf *b, bool is_cut)
{
	json_t *text = json_stringn(buf_str(b), b->size); /* NULL when it is not UTF-8 */
	char key[32];

	if (!text) {
		char *coded = base64(b);

		text = json_string(coded ? coded : "");
		free(coded);
		(void)snprintf(key, sizeof(key), "%s_encoding", name);
		(void)json_object_set_new(o, key, json_string("base64"));
	}
	(void)json_object_set_new(o, name, text);
	(void)snprintf(key, sizeof(key), "%s_truncated", name);
	(void)json_object_set_new(o, key, json_boolean(is_cut));
}

static json_t *json_hex(uint64_t v)
{
	char text[24];

	(void)snprintf(text, sizeof(text), "%016" PRIx64, v);
	return json_string(text);
}

static json_t *json_report(const struct agent_ready *a)
{
	return json_pack("{s:i, s:i, s:o, s:o, s:o, s:i, s:i, s:s, s:s}", "seccomp", (int)a->seccomp, "no_new_privs",
			 (int)a->no_new_privs, "cap_eff", json_hex(a->cap_eff), "cap_prm", json_hex(a->cap_prm),
			 "cap_bnd", json_hex(a->cap_bnd), "uid", (int)a->uid, "gid", (int)a->gid, "uid_map", a->uid_map,
			 "speculation", a->speculation);
}

int report_print(FILE *to, const char *id, const struct run_result *r, const struct buf output[2],
		 const struct agent_ready *report)
{
	const struct verdict *v = &r->verdict;
	json_t *o = json_object();
	int failed;

	(void)json_object_set_new(o, "id", json_string(id));
	(void)json_object_set_new(o, "status", json_string(verdict_name(v->status)));
	(void)json_object_set_new(o, "reason", json_string(v->reason));
	(void)json_object_set_new(o, "exit_code", v->exit_code < 0 ? json_null() : json_integer(v->exit_code));
	(void)json_object_set_new(o, "signal", v->signal ? json_integer(v->signal) : json_null());
	if (output) {
		add_stream(o, "stdout", &output[0], r->is_cut[0]);
		add_stream(o, "stderr", &output[1], r->is_cut[1]);
	}
	(void)json_object_set_new(o, "wall_ms", json_ms(r->wall_ns));
	(void)json_object_set_new(o, "cpu_ms", json_ms(r->cpu_ns));
	(void)json_object_set_new(o, "cpu_user_ms", json_ms(r->user_ns == CGROUP_UNKNOWN ? 0 : r->user_ns));
	(void)json_object_set_new(o, "cpu_system_ms", json_ms(r->system_ns == CGROUP_UNKNOWN ? 0 : r->system_ns));
	(void)json_object_set_new(o, "memory_peak", json_count(r->stats.memory_peak_bytes));
	(void)json_object_set_new(o, "processes_peak", json_count(r->stats.pids_peak));
	(void)json_object_set_new(o, "oom_kills", json_count(r->stats.oom_kills));
	(void)json_object_set_new(o, "disk_bytes", json_count(r->disk_bytes));
	(void)json_object_set_new(o, "disk_inodes", json_count(r->disk_inodes));
	if (report)
		(void)json_object_set_new(o, "report", json_report(report));
	failed = json_dumpf(o, to, JSON_INDENT(1) | JSON_REAL_PRECISION(9));
	json_decref(o);
	if (failed || putc('\n', to) == EOF || fflush(to) != 0)
		return -EIO;
	return 0;
}
