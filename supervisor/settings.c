/*
 * The settings of a node: see settings.h.
 *
 * A row says everything about one setting: name, kind, where its value goes, default, bounds, meaning, and for texts
 * what makes one acceptable. Loading, help, printing and the environment of the front are loops over the rows.
 */
#include "supervisor/settings.h"

#include <arpa/inet.h>
#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "supervisor/settings_impl.h"

#include "runtime/base/buf.h"
#include "runtime/base/cleanup.h"
#include "runtime/base/clock.h"
#include "runtime/base/error.h"
#include "runtime/base/fd.h"
#include "runtime/base/log.h"
#include "runtime/base/parse.h"

/* The environment that settings_environment() makes says so, and is then all there is. */
#define COMPLETE "CUBIT_SETTINGS_COMPLETE"

enum { FILE_MAX_BYTES = 64 << 10, ADMIN_KEY_MIN = 16, ADMIN_KEY_MAX = 256, SOCKET_PATH_MAX = 107 };

#define HOUR (UINT64_C(3600) * NS_PER_S)
#define DAY  (24 * HOUR)
#define TEBI (UINT64_C(1) << 40)
#define GIBI (UINT64_C(1) << 30)
#define MEBI (UINT64_C(1) << 20)

/* ---- what texts may be ---------------------------------------------------------------------------------------- */

typedef int check_fn(const char *text, struct error *err);

static int check_directory(const char *text, struct error *err)
{
	return text[0] == '/' ? 0 : error_set(err, EINVAL, "'%.200s' is not an absolute path", text);
}

static int check_run(const char *text, struct error *err)
{
	size_t room = SOCKET_PATH_MAX - strlen("/cubit.sock"); /* sun_path, unix(7) */

	if (strlen(text) > room)
		return error_set(err, EINVAL, "'%.200s' is longer than %zu bytes: the socket in it could not be named",
				 text, room);
	return check_directory(text, err);
}

static int check_node(const char *text, struct error *err)
{
	return parse_id(text, err);
}

static int check_user(const char *text, struct error *err)
{
	uint64_t uid;

	if (text[0] && text[strspn(text, "0123456789")] == '\0') {
		if (parse_u64(text, 0, UINT32_MAX - 1, &uid, err) < 0)
			return -EINVAL;
		return uid ? 0 : error_set(err, EINVAL, "the front cannot be root: that is what it is for");
	}
	if (!text[0] || strlen(text) > 64)
		return error_set(err, EINVAL, "'%.70s' is not the name of an account", text);
	return 0;
}

static int check_level(const char *text, struct error *err)
{
	enum log_level level;

	return log_parse_level(text, &level) == 0
		       ? 0
		       : error_set(err, EINVAL, "'%.40s' is not one of error, warning, notice, info, debug", text);
}

static int check_format(const char *text, struct error *err)
{
	return strcmp(text, "text") == 0 || strcmp(text, "json") == 0
		       ? 0
		       : error_set(err, EINVAL, "'%.40s' is neither text nor json", text);
}

/* Never quotes the text: it is a secret. */
static int check_admin_key(const char *text, struct error *err)
{
	size_t n = strlen(text);

	for (size_t i = 0; i < n; i++) {
		if (text[i] <= ' ' || text[i] > '~')
			return error_set(err, EINVAL, "holds a character that is not visible ASCII");
	}
	if (n != 0 && (n < ADMIN_KEY_MIN || n > ADMIN_KEY_MAX))
		return error_set(err, EINVAL, "has %zu characters, not %d to %d", n, ADMIN_KEY_MIN, ADMIN_KEY_MAX);
	return 0;
}

/* The size of HOST or [ADDRESS] at the beginning of a text; 0: there is none. */
static size_t host_size(const char *text)
{
	size_t n = text[0] == '[' ? strcspn(text, "]") : 0;
	char address[INET6_ADDRSTRLEN];
	struct in6_addr parsed;

	if (text[0] != '[')
		return strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-.");
	if (text[n] != ']' || n > sizeof(address))
		return 0;
	(void)snprintf(address, sizeof(address), "%.*s", (int)(n - 1), text + 1);
	return inet_pton(AF_INET6, address, &parsed) == 1 ? n + 1 : 0;
}

/* Port 0: any that is free. */
static int check_listen(const char *text, struct error *err)
{
	size_t n = text[0] == '*' ? 1 : host_size(text);
	uint64_t port;

	if (!text[0])
		return 0;
	if (n == 0 || text[n] != ':' || text[n + 1 + strspn(text + n + 1, "0123456789")] ||
	    parse_u64(text + n + 1, 0, UINT16_MAX, &port, NULL) < 0)
		return error_set(err, EINVAL, "'%.200s' is not HOST:PORT, such as 127.0.0.1:7070 or [::1]:7070", text);
	return 0;
}

