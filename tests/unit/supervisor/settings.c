/*
 * Settings: where values come from, what is refused and in which words, and that a value handed on is the same value.
 * No test reads /etc/cubit or the environment of whoever runs it.
 */
#include "supervisor/settings.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stddef.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/base/buf.h"
#include "runtime/base/clock.h"
#include "runtime/base/error.h"
#include "runtime/base/fd.h"
#include "runtime/base/log.h"
#include "supervisor/setting_row.h"
#include "supervisor/settings_impl.h"
#include "tests/tap.h"

#define SECRET "planted-admin-key-0123456789"

static char dotenv[256], etc[256];

static void write_file(const char *path, const char *text, mode_t mode)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);

	need(fd >= 0 && fchmod(fd, mode) == 0 && fd_write_all(fd, text, strlen(text), NULL) == 0, "a file is written");
	fd_close(&fd);
}

/* env: NULL-terminated; file texts may be NULL. */
static int load(char *const *env, const char *env_text, const char *etc_text, struct settings *s, struct error *err)
{
	const struct settings_sources from = { .environment = env, .dotenv = dotenv, .etc = etc };

	error_clear(err);
	(void)unlink(dotenv);
	(void)unlink(etc);
	if (env_text)
		write_file(dotenv, env_text, 0600);
	if (etc_text)
		write_file(etc, etc_text, 0600);
	return settings_load_from(&from, s, err);
}

#define ENV(...) ((char *const[]){ __VA_ARGS__, NULL })
#define NO_ENV   ((char *const[]){ NULL })
#define S(text)  ((char *)(uintptr_t)(text))

/* ---- the form of the file ---- */

static void test_file_form(void)
{
	static const char text[] = "# a comment\n\n  \t\nA=1\nexport B=two words \t# said\nC='it''\nD=\n";
	static const char good[] =
		"# a comment\r\n\n \t \n  A=1\nexport B=two words \t# said\nexport\tC='l $x \\n #'\nD=\n"
		"E=\"a\\nb\\\\ \\\"q\\\" \\$ \\z\" # "
		"more\r\nF=x#y\nG=#none\nH=it's\nI='one\ntwo'\nexportJ=1\nK=a=b\n_L='z'";
	static const struct {
		const char *name, *value;
		size_t line;
	} want[] = {
		{ "A", "1", 4 },
		{ "B", "two words", 5 },
		{ "C", "l $x \\n #", 6 },
		{ "D", "", 7 },
		{ "E", "a\nb\\ \"q\" $ \\z", 8 },
		{ "F", "x#y", 9 },
		{ "G", "", 10 },
		{ "H", "it's", 11 },
		{ "I", "one\ntwo", 12 },
		{ "exportJ", "1", 14 },
		{ "K", "a=b", 15 },
		{ "_L", "z", 16 },
	};
	struct error err = ERROR_INIT;
	struct env_file f;
	size_t n = sizeof(want) / sizeof(want[0]);

	need(env_file_parse(good, sizeof(good) - 1, "f", &f, &err) == 0, "a file with every form of line is read");
	is_int(f.n, n, "with all its names");
	for (size_t i = 0; i < n && i < f.n; i++)
		ok(strcmp(f.entries[i].name, want[i].name) == 0 && strcmp(f.entries[i].value, want[i].value) == 0 &&
			   f.entries[i].line == want[i].line,
		   "%s is what it should be", want[i].name);
	env_file_done(&f);
	is_int(env_file_parse(text, sizeof(text) - 1, "f", &f, &err), -EINVAL, "a quote within quotes ends the value");
	has_str(err.text, "f: line 6: something follows the quoted value", "and the message names the line");
	env_file_done(&f);
}

