/* The agent protocol's tables: see agent_proto.h. Used by both ends; no allocation. */
#include "runtime/agent/agent_proto.h"

#include <errno.h>
#include <string.h>

#include "runtime/base/error.h"

/* clang-format off */
static const struct field setup_fields[] = {
	FIELD(agent_setup, flags,     FIELD_U32),
	FIELD(agent_setup, caps,      FIELD_U64),
	FIELD(agent_setup, shm_bytes, FIELD_U64),
	FIELD(agent_setup, ptys, FIELD_U32),
	FIELD(agent_setup, uid,       FIELD_U32),
	FIELD(agent_setup, gid,       FIELD_U32),
	FIELD(agent_setup, fault_stage, FIELD_U32),
	FIELD(agent_setup, hostname,  FIELD_STR),
	FIELD(agent_setup, filter,    FIELD_BYTES),
	FIELD(agent_setup, compile_filter, FIELD_BYTES),
};
static const struct field start_fields[] = {
	FIELD(agent_start, argv,    FIELD_STRINGS),
	FIELD(agent_start, env,     FIELD_STRINGS),
	FIELD(agent_start, cwd,     FIELD_STR),
	FIELD(agent_start, uid,     FIELD_U32),
	FIELD(agent_start, gid,     FIELD_U32),
	FIELD(agent_start, stdio,   FIELD_U32),
	FIELD(agent_start, filter,  FIELD_U32),
	FIELD(agent_start, cols,    FIELD_U16),
	FIELD(agent_start, rows,    FIELD_U16),
	FIELD(agent_start, umask,   FIELD_U32),
	FIELD(agent_start, rlimits, FIELD_BYTES),
};
static const struct field signal_fields[] = {
	FIELD(agent_signal, proc,  FIELD_U32),
	FIELD(agent_signal, signo, FIELD_U32),
};
static const struct field resize_fields[] = {
	FIELD(agent_resize, proc, FIELD_U32),
	FIELD(agent_resize, cols, FIELD_U16),
	FIELD(agent_resize, rows, FIELD_U16),
};
static const struct field file_fields[] = {
	FIELD(agent_file, op,     FIELD_U32),
	FIELD(agent_file, flags,  FIELD_U32),
	FIELD(agent_file, uid,    FIELD_U32),
	FIELD(agent_file, gid,    FIELD_U32),
	FIELD(agent_file, mode,   FIELD_U32),
	FIELD(agent_file, offset, FIELD_U64),
	FIELD(agent_file, limit,  FIELD_U64),
	FIELD(agent_file, path,   FIELD_STR),
	FIELD(agent_file, path2,  FIELD_STR),
};
static const struct field deliver_fields[] = {
	FIELD(agent_deliver, mode,    FIELD_U32),
	FIELD(agent_deliver, path,    FIELD_STR),
	FIELD(agent_deliver, content, FIELD_BYTES),
};
static const struct field connect_fields[] = {
	FIELD(agent_connect, port,  FIELD_U16),
	FIELD(agent_connect, is_v6, FIELD_U8),
};
static const struct field ready_fields[] = {
	FIELD(agent_ready, is_probe,     FIELD_U32),
	FIELD(agent_ready, seccomp,      FIELD_U32),
	FIELD(agent_ready, no_new_privs, FIELD_U32),
	FIELD(agent_ready, cap_eff,      FIELD_U64),
	FIELD(agent_ready, cap_prm,      FIELD_U64),
	FIELD(agent_ready, cap_bnd,      FIELD_U64),
	FIELD(agent_ready, uid,          FIELD_U32),
	FIELD(agent_ready, gid,          FIELD_U32),
	FIELD(agent_ready, uid_map,      FIELD_STR),
	FIELD(agent_ready, speculation,  FIELD_STR),
};
static const struct field failed_fields[] = {
	FIELD(agent_failed, stage,  FIELD_U32),
	FIELD(agent_failed, code,   FIELD_U32),
	FIELD(agent_failed, object, FIELD_STR),
};
static const struct field started_fields[] = {
	FIELD(agent_started, pid_inside, FIELD_U32),
	FIELD(agent_started, at_ns,      FIELD_U64),
};
static const struct field exited_fields[] = {
	FIELD(agent_exited, wait_status,   FIELD_U32),
	FIELD(agent_exited, at_ns,         FIELD_U64),
	FIELD(agent_exited, user_ns,       FIELD_U64),
	FIELD(agent_exited, system_ns,     FIELD_U64),
	FIELD(agent_exited, max_rss_bytes, FIELD_U64),
	FIELD(agent_exited, agent_ns,      FIELD_U64),
	FIELD(agent_exited, tasks_made,    FIELD_U32),
	FIELD(agent_exited, never_began,   FIELD_U8),
};
static const struct field file_done_fields[] = {
	FIELD(agent_file_done, code,     FIELD_U32),
	FIELD(agent_file_done, bytes,    FIELD_U64),
	FIELD(agent_file_done, mode,     FIELD_U32),
	FIELD(agent_file_done, uid,      FIELD_U32),
	FIELD(agent_file_done, gid,      FIELD_U32),
	FIELD(agent_file_done, size,     FIELD_U64),
	FIELD(agent_file_done, mtime_ns, FIELD_U64),
	FIELD(agent_file_done, is_cut,   FIELD_U8),
};
static const struct field connected_fields[] = {
	FIELD(agent_connected, code, FIELD_U32),
};
static const struct field record_fields[] = {
	FIELD(agent_file_record, type,     FIELD_U8),
	FIELD(agent_file_record, mode,     FIELD_U32),
	FIELD(agent_file_record, uid,      FIELD_U32),
	FIELD(agent_file_record, gid,      FIELD_U32),
	FIELD(agent_file_record, size,     FIELD_U64),
	FIELD(agent_file_record, mtime_ns, FIELD_U64),
	FIELD(agent_file_record, path,     FIELD_STR),
	FIELD(agent_file_record, link,     FIELD_STR),
};

