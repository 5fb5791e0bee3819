/*
 * The settings of a node: one table of name, default, unit and meaning. Values come from the environment, then `.env` in
 * the working directory, then /etc/cubit/cubit.env; the first that has a name wins. The same table prints `cubitd --help`
 * and `cubit config`, so neither can drift.
 *
 * A value that does not parse is an error that names the setting and where it was found; so is an unknown name that
 * starts with CUBIT_ (a typo must not be silently ignored).
 *
 * Runs in: monitor (which reads the files and hands the front the finished values through its environment), cubit,
 * cubit-sandbox. Shell scripts ask `cubit config NAME`.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct error;

enum { SETTING_TEXT_MAX = 1024, SETTINGS_ROOM = 96 };

/* One field for each row. Texts are owned, never NULL. Sizes in bytes, times in ns, cpus in thousandths. */
struct settings {
	/* where we live */
	char *listen;          /* CUBIT_LISTEN "127.0.0.1:7070"; PORT=N is 127.0.0.1:N; "" : no TCP door */
	char *run_dir;         /* CUBIT_RUN /run/cubit: socket cubit.sock, claims of id ranges */
	char *state_dir;       /* CUBIT_STATE /var/lib/cubit: images/, front/ (the front's own), admin.key */
	char *user;            /* CUBIT_USER "cubit": name or uid of the front; a name that is no account is refused */
	char *node;            /* CUBIT_NODE: default the host name */
	char *runtimes_dir;    /* CUBIT_RUNTIMES /etc/cubit/runtimes */
	char *policies_dir;    /* CUBIT_POLICIES /etc/cubit/policies */
	bool replace_policies; /* CUBIT_POLICIES_REPLACE: files in it may have the names of built-in ones */
	uint64_t id_base;      /* CUBIT_ID_BASE 0: the default of idrange.h */
	uint64_t id_count;     /* CUBIT_ID_COUNT, the same */
	bool allow_unenforced; /* CUBIT_ALLOW_UNENFORCED */
	bool allow_unconfined; /* CUBIT_ALLOW_UNCONFINED: the policy of that name is to be had here */
	bool core_sched;       /* CUBIT_CORE_SCHED: no two sandboxes on one core at the same moment */
	char *allow_policies;  /* CUBIT_ALLOW_POLICIES "": all that are there; else names, separated by blanks */
	char *admin_key;       /* CUBIT_ADMIN_KEY; secret: never printed. "": made at the first start */
	char *log_level, *log_format; /* CUBIT_LOG_LEVEL notice, CUBIT_LOG_FORMAT text|json */

	/* defaults of a job */
	uint64_t run_timeout_ns; /* RUN_TIMEOUT_MS 5000, a number of ms */
	uint64_t memory_bytes;   /* MAX_MEM_MB 256 */
	uint64_t cpus_milli;     /* MAX_VCPUS 1 */

	/* ceilings: a request above one is refused by name */
	uint64_t max_wall_ns;    /* CUBIT_MAX_WALL 60s */
	uint64_t max_memory;     /* CUBIT_MAX_MEMORY 1G */
	uint64_t max_cpus_milli; /* CUBIT_MAX_CPUS: default the cpus of this machine */
	uint64_t max_processes;  /* CUBIT_MAX_PROCESSES 512 */
	uint64_t max_open_files; /* CUBIT_MAX_OPEN_FILES 4096 */
	uint64_t max_output;     /* CUBIT_MAX_OUTPUT 16M, each of stdout and stderr */
	uint64_t max_disk;       /* CUBIT_MAX_DISK 1G */
	uint64_t
		total_memory; /* CUBIT_TOTAL_MEMORY 0: sum of the limits of all sandboxes; 0: as many as can be, with max_memory */
	uint64_t max_body; /* CUBIT_MAX_BODY 4M: of a request; parsing one holds the loop for 35 ms a MiB */

	/* work */
	uint64_t slots;          /* CUBIT_JOBS: jobs at once; default 2 x cpus */
	uint64_t queue_max;      /* CUBIT_QUEUE_MAX 10000 waiting jobs, then 429 */
	uint64_t attempts;       /* CUBIT_ATTEMPTS 3, then dead */
	uint64_t image_wait_ns;  /* CUBIT_IMAGE_WAIT 10m: for a node that has the image of its language, then dead */
	uint64_t lease_ns;       /* CUBIT_LEASE 30s */
	uint64_t retention_ns;   /* CUBIT_RETENTION 24h: how long results are kept */
	uint64_t results_max;    /* CUBIT_RESULTS_MAX 4G: bytes of all that has ended, in the database */
	uint64_t drain_ns;       /* CUBIT_DRAIN 30s: how long SIGTERM waits for running jobs */
	uint64_t pool_memory;    /* CUBIT_POOL_MEMORY 256M: of all sandboxes that stand ready; 0: no pool */
	uint64_t pool_per_class; /* CUBIT_POOL 4: at most, of one kind */

