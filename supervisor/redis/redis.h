/*
 * Redis for the front: producers' jobs from streams and the list, results and events back, other nodes. Turned on by
 * REDIS_URL. The keys, each with who writes it and how long it stays: keys.h.
 *
 * Runs in: front, on the loop.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "supervisor/queue/source.h"

struct error;
struct redis;
struct runtime_set;
struct settings;

struct redis_env {
	uv_loop_t *loop;
	const struct settings *settings;
	const struct runtime_set *runtimes;
	bool (*has_policy)(const char *name, void *arg); /* as in job_context */
	const char *(*policy_error)(const char *name, void *arg);
	size_t (*free_slots)(void *arg); /* of this node, for its heartbeat */
	const char *(*word)(void *arg);  /* "serving", or why it is not; then nothing is fetched. May be NULL */
	/* somebody elsewhere wants the end of a job that runs here; asked again each second until it has. May be NULL */
	void (*cancel)(const char *id, const char *reason, void *arg);
	void *arg;
};

/*
 * Is everything that the settings say of Redis meant to be read: the URL, certificates, streams, list and prefix? Nobody is
 * asked. Nothing to say where there is no URL. Returns 0, or -EINVAL with err that begins with the setting; -ENOMEM.
 * Runs in: monitor, before it starts anything.
 */
int redis_check(const struct settings *settings, struct error *err);

/*
 * settings.redis_url is not empty. ret: redis_close(). Does not wait for the server: until it is there the sources have
 * trouble and no work.
 */
int redis_open(const struct redis_env *env, struct redis **ret, struct error *err);
void redis_close(struct redis *r, void (*done)(void *arg),
		 void *arg); /* leases are kept by what runs; call when nothing does */
void redis_set_runtimes(struct redis *r, const struct runtime_set *runtimes);

/* The sources, in the order of settings; at most REDIS_SOURCES_MAX. Owned by r. */
enum { REDIS_SOURCES_MAX = 4 };
size_t redis_sources(struct redis *r, struct source *ret[REDIS_SOURCES_MAX]);

/*
 * Put a job into the first stream (POST /api/run and its like when Redis is there): spec is canonical JSON. fn once it is
 * there. ENOBUFS the stream has settings.queue_max entries; EEXIST the id is known.
 */
int redis_submit(struct redis *r, const struct queue_job *job, queue_submit_fn *fn, void *arg);

/* [{name, version, state, slots, running, sources, seen_ms_ago}] of every node that gave a sign of life lately. */
typedef void redis_nodes_fn(const struct error *e, json_t *owned_list, void *arg);
int redis_nodes(struct redis *r, redis_nodes_fn *fn, void *arg);
/* This node takes no more work, or does again; any node may ask another: `cubit node drain NAME`. */
int redis_drain_node(struct redis *r, const char *name, bool on, queue_done_fn *fn, void *arg);
/* Told when another node, or an operator with redis-cli, set our drain flag. */
void redis_on_drain(struct redis *r, void (*fn)(bool on, void *arg), void *arg);

struct redis_stats {
	bool is_up;
	uint64_t connects, errors;
	uint64_t taken, claimed, finished, fenced, dead, duplicates;
	uint64_t waiting; /* in streams and lists, as of the last look */
};
void redis_stats(const struct redis *r, struct redis_stats *ret);
