/*
 * The monitor protocol: what the front, which has no privilege, may ask of the monitor, which has all of it. One
 * SOCK_SEQPACKET pair. Framing, bounds and byte order: runtime/base/frame.h.
 *
 * It cannot express a host path, a mount, a uid or a capability: only names of images and policies that the operator set
 * up, digests, numbers (checked against the ceilings once more, here), and ids. Everything the front sends is hostile:
 * it parses what strangers write. A message that is not of this form ends the front.
 *
 *   front -> monitor                              monitor -> front
 *   -----------------------------------------------------------------------------------------------------------------
 *                                                 WELCOME   first; then one ADOPT for each living sandbox
 *                                                 ADOPT     fds: agent socket, stdout, stderr and index files
 *   RESOLVE  an image by name                     IMAGE     its digest; fds: its configuration (a file, read-only)
 *   CREATE   a sandbox                            CREATED   fds: agent socket, stdout, stderr and index files
 *   STAGE    limits and clocks of what runs next  DONE
 *   TAG      remember these bytes with a sandbox  (nothing)
 *   KILL     end everything inside                (nothing; FINISH follows)
 *   FINISH   take the facts, remove the sandbox   FACTS     final when it was stopped, otherwise those of this moment
 *                                                 STOPPED   the monitor ended a sandbox at a limit; FINISH follows
 *   MEASURE  what was used since STAGE?           FACTS     those of this moment; nothing ends
 *   POLICIES which are there, and are they good?  POLICY_LIST  fds: JSON, see below; read-only
 *   STATE    listening, stopping, words (service manager) (nothing)
 *                                                 RELOAD    SIGHUP: read again what can be read again
 *                                                 DRAIN     SIGTERM: take no new work, end when the rest is done
 *   PONG     its loop still turns                 PING      every few seconds, to one that said it listens
 *
 * `seq` of an answer is that of the request; any request but TAG, KILL, STATE, PONG may be answered by REFUSED. Messages
 * that the monitor sends by itself have seq 0. Sandboxes are named by id; ids are the front's to choose.
 *
 * POLICY_LIST is an array with an object for each policy: name; origin, "builtin" or the path of its file; state, "good",
 * "kept" (the file is wrong, what was read before is in use) or "refused" (the file is wrong and always was); error, what is
 * wrong; digest and text of the profile that is in use.
 *
 * stdout, stderr, index are files in memory, without a name and empty at first, that the front writes the journal of the job into
 * (supervisor/journal/journal.h). They outlive the front because the monitor holds them too.
 *
 * Runs in: monitor and front. Pure; no allocation.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "runtime/base/frame.h"

struct error;

enum { MONITOR_VERSION = 1 };

enum monitor_message {
	MONITOR_RESOLVE = 1,
	MONITOR_CREATE,
	MONITOR_STAGE,
	MONITOR_TAG,
	MONITOR_KILL,
	MONITOR_FINISH,
	MONITOR_STATE,
	MONITOR_PONG,
	MONITOR_MEASURE,
	MONITOR_POLICIES,
	MONITOR_REQUESTS, /* behind the last one of the front */

	MONITOR_WELCOME = 64,
	MONITOR_ADOPT,
	MONITOR_IMAGE,
	MONITOR_CREATED,
	MONITOR_DONE,
	MONITOR_REFUSED,
	MONITOR_STOPPED,
	MONITOR_FACTS,
	MONITOR_RELOAD,
	MONITOR_DRAIN,
	MONITOR_PING,
	MONITOR_POLICY_LIST,
	MONITOR_MESSAGES,
};

enum {
	MONITOR_ID_BYTES = 65,
	MONITOR_NAME_BYTES = 512,  /* of an image: STORE_NAME_BYTES */
	MONITOR_DIGEST_BYTES = 72, /* "sha256:HEX" */
	MONITOR_TAG_MAX = 512,
	MONITOR_POLICIES_MAX = 256, /* in POLICY_LIST */
	MONITOR_FDS_SANDBOX = 4,
};

enum monitor_network { MONITOR_NETWORK_NONE = 0 /* only lo */ };

struct monitor_resolve {
	char image[MONITOR_NAME_BYTES];
};

struct monitor_image {
	char manifest[MONITOR_DIGEST_BYTES];
	char config[MONITOR_DIGEST_BYTES];
};

struct monitor_create {
	char id[MONITOR_ID_BYTES];
	char manifest[MONITOR_DIGEST_BYTES];   /* of an image in the store */
	char policy[MONITOR_ID_BYTES];         /* a name, never a path */
	char compile_policy[MONITOR_ID_BYTES]; /* of processes that compile; "": there are none, or the same */
	uint32_t network;                      /* enum monitor_network */
	uint64_t memory_bytes, disk_bytes;
	uint32_t processes, cpus_milli; /* processes without our pid 1 */
	uint8_t tag[MONITOR_TAG_MAX];   /* as TAG */
	uint32_t tag_size;
};

