/* The agent protocol's field tables, encoder and decoder: see agent_proto.h. Used by both ends; no allocation. */
#include "runtime/agent/agent_proto.h"

#include <errno.h>
#include <string.h>

#include "runtime/base/error.h"

enum field_kind { FIELD_U8, FIELD_U16, FIELD_U32, FIELD_U64, FIELD_STR, FIELD_BYTES, FIELD_STRINGS };

struct field {
	uint16_t offset;
	uint16_t size; /* FIELD_STR: room in the struct */
	uint8_t kind;
};

struct message {
	const char *name;
	const struct field *fields;
	size_t n_fields;
};

#define F(type, member, k)                                                                                             \
	{                                                                                                              \
		offsetof(struct type, member), sizeof(((struct type *)0)->member), k                                   \
	}

/* clang-format off */
static const struct field setup_fields[] = {
	F(agent_setup, flags,     FIELD_U32),
	F(agent_setup, caps,      FIELD_U64),
	F(agent_setup, shm_bytes, FIELD_U64),
	F(agent_setup, uid,       FIELD_U32),
	F(agent_setup, gid,       FIELD_U32),
	F(agent_setup, fault_stage, FIELD_U32),
	F(agent_setup, hostname,  FIELD_STR),
	F(agent_setup, filter,    FIELD_BYTES),
};
static const struct field start_fields[] = {
	F(agent_start, argv,    FIELD_STRINGS),
	F(agent_start, env,     FIELD_STRINGS),
	F(agent_start, cwd,     FIELD_STR),
	F(agent_start, uid,     FIELD_U32),
	F(agent_start, gid,     FIELD_U32),
	F(agent_start, stdio,   FIELD_U32),
	F(agent_start, cols,    FIELD_U16),
	F(agent_start, rows,    FIELD_U16),
	F(agent_start, umask,   FIELD_U32),
	F(agent_start, rlimits, FIELD_BYTES),
};
static const struct field signal_fields[] = {
	F(agent_signal, proc,  FIELD_U32),
	F(agent_signal, signo, FIELD_U32),
};
static const struct field resize_fields[] = {
	F(agent_resize, proc, FIELD_U32),
	F(agent_resize, cols, FIELD_U16),
	F(agent_resize, rows, FIELD_U16),
};
static const struct field file_fields[] = {
	F(agent_file, op,     FIELD_U32),
	F(agent_file, flags,  FIELD_U32),
	F(agent_file, uid,    FIELD_U32),
	F(agent_file, gid,    FIELD_U32),
	F(agent_file, mode,   FIELD_U32),
	F(agent_file, offset, FIELD_U64),
	F(agent_file, limit,  FIELD_U64),
	F(agent_file, path,   FIELD_STR),
	F(agent_file, path2,  FIELD_STR),
};
static const struct field connect_fields[] = {
	F(agent_connect, port,  FIELD_U16),
	F(agent_connect, is_v6, FIELD_U8),
};
static const struct field ready_fields[] = {
	F(agent_ready, is_probe,     FIELD_U32),
	F(agent_ready, seccomp,      FIELD_U32),
	F(agent_ready, no_new_privs, FIELD_U32),
	F(agent_ready, cap_eff,      FIELD_U64),
	F(agent_ready, cap_prm,      FIELD_U64),
	F(agent_ready, cap_bnd,      FIELD_U64),
	F(agent_ready, uid,          FIELD_U32),
	F(agent_ready, gid,          FIELD_U32),
	F(agent_ready, uid_map,      FIELD_STR),
	F(agent_ready, speculation,  FIELD_STR),
};
static const struct field failed_fields[] = {
	F(agent_failed, stage,  FIELD_U32),
	F(agent_failed, code,   FIELD_U32),
	F(agent_failed, object, FIELD_STR),
};
static const struct field started_fields[] = {
	F(agent_started, pid_inside, FIELD_U32),
	F(agent_started, at_ns,      FIELD_U64),
};
static const struct field exited_fields[] = {
	F(agent_exited, wait_status,   FIELD_U32),
	F(agent_exited, at_ns,         FIELD_U64),
	F(agent_exited, user_ns,       FIELD_U64),
	F(agent_exited, system_ns,     FIELD_U64),
	F(agent_exited, max_rss_bytes, FIELD_U64),
};
static const struct field file_done_fields[] = {
	F(agent_file_done, code,     FIELD_U32),
	F(agent_file_done, bytes,    FIELD_U64),
	F(agent_file_done, mode,     FIELD_U32),
	F(agent_file_done, uid,      FIELD_U32),
	F(agent_file_done, gid,      FIELD_U32),
	F(agent_file_done, size,     FIELD_U64),
	F(agent_file_done, mtime_ns, FIELD_U64),
	F(agent_file_done, is_cut,   FIELD_U8),
};
static const struct field connected_fields[] = {
	F(agent_connected, code, FIELD_U32),
};
static const struct field record_fields[] = {
	F(agent_file_record, type,     FIELD_U8),
	F(agent_file_record, mode,     FIELD_U32),
	F(agent_file_record, uid,      FIELD_U32),
	F(agent_file_record, gid,      FIELD_U32),
	F(agent_file_record, size,     FIELD_U64),
	F(agent_file_record, mtime_ns, FIELD_U64),
	F(agent_file_record, path,     FIELD_STR),
	F(agent_file_record, link,     FIELD_STR),
};