/* Hand each word of a list, at most as long as `one`, to a check. */
static int check_each(const char *text, check_fn *check, struct error *err)
{
	char one[256];

	while (*(text += strspn(text, " "))) {
		size_t n = strcspn(text, " ");

		if (n >= sizeof(one))
			return error_set(err, EINVAL, "'%.40s...' is too long", text);
		memcpy(one, text, n);
		one[n] = '\0';
		if (check(one, err) < 0)
			return -EINVAL;
		text += n;
	}
	return 0;
}

/* What browsers send, RFC 6454 §6.1: no path, and no wildcard, which would let everybody in. */
static int check_origin(const char *text, struct error *err)
{
	const char *host = strncmp(text, "https://", 8) == 0  ? text + 8
			   : strncmp(text, "http://", 7) == 0 ? text + 7
							      : "";
	size_t n = host_size(host);
	uint64_t port;

	if (n == 0 || (host[n] && (host[n] != ':' || parse_u64(host + n + 1, 1, UINT16_MAX, &port, NULL) < 0)))
		return error_set(err, EINVAL, "'%.200s' is not an origin such as https://ide.example.org", text);
	return 0;
}

static int check_origins(const char *text, struct error *err)
{
	return check_each(text, check_origin, err);
}

static int check_prefix(const char *text, struct error *err)
{
	unsigned char address[sizeof(struct in6_addr)];
	const char *slash = strchrnul(text, '/');
	cleanup_free char *host = strndup(text, (size_t)(slash - text));
	uint64_t bits;
	int most;

	if (!host)
		return error_set(err, ENOMEM, "out of memory");
	most = inet_pton(AF_INET, host, address) == 1 ? 32 : inet_pton(AF_INET6, host, address) == 1 ? 128 : 0;
	if (most == 0 || (*slash && parse_u64(slash + 1, 0, (uint64_t)most, &bits, NULL) < 0))
		return error_set(err, EINVAL, "'%.200s' is not an address or a prefix such as 10.0.0.0/8", text);
	return 0;
}

static int check_prefixes(const char *text, struct error *err)
{
	return check_each(text, check_prefix, err);
}

/* ---- the table ------------------------------------------------------------------------------------------------ */

enum kind { KIND_TEXT, KIND_BOOL, KIND_NUMBER, KIND_BYTES, KIND_TIME, KIND_MS, KIND_MEBIBYTES, KIND_CPUS, KINDS };

struct row {
	const char *name;
	enum kind kind;
	bool is_secret;
	size_t offset;
	const char *normal; /* default, as it would be written; with compute: how help says it */
	int (*compute)(char ret[SETTING_TEXT_MAX]); /* the default, when the machine decides; 0 or -errno */
	check_fn *check;
	uint64_t min, max;
	const char *help;
};

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

#define AT(field) offsetof(struct settings, field)
#define TEXT(name, field, normal, check, help)                                                                         \
	{                                                                                                              \
		name, KIND_TEXT, false, AT(field), normal, NULL, check, 0, 0, help                                     \
	}
#define VALUE(name, kind, field, normal, min, max, help)                                                               \
	{                                                                                                              \
		name, kind, false, AT(field), normal, NULL, NULL, min, max, help                                       \
	}

