/* The monitor protocol: every message survives the way there, and nothing but a whole, exact message is taken. */
#include "supervisor/protocol/proto.h"

#include <errno.h>

#include "runtime/base/error.h"
#include "tests/tap.h"

#define DIGEST "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define ID     "job-0123456789abcdef0123456789abcdef-0123456789abcdef0123456789a"

static const struct monitor_resolve resolve = { .image = "localhost/python:latest" };
static const struct monitor_image image = { .manifest = DIGEST, .config = DIGEST };
static const struct monitor_create create = {
	.id = ID,
	.manifest = DIGEST,
	.policy = "strict",
	.compile_policy = "default",
	.network = MONITOR_NETWORK_NONE,
	.memory_bytes = 1ULL << 40,
	.disk_bytes = UINT64_MAX,
	.processes = 64,
	.cpus_milli = 1500,
	.tag = { 0, 1, 2, 0xff },
	.tag_size = 4,
};
static const struct monitor_created created = { .policy_digest = DIGEST, .compile_policy_digest = DIGEST };
static const struct monitor_stage stage = {
	.id = ID, .memory_bytes = 1, .processes = 2, .cpus_milli = 3, .cpu_ns = 4, .wall_ns = UINT64_MAX
};
static const struct monitor_tag tag = { .id = ID, .tag = { 'x' }, .tag_size = MONITOR_TAG_MAX };
static const struct monitor_kill kill_ = { .id = ID };
static const struct monitor_finish finish = { .id = "a" };
static const struct monitor_state_message state = { .state = MONITOR_STATE_LISTENING, .text = "127.0.0.1:7070" };
static const struct monitor_welcome welcome = {
	.n_adopt = 3,
	.front_number = 2,
	.cpus = 64,
	.memory_bytes = 1ULL << 36,
	.is_hybrid = 1,
	.boot_id = "01234567-89ab-cdef-0123-456789abcdef",
};
static const struct monitor_adopt adopt = {
	.id = ID,
	.manifest = DIGEST,
	.policy = "strict",
	.policy_digest = DIGEST,
	.memory_bytes = 5,
	.disk_bytes = 6,
	.processes = 7,
	.cpus_milli = 8,
	.stop = 2,
	.tag = "tag",
	.tag_size = 3,
};
static const struct monitor_refused refused = { .code = ENOENT, .text = "no image 'x'" };
static const struct monitor_stopped stopped = { .id = ID, .stop = 1 };
static const struct monitor_measure measure = { .id = ID };
static const struct monitor_facts facts = {
	.id = ID,
	.stop = 1,
	.cpu_ns = 2,
	.user_ns = 3,
	.system_ns = 4,
	.oom_kills = 5,
	.pids_max_hits = 6,
	.memory_peak_bytes = 7,
	.pids_peak = UINT64_MAX,
	.memory_grown_bytes = 13,
	.io_read_bytes = 9,
	.io_write_bytes = 10,
	.disk_bytes = 11,
	.disk_inodes = 12,
	.disk_is_full = 1,
	.oom_is_above = 1,
	.forks_above = 1,
};

static const struct sample {
	enum monitor_message type;
	const void *message;
	size_t size;
	const char *name;
} samples[] = {
	{ MONITOR_RESOLVE, &resolve, sizeof(resolve), "RESOLVE" },
	{ MONITOR_CREATE, &create, sizeof(create), "CREATE" },
	{ MONITOR_STAGE, &stage, sizeof(stage), "STAGE" },
	{ MONITOR_TAG, &tag, sizeof(tag), "TAG" },
	{ MONITOR_KILL, &kill_, sizeof(kill_), "KILL" },
	{ MONITOR_FINISH, &finish, sizeof(finish), "FINISH" },
	{ MONITOR_MEASURE, &measure, sizeof(measure), "MEASURE" },
	{ MONITOR_STATE, &state, sizeof(state), "STATE" },
	{ MONITOR_WELCOME, &welcome, sizeof(welcome), "WELCOME" },
	{ MONITOR_ADOPT, &adopt, sizeof(adopt), "ADOPT" },
	{ MONITOR_IMAGE, &image, sizeof(image), "IMAGE" },
	{ MONITOR_CREATED, &created, sizeof(created), "CREATED" },
	{ MONITOR_DONE, NULL, 0, "DONE" },
	{ MONITOR_REFUSED, &refused, sizeof(refused), "REFUSED" },
	{ MONITOR_STOPPED, &stopped, sizeof(stopped), "STOPPED" },
	{ MONITOR_FACTS, &facts, sizeof(facts), "FACTS" },
	{ MONITOR_RELOAD, NULL, 0, "RELOAD" },
	{ MONITOR_DRAIN, NULL, 0, "DRAIN" },
	{ MONITOR_PING, NULL, 0, "PING" },
	{ MONITOR_PONG, NULL, 0, "PONG" },
};
enum { N_SAMPLES = sizeof(samples) / sizeof(samples[0]), OFFSET_VERSION = 2, OFFSET_TYPE = 4, WIRE_BYTES = 4096 };

static uint8_t wire[WIRE_BYTES];
static union monitor_any any;

static size_t encode(const struct sample *s)
{
	struct frame_writer w;

	return monitor_encode(&w, wire, sizeof(wire), s->type, 4711, s->message, NULL) == 0 ? w.size : 0;
}

