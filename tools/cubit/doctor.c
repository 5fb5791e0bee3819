/*
 * cubit doctor: does this machine have what Cubit needs? See docs/man/cubit.1 for the words, doctor.h for the checks.
 *
 * The checks are a table; this file runs them, each in a child of its own, and prints what they found.
 */
#include "tools/cubit/doctor.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/base/buf.h"
#include "runtime/base/clock.h"
#include "runtime/base/fd.h"
#include "runtime/base/version.h"
#include "runtime/capability.h"
#include "runtime/cgroup/cgroup_host.h"
#include "supervisor/settings.h"
#include "tools/cubit/command.h"

enum { CHECK_TIMEOUT_S = 15, PRINT_WIDTH = 110, NAME_WIDTH = 20 };

/* A row of runtime/surroundings.h: what the monitor refuses to start without, or warns of. */
#define SURROUNDING(n)                                                                                                 \
	{                                                                                                              \
		.name = (n), .group = "surroundings", .run = check_surrounding                                         \
	}

#define CONTROLLER(n, controller)                                                                                      \
	{                                                                                                              \
		.name = (n), .group = "cgroups", .run = check_cgroup_controller, .arg = (controller),                  \
		.needs_root = true, .undo = undo_cgroup                                                                \
	}

/* clang-format off */
static const struct check checks[] = {
	{ .name = "kernel",             .group = "system",     .run = check_kernel },
	{ .name = "root",               .group = "system",     .run = check_root },
	{ .name = "settings",           .group = "system",     .run = check_settings },
	{ .name = "smt",                .group = "system",     .run = check_smt },
	{ .name = "core-scheduling",    .group = "system",     .run = check_core_sched },
	{ .name = "speculation",        .group = "system",     .run = check_speculation },
	{ .name = "user-namespaces",    .group = "sandbox",    .run = check_userns, .needs_root = true },
	{ .name = "idmapped-overlay",   .group = "sandbox",    .run = check_idmap, .needs_root = true },
	{ .name = "seccomp",            .group = "sandbox",    .run = check_seccomp },
	{ .name = "cgroup2",            .group = "cgroups",    .run = check_cgroup_mounts },
	{ .name = "cgroup-clone",       .group = "cgroups",    .run = check_cgroup_clone, .needs_root = true, .undo = undo_cgroup },
	{ .name = "cgroup-delegation",  .group = "cgroups",    .run = check_cgroup_delegation },
	CONTROLLER("cgroup-memory", CGROUP_MEMORY),
	CONTROLLER("cgroup-cpu", CGROUP_CPU),
	CONTROLLER("cgroup-pids", CGROUP_PIDS),
	CONTROLLER("cgroup-cpuacct", CGROUP_CPUACCT),
	CONTROLLER("cgroup-io", CGROUP_IO),
	CONTROLLER("cgroup-cpuset", CGROUP_CPUSET),
	CONTROLLER("cgroup-freezer", CGROUP_FREEZER),
	{ .name = "swap",               .group = "cgroups",    .run = check_cgroup_swap },
	SURROUNDING("capabilities"),
	SURROUNDING("resource-limits"),
	SURROUNDING("scheduling"),
	SURROUNDING("mounts"),
	SURROUNDING("fresh-proc"),
	SURROUNDING("memory-files"),
	SURROUNDING("outer-filter"),
	SURROUNDING("write-or-execute"),
	SURROUNDING("overcommit"),
	{ .name = "nftables",           .group = "network",    .run = check_nftables },
	{ .name = "veth",               .group = "network",    .run = check_veth },
	{ .name = "namespace-counts",   .group = "limits",     .run = check_namespace_counts },
	{ .name = "pid-max",            .group = "limits",     .run = check_pid_max },
	{ .name = "inotify",            .group = "limits",     .run = check_inotify },
	{ .name = "budgets",            .group = "limits",     .run = check_budgets },
	{ .name = "sys-resource",       .group = "limits",     .run = check_sys_resource },
	{ .name = "disk",               .group = "resources",  .run = check_disk },
	{ .name = "images",             .group = "resources",  .run = check_images, .needs_root = true },
	{ .name = "memory",             .group = "resources",  .run = check_memory },
	{ .name = "redis",              .group = "services",   .run = check_redis },
	{ .name = "s3",                 .group = "services",   .run = check_s3 },
};
/* clang-format on */

enum { CHECKS = sizeof(checks) / sizeof(checks[0]) };

static const struct {
	const char *json, *mark, *colour;
} statuses[] = {
	[FINDING_OK] = { "ok", "ok", "\033[32m" },
	[FINDING_WARNING] = { "warning", "warning", "\033[33m" },
	[FINDING_MISSING] = { "missing", "MISSING", "\033[31m" },
};
_Static_assert(sizeof(statuses) / sizeof(statuses[0]) == FINDING_STATUSES, "a row for each status");