static const struct field_table messages[AGENT_MESSAGES] = {
	[AGENT_SETUP]     = { "SETUP",     FIELDS(setup_fields) },
	[AGENT_START]     = { "START",     FIELDS(start_fields) },
	[AGENT_SIGNAL]    = { "SIGNAL",    FIELDS(signal_fields) },
	[AGENT_RESIZE]    = { "RESIZE",    FIELDS(resize_fields) },
	[AGENT_FILE]      = { "FILE",      FIELDS(file_fields) },
	[AGENT_CONNECT]   = { "CONNECT",   FIELDS(connect_fields) },
	[AGENT_REPORT]    = { "REPORT",    NULL, 0 },
	[AGENT_ATTACH]    = { "ATTACH",    NULL, 0 },
	[AGENT_ACK]       = { "ACK",       NULL, 0 },
	[AGENT_CLOSE_STDIN] = { "CLOSE_STDIN", NULL, 0 },
	[AGENT_DELIVER]   = { "DELIVER",   FIELDS(deliver_fields) },
	[AGENT_READY]     = { "READY",     FIELDS(ready_fields) },
	[AGENT_FAILED]    = { "FAILED",    FIELDS(failed_fields) },
	[AGENT_STARTED]   = { "STARTED",   FIELDS(started_fields) },
	[AGENT_REFUSED]   = { "REFUSED",   FIELDS(failed_fields) },
	[AGENT_EXITED]    = { "EXITED",    FIELDS(exited_fields) },
	[AGENT_DONE]      = { "DONE",      NULL, 0 },
	[AGENT_FILE_OPEN] = { "FILE_OPEN", NULL, 0 },
	[AGENT_FILE_DONE] = { "FILE_DONE", FIELDS(file_done_fields) },
	[AGENT_CONNECTED] = { "CONNECTED", FIELDS(connected_fields) },
};
/* clang-format on */

static const char *const stage_names[AGENT_STAGE_COUNT] = {
#define X(name, text) [AGENT_STAGE_##name] = (text),
	AGENT_STAGES(X)
#undef X
};

const char *agent_stage_name(uint32_t stage)
{
	return stage < AGENT_STAGE_COUNT ? stage_names[stage] : "an unknown stage";
}

int agent_encode(struct frame_writer *w, void *memory, size_t capacity, enum agent_message type, uint32_t seq,
		 const void *message, struct error *err)
{
	const struct frame_header h = { .version = AGENT_VERSION, .type = (uint16_t)type, .seq = seq };

	frame_begin(w, memory, capacity, &h);
	field_table_put(w, messages[type].fields, messages[type].n_fields, message);
	if (w->is_full)
		return error_set(err, EMSGSIZE, "agent message %s is longer than %zu bytes", messages[type].name,
				 capacity);
	return 0;
}

int agent_decode(const void *data, size_t size, struct frame_header *ret_header, union agent_any *ret,
		 struct error *err)
{
	struct frame_reader r;
	int e = frame_open(&r, data, size, AGENT_VERSION, ret_header, err);

	if (e < 0)
		return e;
	if (ret_header->type >= AGENT_MESSAGES || !messages[ret_header->type].name)
		return error_set(err, EPROTO, "agent message of unknown type %u", ret_header->type);
	field_table_get(&r, messages[ret_header->type].fields, messages[ret_header->type].n_fields, ret);
	return frame_end(&r, messages[ret_header->type].name, err);
}

const char *span_next(const struct span *s, const char *previous)
{
	const char *start = s->data, *next = previous ? previous + strlen(previous) + 1 : start;

	return next && next < start + s->size ? next : NULL;
}

size_t agent_record_encode(void *memory, size_t capacity, const struct agent_file_record *r)
{
	const size_t prefix = sizeof(uint32_t);
	uint8_t *bytes = memory;
	struct frame_writer w;

	if (capacity < prefix)
		return 0;
	w = (struct frame_writer){ .data = bytes + prefix, .capacity = capacity - prefix };
	field_table_put(&w, FIELDS(record_fields), r);
	if (w.is_full)
		return 0;
	for (size_t i = 0; i < prefix; i++)
		bytes[i] = (uint8_t)(w.size >> (8 * i));
	return prefix + w.size;
}

ssize_t agent_record_decode(const void *data, size_t size, struct agent_file_record *ret)
{
	const size_t prefix = sizeof(uint32_t);
	struct frame_reader r = { .data = data, .size = size };
	uint32_t length = frame_get_u32(&r);

	if (r.is_bad)
		return 0;
	if (length > sizeof(*ret) + 64) /* no honest record is longer than its struct and a few length fields */
		return -EPROTO;
	if (size - prefix < length)
		return 0;
	r.size = prefix + length;
	field_table_get(&r, FIELDS(record_fields), ret);
	return r.is_bad || r.at != r.size ? -EPROTO : (ssize_t)r.size;
}