#define M(f) f, sizeof(f) / sizeof((f)[0])

static const struct message messages[AGENT_MESSAGES] = {
	[AGENT_SETUP]     = { "SETUP",     M(setup_fields) },
	[AGENT_START]     = { "START",     M(start_fields) },
	[AGENT_SIGNAL]    = { "SIGNAL",    M(signal_fields) },
	[AGENT_RESIZE]    = { "RESIZE",    M(resize_fields) },
	[AGENT_FILE]      = { "FILE",      M(file_fields) },
	[AGENT_CONNECT]   = { "CONNECT",   M(connect_fields) },
	[AGENT_REPORT]    = { "REPORT",    NULL, 0 },
	[AGENT_ATTACH]    = { "ATTACH",    NULL, 0 },
	[AGENT_ACK]       = { "ACK",       NULL, 0 },
	[AGENT_CLOSE_STDIN] = { "CLOSE_STDIN", NULL, 0 },
	[AGENT_READY]     = { "READY",     M(ready_fields) },
	[AGENT_FAILED]    = { "FAILED",    M(failed_fields) },
	[AGENT_STARTED]   = { "STARTED",   M(started_fields) },
	[AGENT_REFUSED]   = { "REFUSED",   M(failed_fields) },
	[AGENT_EXITED]    = { "EXITED",    M(exited_fields) },
	[AGENT_DONE]      = { "DONE",      NULL, 0 },
	[AGENT_FILE_OPEN] = { "FILE_OPEN", NULL, 0 },
	[AGENT_FILE_DONE] = { "FILE_DONE", M(file_done_fields) },
	[AGENT_CONNECTED] = { "CONNECTED", M(connected_fields) },
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

static void put_fields(struct frame_writer *w, const struct field *fields, size_t n, const void *message)
{
	for (size_t i = 0; i < n; i++) {
		const void *p = (const char *)message + fields[i].offset;
		const struct span *s = p;

		switch ((enum field_kind)fields[i].kind) {
		case FIELD_U8:
			frame_put_u8(w, *(const uint8_t *)p);
			break;
		case FIELD_U16:
			frame_put_u16(w, *(const uint16_t *)p);
			break;
		case FIELD_U32:
			frame_put_u32(w, *(const uint32_t *)p);
			break;
		case FIELD_U64:
			frame_put_u64(w, *(const uint64_t *)p);
			break;
		case FIELD_STR:
			frame_put_bytes(w, p, strnlen(p, fields[i].size));
			break;
		case FIELD_BYTES:
		case FIELD_STRINGS:
			frame_put_bytes(w, s->data, s->size);
			break;
		}
	}
}

static void get_fields(struct frame_reader *r, const struct field *fields, size_t n, void *message)
{
	for (size_t i = 0; i < n; i++) {
		void *p = (char *)message + fields[i].offset;
		struct span *s = p;

		switch ((enum field_kind)fields[i].kind) {
		case FIELD_U8:
			*(uint8_t *)p = frame_get_u8(r);
			break;
		case FIELD_U16:
			*(uint16_t *)p = frame_get_u16(r);
			break;
		case FIELD_U32:
			*(uint32_t *)p = frame_get_u32(r);
			break;
		case FIELD_U64:
			*(uint64_t *)p = frame_get_u64(r);
			break;
		case FIELD_STR:
			frame_get_str(r, p, fields[i].size);
			break;
		case FIELD_BYTES:
		case FIELD_STRINGS:
			s->data = frame_get_bytes(r, FRAME_MAX_BYTES, &s->size);
			if (fields[i].kind == FIELD_STRINGS && s->size > 0 && ((const char *)s->data)[s->size - 1])
				r->is_bad = true;
			break;
		}
	}
}

int agent_encode(struct frame_writer *w, void *memory, size_t capacity, enum agent_message type, uint32_t seq,
		 const void *message, struct error *err)
{
	const struct frame_header h = { .version = AGENT_VERSION, .type = (uint16_t)type, .seq = seq };

	frame_begin(w, memory, capacity, &h);
	put_fields(w, messages[type].fields, messages[type].n_fields, message);
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
	get_fields(&r, messages[ret_header->type].fields, messages[ret_header->type].n_fields, ret);
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
	put_fields(&w, M(record_fields), r);
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
	get_fields(&r, M(record_fields), ret);
	return r.is_bad || r.at != r.size ? -EPROTO : (ssize_t)r.size;
}
