/* The monitor protocol's tables: see proto.h. Used by both ends; no allocation. */
#include "supervisor/protocol/proto.h"

#include <assert.h>
#include <errno.h>

#include "runtime/base/error.h"
#include "runtime/base/field_table.h"

#define TAG(type) FIELD_WITH_COUNT(type, tag, tag_size)

/* clang-format off */
static const struct field resolve_fields[] = {
	FIELD(monitor_resolve, image, FIELD_STR),
};
static const struct field image_fields[] = {
	FIELD(monitor_image, manifest, FIELD_STR),
	FIELD(monitor_image, config,   FIELD_STR),
};
static const struct field create_fields[] = {
	FIELD(monitor_create, id,           FIELD_STR),
	FIELD(monitor_create, manifest,     FIELD_STR),
	FIELD(monitor_create, policy,       FIELD_STR),
	FIELD(monitor_create, compile_policy, FIELD_STR),
	FIELD(monitor_create, network,      FIELD_U32),
	FIELD(monitor_create, memory_bytes, FIELD_U64),
	FIELD(monitor_create, disk_bytes,   FIELD_U64),
	FIELD(monitor_create, processes,    FIELD_U32),
	FIELD(monitor_create, cpus_milli,   FIELD_U32),
	TAG(monitor_create),
};
static const struct field created_fields[] = {
	FIELD(monitor_created, policy_digest, FIELD_STR),
	FIELD(monitor_created, compile_policy_digest, FIELD_STR),
};
static const struct field stage_fields[] = {
	FIELD(monitor_stage, id,           FIELD_STR),
	FIELD(monitor_stage, memory_bytes, FIELD_U64),
	FIELD(monitor_stage, disk_bytes,   FIELD_U64),
	FIELD(monitor_stage, processes,    FIELD_U32),
	FIELD(monitor_stage, cpus_milli,   FIELD_U32),
	FIELD(monitor_stage, cpu_ns,       FIELD_U64),
	FIELD(monitor_stage, wall_ns,      FIELD_U64),
};
static const struct field tag_fields[] = {
	FIELD(monitor_tag, id,  FIELD_STR),
	TAG(monitor_tag),
};
static const struct field kill_fields[] = {
	FIELD(monitor_kill, id, FIELD_STR),
};
static const struct field finish_fields[] = {
	FIELD(monitor_finish, id, FIELD_STR),
};
static const struct field measure_fields[] = {
	FIELD(monitor_measure, id, FIELD_STR),
};
static const struct field state_fields[] = {
	FIELD(monitor_state_message, state, FIELD_U32),
	FIELD(monitor_state_message, text,  FIELD_STR),
};
static const struct field welcome_fields[] = {
	FIELD(monitor_welcome, n_adopt,      FIELD_U32),
	FIELD(monitor_welcome, front_number, FIELD_U32),
	FIELD(monitor_welcome, cpus,         FIELD_U32),
	FIELD(monitor_welcome, memory_bytes, FIELD_U64),
	FIELD(monitor_welcome, is_hybrid,    FIELD_U8),
	FIELD(monitor_welcome, boot_id,      FIELD_STR),
};
static const struct field adopt_fields[] = {
	FIELD(monitor_adopt, id,            FIELD_STR),
	FIELD(monitor_adopt, manifest,      FIELD_STR),
	FIELD(monitor_adopt, policy,        FIELD_STR),
	FIELD(monitor_adopt, policy_digest, FIELD_STR),
	FIELD(monitor_adopt, memory_bytes,  FIELD_U64),
	FIELD(monitor_adopt, disk_bytes,    FIELD_U64),
	FIELD(monitor_adopt, processes,     FIELD_U32),
	FIELD(monitor_adopt, cpus_milli,    FIELD_U32),
	FIELD(monitor_adopt, stop,          FIELD_U32),
	TAG(monitor_adopt),
};
static const struct field refused_fields[] = {
	FIELD(monitor_refused, code, FIELD_U32),
	FIELD(monitor_refused, text, FIELD_STR),
};
static const struct field stopped_fields[] = {
	FIELD(monitor_stopped, id,   FIELD_STR),
	FIELD(monitor_stopped, stop, FIELD_U32),
};
static const struct field facts_fields[] = {
	FIELD(monitor_facts, id,                FIELD_STR),
	FIELD(monitor_facts, stop,              FIELD_U32),
	FIELD(monitor_facts, cpu_ns,            FIELD_U64),
	FIELD(monitor_facts, user_ns,           FIELD_U64),
	FIELD(monitor_facts, system_ns,         FIELD_U64),
	FIELD(monitor_facts, oom_kills,         FIELD_U64),
	FIELD(monitor_facts, pids_max_hits,     FIELD_U64),
	FIELD(monitor_facts, memory_peak_bytes, FIELD_U64),
	FIELD(monitor_facts, pids_peak,         FIELD_U64),
	FIELD(monitor_facts, memory_grown_bytes, FIELD_U64),
	FIELD(monitor_facts, io_read_bytes,     FIELD_U64),
	FIELD(monitor_facts, io_write_bytes,    FIELD_U64),
	FIELD(monitor_facts, disk_bytes,        FIELD_U64),
	FIELD(monitor_facts, disk_inodes,       FIELD_U64),
	FIELD(monitor_facts, disk_is_full,      FIELD_U8),
	FIELD(monitor_facts, oom_is_above,      FIELD_U8),
	FIELD(monitor_facts, forks_above,       FIELD_U8),
};