/* clang-format off */
static const struct row rows[] = {
	TEXT("CUBIT_LISTEN",   listen,       "127.0.0.1:7070",      check_listen,    "HOST:PORT of the TCP door; *: every address; empty: none. PORT=N is short for 127.0.0.1:N"),
	TEXT("CUBIT_RUN",      run_dir,      "/run/cubit",          check_run,       "directory of the socket cubit.sock and of the claims of id ranges"),
	TEXT("CUBIT_STATE",    state_dir,    "/var/lib/cubit",      check_directory, "directory of images, of the queue's database, and of admin.key"),
	TEXT("CUBIT_USER",     user,         "cubit",               check_user,      "account, or uid, of the process that talks to the network; not root"),
	{ "CUBIT_NODE", KIND_TEXT, false, AT(node), "the host name", compute_node, check_node, 0, 0, "name of this machine in results" },
	TEXT("CUBIT_RUNTIMES", runtimes_dir, "/etc/cubit/runtimes", check_directory, "directory of further definitions of languages"),
	TEXT("CUBIT_POLICIES", policies_dir, "/etc/cubit/policies", check_directory, "directory of further policies"),
	VALUE("CUBIT_ID_BASE", KIND_NUMBER,  id_base, "0", 0, 0xeffe0000, "first id of the id ranges, a multiple of 65536; 0: 0x70000000"),
	VALUE("CUBIT_ALLOW_UNENFORCED", KIND_BOOL, allow_unenforced, "no", 0, 0, "go on when a limit cannot be enforced on this host"),
	{ "CUBIT_ADMIN_KEY", KIND_TEXT, true, AT(admin_key), "", NULL, check_admin_key, 0, 0, "key with every right, 16 to 256 characters; empty: one is made at the first start" },
	TEXT("CUBIT_LOG_LEVEL",  log_level,  "notice", check_level,  "error, warning, notice, info or debug"),
	TEXT("CUBIT_LOG_FORMAT", log_format, "text",   check_format, "text or json"),

	VALUE("RUN_TIMEOUT_MS", KIND_MS,        run_timeout_ns, "5000", 1, 86400000,    "milliseconds that a run may last when the request does not say"),
	VALUE("MAX_MEM_MB",     KIND_MEBIBYTES, memory_bytes,   "256",  1, 1048576,     "MiB of memory when the request does not say"),
	VALUE("MAX_VCPUS",      KIND_CPUS,      cpus_milli,     "1",    10, 1024000,    "processors when the request does not say, such as 0.5"),

	VALUE("CUBIT_MAX_WALL",   KIND_TIME,  max_wall_ns, "60s", NS_PER_MS, DAY, "the longest run that a request may ask for"),
	VALUE("CUBIT_MAX_MEMORY", KIND_BYTES, max_memory,  "1G",  MEBI, TEBI,     "the most memory"),
	{ "CUBIT_MAX_CPUS", KIND_CPUS, false, AT(max_cpus_milli), "those of this machine", compute_cpus, NULL, 10, 1024000, "the most processors" },
	VALUE("CUBIT_MAX_PROCESSES",  KIND_NUMBER, max_processes,  "512",  1, 65536,        "the most processes and threads"),
	VALUE("CUBIT_MAX_OPEN_FILES", KIND_NUMBER, max_open_files, "4096", 16, 1048576,     "the most open files of a process"),
	VALUE("CUBIT_MAX_OUTPUT",     KIND_BYTES,  max_output,     "16M",  1024, GIBI,      "the most that is kept of stdout, and of stderr"),
	VALUE("CUBIT_MAX_DISK",       KIND_BYTES,  max_disk,       "1G",   MEBI, TEBI,      "the most that files in a sandbox may take"),
	VALUE("CUBIT_MAX_BODY",       KIND_BYTES,  max_body,       "4M",  1024, GIBI,      "the largest body of a request"),

	{ "CUBIT_JOBS", KIND_NUMBER, false, AT(slots), "twice the processors", compute_slots, NULL, 1, 4096, "how many jobs run at once" },
	VALUE("CUBIT_QUEUE_MAX",   KIND_NUMBER, queue_max,      "10000", 1, 10000000,                 "how many jobs may wait; above that a request gets 429"),
	VALUE("CUBIT_ATTEMPTS",    KIND_NUMBER, attempts,       "3",     1, 100,                      "how often a job is tried before it is a dead letter"),
	VALUE("CUBIT_LEASE",       KIND_TIME,   lease_ns,       "30s",   NS_PER_S, HOUR,             "how long a node that is not heard of keeps its job"),
	VALUE("CUBIT_RETENTION",   KIND_TIME,   retention_ns,   "24h",   NS_PER_S, 3650 * DAY,        "how long results are kept"),
	VALUE("CUBIT_DRAIN",       KIND_TIME,   drain_ns,       "30s",   0, DAY,                      "how long SIGTERM waits for running jobs"),
	VALUE("CUBIT_POOL_MEMORY", KIND_BYTES,  pool_memory,    "256M",  0, TEBI,                     "memory of all sandboxes that stand ready; 0: none do"),
	VALUE("CUBIT_POOL",        KIND_NUMBER, pool_per_class, "4",     0, 1024,                     "how many sandboxes of one kind stand ready, at most"),

	{ "REDIS_URL", KIND_TEXT, true, AT(redis_url), "", NULL, NULL, 0, 0, "redis://[USER:PASSWORD@]HOST[:PORT][/DATABASE], rediss:// with TLS, unix:///PATH; empty: no Redis" },
	TEXT("CUBIT_REDIS_CA",      redis_ca,      "",                                                            NULL, "certificates that rediss:// believes; empty: those of the system"),
	TEXT("CUBIT_REDIS_STREAMS", redis_streams, "cubit:jobs/cubit:workers/job goxec:jobs/goxec:workers/job",   NULL, "streams that jobs are taken from: STREAM/GROUP/FIELD, separated by blanks; empty: none"),
	TEXT("CUBIT_REDIS_LIST",    redis_list,    "execution",                                                   NULL, "list that jobs are taken from; empty: none"),
	TEXT("CUBIT_REDIS_PREFIX",  redis_prefix,  "cubit:",                                                      NULL, "what the names of our own keys begin with"),
	VALUE("CUBIT_REDIS_EVENTS", KIND_NUMBER,   redis_events, "10000", 0, 1000000, "events kept in the stream of one job; 0: none are published"),

	VALUE("CUBIT_RATE",  KIND_NUMBER, rate_per_s, "50",  0, 1000000,  "requests a second that one key may make; 0: any number"),
	VALUE("CUBIT_BURST", KIND_NUMBER, rate_burst, "200", 1, 10000000, "requests that it may make at once after a pause"),
	TEXT("CUBIT_ORIGINS",           origins,           "", check_origins,  "origins besides our own that browsers may come from, separated by blanks"),
	TEXT("CUBIT_TRUSTED_PROXIES",   trusted_proxies,   "", check_prefixes, "addresses or prefixes whose X-Forwarded-For is believed, separated by blanks"),
	TEXT("CUBIT_CALLBACK_NETWORKS", callback_networks, "", check_prefixes, "private prefixes that callbacks may go to, separated by blanks; empty: none"),
};
/* clang-format on */