	/* the doors */
	uint64_t rate_per_s;   /* CUBIT_RATE 50 requests a second of a key; 0: no bucket */
	uint64_t rate_burst;   /* CUBIT_BURST 200 */
	char *origins;         /* CUBIT_ORIGINS: further origins that browsers may come from, separated by blanks */
	char *guests;          /* CUBIT_GUESTS "": id of the key whose rights requests without a key have; "": none */
	char *trusted_proxies; /* CUBIT_TRUSTED_PROXIES: addresses or prefixes whose X-Forwarded-For is believed */
	char *status_networks; /* CUBIT_STATUS_NETWORKS "127.0.0.0/8 ::1": who may see /metrics and /readyz' reasons keyless */
	char *callback_networks; /* CUBIT_CALLBACK_NETWORKS: private prefixes that callbacks may go to; "" : none */

	/* Redis; all of it off without a URL */
	char *redis_url; /* REDIS_URL "": redis://, rediss:// or unix://; secret: printed without its password */
	char *redis_ca;  /* CUBIT_REDIS_CA: certificates for rediss://; "": the system's */
	char *redis_streams; /* CUBIT_REDIS_STREAMS "cubit:jobs/cubit:workers/job goxec:jobs/goxec:workers/job": STREAM/GROUP/FIELD,
				* separated by blanks; "": none */
	char *redis_list;     /* CUBIT_REDIS_LIST "execution"; "": none */
	char *redis_prefix;   /* CUBIT_REDIS_PREFIX "cubit:": of our own keys */
	char *redis_policies; /* CUBIT_REDIS_POLICIES: those that producers may name */
	uint64_t
		redis_events; /* CUBIT_REDIS_EVENTS 10000: events kept in the stream of one job; 0: none are published */

	/* the tools: not handed to the front */
	char *image_suite;      /* CUBIT_IMAGE_SUITE: Debian release that images are made of */
	char *setup_images;     /* CUBIT_SETUP "bash python node c": what `cubit setup` makes when no image is named */
	char *url;              /* CUBIT_URL "": the socket in CUBIT_RUN */
	char *key;              /* CUBIT_KEY; secret: never printed */
	char *ca;               /* CUBIT_CA "": the system's */
	char *registry_mirrors; /* CUBIT_REGISTRY_MIRRORS HOST=MIRROR,... ; images/registry/settings.c reads these five */
	char *registry_ca;      /* CUBIT_REGISTRY_CA */
	char *registry_auth_file;  /* CUBIT_REGISTRY_AUTH_FILE "": ~/.docker/config.json */
	uint64_t layer_max;        /* CUBIT_LAYER_MAX 10G */
	uint64_t layer_ratio;      /* CUBIT_LAYER_RATIO 32 */
	uint64_t registry_timeout; /* CUBIT_REGISTRY_TIMEOUT_S 30, seconds */
	char *insecure_registries; /* CUBIT_INSECURE_REGISTRIES HOST,... that are spoken to without TLS */
	char *s3_endpoint;         /* S3_ENDPOINT "": no object store */

	const char *unread; /* a file that this user may not read, so that what it says is missing here; NULL: none */

	uint8_t sources[SETTINGS_ROOM]; /* enum setting_source of each row of the table; for settings_print() */
};

/* Where a value came from. */
enum setting_source { SETTING_DEFAULT, SETTING_ENVIRONMENT, SETTING_DOTENV, SETTING_ETC };

/*
 * Read, check each value and the values against each other. An environment that settings_environment() made is taken as it
 * is, without a look at files. The admin key, if it is set, is given to log_redact().
 *
 * ret  owned: settings_done(). On failure nothing is to be freed.
 * Returns 0, or -errno: -EINVAL with err "CUBIT_MAX_WALL (.env): ..."; -EPERM a .env that another user wrote or may write;
 * a file that is there and cannot be read.
 */
int settings_load(struct settings *ret, struct error *err);
void settings_done(struct settings *s);

/*
 * For programs other than the daemon: load once, before anything else, keep the result, and put into the environment of
 * this process what the files say of settings that are no secret, so that images/ (which reads the environment only) and
 * child processes use the same values. An ordinary user who may not read a file gets along without it: `unread` says so.
 *
 * Returns 0 or -errno as settings_load(); once it succeeded, it does nothing more.
 */
int settings_use(struct error *err);

/* For those who must go on after settings_use() failed: the environment alone, or the defaults when that is bad too. */
void settings_use_defaults(void);

/* What was loaded by one of the two; valid until the process ends. */
const struct settings *settings_used(void);

/* The table with name, default and meaning (for --help). */
void settings_help(FILE *out);

/* The table with the values of s and where each came from; secrets as "[set]". as_json: an object. */
void settings_print(const struct settings *s, bool as_json, FILE *out);

/* The value of one, alone on a line, for scripts. Returns 0, or -ENOENT: no such setting; -EPERM: it is a secret. */
int settings_print_one(const struct settings *s, const char *name, FILE *out, struct error *err);

/*
 * Every setting as "NAME=value" for the environment of the front; complete, so that it need not read any file. The
 * admin key is not among them. Owned, NULL-terminated; NULL when out of memory.
 */
char **settings_environment(const struct settings *s);
void settings_environment_free(char **env);

/*
 * Where definitions of languages are looked for, the weakest first, as runtime_set_load() wants it: CUBIT_RUNTIMES, then
 * CUBIT_STATE/runtimes. The daemon and the commands ask here, so that they know the same languages.
 */
struct settings_runtimes {
	char own[4096];      /* the second of them */
	const char *dirs[3]; /* NULL-terminated; borrowed from s, and from own: not to be copied */
};
void settings_runtimes(const struct settings *s, struct settings_runtimes *ret);