static void test_file_refusals(void)
{
	static const struct {
		const char *text, *says;
	} bad[] = {
		{ "A=1\nsecret-line\n", "line 2: this is not NAME=value" },
		{ "A = 1\n", "line 1: this is not NAME=value" },
		{ "1A=1\n", "this is not NAME=value" },
		{ "=1\n", "this is not NAME=value" },
		{ "export\n", "this is not NAME=value" },
		{ "\xef\xbb\xbf"
		  "A=1\n",
		  "this is not NAME=value" },
		{ "A='secret\n\nB=2\n", "line 1: the quote that begins the value is not closed" },
		{ "A=\"secret\\\"\n", "line 1: the quote" },
		{ "A='x' secret\n", "line 1: something follows" },
	};
	struct env_file f;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct error err = ERROR_INIT;

		is_int(env_file_parse(bad[i].text, strlen(bad[i].text), ".env", &f, &err), -EINVAL,
		       "bad file %zu is refused", i);
		has_str(err.text, bad[i].says, "with the line and the reason");
		ok(!strstr(err.text, "secret"), "and nothing of its content");
		env_file_done(&f);
	}
	is_int(env_file_parse("A=1\0B=2\n", 8, ".env", &f, NULL), -EINVAL, "so is a file with a zero byte");
	env_file_done(&f);
	is_int(env_file_parse("", 0, ".env", &f, NULL), 0, "an empty file is fine");
	env_file_done(&f);
}

/* ---- where values come from ---- */

static void test_defaults(void)
{
	struct error err = ERROR_INIT;
	struct settings s;

	need(load(NO_ENV, NULL, NULL, &s, &err) == 0, "nothing set is fine");
	is_str(s.listen, "127.0.0.1:7070", "the TCP door is local");
	is_str(s.user, "cubit", "the default account need not exist yet");
	ok(s.node[0], "the node has a name");
	ok(!s.allow_unenforced && !s.admin_key[0], "nothing is allowed, nothing preset");
	ok(s.run_timeout_ns == 5 * NS_PER_S && s.max_wall_ns == 60 * NS_PER_S, "times are in ns");
	ok(s.memory_bytes == 256u << 20 && s.max_memory == 1u << 30 && s.max_output == 16u << 20, "sizes are in bytes");
	ok(s.cpus_milli == 1000 && s.max_cpus_milli >= 1000 && s.max_cpus_milli % 1000 == 0, "cpus in thousandths");
	ok(s.slots == 2 * s.max_cpus_milli / 1000, "jobs at once: twice the cpus");
	ok(s.rate_per_s == 50 && s.rate_burst == 200 && s.pool_per_class == 4 && s.retention_ns == 24 * 3600 * NS_PER_S,
	   "the rest as the header says");
	is_str(s.callback_networks, "", "no private network is open to callbacks");
	settings_done(&s);
}

static void test_precedence(void)
{
	struct error err = ERROR_INIT;
	struct settings s;

	need(load(ENV(S("CUBIT_JOBS=1"), S("OTHER=x")), "CUBIT_JOBS=2\nCUBIT_ATTEMPTS=2\nREDIS_URL=redis://h\n",
		  "CUBIT_JOBS=3\nCUBIT_ATTEMPTS=4\nCUBIT_POOL=5\n", &s, &err) == 0,
	     "three places are read");
	ok(s.slots == 1 && s.attempts == 2 && s.pool_per_class == 5,
	   "environment, then .env, then /etc: the first wins");
	settings_done(&s);

	need(load(ENV(S("PORT=8080")), "CUBIT_LISTEN=[::1]:1\n", NULL, &s, &err) == 0, "PORT is known");
	is_str(s.listen, "127.0.0.1:8080", "as a port of this machine, and wins where its place does");
	settings_done(&s);
	need(load(ENV(S("PORT=8080"), S("CUBIT_LISTEN=")), NULL, NULL, &s, &err) == 0, "both in one place");
	is_str(s.listen, "", "CUBIT_LISTEN counts, and empty is no door");
	settings_done(&s);
	is_int(load(ENV(S("PORT=http")), NULL, NULL, &s, &err), -EINVAL, "a PORT that is none is refused");
	has_str(err.text, "PORT (environment)", "by its own name");
	need(load(NO_ENV, NULL, "CUBIT_MAX_WALL='2m' # long\nMAX_VCPUS=0.5\n", &s, &err) == 0, "quotes and comments");
	ok(s.max_wall_ns == 120 * NS_PER_S && s.cpus_milli == 500, "are not part of a value");
	settings_done(&s);
}