enum { ROWS = sizeof(rows) / sizeof(rows[0]) };
static_assert((size_t)ROWS <= SETTINGS_ROOM, "a source for each row");

/* Names that are not settings of ours but may be there. One that ends in '_' stands for all that begin so. */
static const char *const others[] = {
	COMPLETE,
	"CUBIT_TEST_",
	"CUBIT_SRC",
	"CUBIT_BUILD",
	"CUBIT_FRONT_TCP",
	"CUBIT_ADMIN_HASH",
	"CUBIT_WORKER",
	"CUBIT_BRIDGE",
	"CUBIT_REGISTRY_MIRRORS",
	"CUBIT_REGISTRY_CA",
	"CUBIT_REGISTRY_AUTH_FILE",
	"CUBIT_REGISTRY_TIMEOUT_S",
	"CUBIT_INSECURE_REGISTRIES",
};

/* Names, of ours and of others, whose values strangers must not read. */
static const char *const secrets[] = { "CUBIT_ADMIN_KEY", "REDIS_URL", "AWS_SECRET_ACCESS_KEY" };

/* ---- one value ------------------------------------------------------------------------------------------------ */

static char **text_of(struct settings *s, const struct row *row)
{
	return (char **)((char *)s + row->offset);
}

static uint64_t *number_of(struct settings *s, const struct row *row)
{
	return (uint64_t *)((char *)s + row->offset);
}

static int read_text(const struct row *row, const char *text, char **ret, struct error *err)
{
	char *copy;

	for (const char *p = text; *p; p++) {
		if ((unsigned char)*p < ' ' || *p == '\x7f')
			return error_set(err, EINVAL, "holds a control character");
	}
	if (strlen(text) >= (size_t)SETTING_TEXT_MAX)
		return error_set(err, EINVAL, "is longer than %d bytes", SETTING_TEXT_MAX - 1);
	if (row->check && row->check(text, err) < 0)
		return -EINVAL;
	copy = strdup(text);
	if (!copy)
		return error_set(err, ENOMEM, "out of memory");
	free(*ret);
	*ret = copy;
	return 0;
}

/* What a number of this kind is multiplied with to be kept, and printed divided by. */
static uint64_t factor(enum kind kind)
{
	return kind == KIND_MS ? NS_PER_MS : kind == KIND_MEBIBYTES ? MEBI : 1;
}

static int read_value(const struct row *row, const char *text, struct settings *s, struct error *err)
{
	uint64_t *number = number_of(s, row);
	int r;

	switch (row->kind) {
	case KIND_TEXT:
		return read_text(row, text, text_of(s, row), err);
	case KIND_BOOL:
		return parse_bool(text, (bool *)((char *)s + row->offset), err);
	case KIND_BYTES:
		return parse_bytes(text, row->min, row->max, number, err);
	case KIND_TIME:
		/* the one time that needs no unit */
		return parse_duration_ns(strcmp(text, "0") == 0 ? "0s" : text, row->min, row->max, number, err);
	case KIND_CPUS:
		return parse_milli(text, row->min, row->max, number, err);
	case KIND_NUMBER:
	case KIND_MS:
	case KIND_MEBIBYTES:
		r = parse_u64(text, row->min, row->max, number, err);
		if (r == 0)
			*number *= factor(row->kind);
		return r;
	case KINDS:
		break;
	}
	assert(!"a kind without a reader");
	return -EINVAL;
}

