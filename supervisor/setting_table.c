/* The table of settings: see setting_row.h. */
#include "supervisor/setting_row.h"

#include <assert.h>
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static unsigned long count_cpus(void)
{
	long n = sysconf(_SC_NPROCESSORS_ONLN);

	return n > 0 ? (unsigned long)n : 1;
}

static int compute_cpus(char ret[SETTING_TEXT_MAX])
{
	(void)snprintf(ret, SETTING_TEXT_MAX, "%lu", count_cpus());
	return 0;
}

static int compute_slots(char ret[SETTING_TEXT_MAX])
{
	(void)snprintf(ret, SETTING_TEXT_MAX, "%lu", 2 * count_cpus());
	return 0;
}

/* The host name, with what an id cannot hold replaced. */
static int compute_node(char ret[SETTING_TEXT_MAX])
{
	char name[65] = "";

	if (gethostname(name, sizeof(name) - 1) < 0)
		name[0] = '\0';
	for (char *p = name; *p; p++) {
		if (!isalnum((unsigned char)*p) && *p != '.' && *p != '_')
			*p = '-';
	}
	(void)snprintf(ret, SETTING_TEXT_MAX, "%s", isalnum((unsigned char)name[0]) ? name : "node");
	return 0;
}

#define TEXT(name, field, normal, check, help)                                                                         \
	{                                                                                                              \
		name, KIND_TEXT, false, AT(field), normal, NULL, check, 0, 0, help, false                              \
	}
#define TOOL(name, field, normal, check, help)                                                                         \
	{                                                                                                              \
		name, KIND_TEXT, false, AT(field), normal, NULL, check, 0, 0, help, true                               \
	}
#define VALUE(name, kind, field, normal, min, max, help)                                                               \
	{                                                                                                              \
		name, kind, false, AT(field), normal, NULL, NULL, min, max, help, false                                \
	}