/* ---- what is refused ---- */

/* clang-format off */
static const struct {
	const char *set, *says;
} refused[] = {
	{ "CUBIT_MAX_WALL=60", "CUBIT_MAX_WALL (environment): '60' is not a time" },
	{ "CUBIT_MAX_WALL=25h", "CUBIT_MAX_WALL (environment): '25h' is outside" },
	{ "CUBIT_MAX_WALL=", "CUBIT_MAX_WALL (environment): '' is not a time" },
	{ "CUBIT_MAX_WALLS=60s", "CUBIT_MAX_WALLS (environment): there is no such setting; is CUBIT_MAX_WALL meant?" },
	{ "CUBIT_=1", "there is no such setting" },
	{ "CUBIT_SRCS=1", "CUBIT_SRCS (environment): there is no such setting" },
	{ "CUBIT_XYZZY_AND_SO_ON=1", "CUBIT_XYZZY_AND_SO_ON (environment): there is no such setting" },
	{ "RUN_TIMEOUT_MS=5s", "RUN_TIMEOUT_MS (environment): '5s' is not a whole number" },
	{ "RUN_TIMEOUT_MS=0", "RUN_TIMEOUT_MS (environment)" },
	{ "RUN_TIMEOUT_MS=60001", "RUN_TIMEOUT_MS (60001, environment) is above CUBIT_MAX_WALL (1m, default)" },
	{ "CUBIT_MAX_WALL=4s", "RUN_TIMEOUT_MS (5000, default) is above CUBIT_MAX_WALL (4s, environment)" },
	{ "MAX_MEM_MB=1025", "MAX_MEM_MB (1025, environment) is above CUBIT_MAX_MEMORY (1G, default)" },
	{ "CUBIT_MAX_CPUS=0.5", "MAX_VCPUS (1, default) is above CUBIT_MAX_CPUS (0.500, environment)" },
	{ "CUBIT_MAX_MEMORY=1P", "CUBIT_MAX_MEMORY (environment): '1P' is not a size" },
	{ "CUBIT_JOBS=0", "CUBIT_JOBS (environment)" },
	{ "CUBIT_JOBS=-1", "CUBIT_JOBS (environment)" },
	{ "CUBIT_ALLOW_UNENFORCED=maybe", "CUBIT_ALLOW_UNENFORCED (environment): 'maybe' is not yes or no" },
	{ "CUBIT_ID_BASE=65537", "CUBIT_ID_BASE (environment): 65537 is not a multiple of 65536" },
	{ "CUBIT_ID_COUNT=65535", "CUBIT_ID_COUNT (environment): that many ranges from CUBIT_ID_BASE on end above 2^32" },
	{ "CUBIT_LISTEN=7070", "CUBIT_LISTEN (environment): '7070' is not HOST:PORT" },
	{ "CUBIT_LISTEN=::1:7070", "is not HOST:PORT" },
	{ "CUBIT_LISTEN=a b:1", "is not HOST:PORT" },
	{ "CUBIT_LISTEN=**:1", "is not HOST:PORT" },
	{ "CUBIT_LISTEN=127.0.0.1:65536", "is not HOST:PORT" },
	{ "CUBIT_LISTEN=127.0.0.1:0x10", "is not HOST:PORT" },
	{ "CUBIT_LISTEN=127.0.0.1:", "is not HOST:PORT" },
	{ "CUBIT_LISTEN=[::g]:1", "is not HOST:PORT" },
	{ "CUBIT_STATE=var", "CUBIT_STATE (environment): 'var' is not an absolute path" },
	{ "CUBIT_STATE=", "CUBIT_STATE (environment)" },
	{ "CUBIT_STATE=/a\nb", "CUBIT_STATE (environment): holds a control character" },
	{ "CUBIT_RUN=/a123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789",
	  "CUBIT_RUN (environment)" },
	{ "CUBIT_NODE=../x", "CUBIT_NODE (environment): '../x' is not an id" },
	{ "CUBIT_NODE=", "CUBIT_NODE (environment)" },
	{ "CUBIT_USER=no-such-account-here", "CUBIT_USER (environment): there is no account 'no-such-account-here'" },
	{ "CUBIT_USER=root", "CUBIT_USER (environment): 'root' is root" },
	{ "CUBIT_USER=0", "CUBIT_USER (environment): the front must not be root" },
	{ "CUBIT_USER=", "CUBIT_USER (environment)" },
	{ "CUBIT_LOG_LEVEL=loud", "CUBIT_LOG_LEVEL (environment): 'loud'" },
	{ "CUBIT_LOG_FORMAT=xml", "CUBIT_LOG_FORMAT (environment): 'xml'" },
	{ "CUBIT_GUESTS=no one", "CUBIT_GUESTS (environment): 'no one' is not an id" },
	{ "CUBIT_GUESTS=cubit_0123456789", "CUBIT_GUESTS (environment): this is a key: it is the id of one that is wanted" },
	{ "CUBIT_ORIGINS=*", "CUBIT_ORIGINS (environment): '*' is not an origin" },
	{ "CUBIT_ORIGINS=https://a.b/", "CUBIT_ORIGINS (environment)" },
	{ "CUBIT_ORIGINS=https://a.b ftp://c", "'ftp://c' is not an origin" },
	{ "CUBIT_TRUSTED_PROXIES=10.0.0.0/33", "CUBIT_TRUSTED_PROXIES (environment): '10.0.0.0/33' is not an address" },
	{ "CUBIT_TRUSTED_PROXIES=proxy.local", "is not an address" },
	{ "CUBIT_CALLBACK_NETWORKS=10.0.0.0/8 ::1/129", "CUBIT_CALLBACK_NETWORKS (environment): '::1/129'" },
	{ "CUBIT_BURST=0", "CUBIT_BURST (environment)" },
	{ "CUBIT_ADMIN_KEY=too-short-key", "CUBIT_ADMIN_KEY (environment): has 13 characters" },
	{ "CUBIT_ADMIN_KEY=0123456789 0123456789", "CUBIT_ADMIN_KEY (environment): holds a character" },
};
/* clang-format on */

