/* The monitor protocol's field tables, encoder and decoder: see proto.h. Used by both ends; no allocation. */
#include "supervisor/monitor/proto.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "runtime/base/error.h"

enum field_kind {
	FIELD_U8,
	FIELD_U32,
	FIELD_U64,
	FIELD_STR,
	FIELD_TAG, /* MONITOR_TAG_MAX bytes, and in another member how many of them are used */
};

struct field {
	uint16_t offset;
	uint16_t size; /* FIELD_STR: room in the struct; FIELD_TAG: offset of the member with its size */
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
#define TAG(type)                                                                                                      \
	{                                                                                                              \
		offsetof(struct type, tag), offsetof(struct type, tag_size), FIELD_TAG                                 \
	}

/* clang-format off */
static const struct field resolve_fields[] = {
	F(monitor_resolve, image, FIELD_STR),
};
static const struct field image_fields[] = {
	F(monitor_image, manifest, FIELD_STR),
	F(monitor_image, config,   FIELD_STR),
};
static const struct field create_fields[] = {
	F(monitor_create, id,           FIELD_STR),
	F(monitor_create, manifest,     FIELD_STR),
	F(monitor_create, policy,       FIELD_STR),
	F(monitor_create, network,      FIELD_U32),
	F(monitor_create, memory_bytes, FIELD_U64),
	F(monitor_create, disk_bytes,   FIELD_U64),
	F(monitor_create, processes,    FIELD_U32),
	F(monitor_create, cpus_milli,   FIELD_U32),
	TAG(monitor_create),
};
static const struct field created_fields[] = {
	F(monitor_created, policy_digest, FIELD_STR),
};
static const struct field stage_fields[] = {
	F(monitor_stage, id,           FIELD_STR),
	F(monitor_stage, memory_bytes, FIELD_U64),
	F(monitor_stage, processes,    FIELD_U32),
	F(monitor_stage, cpus_milli,   FIELD_U32),
	F(monitor_stage, cpu_ns,       FIELD_U64),
	F(monitor_stage, wall_ns,      FIELD_U64),
};
static const struct field tag_fields[] = {
	F(monitor_tag, id,  FIELD_STR),
	TAG(monitor_tag),
};
static const struct field kill_fields[] = {
	F(monitor_kill, id, FIELD_STR),
};
static const struct field finish_fields[] = {
	F(monitor_finish, id, FIELD_STR),
};
static const struct field state_fields[] = {
	F(monitor_state_message, state, FIELD_U32),
	F(monitor_state_message, text,  FIELD_STR),
};
static const struct field welcome_fields[] = {
	F(monitor_welcome, n_adopt,      FIELD_U32),
	F(monitor_welcome, front_number, FIELD_U32),
	F(monitor_welcome, cpus,         FIELD_U32),
	F(monitor_welcome, memory_bytes, FIELD_U64),
	F(monitor_welcome, is_hybrid,    FIELD_U8),
	F(monitor_welcome, boot_id,      FIELD_STR),
};
static const struct field adopt_fields[] = {
	F(monitor_adopt, id,            FIELD_STR),
	F(monitor_adopt, manifest,      FIELD_STR),
	F(monitor_adopt, policy,        FIELD_STR),
	F(monitor_adopt, policy_digest, FIELD_STR),
	F(monitor_adopt, memory_bytes,  FIELD_U64),
	F(monitor_adopt, disk_bytes,    FIELD_U64),
	F(monitor_adopt, processes,     FIELD_U32),
	F(monitor_adopt, cpus_milli,    FIELD_U32),
	F(monitor_adopt, stop,          FIELD_U32),
	TAG(monitor_adopt),
};
static const struct field refused_fields[] = {
	F(monitor_refused, code, FIELD_U32),
	F(monitor_refused, text, FIELD_STR),
};
static const struct field stopped_fields[] = {
	F(monitor_stopped, id,   FIELD_STR),
	F(monitor_stopped, stop, FIELD_U32),
};
static const struct field facts_fields[] = {
	F(monitor_facts, id,                FIELD_STR),
	F(monitor_facts, stop,              FIELD_U32),
	F(monitor_facts, cpu_ns,            FIELD_U64),
	F(monitor_facts, user_ns,           FIELD_U64),
	F(monitor_facts, system_ns,         FIELD_U64),
	F(monitor_facts, oom_kills,         FIELD_U64),
	F(monitor_facts, pids_max_hits,     FIELD_U64),
	F(monitor_facts, memory_peak_bytes, FIELD_U64),
	F(monitor_facts, pids_peak,         FIELD_U64),
	F(monitor_facts, io_read_bytes,     FIELD_U64),
	F(monitor_facts, io_write_bytes,    FIELD_U64),
	F(monitor_facts, disk_bytes,        FIELD_U64),
	F(monitor_facts, disk_inodes,       FIELD_U64),
	F(monitor_facts, disk_is_full,      FIELD_U8),
};

#define M(f) f, sizeof(f) / sizeof((f)[0])

static const struct message messages[MONITOR_MESSAGES] = {
	[MONITOR_RESOLVE] = { "RESOLVE", M(resolve_fields) },
	[MONITOR_CREATE]  = { "CREATE",  M(create_fields) },
	[MONITOR_STAGE]   = { "STAGE",   M(stage_fields) },
	[MONITOR_TAG]     = { "TAG",     M(tag_fields) },
	[MONITOR_KILL]    = { "KILL",    M(kill_fields) },
	[MONITOR_FINISH]  = { "FINISH",  M(finish_fields) },
	[MONITOR_STATE]   = { "STATE",   M(state_fields) },
	[MONITOR_WELCOME] = { "WELCOME", M(welcome_fields) },
	[MONITOR_ADOPT]   = { "ADOPT",   M(adopt_fields) },
	[MONITOR_IMAGE]   = { "IMAGE",   M(image_fields) },
	[MONITOR_CREATED] = { "CREATED", M(created_fields) },
	[MONITOR_DONE]    = { "DONE",    NULL, 0 },
	[MONITOR_REFUSED] = { "REFUSED", M(refused_fields) },
	[MONITOR_STOPPED] = { "STOPPED", M(stopped_fields) },
	[MONITOR_FACTS]   = { "FACTS",   M(facts_fields) },
	[MONITOR_RELOAD]  = { "RELOAD",  NULL, 0 },
	[MONITOR_DRAIN]   = { "DRAIN",   NULL, 0 },
};
/* clang-format on */

const char *monitor_message_name(uint32_t type)
{
	return type < MONITOR_MESSAGES && messages[type].name ? messages[type].name : "?";
}

static void put_tag(struct frame_writer *w, const void *tag, const uint32_t *size)
{
	if (*size > MONITOR_TAG_MAX)
		w->is_full = true;
	else
		frame_put_bytes(w, tag, *size);
}

static void get_tag(struct frame_reader *r, void *tag, uint32_t *ret_size)
{
	size_t size;
	const void *data = frame_get_bytes(r, MONITOR_TAG_MAX, &size);

	if (data)
		memcpy(tag, data, size);
	*ret_size = (uint32_t)size;
}

static void put_fields(struct frame_writer *w, const struct message *m, const void *message)
{
	for (size_t i = 0; i < m->n_fields; i++) {
		const void *p = (const char *)message + m->fields[i].offset;

		switch ((enum field_kind)m->fields[i].kind) {
		case FIELD_U8:
			frame_put_u8(w, *(const uint8_t *)p);
			break;
		case FIELD_U32:
			frame_put_u32(w, *(const uint32_t *)p);
			break;
		case FIELD_U64:
			frame_put_u64(w, *(const uint64_t *)p);
			break;
		case FIELD_STR:
			frame_put_bytes(w, p, strnlen(p, m->fields[i].size));
			break;
		case FIELD_TAG:
			put_tag(w, p, (const void *)((const char *)message + m->fields[i].size));
			break;
		}
	}
}

static void get_fields(struct frame_reader *r, const struct message *m, void *message)
{
	for (size_t i = 0; i < m->n_fields; i++) {
		void *p = (char *)message + m->fields[i].offset;

		switch ((enum field_kind)m->fields[i].kind) {
		case FIELD_U8:
			*(uint8_t *)p = frame_get_u8(r);
			break;
		case FIELD_U32:
			*(uint32_t *)p = frame_get_u32(r);
			break;
		case FIELD_U64:
			*(uint64_t *)p = frame_get_u64(r);
			break;
		case FIELD_STR:
			frame_get_str(r, p, m->fields[i].size);
			break;
		case FIELD_TAG:
			get_tag(r, p, (void *)((char *)message + m->fields[i].size));
			break;
		}
	}
}

int monitor_encode(struct frame_writer *w, void *memory, size_t capacity, enum monitor_message type, uint32_t seq,
		   const void *message, struct error *err)
{
	const struct frame_header h = { .version = MONITOR_VERSION, .type = (uint16_t)type, .seq = seq };

	assert(type < MONITOR_MESSAGES && messages[type].name);
	frame_begin(w, memory, capacity, &h);
	put_fields(w, &messages[type], message);
	if (w->is_full)
		return error_set(err, EMSGSIZE, "monitor message %s is longer than %zu bytes, or its tag than %d",
				 messages[type].name, capacity, MONITOR_TAG_MAX);
	return 0;
}

int monitor_decode(const void *data, size_t size, struct frame_header *ret_header, union monitor_any *ret,
		   struct error *err)
{
	struct frame_reader r;
	int e = frame_open(&r, data, size, MONITOR_VERSION, ret_header, err);

	if (e < 0)
		return e;
	if (ret_header->type >= MONITOR_MESSAGES || !messages[ret_header->type].name)
		return error_set(err, EPROTO, "monitor message of unknown type %u", ret_header->type);
	get_fields(&r, &messages[ret_header->type], ret);
	return frame_end(&r, messages[ret_header->type].name, err);
}