/* clang-format off */
const struct setting_row setting_rows[] = {
	TEXT("CUBIT_LISTEN",   listen,       "127.0.0.1:7070",      setting_check_listen,    "HOST:PORT of the TCP door; *: every address; empty: none. PORT=N is short for 127.0.0.1:N"),
	TEXT("CUBIT_RUN",      run_dir,      "/run/cubit",          setting_check_run,       "directory of the socket cubit.sock and of the claims of id ranges"),
	TEXT("CUBIT_STATE",    state_dir,    "/var/lib/cubit",      setting_check_directory, "directory of images, of the queue's database, and of admin.key"),
	TEXT("CUBIT_USER",     user,         "cubit",               setting_check_user,      "account, or uid, of the process that talks to the network; not root"),
	{ "CUBIT_NODE", KIND_TEXT, false, AT(node), "the host name", compute_node, setting_check_node, 0, 0, "name of this machine in results", false },
	TEXT("CUBIT_RUNTIMES", runtimes_dir, "/etc/cubit/runtimes", setting_check_directory, "directory of further definitions of languages"),
	TEXT("CUBIT_POLICIES", policies_dir, "/etc/cubit/policies", setting_check_directory, "directory of further policies"),
	VALUE("CUBIT_POLICIES_REPLACE", KIND_BOOL, replace_policies, "no", 0, 0, "files in CUBIT_POLICIES may replace built-in policies of their names"),
	VALUE("CUBIT_ID_BASE", KIND_NUMBER,  id_base, "0", 0, 0xeffe0000, "first id of the id ranges, a multiple of 65536; 0: 0x70000000"),
	VALUE("CUBIT_ID_COUNT", KIND_NUMBER, id_count, "0", 0, 65535, "number of id ranges, one for each sandbox at a time; 0: 4096"),
	VALUE("CUBIT_ALLOW_UNENFORCED", KIND_BOOL, allow_unenforced, "no", 0, 0, "go on when a limit cannot be enforced on this host"),
	VALUE("CUBIT_ALLOW_UNCONFINED", KIND_BOOL, allow_unconfined, "no", 0, 0, "administrators may run programs under the policy unconfined"),
	VALUE("CUBIT_CORE_SCHED", KIND_BOOL, core_sched, "no", 0, 0, "no two sandboxes run on the hardware threads of one core at the same moment"),
	TEXT("CUBIT_ALLOW_POLICIES", allow_policies, "", NULL, "the policies that sandboxes of this node may have, separated by blanks; empty: all that are there"),
	{ "CUBIT_ADMIN_KEY", KIND_TEXT, true, AT(admin_key), "", NULL, setting_check_admin_key, 0, 0, "key with every right, 16 to 256 characters; empty: one is made at the first start", false },
	TEXT("CUBIT_LOG_LEVEL",  log_level,  "notice", setting_check_level,  "error, warning, notice, info or debug"),
	TEXT("CUBIT_LOG_FORMAT", log_format, "text",   setting_check_format, "text or json"),

	VALUE("RUN_TIMEOUT_MS", KIND_MS,        run_timeout_ns, "5000", 1, 86400000,    "milliseconds that a run may last when the request does not say"),
	VALUE("MAX_MEM_MB",     KIND_MEBIBYTES, memory_bytes,   "256",  1, 1048576,     "MiB of memory when the request does not say"),
	VALUE("MAX_VCPUS",      KIND_CPUS,      cpus_milli,     "1",    10, 1024000,    "processors when the request does not say, such as 0.5"),

	VALUE("CUBIT_MAX_WALL",   KIND_TIME,  max_wall_ns, "60s", NS_PER_MS, DAY, "the longest run that a request may ask for"),
	VALUE("CUBIT_MAX_MEMORY", KIND_BYTES, max_memory,  "1G",  MEBI, TEBI,     "the most memory"),
	{ "CUBIT_MAX_CPUS", KIND_CPUS, false, AT(max_cpus_milli), "those of this machine", compute_cpus, NULL, 10, 1024000, "the most processors", false },
	VALUE("CUBIT_MAX_PROCESSES",  KIND_NUMBER, max_processes,  "512",  1, 65536,        "the most processes and threads"),
	VALUE("CUBIT_MAX_OPEN_FILES", KIND_NUMBER, max_open_files, "4096", 16, 1048576,     "the most open files of a process"),
	VALUE("CUBIT_MAX_OUTPUT",     KIND_BYTES,  max_output,     "16M",  1024, GIBI,      "the most that is kept of stdout, and of stderr"),
	VALUE("CUBIT_MAX_DISK",       KIND_BYTES,  max_disk,       "1G",   MEBI, TEBI,      "the most that files in a sandbox may take"),
	VALUE("CUBIT_TOTAL_MEMORY",   KIND_BYTES,  total_memory,   "0",    0, UINT64_C(1024) * TEBI, "the most that the memory limits of all sandboxes may be together; 0: what CUBIT_JOBS and the pool need"),
	VALUE("CUBIT_MAX_BODY",       KIND_BYTES,  max_body,       "4M",  1024, GIBI,      "the largest body of a request"),

	{ "CUBIT_JOBS", KIND_NUMBER, false, AT(slots), "twice the processors", compute_slots, NULL, 1, 4096, "how many jobs run at once", false },
	VALUE("CUBIT_QUEUE_MAX",   KIND_NUMBER, queue_max,      "10000", 1, 10000000,                 "how many jobs may wait; above that a request gets 429"),
	VALUE("CUBIT_ATTEMPTS",    KIND_NUMBER, attempts,       "3",     1, 100,                      "how often a job is tried before it is a dead letter"),
	VALUE("CUBIT_IMAGE_WAIT",  KIND_TIME,   image_wait_ns,  "10m",   NS_PER_S, 3650 * DAY,        "how long a job waits for a node that has its language's image"),
	VALUE("CUBIT_LEASE",       KIND_TIME,   lease_ns,       "30s",   NS_PER_S, HOUR,             "how long a node that is not heard of keeps its job"),
	VALUE("CUBIT_RETENTION",   KIND_TIME,   retention_ns,   "24h",   NS_PER_S, 3650 * DAY,        "how long results are kept"),
	VALUE("CUBIT_RESULTS_MAX", KIND_BYTES,  results_max,    "4G",    MEBI, TEBI,                  "how much the embedded queue keeps of what has ended; then the oldest goes"),
	VALUE("CUBIT_DRAIN",       KIND_TIME,   drain_ns,       "30s",   0, DAY,                      "how long SIGTERM waits for running jobs"),
	VALUE("CUBIT_POOL_MEMORY", KIND_BYTES,  pool_memory,    "256M",  0, TEBI,                     "memory of all sandboxes that stand ready; 0: none do"),
	VALUE("CUBIT_POOL",        KIND_NUMBER, pool_per_class, "4",     0, 1024,                     "how many sandboxes of one kind stand ready, at most"),

	{ "REDIS_URL", KIND_TEXT, true, AT(redis_url), "", NULL, NULL, 0, 0, "redis://[USER:PASSWORD@]HOST[:PORT][/DATABASE], rediss:// with TLS, unix:///PATH; empty: no Redis", false },
	TEXT("CUBIT_REDIS_CA",      redis_ca,      "",                                                            NULL, "certificates that rediss:// believes; empty: those of the system"),
	TEXT("CUBIT_REDIS_STREAMS", redis_streams, "cubit:jobs/cubit:workers/job goxec:jobs/goxec:workers/job",   NULL, "streams that jobs are taken from: STREAM/GROUP/FIELD, separated by blanks; empty: none"),
	TEXT("CUBIT_REDIS_LIST",    redis_list,    "execution",                                                   NULL, "list that jobs are taken from; empty: none"),
	TEXT("CUBIT_REDIS_PREFIX",  redis_prefix,  "cubit:",                                                      NULL, "what the names of our own keys begin with"),
	TEXT("CUBIT_REDIS_POLICIES", redis_policies, "default strict net build",                                  NULL, "policies that jobs from Redis may name, separated by blanks"),
	VALUE("CUBIT_REDIS_EVENTS", KIND_NUMBER,   redis_events, "10000", 0, 1000000, "events kept in the stream of one job; 0: none are published"),

	VALUE("CUBIT_RATE",  KIND_NUMBER, rate_per_s, "50",  0, 1000000,  "requests a second that one key may make; 0: any number"),
	VALUE("CUBIT_BURST", KIND_NUMBER, rate_burst, "200", 1, 10000000, "requests that it may make at once after a pause"),
	TEXT("CUBIT_GUESTS",            guests,            "", setting_check_guests,   "id of the key whose rights who comes without a key has, each address with quotas of its own; empty: nobody comes without a key"),
	TEXT("CUBIT_ORIGINS",           origins,           "", setting_check_origins,  "origins besides our own that browsers may come from, separated by blanks"),
	TEXT("CUBIT_TRUSTED_PROXIES",   trusted_proxies,   "", setting_check_prefixes, "addresses or prefixes whose X-Forwarded-For is believed, separated by blanks"),
	TEXT("CUBIT_STATUS_NETWORKS",   status_networks,   "127.0.0.0/8 ::1", setting_check_prefixes, "addresses or prefixes that see /metrics and the reasons of /readyz without a key; empty: none but the socket"),
	TEXT("CUBIT_CALLBACK_NETWORKS", callback_networks, "", setting_check_prefixes, "private prefixes that callbacks may go to, separated by blanks; empty: none"),

	TOOL("CUBIT_SETUP", setup_images, "bash python node c", setting_check_images, "images that `cubit setup` makes when none is named, separated by blanks"),
	TOOL("CUBIT_IMAGE_SUITE", image_suite, "", NULL, "Debian release that images are made of; empty: that of this machine"),
	TOOL("CUBIT_URL",   url,          "",                   NULL,         "where the commands find the daemon: http://HOST:PORT, https://HOST:PORT or unix:/PATH; empty: the socket in CUBIT_RUN"),
	{ "CUBIT_KEY", KIND_TEXT, true, AT(key), "", NULL, NULL, 0, 0, "key that the commands send, or @FILE with it", true },
	TOOL("CUBIT_CA",    ca,           "",                   NULL,         "file of certificates that a daemon at https:// is believed with; empty: those of the system"),
	TOOL("CUBIT_REGISTRY_MIRRORS",    registry_mirrors,    "", NULL, "HOST=MIRROR, separated by commas: asked before the registry HOST"),
	TOOL("CUBIT_REGISTRY_CA",         registry_ca,         "", NULL, "file of certificates that registries are believed with; empty: those of the system"),
	TOOL("CUBIT_REGISTRY_AUTH_FILE",  registry_auth_file,  "", NULL, "file with keys of registries; empty: ~/.docker/config.json"),
	{ "CUBIT_REGISTRY_TIMEOUT_S", KIND_NUMBER, false, AT(registry_timeout), "30", NULL, NULL, 1, 3600, "seconds that a registry may be silent", true },
	{ "CUBIT_LAYER_MAX",   KIND_BYTES,  false, AT(layer_max),   "10G", NULL, NULL, MEBI, TEBI, "the most that one layer of an image may be, unpacked", true },
	{ "CUBIT_LAYER_RATIO", KIND_NUMBER, false, AT(layer_ratio), "32",  NULL, NULL, 1, 1000,   "how many times as large as its manifest says a layer may become, once it is 256 MiB", true },
	TOOL("CUBIT_INSECURE_REGISTRIES", insecure_registries, "", NULL, "registries that are spoken to without TLS, separated by commas"),
	TOOL("S3_ENDPOINT",               s3_endpoint,         "", NULL, "http[s]://HOST[:PORT] of an object store that `cubit doctor` looks at; empty: none"),
};
/* clang-format on */