/* Of the exact size, so that a sanitizer sees one byte past it. */
static uint8_t *memory(size_t size)
{
	uint8_t *p = malloc(size ? size : 1);

	if (!p)
		abort();
	return p;
}

static int decode(size_t size, struct frame_header *h, struct error *err)
{
	uint8_t *copy = memory(size);
	int r;

	memcpy(copy, wire, size);
	memset(&any, 0, sizeof(any));
	r = monitor_decode(copy, size, h, &any, err);
	free(copy);
	return r;
}

static void test_round_trip(const struct sample *s)
{
	size_t size = encode(s);
	struct error err = ERROR_INIT;
	struct frame_header h = { 0 };

	ok(size > 0 && size <= 2048, "%s: is written, in little room", s->name);
	is_int(decode(size, &h, &err), 0, "%s: is read back %s", s->name, err.text);
	ok(h.type == s->type && h.seq == 4711 && h.version == MONITOR_VERSION,
	   "%s: type, number and version are those sent", s->name);
	ok(s->size == 0 || memcmp(&any, s->message, s->size) == 0, "%s: every field is what was sent", s->name);
	is_str(monitor_message_name(s->type), s->name, "%s: has its name", s->name);
}

static void test_refusals(const struct sample *s)
{
	size_t size = encode(s), n_refused = 0;
	struct error err = ERROR_INIT;
	struct frame_header h;

	for (size_t n = 0; n < size; n++)
		n_refused += decode(n, &h, NULL) == -EPROTO;
	is_int(n_refused, size, "%s: cut anywhere, it is refused", s->name);
	wire[size] = 0;
	is_int(decode(size + 1, &h, &err), -EPROTO, "%s: with a byte too many it is refused", s->name);
	has_str(err.text, s->name, "%s: by name", s->name);
	n_refused = 0;
	for (size_t n = 0; n < size; n++) {
		struct frame_writer w;
		uint8_t *small = memory(n);

		n_refused += monitor_encode(&w, small, n, s->type, 1, s->message, NULL) == -EMSGSIZE;
		free(small);
	}
	is_int(n_refused, size, "%s: without room for all of it, it is not written", s->name);
}

static void test_types(void)
{
	size_t n_refused = 0, wanted = 0;
	struct error err = ERROR_INIT;
	struct frame_header h;
	size_t size;

	for (uint32_t type = 0; type <= UINT16_MAX; type++) {
		bool is_known = false;

		for (size_t i = 0; i < N_SAMPLES; i++)
			is_known |= samples[i].type == type;
		if (is_known)
			continue;
		size = encode(&samples[11]); /* DONE: only a header, so nothing but the type can be wrong */
		wire[OFFSET_TYPE] = (uint8_t)type;
		wire[OFFSET_TYPE + 1] = (uint8_t)(type >> 8);
		wanted++;
		n_refused += decode(size, &h, &err) == -EPROTO;
	}
	is_int(n_refused, wanted, "every type that is none is refused");
	has_str(err.text, "unknown type", "by name");
	is_str(monitor_message_name(0), "?", "type 0 has no name");
	is_str(monitor_message_name(UINT32_MAX), "?", "nor has the largest");
	size = encode(&samples[11]);
	wire[OFFSET_VERSION] = MONITOR_VERSION + 1;
	is_int(decode(size, &h, &err), -EPROTO, "another version is refused");
}

static void test_bounds(void)
{
	struct monitor_tag m = { .id = "a", .tag_size = MONITOR_TAG_MAX + 1 };
	const struct frame_header of_tag = { .version = MONITOR_VERSION, .type = MONITOR_TAG };
	static const uint8_t zeros[MONITOR_TAG_MAX + 1];
	char long_id[MONITOR_ID_BYTES];
	struct frame_header h;
	struct frame_writer w;

	is_int(monitor_encode(&w, wire, sizeof(wire), MONITOR_TAG, 0, &m, NULL), -EMSGSIZE,
	       "a tag longer than its room is not written");
	memset(long_id, 'x', sizeof(long_id));
	for (size_t n = MONITOR_ID_BYTES - 1; n <= MONITOR_ID_BYTES; n++) {
		frame_begin(&w, wire, sizeof(wire), &of_tag);
		frame_put_bytes(&w, long_id, n);
		frame_put_bytes(&w, zeros, MONITOR_TAG_MAX);
		is_int(decode(w.size, &h, NULL), n < MONITOR_ID_BYTES ? 0 : -EPROTO, "an id of %zu bytes is %s", n,
		       n < MONITOR_ID_BYTES ? "taken" : "refused");
	}
	frame_begin(&w, wire, sizeof(wire), &of_tag);
	frame_put_bytes(&w, "a", 1);
	frame_put_bytes(&w, zeros, MONITOR_TAG_MAX + 1);
	is_int(decode(w.size, &h, NULL), -EPROTO, "a tag of one byte more than its room is refused");
	frame_begin(&w, wire, sizeof(wire), &of_tag);
	frame_put_bytes(&w, "a\0b", 3);
	frame_put_bytes(&w, zeros, 0);
	is_int(decode(w.size, &h, NULL), -EPROTO, "an id with a NUL in it is refused");
}

int main(void)
{
	for (size_t i = 0; i < N_SAMPLES; i++) {
		test_round_trip(&samples[i]);
		test_refusals(&samples[i]);
	}
	test_types();
	test_bounds();
	return done_testing();
}
