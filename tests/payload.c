/*
 * The program that sandboxes run in tests: static, one file, verbs. `payload VERB [ARGUMENT...]`.
 * Verbs that try something forbidden print "VERB: ERRNO-NAME" and exit 0 when it was refused, or print "VERB: DONE" and
 * exit 1 when it worked: the attack tests look at both. Adding a verb is adding a row to the table at the end.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/keyctl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int verdict(const char *what, long r)
{
	if (r < 0) {
		printf("%s: %s\n", what, strerrorname_np(errno));
		return 0;
	}
	printf("%s: DONE\n", what);
	return 1;
}

/* ---- being ordinary ---- */

static int v_true(char **a)
{
	(void)a;
	return 0;
}

static int v_exit(char **a)
{
	return a[0] ? atoi(a[0]) : 1;
}

static int v_echo(char **a)
{
	for (; *a; a++)
		printf("%s%s", *a, a[1] ? " " : "\n");
	return 0;
}

static int v_cat(char **a)
{
	char b[65536];
	ssize_t n;
	int fd = a[0] ? open(a[0], O_RDONLY) : 0;

	if (fd < 0)
		return verdict("cat", -1) + 1;
	while ((n = read(fd, b, sizeof(b))) > 0) {
		for (ssize_t at = 0, m; at < n; at += m) {
			m = write(1, b + at, (size_t)(n - at));
			if (m < 0)
				return 1;
		}
	}
	return n < 0;
}

static int v_ids(char **a)
{
	uid_t r, e, s;
	gid_t rg, eg, sg;

	(void)a;
	getresuid(&r, &e, &s);
	getresgid(&rg, &eg, &sg);
	printf("uid %u %u %u gid %u %u %u groups %d pid %d ppid %d sid %d pgid %d\n", r, e, s, rg, eg, sg,
	       getgroups(0, NULL), getpid(), getppid(), getsid(0), getpgid(0));
	return 0;
}

static int v_env(char **a)
{
	extern char **environ;

	(void)a;
	for (char **e = environ; *e; e++)
		puts(*e);
	return 0;
}

static int v_cwd(char **a)
{
	char b[PATH_MAX];

	(void)a;
	puts(getcwd(b, sizeof(b)) ? b : "?");
	return 0;
}

static int v_fds(char **a)
{
	DIR *d = opendir("/proc/self/fd");
	struct dirent *e;

	(void)a;
	while (d && (e = readdir(d))) {
		char p[300], t[PATH_MAX];
		ssize_t n;

		if (e->d_name[0] == '.' || atoi(e->d_name) == dirfd(d))
			continue;
		snprintf(p, sizeof(p), "/proc/self/fd/%s", e->d_name);
		n = readlink(p, t, sizeof(t) - 1);
		t[n > 0 ? n : 0] = 0;
		printf("%s %s\n", e->d_name, t);
	}
	return 0;
}

static int v_ls(char **a)
{
	DIR *d = opendir(a[0] ? a[0] : ".");
	struct dirent *e;

	if (!d)
		return verdict("ls", -1) + 1;
	while ((e = readdir(d)))
		if (strcmp(e->d_name, ".") && strcmp(e->d_name, ".."))
			puts(e->d_name);
	return 0;
}

static int v_ps(char **a)
{
	DIR *d = opendir("/proc");
	struct dirent *e;

	(void)a;
	while (d && (e = readdir(d)))
		if (e->d_name[0] >= '0' && e->d_name[0] <= '9')
			puts(e->d_name);
	return 0;
}

static int v_write(char **a)
{
	int fd = open(a[0], O_WRONLY | O_CREAT | O_TRUNC, 0644);

	if (fd < 0 || write(fd, a[1], strlen(a[1])) < 0)
		return verdict("write", -1) + 1;
	return close(fd) != 0;
}

static int v_sleep(char **a)
{
	struct timespec t = { a[0] ? atoi(a[0]) : 1000000, 0 };

	nanosleep(&t, NULL);
	return 0;
}

static int v_selfkill(char **a)
{
	kill(getpid(), atoi(a[0]));
	pause();
	return 0;
}

static int v_stderr(char **a)
{
	fprintf(stderr, "%s\n", a[0] ? a[0] : "to stderr");
	printf("to stdout\n");
	return 0;
}

/* with an argument: not before a byte has come in, so that a test can change the size meanwhile */
static int v_tty(char **a)
{
	struct winsize w = { 0 };

	if (a[0])
		(void)getchar();
	printf("tty %s isatty %d%d%d\n", ttyname(0) ? ttyname(0) : "none", isatty(0), isatty(1), isatty(2));
	if (ioctl(0, TIOCGWINSZ, &w) == 0)
		printf("size %d %d\n", w.ws_col, w.ws_row);
	return 0;
}