const size_t setting_count = sizeof(setting_rows) / sizeof(setting_rows[0]);
static_assert(sizeof(setting_rows) / sizeof(setting_rows[0]) <= (size_t)SETTINGS_ROOM, "a source for each row");

/* Names that are not settings of ours but may be there. One that ends in '_' stands for all that begin so. */
static const char *const others[] = {
	SETTINGS_COMPLETE,  "CUBIT_TEST_",  "CUBIT_SRC",    "CUBIT_BUILD", "CUBIT_FRONT_TCP",
	"CUBIT_ADMIN_HASH", "CUBIT_WORKER", "CUBIT_BRIDGE", "CUBIT_SCOPE", /* runtime/cgroup/cgroup_scope.c */
};

/* Names, of ours and of others, whose values strangers must not read. */
static const char *const secrets[] = { "CUBIT_ADMIN_KEY", "CUBIT_KEY", "REDIS_URL", "AWS_SECRET_ACCESS_KEY" };

const struct setting_row *setting_find(const char *name)
{
	for (size_t i = 0; i < setting_count; i++) {
		if (strcmp(setting_rows[i].name, name) == 0)
			return &setting_rows[i];
	}
	return NULL;
}

bool setting_name_is_secret(const char *name)
{
	for (size_t i = 0; i < sizeof(secrets) / sizeof(secrets[0]); i++) {
		if (strcmp(secrets[i], name) == 0)
			return true;
	}
	return false;
}

bool setting_name_is_other(const char *name, size_t size)
{
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		size_t n = strlen(others[i]);

		if (strncmp(name, others[i], n) == 0 && (size == n || others[i][n - 1] == '_'))
			return true;
	}
	return false;
}