struct unit {
	const char *suffix;
	uint64_t factor;
};

/* In the largest unit that says it exactly. */
static int print_units(struct buf *out, uint64_t value, const struct unit *units)
{
	while (units->factor > 1 && (value == 0 || value % units->factor != 0))
		units++;
	return buf_printf(out, "%" PRIu64 "%s", value / units->factor, units->suffix);
}

/* As it can be read back; appends. Returns 0 or -ENOMEM. */
static int write_value(const struct row *row, const struct settings *s, struct buf *out)
{
	static const struct unit bytes[] = { { "T", TEBI }, { "G", GIBI }, { "M", MEBI }, { "K", 1024 }, { "", 1 } };
	static const struct unit times[] = { { "h", HOUR },       { "m", 60 * NS_PER_S }, { "s", NS_PER_S },
					     { "ms", NS_PER_MS }, { "us", NS_PER_US },    { "ns", 1 } };
	const void *at = (const char *)s + row->offset;
	uint64_t number = row->kind == KIND_TEXT || row->kind == KIND_BOOL ? 0 : *(const uint64_t *)at;

	switch (row->kind) {
	case KIND_TEXT:
		return buf_append_str(out, *(char *const *)at);
	case KIND_BOOL:
		return buf_append_str(out, *(const bool *)at ? "yes" : "no");
	case KIND_BYTES:
		return print_units(out, number, bytes);
	case KIND_TIME:
		return print_units(out, number, times);
	case KIND_CPUS:
		if (number % 1000 == 0)
			return buf_printf(out, "%" PRIu64, number / 1000);
		return buf_printf(out, "%" PRIu64 ".%03u", number / 1000, (unsigned)(number % 1000));
	default:
		return buf_printf(out, "%" PRIu64, number / factor(row->kind));
	}
}

/* ---- where values come from ----------------------------------------------------------------------------------- */

/* The three places, in the order in which they are asked. */
struct places {
	char *const *environment;
	struct env_file files[2]; /* .env, /etc/cubit/cubit.env */
};

/* What a message calls a place. */
static const char *const place_names[] = {
	[SETTING_DEFAULT] = "default",
	[SETTING_ENVIRONMENT] = "environment",
	[SETTING_DOTENV] = ".env",
	[SETTING_ETC] = "/etc/cubit/cubit.env",
};

static const char *find_environment(char *const *environment, const char *name)
{
	size_t n = strlen(name);

	for (; *environment; environment++) {
		if (strncmp(*environment, name, n) == 0 && (*environment)[n] == '=')
			return *environment + n + 1;
	}
	return NULL;
}

static const char *find_in(const struct places *places, enum setting_source source, const char *name)
{
	const struct env_file *f;

	if (source == SETTING_ENVIRONMENT)
		return find_environment(places->environment, name);
	f = &places->files[source - SETTING_DOTENV];
	for (size_t i = f->n; i-- > 0;) { /* as a shell has it: the last one counts; ours are there once */
		if (strcmp(f->entries[i].name, name) == 0)
			return f->entries[i].value;
	}
	return NULL;
}

static const struct row *find_row(const char *name)
{
	for (size_t i = 0; i < ROWS; i++) {
		if (strcmp(rows[i].name, name) == 0)
			return &rows[i];
	}
	return NULL;
}

static bool is_secret_name(const char *name)
{
	for (size_t i = 0; i < sizeof(secrets) / sizeof(secrets[0]); i++) {
		if (strcmp(secrets[i], name) == 0)
			return true;
	}
	return false;
}

/* ---- names that nobody knows ---------------------------------------------------------------------------------- */

static bool is_other(const char *name, size_t size)
{
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		size_t n = strlen(others[i]);

		if (strncmp(name, others[i], n) == 0 && (size == n || others[i][n - 1] == '_'))
			return true;
	}
	return false;
}

/* How many letters apart two names are, Levenshtein; 99 when too long to tell. */
static size_t distance(const char *a, size_t a_size, const char *b)
{
	size_t line[64], b_size = strlen(b);

	if (b_size >= sizeof(line) / sizeof(line[0]))
		return 99;
	for (size_t j = 0; j <= b_size; j++)
		line[j] = j;
	for (size_t i = 1; i <= a_size; i++) {
		size_t diagonal = line[0];

		line[0] = i;
		for (size_t j = 1; j <= b_size; j++) {
			size_t best = diagonal + (a[i - 1] != b[j - 1]);

			diagonal = line[j];
			best = line[j] + 1 < best ? line[j] + 1 : best;
			line[j] = line[j - 1] + 1 < best ? line[j - 1] + 1 : best;
		}
	}
	return line[b_size];
}