/* ---- what checks use ------------------------------------------------------------------------------------------ */

/* What strangers said (a server's reply, a variable) may hold anything: neither a terminal nor JSON gets it raw. */
static void make_printable(char *text)
{
	json_t *probe;

	for (char *p = text; *p; p++) {
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			*p = '?';
	}
	probe = json_string(text); /* NULL when it is not UTF-8 */
	for (char *p = text; !probe && *p; p++) {
		if ((unsigned char)*p >= 0x80)
			*p = '?';
	}
	json_decref(probe);
}

static void set_detail(struct finding *f, enum finding_status status, const char *fmt, va_list ap)
{
	f->status = status;
	f->remedy[0] = '\0';
	(void)vsnprintf(f->detail, sizeof(f->detail), fmt, ap);
}

#define DEFINE_FINDING(name, status)                                                                                   \
	void finding_##name(struct finding *f, const char *fmt, ...)                                                   \
	{                                                                                                              \
		va_list ap;                                                                                            \
                                                                                                                       \
		va_start(ap, fmt);                                                                                     \
		set_detail(f, status, fmt, ap);                                                                        \
		va_end(ap);                                                                                            \
	}
DEFINE_FINDING(ok, FINDING_OK)
DEFINE_FINDING(warning, FINDING_WARNING)
DEFINE_FINDING(missing, FINDING_MISSING)

void finding_remedy(struct finding *f, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(f->remedy, sizeof(f->remedy), fmt, ap);
	va_end(ap);
}

void doctor_state_dir(char *ret, size_t size)
{
	struct stat st;
	char *slash;

	(void)snprintf(ret, size, "%s", settings_used()->state_dir);
	while (stat(ret, &st) < 0 || !S_ISDIR(st.st_mode)) {
		slash = strrchr(ret, '/');
		if (!slash) {
			(void)snprintf(ret, size, ".");
			return;
		}
		slash[slash == ret] = '\0'; /* keep the root's own slash */
		if (slash == ret)
			return;
	}
}

bool doctor_read_number(const char *path, long long *ret)
{
	cleanup_buf struct buf text = BUF_BOUNDED(64);
	char *end;
	long long v;

	if (fd_read_file(AT_FDCWD, path, 64, &text, NULL) < 0)
		return false;
	errno = 0;
	v = strtoll(buf_str(&text), &end, 10);
	if (errno != 0 || end == buf_str(&text) || (*end != '\0' && *end != '\n'))
		return false;
	*ret = v;
	return true;
}

bool doctor_has_capability(int cap)
{
	return capability_is_effective(cap);
}

static char group_name[64];

const char *doctor_group_name(void)
{
	return group_name;
}

/* ---- running one check ---------------------------------------------------------------------------------------- */

static void check_and_exit(const struct check *c, int report) __attribute__((noreturn));
static void check_and_exit(const struct check *c, int report)
{
	struct finding f = { .status = FINDING_MISSING, .detail = "this check came to no result" };

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* not left over when somebody stops the doctor */
	c->run(c, &f);
	_exit(write(report, &f, sizeof(f)) == sizeof(f) ? 0 : 1); /* one write: smaller than PIPE_BUF */
}

/* Read the report before the deadline. Returns false when there is none. */
static bool read_report(int fd, struct finding *f, uint64_t deadline_ns)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	struct finding got;
	ssize_t n;
	int ready;

	do {
		ready = poll(&p, 1, clock_poll_ms(deadline_ns));
	} while (ready < 0 && errno == EINTR);
	if (ready <= 0)
		return false;
	do {
		n = read(fd, &got, sizeof(got));
	} while (n < 0 && errno == EINTR);
	if (n != sizeof(got))
		return false;
	*f = got;
	return true;
}

static void run_in_child(const struct check *c, struct finding *f)
{
	int ends[2], status = 0;
	bool has_report;
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC) < 0) {
		finding_missing(f, "not tried: cannot make a pipe: %s", strerror(errno));
		return;
	}
	cleanup_fd int reader = ends[0], writer = ends[1];

	(void)fflush(stdout); /* or the child's copy might be printed, too */
	pid = fork();
	if (pid < 0) {
		finding_missing(f, "not tried: cannot fork: %s", strerror(errno));
		return;
	}
	if (pid == 0)
		check_and_exit(c, writer);
	fd_close(&writer);
	has_report = read_report(reader, f, clock_deadline_ns(CHECK_TIMEOUT_S * NS_PER_S));
	if (!has_report)
		(void)kill(pid, SIGKILL); /* our child, not reaped yet: the number is still its own */
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (has_report)
		return;
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
		finding_missing(f, "the check did not end within %d seconds", CHECK_TIMEOUT_S);
	else
		finding_missing(f, "the check itself died (wait status 0x%x)", (unsigned)status);
	finding_remedy(f, "this is a fault of cubit doctor or of the kernel: report it with the output of 'uname -a'");
	if (c->undo)
		c->undo(c);
}