static void test_refusals(void)
{
	struct error err = ERROR_INIT;
	struct settings s;

	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		is_int(load(ENV(S(refused[i].set)), NULL, NULL, &s, &err), -EINVAL, "%.60s is refused", refused[i].set);
		has_str(err.text, refused[i].says, "in those words");
		ok(!strstr(err.text, "short-key") && !strstr(err.text, "0123456789 "), "and without a secret");
	}
	is_int(load(NO_ENV, "CUBIT_JOB=1\n", NULL, &s, &err), -EINVAL, "a name that nobody knows, in a file");
	has_str(err.text, "CUBIT_JOB (.env)", "is named with the file");
	is_int(load(NO_ENV, NULL, "CUBIT_JOBS=1\nX=1\nCUBIT_JOBS=2\n", &s, &err), -EINVAL,
	       "a setting given twice is refused");
	has_str(err.text, "CUBIT_JOBS (/etc/cubit/cubit.env): set in line 1 and again in line 3", "with both lines");
	is_int(load(NO_ENV, "CUBIT_JOBS 1\n", NULL, &s, &err), -EINVAL, "a file that does not parse is refused");
	has_str(err.text, ".env: line 1", "with file and line");
}

static void test_accepted(void)
{
	static const char *const accepted[] = {
		"CUBIT_TEST_DIR=/x",
		"CUBIT_SRC=/x",
		"CUBIT_BUILD=/x",
		"CUBIT_FRONT_TCP=1",
		"CUBIT_ADMIN_HASH=00",
		"CUBIT_WORKER=/x",
		"CUBIT_REGISTRY_CA=/x",
		"CUBIT_REGISTRY_MIRRORS=a=b",
		"CUBIT_LISTEN=0.0.0.0:80",
		"CUBIT_LISTEN=*:80",
		"CUBIT_LISTEN=[::1]:80",
		"CUBIT_LISTEN=localhost:0",
		"CUBIT_USER=65534",
		"CUBIT_TRUSTED_PROXIES=10.0.0.0/8 ::1 fd00::/8",
		"CUBIT_ORIGINS=https://a.b http://[::1]:3000",
		"CUBIT_DRAIN=0",
		"CUBIT_POOL_MEMORY=0",
		"CUBIT_RATE=0",
		"CUBIT_ID_BASE=0x70000000",
		"CUBITX=1",
		"REDIS_URL=redis://x",
		"CUBIT_REGISTRY_TIMEOUT_S=3",
		"CUBIT_INSECURE_REGISTRIES=a",
		"CUBIT_REGISTRY_AUTH_FILE=/x",
		"CUBIT_BRIDGE=br0",
	};
	struct error err = ERROR_INIT;
	struct settings s;

	for (size_t i = 0; i < sizeof(accepted) / sizeof(accepted[0]); i++) {
		int r = load(ENV(S(accepted[i])), NULL, NULL, &s, &err);

		if (!ok(r == 0, "%s is taken", accepted[i]))
			diag("%s", err.text);
		if (r == 0)
			settings_done(&s);
	}
}