static int refuse_unknown(const char *name, size_t size, const char *place, struct error *err)
{
	size_t least = 4;
	const char *near = NULL;

	for (size_t i = 0; i < ROWS; i++) {
		size_t d = distance(name, size, rows[i].name);

		if (d < least) {
			least = d;
			near = rows[i].name;
		}
	}
	return error_set(err, EINVAL, "%.*s (%s): there is no such setting%s%s%s", (int)(size < 64 ? size : 64), name,
			 place, near ? "; is " : "", near ? near : "", near ? " meant?" : "");
}

static int check_name(const char *name, size_t size, const char *place, struct error *err)
{
	char known[64];

	if (size < 6 || strncmp(name, "CUBIT_", 6) != 0 || is_other(name, size))
		return 0;
	if (size < sizeof(known)) {
		(void)snprintf(known, sizeof(known), "%.*s", (int)size, name);
		if (find_row(known))
			return 0;
	}
	return refuse_unknown(name, size, place, err);
}

/* Other programs of ours read these from the environment only. */
static void say_unread(const struct places *places, const char *name, const char *place)
{
	if (strncmp(name, "CUBIT_", 6) == 0 && is_other(name, strlen(name)) &&
	    !find_environment(places->environment, name))
		log_warning(LOG_FACTS(LOG_STR("name", name), LOG_STR("file", place)),
			    "this setting is read from the environment only, ignoring it in the file");
}

static int check_file_names(const struct places *places, enum setting_source source, struct error *err)
{
	const struct env_file *f = &places->files[source - SETTING_DOTENV];

	for (size_t i = 0; i < f->n; i++) {
		const char *name = f->entries[i].name;

		if (check_name(name, strlen(name), place_names[source], err) < 0)
			return -EINVAL;
		say_unread(places, name, place_names[source]);
		for (size_t j = 0; j < i && find_row(name); j++) {
			if (strcmp(f->entries[j].name, name) == 0)
				return error_set(err, EINVAL, "%s (%s): set in line %zu and again in line %zu", name,
						 place_names[source], f->entries[j].line, f->entries[i].line);
		}
	}
	return 0;
}

static int check_names(const struct places *places, struct error *err)
{
	for (char *const *e = places->environment; *e; e++) {
		if (check_name(*e, strcspn(*e, "="), place_names[SETTING_ENVIRONMENT], err) < 0)
			return -EINVAL;
	}
	if (check_file_names(places, SETTING_DOTENV, err) < 0)
		return -EINVAL;
	return check_file_names(places, SETTING_ETC, err);
}

/* ---- files ---------------------------------------------------------------------------------------------------- */

/* Whoever may write the file decides what a privileged process does. sudo(8) says who called it. */
static int check_owner(const struct stat *st, const char *what, struct error *err)
{
	const char *sudo = getenv("SUDO_UID");
	uint64_t caller = 0;

	if (sudo && parse_u64(sudo, 0, UINT32_MAX - 1, &caller, NULL) < 0)
		caller = 0;
	if (st->st_uid != 0 && st->st_uid != geteuid() && !(geteuid() == 0 && caller == st->st_uid))
		return error_set(err, EPERM, "%s: belongs to another user (uid %u), who would decide what we do", what,
				 (unsigned)st->st_uid);
	if (st->st_mode & S_IWOTH)
		return error_set(err, EPERM, "%s: everybody may write to it; chmod o-w", what);
	return 0;
}

static void warn_readable(const struct stat *st, const struct env_file *f, const char *what)
{
	for (size_t i = 0; i < f->n && (st->st_mode & S_IROTH); i++) {
		if (f->entries[i].value[0] && is_secret_name(f->entries[i].name)) {
			log_warning(LOG_FACTS(LOG_STR("file", what), LOG_STR("name", f->entries[i].name)),
				    "everybody may read this file and the secret in it, going on; chmod 600");
			return;
		}
	}
}

static int read_file(const char *path, const char *what, struct env_file *ret, struct error *err)
{
	cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	cleanup_buf struct buf text = BUF_INIT;
	struct stat st;
	int r;

	if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
		return 0;
	if (fd < 0 || fstat(fd, &st) < 0)
		return error_errno(err, errno, "%s", what);
	if (!S_ISREG(st.st_mode))
		return error_set(err, EINVAL, "%s: not a regular file", what);
	r = check_owner(&st, what, err);
	if (r < 0)
		return r;
	r = fd_read_all(fd, FILE_MAX_BYTES, &text, err);
	if (r < 0)
		return error_wrap(err, "%s", what), r;
	r = env_file_parse(buf_str(&text), text.size, what, ret, err);
	if (text.data)
		explicit_bzero(text.data, text.size);
	if (r == 0)
		warn_readable(&st, ret, what);
	return r;
}