static const struct field_table messages[MONITOR_MESSAGES] = {
	[MONITOR_RESOLVE] = { "RESOLVE", FIELDS(resolve_fields) },
	[MONITOR_CREATE]  = { "CREATE",  FIELDS(create_fields) },
	[MONITOR_STAGE]   = { "STAGE",   FIELDS(stage_fields) },
	[MONITOR_TAG]     = { "TAG",     FIELDS(tag_fields) },
	[MONITOR_KILL]    = { "KILL",    FIELDS(kill_fields) },
	[MONITOR_FINISH]  = { "FINISH",  FIELDS(finish_fields) },
	[MONITOR_MEASURE] = { "MEASURE", FIELDS(measure_fields) },
	[MONITOR_STATE]   = { "STATE",   FIELDS(state_fields) },
	[MONITOR_WELCOME] = { "WELCOME", FIELDS(welcome_fields) },
	[MONITOR_ADOPT]   = { "ADOPT",   FIELDS(adopt_fields) },
	[MONITOR_IMAGE]   = { "IMAGE",   FIELDS(image_fields) },
	[MONITOR_CREATED] = { "CREATED", FIELDS(created_fields) },
	[MONITOR_DONE]    = { "DONE",    NULL, 0 },
	[MONITOR_REFUSED] = { "REFUSED", FIELDS(refused_fields) },
	[MONITOR_STOPPED] = { "STOPPED", FIELDS(stopped_fields) },
	[MONITOR_FACTS]   = { "FACTS",   FIELDS(facts_fields) },
	[MONITOR_RELOAD]  = { "RELOAD",  NULL, 0 },
	[MONITOR_DRAIN]   = { "DRAIN",   NULL, 0 },
	[MONITOR_PING]    = { "PING",    NULL, 0 },
	[MONITOR_PONG]    = { "PONG",    NULL, 0 },
	[MONITOR_POLICIES] = { "POLICIES", NULL, 0 },
	[MONITOR_POLICY_LIST] = { "POLICY_LIST", NULL, 0 },
};
/* clang-format on */

const char *monitor_message_name(uint32_t type)
{
	return type < MONITOR_MESSAGES && messages[type].name ? messages[type].name : "?";
}

int monitor_encode(struct frame_writer *w, void *memory, size_t capacity, enum monitor_message type, uint32_t seq,
		   const void *message, struct error *err)
{
	const struct frame_header h = { .version = MONITOR_VERSION, .type = (uint16_t)type, .seq = seq };

	assert(type < MONITOR_MESSAGES && messages[type].name);
	frame_begin(w, memory, capacity, &h);
	field_table_put(w, messages[type].fields, messages[type].n_fields, message);
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
	field_table_get(&r, messages[ret_header->type].fields, messages[ret_header->type].n_fields, ret);
	return frame_end(&r, messages[ret_header->type].name, err);
}