static void test_file_modes(void)
{
	const struct settings_sources from = { .environment = NO_ENV, .dotenv = dotenv, .etc = etc };
	char log_path[300];
	struct error err = ERROR_INIT;
	cleanup_buf struct buf text = BUF_INIT;
	struct settings s;
	int fd;

	(void)unlink(etc);
	write_file(dotenv, "CUBIT_JOBS=1\n", 0666);
	is_int(settings_load_from(&from, &s, &err), -EPERM, "a .env that everybody may write to is refused");
	has_str(err.text, ".env: everybody may write", "and the message says so");
	if (geteuid() == 0) {
		write_file(dotenv, "CUBIT_JOBS=1\n", 0600);
		need(chown(dotenv, 1234, 0) == 0, "the file is another user's");
		(void)unsetenv("SUDO_UID");
		is_int(settings_load_from(&from, &s, &err), -EPERM, "root does not take another user's .env");
		has_str(err.text, "belongs to another user (uid 1234)", "and says whose it is");
		(void)setenv("SUDO_UID", "1234", 1);
		is_int(settings_load_from(&from, &s, &err), 0, "but for the one who called sudo");
		settings_done(&s);
		(void)unsetenv("SUDO_UID");
		(void)unlink(dotenv);
	}
	(void)snprintf(log_path, sizeof(log_path), "%s.log", dotenv);
	fd = open(log_path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	need(fd >= 0, "a log");
	log_init(fd, LOG_LEVEL_DEBUG, LOG_FORMAT_TEXT);
	write_file(dotenv, "CUBIT_ADMIN_KEY=" SECRET "\nCUBIT_WORKER=/x\n", 0644);
	need(settings_load_from(&from, &s, &err) == 0, "a secret in a file that others may read is taken");
	log_error(LOG_FACTS(LOG_STR("key", s.admin_key)), "the key is %s", s.admin_key);
	settings_done(&s);
	write_file(dotenv, "CUBIT_ADMIN_KEY=" SECRET "\n", 0640);
	need(settings_load_from(&from, &s, &err) == 0, "and in one that a group may read");
	settings_done(&s);
	log_init(STDERR_FILENO, LOG_LEVEL_NOTICE, LOG_FORMAT_TEXT);
	need(fd_read_file(AT_FDCWD, log_path, 1 << 16, &text, &err) == 0, "the log is read");
	has_str(buf_str(&text), "everybody may read this file", "with a warning");
	ok(strstr(strstr(buf_str(&text), "everybody may") + 1, "everybody may") == NULL, "for the first only");
	has_str(buf_str(&text), "name=CUBIT_WORKER", "a name that is only read from the environment is warned about");
	has_str(buf_str(&text), "the key is [redacted] key=[redacted]", "and the key never gets into the log again");
	ok(!strstr(buf_str(&text), SECRET), "nor did it before");
	fd_close(&fd);
}

/* The file of the system may hold secrets, so its mode is 0600: clients of an ordinary user get along without it. */
static void test_unread(void)
{
	struct settings_sources from = { .environment = NO_ENV, .dotenv = dotenv, .etc = etc };
	struct error err = ERROR_INIT;
	struct settings s;

	if (geteuid() == 0)
		need(setegid(4321) == 0 && seteuid(4321) == 0, "as another user");
	from.dotenv = "/proc/1/environ"; /* 0400, not ours */
	from.etc = "";
	is_int(settings_load_from(&from, &s, &err), -EACCES, "a file that may not be read is refused");
	has_str(err.text, ".env: Permission denied", "by name");
	from.may_lack_files = true;
	error_clear(&err);
	is_int(settings_load_from(&from, &s, &err), 0, "and is as good as none for who may lack it");
	ok(err.code == 0 && s.unread && strcmp(s.unread, ".env") == 0, "who is told");
	settings_done(&s);
	if (getuid() == 0)
		need(seteuid(0) == 0 && setegid(0) == 0, "root again");
}

static void test_key_goes_home(void)
{
	struct error err = ERROR_INIT;
	struct settings s;

	is_int(load(ENV(S("CUBIT_KEY=" SECRET)), "CUBIT_URL=http://evil.example\n", NULL, &s, &err), -EINVAL,
	       "a directory does not say where a key from elsewhere goes");
	has_str(err.text, "CUBIT_URL (.env): the key of CUBIT_KEY (environment)", "in words");
	ok(!strstr(err.text, SECRET), "without the key");
	need(load(NO_ENV, "CUBIT_URL=http://a\nCUBIT_KEY=" SECRET "\n", NULL, &s, &err) == 0, "both in one place");
	settings_done(&s);
	is_int(load(ENV(S("CUBIT_KEY=" SECRET)), "CUBIT_CA=./evil.pem\n", NULL, &s, &err), -EINVAL,
	       "nor which certificates the one who gets it is believed with");
	has_str(err.text, "CUBIT_CA (.env): the key of CUBIT_KEY (environment)", "in words");
	need(load(NO_ENV, "CUBIT_CA=./own.pem\nCUBIT_KEY=" SECRET "\n", NULL, &s, &err) == 0, "both in one place");
	settings_done(&s);
	need(load(ENV(S("CUBIT_KEY=" SECRET)), NULL, "CUBIT_URL=http://a\n", &s, &err) == 0, "or an operator's URL");
	is_str(s.url, "http://a", "is the URL");
	settings_done(&s);
}

static void test_print_one(void)
{
	struct error err = ERROR_INIT;
	struct settings s;
	char *text = NULL;
	size_t size = 0;
	FILE *f = open_memstream(&text, &size);

	need(f && load(ENV(S("CUBIT_STATE=/a b"), S("CUBIT_KEY=" SECRET)), NULL, NULL, &s, &err) == 0, "settings");
	is_int(settings_print_one(&s, "CUBIT_STATE", f, &err), 0, "one is printed");
	is_int(settings_print_one(&s, "CUBIT_STATES", f, &err), -ENOENT, "one that is none is not");
	is_int(settings_print_one(&s, "CUBIT_KEY", f, &err), -EPERM, "nor is a secret");
	need(fclose(f) == 0, "the stream");
	is_str(text, "/a b\n", "alone on its line");
	free(text);
	settings_done(&s);
}

/* ---- handing on and showing ---- */

/* Does b, which was read from the environment that a was made into, have the same value? */
static bool is_kept(const struct setting_row *row, const struct settings *a, const struct settings *b)
{
	const char *in_a = (const char *)a + row->offset, *in_b = (const char *)b + row->offset;

	if (row->is_of_tools || strcmp(row->name, "CUBIT_ADMIN_KEY") == 0)
		return true; /* not handed on */
	if (row->kind == KIND_TEXT)
		return strcmp(*(char *const *)in_a, *(char *const *)in_b) == 0;
	return memcmp(in_a, in_b, row->kind == KIND_BOOL ? sizeof(bool) : sizeof(uint64_t)) == 0;
}

static void test_round_trip(void)
{
	struct error err = ERROR_INIT;
	struct settings a, b;
	char **env, **again;
	size_t n = 0, n_different = 0;
	bool is_same = true, tells = false;

	need(load(ENV(S("CUBIT_LISTEN="), S("CUBIT_ORIGINS=https://a.b  http://c"), S("CUBIT_MAX_WALL=90001ms"),
		      S("RUN_TIMEOUT_MS=1234"), S("MAX_MEM_MB=77"), S("MAX_VCPUS=0.125"), S("CUBIT_MAX_CPUS=1.5"),
		      S("CUBIT_MAX_OUTPUT=1025"), S("CUBIT_LEASE=1000000001ns"), S("CUBIT_DRAIN=0s"),
		      S("CUBIT_POOL_MEMORY=0"), S("CUBIT_ALLOW_UNENFORCED=1"),
		      S("CUBIT_STATE=/with blank 'and' \"quotes\""), S("CUBIT_ADMIN_KEY=" SECRET),
		      S("CUBIT_KEY=" SECRET)),
		  NULL, NULL, &a, &err) == 0,
	     "odd values are taken");
	env = settings_environment(&a);
	need(env, "and made an environment");
	for (char **e = env; *e; e++, n++)
		tells |= strstr(*e, SECRET) || strncmp(*e, "CUBIT_ADMIN_KEY", 15) == 0 ||
			 strncmp(*e, "CUBIT_KEY", 9) == 0 || strncmp(*e, "CUBIT_REGISTRY", 14) == 0;
	ok(!tells, "without the admin key, and without what only commands need");
	need(load(env, "CUBIT_JOBS=not a number\nCUBIT_ADMIN_KEY=another-key-of-more\n", "rubbish\n", &b, &err) == 0,
	     "which is read back without a look at files");
	is_str(b.admin_key, "", "so the front has no admin key");
	again = settings_environment(&b);
	need(again, "once more");
	for (size_t i = 0; i <= n; i++)
		is_same &= (!env[i] && !again[i]) || (env[i] && again[i] && strcmp(env[i], again[i]) == 0);
	ok(is_same, "every line is the same");
	for (const struct setting_row *row = setting_rows; row < setting_rows + setting_count; row++)
		n_different += !is_kept(row, &a, &b);
	is_int(n_different, 0, "and every value that the front gets");
	ok(b.max_wall_ns == 90001 * NS_PER_MS && b.cpus_milli == 125 && b.max_output == 1025 &&
		   b.lease_ns == NS_PER_S + 1 && b.allow_unenforced && b.drain_ns == 0,
	   "as it was given");
	settings_environment_free(env);
	settings_environment_free(again);
	settings_done(&a);
	settings_done(&b);
	settings_done(&b);
	ok(true, "settings may be done with twice");
}

static char *printed(const struct settings *s, bool as_json)
{
	char *text = NULL;
	size_t size = 0;
	FILE *f = open_memstream(&text, &size);

	need(f, "a stream");
	if (s)
		settings_print(s, as_json, f);
	else
		settings_help(f);
	need(fclose(f) == 0 && text, "with a text");
	return text;
}

static void test_print(void)
{
	struct error err = ERROR_INIT;
	struct settings s;
	json_t *all;
	char *text;

	need(load(ENV(S("CUBIT_ADMIN_KEY=" SECRET), S("CUBIT_MAX_WALL=2m")), "CUBIT_JOBS=7\n", "CUBIT_POOL=1\n", &s,
		  &err) == 0,
	     "settings from everywhere");
	text = printed(&s, false);
	has_str(text, "CUBIT_ADMIN_KEY          [set]                    environment\n",
		"a secret is only said to be there");
	has_str(text, "CUBIT_MAX_WALL           2m                       environment\n",
		"a value is printed with its place");
	has_str(text, "CUBIT_JOBS               7                        .env\n", "a file");
	has_str(text, "CUBIT_POOL               1                        /etc/cubit/cubit.env\n", "the other file");
	has_str(text, "CUBIT_ORIGINS            -                        default\n", "an empty one as a dash");
	ok(!strstr(text, SECRET), "the secret is not there");
	free(text);
	text = printed(&s, true);
	all = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
	need(all, "as JSON it is one object");
	is_str(json_string_value(json_object_get(json_object_get(all, "CUBIT_JOBS"), "value")), "7", "with values");
	is_str(json_string_value(json_object_get(json_object_get(all, "CUBIT_JOBS"), "source")), ".env", "and sources");
	is_str(json_string_value(json_object_get(json_object_get(all, "CUBIT_ADMIN_KEY"), "value")), "[set]",
	       "without the secret");
	ok(!strstr(text, SECRET), "anywhere");
	free(text);
	settings_done(&s);

	text = printed(NULL, false);
	for (const char *name = json_object_iter_key(json_object_iter(all)); name;
	     name = json_object_iter_key(json_object_iter_next(all, json_object_key_to_iter(name))))
		has_str(text, name, "--help names %s", name);
	has_str(text, "CUBIT_MAX_WALL           the longest run that a request may ask for (default: 60s)\n",
		"with meaning and default");
	free(text);
	json_decref(all);
}

/* The manual names each, and says its default. */
static void test_manual(void)
{
	const char *src = getenv("CUBIT_SRC");
	cleanup_buf struct buf manual = BUF_INIT;
	char path[512], *help = printed(NULL, false), *save = NULL;
	size_t n = 0;

	(void)snprintf(path, sizeof(path), "%s/docs/man/cubitd.8", src ? src : ".");
	need(fd_read_file(AT_FDCWD, path, 1 << 20, &manual, NULL) == 0, "the manual is read");
	for (char *line = strtok_r(help, "\n", &save); line; line = strtok_r(NULL, "\n", &save), n++) {
		char name[64], item[80];

		need(sscanf(line, " %63s", name) == 1, "a setting");
		(void)snprintf(item, sizeof(item), ".It Ev %s\n", name);
		has_str(buf_str(&manual), item, "cubitd(8) knows %s", name);
	}
	ok(n > 30, "and there are some");
	free(help);
}

int main(void)
{
	const char *dir = getenv("CUBIT_TEST_DIR");

	(void)snprintf(dotenv, sizeof(dotenv), "%s/dot.env", dir ? dir : "/tmp");
	(void)snprintf(etc, sizeof(etc), "%s/etc.env", dir ? dir : "/tmp");
	test_file_form();
	test_file_refusals();
	test_defaults();
	test_precedence();
	test_refusals();
	test_accepted();
	test_file_modes();
	test_unread();
	test_key_goes_home();
	test_print_one();
	test_round_trip();
	test_print();
	test_manual();
	return done_testing();
}