/* ---- loading -------------------------------------------------------------------------------------------------- */

static int set_row(const struct row *row, const char *text, enum setting_source source, const char *name,
		   struct settings *s, struct error *err)
{
	int r = read_value(row, text, s, err);

	if (r < 0) {
		error_wrap(err, "%s (%s)", name, place_names[source]);
		return -EINVAL;
	}
	s->sources[row - rows] = (uint8_t)source;
	return 0;
}

static int set_default(const struct row *row, struct settings *s, struct error *err)
{
	char text[SETTING_TEXT_MAX];
	int r = row->compute ? row->compute(text) : 0;

	if (r < 0)
		return error_errno(err, -r, "%s", row->name);
	return set_row(row, row->compute ? text : row->normal, SETTING_DEFAULT, row->name, s, err);
}

/* PORT, where CUBIT_LISTEN is not said in the same place. */
static int set_port(const struct row *row, const struct places *places, enum setting_source source, struct settings *s,
		    bool *ret_is_set, struct error *err)
{
	const char *port = find_in(places, source, "PORT");
	char listen[64];
	uint64_t n;

	if (row->offset != AT(listen) || !port)
		return 0;
	if (parse_u64(port, 0, UINT16_MAX, &n, err) < 0) { /* 0x1f90 is a port, too */
		error_wrap(err, "PORT (%s)", place_names[source]);
		return -EINVAL;
	}
	(void)snprintf(listen, sizeof(listen), "127.0.0.1:%" PRIu64, n);
	*ret_is_set = true;
	return set_row(row, listen, source, "PORT", s, err);
}

static int load_row(const struct row *row, const struct places *places, struct settings *s, struct error *err)
{
	for (enum setting_source source = SETTING_ENVIRONMENT; source <= SETTING_ETC; source++) {
		const char *text = find_in(places, source, row->name);
		bool is_set = false;
		int r;

		if (text)
			return set_row(row, text, source, row->name, s, err);
		r = set_port(row, places, source, s, &is_set, err);
		if (r < 0 || is_set)
			return r;
	}
	return set_default(row, s, err);
}

/* "RUN_TIMEOUT_MS (5000, default)" */
static void say_row(const struct settings *s, size_t offset, struct buf *out)
{
	for (size_t i = 0; i < ROWS; i++) {
		if (rows[i].offset != offset)
			continue;
		(void)buf_printf(out, "%s (", rows[i].name); /* a message may be shorter when memory is */
		(void)write_value(&rows[i], s, out);
		(void)buf_printf(out, ", %s)", place_names[s->sources[i]]);
	}
}

/* A default of a job above what a request may ask for would refuse each request that does not say. */
static int check_ceilings(const struct settings *s, struct error *err)
{
	static const struct {
		size_t normal, most;
	} pairs[] = {
		{ AT(run_timeout_ns), AT(max_wall_ns) },
		{ AT(memory_bytes), AT(max_memory) },
		{ AT(cpus_milli), AT(max_cpus_milli) },
	};

	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		cleanup_buf struct buf normal = BUF_INIT, most = BUF_INIT;

		if (*(const uint64_t *)((const char *)s + pairs[i].normal) <=
		    *(const uint64_t *)((const char *)s + pairs[i].most))
			continue;
		say_row(s, pairs[i].normal, &normal);
		say_row(s, pairs[i].most, &most);
		return error_set(err, EINVAL, "%s is above %s", buf_str(&normal), buf_str(&most));
	}
	return 0;
}

/* The account, unless nobody named one: whoever becomes it says that it is missing. */
static int check_account(const struct settings *s, struct error *err)
{
	const struct row *row = find_row("CUBIT_USER");
	enum setting_source source = s->sources[row - rows];
	const struct passwd *account;

	if (source == SETTING_DEFAULT || isdigit((unsigned char)s->user[0]))
		return 0;
	errno = 0;
	account = getpwnam(s->user); /* NOLINT(concurrency-mt-unsafe): one thread */
	if (!account)
		return error_set(err, EINVAL, "CUBIT_USER (%s): there is no account '%.64s'", place_names[source],
				 s->user);
	if (account->pw_uid == 0)
		return error_set(err, EINVAL, "CUBIT_USER (%s): '%.64s' is root; the front cannot be",
				 place_names[source], s->user);
	return 0;
}

static int check_together(const struct settings *s, struct error *err)
{
	if (s->id_base % 65536 != 0)
		return error_set(err, EINVAL, "CUBIT_ID_BASE (%s): %" PRIu64 " is not a multiple of 65536",
				 place_names[s->sources[find_row("CUBIT_ID_BASE") - rows]], s->id_base);
	return check_ceilings(s, err);
}