struct monitor_created {
	char policy_digest[MONITOR_DIGEST_BYTES];         /* of the profile's text: what this sandbox really has */
	char compile_policy_digest[MONITOR_DIGEST_BYTES]; /* "": as above */
};

/*
 * Sent before the agent's START. Counters of the group at this moment become the base of the next FACTS; limits that
 * differ are changed; cpu and wall clocks run from now. 0: that clock does not run.
 */
struct monitor_stage {
	char id[MONITOR_ID_BYTES];
	uint64_t memory_bytes, disk_bytes;
	uint32_t processes, cpus_milli;
	uint64_t cpu_ns;
	uint64_t wall_ns; /* a backstop: the front has its own, exact to the process's start */
};

struct monitor_tag {
	char id[MONITOR_ID_BYTES];
	uint8_t tag[MONITOR_TAG_MAX];
	uint32_t tag_size;
};

struct monitor_kill {
	char id[MONITOR_ID_BYTES];
};

struct monitor_finish {
	char id[MONITOR_ID_BYTES];
};

enum monitor_state {
	MONITOR_STATE_LISTENING = 1,
	MONITOR_STATE_DRAINED = 2,
	MONITOR_STATE_WORDS = 3, /* only the text is new */
};

struct monitor_state_message {
	uint32_t state;
	char text[256]; /* for systemctl status */
};

struct monitor_welcome {
	uint32_t n_adopt;      /* how many ADOPT follow */
	uint32_t front_number; /* 1 for the first front of this monitor */
	uint32_t cpus;
	uint64_t memory_bytes; /* of the machine */
	uint8_t is_hybrid;     /* cgroups */
	char boot_id[40];
};

struct monitor_adopt {
	char id[MONITOR_ID_BYTES];
	char manifest[MONITOR_DIGEST_BYTES];
	char policy[MONITOR_ID_BYTES];
	char policy_digest[MONITOR_DIGEST_BYTES];
	uint64_t memory_bytes, disk_bytes;
	uint32_t processes, cpus_milli;
	uint32_t stop; /* enum verdict_stop: the monitor ended it while nobody listened */
	uint8_t tag[MONITOR_TAG_MAX];
	uint32_t tag_size;
};

struct monitor_refused {
	/* errno: ENOENT no such image (RESOLVE), policy or sandbox; ENOMEDIUM CREATE: its image is gone or not whole; EEXIST;
	 * ERANGE above a ceiling; ... */
	uint32_t code;
	char text[256];
};

struct monitor_stopped {
	char id[MONITOR_ID_BYTES];
	uint32_t stop; /* enum verdict_stop; STOP_NONE: pid 1 ended by itself */
};

struct monitor_measure {
	char id[MONITOR_ID_BYTES];
};

/*
 * Growth since the last STAGE where it says so, CGROUP_UNKNOWN where the kernel does not tell.
 *
 * Peaks of a stage are known between two bounds, and both are the same where the kernel tells all: memory since Linux
 * 6.12 or on v1, processes when they were more than in all stages before.
 */
struct monitor_facts {
	char id[MONITOR_ID_BYTES];
	uint32_t stop;                         /* the first cause the monitor saw */
	uint64_t cpu_ns, user_ns, system_ns;   /* since STAGE */
	uint64_t oom_kills, pids_max_hits;     /* since STAGE */
	uint64_t memory_peak_bytes, pids_peak; /* at most that; what the sandbox held before STAGE is in it */
	uint64_t memory_grown_bytes;           /* at least that much more than it held at STAGE, at once */
	uint64_t io_read_bytes, io_write_bytes;
	uint64_t disk_bytes, disk_inodes;
	uint8_t disk_is_full;
	uint8_t oom_is_above, forks_above; /* struct verdict_facts */
};

union monitor_any {
	struct monitor_resolve resolve;
	struct monitor_image image;
	struct monitor_create create;
	struct monitor_created created;
	struct monitor_stage stage;
	struct monitor_tag tag;
	struct monitor_kill kill;
	struct monitor_finish finish;
	struct monitor_measure measure;
	struct monitor_state_message state;
	struct monitor_welcome welcome;
	struct monitor_adopt adopt;
	struct monitor_refused refused;
	struct monitor_stopped stopped;
	struct monitor_facts facts;
};

/* "CREATE"; "?" for numbers out of range. Static memory. */
const char *monitor_message_name(uint32_t type);

/*
 * One encoder and one decoder for every message, driven by the field tables in proto.c (the shape of agent_proto.h).
 * message points to the struct of `type`; types without fields take NULL. Return 0 or -errno: -EMSGSIZE, -EPROTO.
 */
int monitor_encode(struct frame_writer *w, void *memory, size_t capacity, enum monitor_message type, uint32_t seq,
		   const void *message, struct error *err);
int monitor_decode(const void *data, size_t size, struct frame_header *ret_header, union monitor_any *ret,
		   struct error *err);