/* takes one connection to 127.0.0.1:PORT and sends back what comes */
static int v_serve(char **a)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
				  .sin_port = htons((uint16_t)atoi(a[0])),
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int s = socket(AF_INET, SOCK_STREAM, 0), c;
	char b[4096];
	ssize_t n;

	if (s < 0 || bind(s, (struct sockaddr *)&at, sizeof(at)) < 0 || listen(s, 4) < 0)
		return verdict("serve", -1) + 1;
	puts("listening");
	c = accept(s, NULL, NULL);
	while (c >= 0 && (n = read(c, b, sizeof(b))) > 0)
		if (write(c, b, (size_t)n) != n)
			return 1;
	return c < 0;
}

/* a child that keeps the pipes open and lives on */
static int v_daemon(char **a)
{
	(void)a;
	if (fork() == 0) {
		sleep(1000);
		_exit(0);
	}
	puts("parent ends");
	return 0;
}

/* ---- bombs ---- */

static int v_spin(char **a)
{
	volatile unsigned long n = 0;

	(void)a;
	for (;;)
		n++;
	return 0;
}

static int v_spin_threads(char **a)
{
	int n = a[0] ? atoi(a[0]) : 4;

	for (int i = 1; i < n; i++)
		if (fork() == 0)
			break;
	return v_spin(NULL);
}