static int load(const struct places *places, bool is_complete, struct settings *s, struct error *err)
{
	int r = is_complete ? 0 : check_names(places, err);

	for (size_t i = 0; r == 0 && i < ROWS; i++)
		r = load_row(&rows[i], places, s, err);
	if (r == 0)
		r = check_together(s, err);
	if (r == 0 && !is_complete)
		r = check_account(s, err);
	if (r == 0 && log_redact(s->admin_key) < 0)
		r = error_set(err, ENOMEM, "CUBIT_ADMIN_KEY: no room to keep it out of the log");
	return r;
}

int settings_load_from(const struct settings_sources *from, struct settings *ret, struct error *err)
{
	struct places places = { .environment = from->environment };
	bool is_complete = find_environment(from->environment, COMPLETE) != NULL;
	struct settings s = { .listen = NULL };
	int r = 0;

	if (!is_complete)
		r = read_file(from->dotenv, place_names[SETTING_DOTENV], &places.files[0], err);
	if (r == 0 && !is_complete)
		r = read_file(from->etc, place_names[SETTING_ETC], &places.files[1], err);
	if (r == 0)
		r = load(&places, is_complete, &s, err);
	env_file_done(&places.files[0]);
	env_file_done(&places.files[1]);
	if (r < 0) {
		settings_done(&s);
		return r;
	}
	*ret = s;
	return 0;
}

int settings_load(struct settings *ret, struct error *err)
{
	const struct settings_sources from = { .environment = environ,
					       .dotenv = ".env",
					       .etc = place_names[SETTING_ETC] };

	return settings_load_from(&from, ret, err);
}

void settings_done(struct settings *s)
{
	if (s->admin_key)
		explicit_bzero(s->admin_key, strlen(s->admin_key));
	for (size_t i = 0; i < ROWS; i++) {
		if (rows[i].kind == KIND_TEXT) {
			free(*text_of(s, &rows[i]));
			*text_of(s, &rows[i]) = NULL;
		}
	}
}

/* ---- showing -------------------------------------------------------------------------------------------------- */

void settings_help(FILE *out)
{
	for (size_t i = 0; i < ROWS; i++) {
		const char *normal = rows[i].normal[0] ? rows[i].normal : "empty";

		(void)fprintf(out, "  %-24s %s (default: %s)\n", rows[i].name, rows[i].help, normal);
	}
}

static void show_value(const struct row *row, const struct settings *s, struct buf *out)
{
	if (row->is_secret)
		(void)buf_append_str(out, **(char *const *)((const char *)s + row->offset) ? "[set]" : "");
	else
		(void)write_value(row, s, out); /* for people: less of it when memory is short */
}

static void print_json(const struct settings *s, FILE *out)
{
	json_t *all = json_object();

	for (size_t i = 0; i < ROWS; i++) {
		cleanup_buf struct buf value = BUF_INIT;

		show_value(&rows[i], s, &value);
		(void)json_object_set_new(
			all, rows[i].name,
			json_pack("{s:s, s:s}", "value", buf_str(&value), "source", place_names[s->sources[i]]));
	}
	(void)json_dumpf(all, out, JSON_INDENT(2)); /* the caller checks the stream */
	(void)fputc('\n', out);
	json_decref(all);
}

void settings_print(const struct settings *s, bool as_json, FILE *out)
{
	if (as_json) {
		print_json(s, out);
		return;
	}
	for (size_t i = 0; i < ROWS; i++) {
		cleanup_buf struct buf value = BUF_INIT;

		show_value(&rows[i], s, &value);
		(void)fprintf(out, "%-24s %-24s %s\n", rows[i].name, value.size ? buf_str(&value) : "-",
			      place_names[s->sources[i]]);
	}
}

/* ---- handing on ----------------------------------------------------------------------------------------------- */

char **settings_environment(const struct settings *s)
{
	char **env = calloc(ROWS + 2, sizeof(*env));
	size_t n = 0;

	if (!env)
		return NULL;
	env[n] = strdup(COMPLETE "=1");
	for (size_t i = 0; env[n] && i < ROWS; i++) {
		cleanup_buf struct buf line = BUF_INIT;

		if (rows[i].offset == AT(admin_key)) /* the front knows its hash only */
			continue;
		if (buf_printf(&line, "%s=", rows[i].name) == 0 && write_value(&rows[i], s, &line) == 0)
			env[++n] = buf_take(&line);
		else
			env[++n] = NULL;
	}
	if (!env[n]) {
		settings_environment_free(env);
		return NULL;
	}
	return env;
}

void settings_environment_free(char **env)
{
	for (char **e = env; e && *e; e++)
		free(*e);
	free(env);
}