static void run_check(const struct check *c, struct finding *f)
{
	if (c->needs_root && geteuid() != 0)
		finding_warning(f, "not tried: only root can");
	else
		run_in_child(c, f);
	make_printable(f->detail);
	make_printable(f->remedy);
}

/* ---- telling -------------------------------------------------------------------------------------------------- */

/* Print text in lines of at most PRINT_WIDTH, those after the first indented; the cursor stands at `indent`. */
static void print_wrapped(const char *text, int indent)
{
	int column = indent;

	while (*text) {
		int word = (int)strcspn(text, " ");

		if (column > indent && column + 1 + word > PRINT_WIDTH) {
			printf("\n%*s", indent, "");
			column = indent;
		} else if (column > indent) {
			putchar(' ');
			column++;
		}
		printf("%.*s", word, text);
		column += word;
		text += word;
		text += strspn(text, " ");
	}
	putchar('\n');
}

static void print_finding(const struct check *c, const struct finding *f, bool is_colourful)
{
	int indent = 2 + 7 + 2 + NAME_WIDTH;

	printf("  %s%-7s%s  %-*s", is_colourful ? statuses[f->status].colour : "", statuses[f->status].mark,
	       is_colourful ? "\033[0m" : "", NAME_WIDTH, c->name);
	print_wrapped(f->detail, indent);
	if (f->remedy[0]) {
		printf("%*s-> ", indent, "");
		print_wrapped(f->remedy, indent + 3);
	}
}

static void print_summary(const int *counts)
{
	printf("\n%s", counts[FINDING_MISSING] ? "Cubit cannot run on this machine as it is: "
					       : "Cubit can run on this machine: ");
	printf("%d missing, %d warning%s, %d ok.\n", counts[FINDING_MISSING], counts[FINDING_WARNING],
	       counts[FINDING_WARNING] == 1 ? "" : "s", counts[FINDING_OK]);
}

static bool wants_colour(void)
{
	const char *no = getenv("NO_COLOR"), *term = getenv("TERM");

	return isatty(STDOUT_FILENO) && !(no && *no) && term && strcmp(term, "dumb") != 0;
}

static bool examine_for_people(void)
{
	bool is_colourful = wants_colour();
	int counts[FINDING_STATUSES] = { 0 };

	for (size_t i = 0; i < CHECKS; i++) {
		struct finding f = { 0 };

		if (i == 0 || strcmp(checks[i].group, checks[i - 1].group) != 0)
			printf("%s%s\n", i ? "\n" : "", checks[i].group);
		run_check(&checks[i], &f);
		print_finding(&checks[i], &f, is_colourful);
		counts[f.status]++;
	}
	print_summary(counts);
	return counts[FINDING_MISSING] == 0;
}

static bool examine_for_programs(void)
{
	json_t *list = json_array(), *root;
	bool can_run = true;

	for (size_t i = 0; i < CHECKS; i++) {
		struct finding f = { 0 };

		run_check(&checks[i], &f);
		can_run = can_run && f.status != FINDING_MISSING;
		(void)json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:s, s:s}", "check", checks[i].name,
							    "group", checks[i].group, "status", statuses[f.status].json,
							    "detail", f.detail, "remedy", f.remedy));
	}
	root = json_pack("{s:b, s:s, s:o}", "can_run", can_run, "version", CUBIT_VERSION, "checks", list);
	if (!root || json_dumpf(root, stdout, JSON_INDENT(2)) < 0)
		can_run = false; /* out of memory or a closed pipe: whoever reads gets no whole document */
	putchar('\n');
	json_decref(root);
	return can_run;
}

int doctor_main(int argc, char **argv)
{
	bool is_json = false;
	const struct option_row options[] = {
		{ "--json", &is_json,
		  "print one JSON object: {can_run, version, checks: [{check, group, status, detail, remedy}]}" },
		{ 0 },
	};
	int status = options_parse(
		"cubit doctor [--json]", options,
		"Tries what Cubit does, leaves nothing behind, and says what to do about what is missing.\n"
		"Looks at CUBIT_STATE, REDIS_URL and S3_ENDPOINT when they are set. Run it as root.\n"
		"Exit status: 0 Cubit can run here; 1 it cannot; 2 the command line was wrong.\n",
		argc, argv);

	if (status >= 0)
		return status;
	(void)snprintf(group_name, sizeof(group_name), "cubit-doctor-%d", (int)getpid());
	return (is_json ? examine_for_programs() : examine_for_people()) ? EXIT_YES : EXIT_NO;
}