static int v_memory(char **a)
{
	size_t step = 1 << 20, want = a[0] ? (size_t)atol(a[0]) << 20 : SIZE_MAX;

	for (size_t got = 0; got < want; got += step) {
		char *p = mmap(NULL, step, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (p == MAP_FAILED)
			return verdict("memory", -1) + 1;
		memset(p, 1, step);
	}
	return 0;
}

/* memory in a child, so that the parent sees the kill */
static int v_memory_child(char **a)
{
	int st;

	if (fork() == 0)
		_exit(v_memory(a));
	wait(&st);
	printf("child %d\n", st);
	sleep(1000);
	return 0;
}

static int v_fork(char **a)
{
	(void)a;
	for (;;)
		if (fork() < 0)
			sched_yield();
	return 0;
}

/* forks until refused, then says how many and ends well: only pids.max speaks */
static int v_fork_count(char **a)
{
	int n = 0;
	pid_t p;

	(void)a;
	while ((p = fork()) > 0)
		n++;
	if (p == 0) {
		pause();
		_exit(0);
	}
	printf("forked %d then %s\n", n, strerrorname_np(errno));
	return 0;
}

static int v_fds_bomb(char **a)
{
	int n = 0;

	(void)a;
	while (open("/dev/null", O_RDONLY) >= 0)
		n++;
	printf("opened %d then %s\n", n, strerrorname_np(errno));
	return 0;
}

static int v_inodes(char **a)
{
	char p[PATH_MAX];

	for (int i = 0;; i++) {
		int fd;

		snprintf(p, sizeof(p), "%s/f%d", a[0] ? a[0] : ".", i);
		fd = open(p, O_WRONLY | O_CREAT, 0644);
		if (fd < 0) {
			printf("made %d then %s\n", i, strerrorname_np(errno));
			return 3;
		}
		close(fd);
	}
}

static int v_disk(char **a)
{
	static char b[1 << 16];
	int fd = open(a[0] ? a[0] : "big", O_WRONLY | O_CREAT | O_TRUNC, 0644);
	long long n = 0;

	memset(b, 1, sizeof(b));
	for (;;) {
		ssize_t m = write(fd, b, sizeof(b));

		if (m < 0) {
			printf("wrote %lld then %s\n", n, strerrorname_np(errno));
			return 3;
		}
		n += m;
	}
}

static int v_output(char **a)
{
	static char b[1 << 16];
	long long left = a[0] ? atoll(a[0]) : 10LL << 30;

	memset(b, 'x', sizeof(b));
	while (left > 0) {
		ssize_t n = write(a[0] && a[1] ? 2 : 1, b, left < (long long)sizeof(b) ? (size_t)left : sizeof(b));

		if (n < 0)
			return 1;
		left -= n;
	}
	return 0;
}

static int v_ignore(char **a)
{
	(void)a;
	for (int s = 1; s < 64; s++)
		signal(s, SIG_IGN);
	for (;;)
		pause();
	return 0;
}

/* ---- trying what is forbidden: one system call each, by number and raw arguments ---- */

static int v_syscall(char **a)
{
	long n = strtol(a[0], NULL, 0), x[6] = { 0 };

	for (int i = 0; i < 6 && a[i + 1]; i++)
		x[i] = (long)strtoull(a[i + 1], NULL, 0);
	return verdict("syscall", syscall(n, x[0], x[1], x[2], x[3], x[4], x[5]));
}

static int v_open(char **a)
{
	int flags = a[1] && !strcmp(a[1], "rw") ? O_RDWR : a[1] && !strcmp(a[1], "w") ? O_WRONLY : O_RDONLY;

	return verdict("open", open(a[0], flags | O_NONBLOCK));
}

static int v_mount(char **a)
{
	(void)a;
	return verdict("mount", mount("none", "/tmp", "tmpfs", 0, NULL));
}

static int v_unshare_user(char **a)
{
	(void)a;
	return verdict("unshare", unshare(CLONE_NEWUSER));
}

static int v_tiocsti(char **a)
{
	(void)a;
	return verdict("tiocsti", ioctl(0, TIOCSTI, "x"));
}

static int v_setuid0(char **a)
{
	(void)a;
	return verdict("setuid", syscall(SYS_setresuid, 0, 0, 0)) | verdict("setgid", syscall(SYS_setresgid, 0, 0, 0)) |
	       verdict("setgroups", syscall(SYS_setgroups, 0, NULL));
}

static int v_socket(char **a)
{
	return verdict("socket", socket((int)strtol(a[0], NULL, 0), a[1] ? (int)strtol(a[1], NULL, 0) : SOCK_STREAM,
					a[1] && a[2] ? (int)strtol(a[2], NULL, 0) : 0));
}

static int v_mknod(char **a)
{
	(void)a;
	return verdict("mknod", mknod("/tmp/dev", S_IFCHR | 0666, 0x103));
}

static int v_kill1(char **a)
{
	(void)a;
	return verdict("kill", kill(1, SIGKILL)) | verdict("killall", kill(-1, 0) == 0 ? -1 : -1);
}

static int v_ptrace1(char **a)
{
	(void)a;
	return verdict("ptrace", syscall(SYS_ptrace, 16 /* ATTACH */, 1, 0, 0));
}

/* ---- benchmarks and neighbours: sleep a millisecond N times, print the worst oversleep in microseconds ---- */

static int cmp(const void *x, const void *y)
{
	long long a = *(const long long *)x, b = *(const long long *)y;

	return a < b ? -1 : a > b;
}

static int v_latency(char **a)
{
	int n = a[0] ? atoi(a[0]) : 1000;
	long long *us = calloc((size_t)n, sizeof(*us));

	for (int i = 0; us && i < n; i++) {
		struct timespec t = { 0, 1000000 }, b, e;

		clock_gettime(CLOCK_MONOTONIC, &b);
		nanosleep(&t, NULL);
		clock_gettime(CLOCK_MONOTONIC, &e);
		us[i] = (e.tv_sec - b.tv_sec) * 1000000LL + (e.tv_nsec - b.tv_nsec) / 1000 - 1000;
	}
	if (!us)
		return 1;
	qsort(us, (size_t)n, sizeof(*us), cmp);
	printf("p50 %lld p99 %lld max %lld\n", us[n / 2], us[n * 99 / 100], us[n - 1]);
	return 0;
}

static const struct {
	const char *name;
	int (*run)(char **args);
} verbs[] = {
	{ "true", v_true },
	{ "exit", v_exit },
	{ "echo", v_echo },
	{ "cat", v_cat },
	{ "ids", v_ids },
	{ "env", v_env },
	{ "cwd", v_cwd },
	{ "fds", v_fds },
	{ "ls", v_ls },
	{ "ps", v_ps },
	{ "write", v_write },
	{ "sleep", v_sleep },
	{ "selfkill", v_selfkill },
	{ "stderr", v_stderr },
	{ "tty", v_tty },
	{ "serve", v_serve },
	{ "daemon", v_daemon },
	{ "spin", v_spin },
	{ "spin-threads", v_spin_threads },
	{ "memory", v_memory },
	{ "memory-child", v_memory_child },
	{ "fork", v_fork },
	{ "fork-count", v_fork_count },
	{ "fds-bomb", v_fds_bomb },
	{ "inodes", v_inodes },
	{ "disk", v_disk },
	{ "output", v_output },
	{ "ignore", v_ignore },
	{ "syscall", v_syscall },
	{ "open", v_open },
	{ "mount", v_mount },
	{ "unshare-user", v_unshare_user },
	{ "tiocsti", v_tiocsti },
	{ "setuid0", v_setuid0 },
	{ "socket", v_socket },
	{ "mknod", v_mknod },
	{ "kill1", v_kill1 },
	{ "ptrace1", v_ptrace1 },
	{ "latency", v_latency },
};

int main(int argc, char **argv)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	for (size_t i = 0; argc > 1 && i < sizeof(verbs) / sizeof(verbs[0]); i++)
		if (strcmp(argv[1], verbs[i].name) == 0)
			return verbs[i].run(argv + 2);
	fprintf(stderr, "payload: no verb '%s'\n", argc > 1 ? argv[1] : "");
	return 64;
}
