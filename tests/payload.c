/*
 * The program that sandboxes run in tests: static, one file, verbs. `payload VERB [ARGUMENT...]`.
 * Verbs that try something forbidden print "VERB: ERRNO-NAME" and exit 0 when it was refused, or print "VERB: DONE" and
 * exit 1 when it worked: the attack tests look at both. Adding a verb is adding a row to the table at the end.
 */
/*
 * It does forbidden and careless things on purpose: descriptors without close-on-exec, endless loops, results dropped.
 * NOLINTBEGIN(android-cloexec-*,bugprone-infinite-loop,bugprone-branch-clone,bugprone-suspicious-string-compare,clang-analyzer-deadcode.DeadStores)
 */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/filter.h>
#include <linux/keyctl.h>
#include <linux/rtnetlink.h>
#include <mqueue.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/msg.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>
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

/* forks until refused, says how many, and ends: `fork-count [MS [STATUS]]`, MS later and with that status */
static int v_fork_count(char **a)
{
	int n = 0;
	pid_t p;

	while ((p = fork()) > 0)
		n++;
	if (p == 0) {
		pause();
		_exit(0);
	}
	printf("forked %d then %s\n", n, strerrorname_np(errno));
	if (a[0])
		(void)usleep((useconds_t)atoi(a[0]) * 1000);
	return a[0] && a[1] ? atoi(a[1]) : 0;
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

/* ---- several at once: `each VERB ARGUMENT... ';' VERB ...`, a process each; every answer behind "[VERB ARGUMENT...] " ---- */

static int run_verb(char **a);

static int v_each(char **a)
{
	while (*a) {
		char **end = a;
		int st = 0;
		pid_t pid;

		putchar('[');
		for (; *end && strcmp(*end, ";") != 0; end++)
			printf("%s%s", end == a ? "" : " ", *end);
		printf("] ");
		fflush(stdout);
		pid = fork();
		if (pid == 0) {
			*end = NULL;
			exit(run_verb(a));
		}
		if (pid < 0)
			printf("fork: %s\n", strerrorname_np(errno));
		else if (waitpid(pid, &st, 0) == pid && WIFSIGNALED(st))
			printf("SIG%s", sigabbrev_np(WTERMSIG(st)));
		putchar('\n'); /* not every answer ends with one */
		a = *end ? end + 1 : end;
	}
	return 0;
}

/* ---- looking around ---- */

/* Not through /proc: what answers to its number is open. */
static int v_open_fds(char **a)
{
	(void)a;
	for (int fd = 0; fd < 4096; fd++)
		if (fcntl(fd, F_GETFD) >= 0)
			printf("%s%d", fd ? " " : "", fd);
	putchar('\n');
	return 0;
}

static int v_status(char **a)
{
	static const char *const keys[] = { "Uid:",
					    "Gid:",
					    "Groups:",
					    "NoNewPrivs:",
					    "Seccomp:",
					    "CapInh:",
					    "CapPrm:",
					    "CapEff:",
					    "CapBnd:",
					    "CapAmb:",
					    "SigIgn:",
					    "SigBlk:",
					    "Speculation_Store_Bypass:",
					    "SpeculationIndirectBranch:" };
	FILE *f = fopen("/proc/self/status", "re");
	char line[512];

	(void)a;
	while (f && fgets(line, sizeof(line), f))
		for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++)
			if (strncmp(line, keys[i], strlen(keys[i])) == 0)
				fputs(line, stdout);
	return f ? fclose(f) : 1;
}

static int v_rlimits(char **a)
{
	(void)a;
	for (int i = 0; i < RLIM_NLIMITS; i++) {
		struct rlimit l = { 0, 0 };

		(void)getrlimit(i, &l);
		printf("%d:%lld/%lld ", i, (long long)l.rlim_cur, (long long)l.rlim_max);
	}
	printf("nice %d sched %d\n", getpriority(PRIO_PROCESS, 0), sched_getscheduler(0));
	return 0;
}

static int v_namespaces(char **a)
{
	static const char *const names[] = { "cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts" };

	(void)a;
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		char path[64], link[64] = "?";
		ssize_t n;

		snprintf(path, sizeof(path), "/proc/self/ns/%s", names[i]);
		n = readlink(path, link, sizeof(link) - 1);
		link[n > 0 ? n : 0] = '\0';
		printf("%s ", link);
	}
	putchar('\n');
	return 0;
}

/* type, permission bits, owner, device number of each path */
static int v_stat(char **a)
{
	struct stat st;

	for (; *a; a++) {
		if (lstat(*a, &st) < 0)
			printf("stat: %s\n", strerrorname_np(errno));
		else
			printf("%s mode %o uid %u gid %u rdev %u:%u size %lld\n",
			       S_ISREG(st.st_mode)    ? "file"
			       : S_ISDIR(st.st_mode)  ? "dir"
			       : S_ISLNK(st.st_mode)  ? "link"
			       : S_ISCHR(st.st_mode)  ? "char"
			       : S_ISBLK(st.st_mode)  ? "block"
			       : S_ISFIFO(st.st_mode) ? "fifo"
						      : "socket",
			       st.st_mode & 07777, st.st_uid, st.st_gid, major(st.st_rdev), minor(st.st_rdev),
			       (long long)st.st_size);
	}
	return 0;
}

static int v_count(char **a)
{
	DIR *d = opendir(a[0]);
	struct dirent *e;
	int n = 0;

	if (!d)
		return verdict("count", -1);
	while ((e = readdir(d)))
		n += strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
	printf("%d entries\n", n);
	return closedir(d);
}

/* One line for each file below a directory that can be read: path, size and a hash of what it says now (FNV-1a). */
static void walk_file(const char *path)
{
	char buffer[4096];
	uint64_t hash = 0xcbf29ce484222325u;
	size_t size = 0;
	ssize_t n;
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_NOCTTY);

	if (fd < 0)
		return;
	while (size < 1 << 20 && (n = read(fd, buffer, sizeof(buffer))) > 0) {
		for (ssize_t i = 0; i < n; i++)
			hash = (hash ^ (unsigned char)buffer[i]) * 0x100000001b3u;
		size += (size_t)n;
	}
	close(fd);
	if (size > 0)
		printf("%s %zu %016" PRIx64 "\n", path, size, hash);
}

/* Without processes: names of digits are left out. */
static void walk_dir(const char *path)
{
	DIR *d = opendir(path);
	struct dirent *e;
	char below[PATH_MAX];

	while (d && (e = readdir(d))) {
		if (e->d_name[0] == '.' || (e->d_name[0] >= '0' && e->d_name[0] <= '9'))
			continue;
		(void)snprintf(below, sizeof(below), "%s/%s", path, e->d_name);
		if (e->d_type == DT_DIR)
			walk_dir(below);
		else if (e->d_type == DT_REG)
			walk_file(below);
	}
	if (d)
		closedir(d);
}

static int v_walk(char **a)
{
	for (; *a; a++)
		walk_dir(*a);
	return 0;
}

/* look, wait for a line, look again: what has moved? */
static int v_walk_twice(char **a)
{
	char line[64];

	v_walk(a);
	puts("looked");
	if (!fgets(line, sizeof(line), stdin))
		return 1;
	return v_walk(a);
}

/* what the kernel allows to be known of mitigations, then an attempt to loosen each */
static int v_speculation(char **a)
{
	static const char *const names[] = { "store-bypass", "indirect-branch", "l1d-flush" };

	(void)a;
	for (unsigned long i = 0; i < 3; i++) {
		int now = prctl(PR_GET_SPECULATION_CTRL, i, 0, 0, 0), r, code;

		if (now < 0) {
			printf("%s: unknown %s\n", names[i], strerrorname_np(errno));
			continue;
		}
		r = prctl(PR_SET_SPECULATION_CTRL, i, PR_SPEC_ENABLE, 0, 0);
		code = errno;
		printf("%s: %d enable %s now %d\n", names[i], now, r < 0 ? strerrorname_np(code) : "DONE",
		       prctl(PR_GET_SPECULATION_CTRL, i, 0, 0, 0));
	}
	return 0;
}

/* ---- any system call: `call NAME|NUMBER ARGUMENT...`; an argument is a number, `buf` (zeros), or a string ---- */

#define CALL(name)                                                                                                     \
	{                                                                                                              \
#name, SYS_##name                                                                                      \
	}

/* clang-format off */
static const struct {
	const char *name;
	long number;
} calls[] = {
	CALL(acct), CALL(add_key), CALL(adjtimex), CALL(bpf), CALL(chmod), CALL(chroot), CALL(clock_adjtime), CALL(clock_settime),
	CALL(clone), CALL(clone3), CALL(delete_module), CALL(execveat), CALL(fanotify_init), CALL(fanotify_mark),
	CALL(fcntl), CALL(finit_module), CALL(fsconfig), CALL(fsmount), CALL(fsopen), CALL(fspick), CALL(get_mempolicy),
	CALL(init_module), CALL(io_setup), CALL(io_uring_enter), CALL(io_uring_register), CALL(io_uring_setup),
	CALL(ioctl), CALL(kcmp), CALL(kexec_file_load), CALL(kexec_load), CALL(keyctl), CALL(kill), CALL(link),
	CALL(lookup_dcookie), CALL(madvise), CALL(mbind), CALL(memfd_create), CALL(memfd_secret), CALL(migrate_pages),
	CALL(mmap), CALL(mount), CALL(mount_setattr), CALL(move_mount), CALL(move_pages), CALL(name_to_handle_at),
	CALL(nfsservctl), CALL(open_by_handle_at), CALL(open_tree), CALL(openat2), CALL(perf_event_open),
	CALL(personality), CALL(pidfd_getfd), CALL(pidfd_open), CALL(pivot_root), CALL(prctl), CALL(prlimit64),
	CALL(process_madvise), CALL(process_mrelease), CALL(process_vm_readv), CALL(process_vm_writev), CALL(ptrace),
	CALL(quotactl), CALL(quotactl_fd), CALL(reboot), CALL(remap_file_pages), CALL(request_key), CALL(seccomp),
	CALL(set_mempolicy), CALL(setdomainname), CALL(setgroups), CALL(sethostname), CALL(setns), CALL(setresgid),
	CALL(setresuid), CALL(setsockopt), CALL(settimeofday), CALL(setxattr), CALL(shmget), CALL(socket), CALL(socketpair),
	CALL(swapoff), CALL(swapon), CALL(symlink), CALL(sync), CALL(syslog), CALL(umount2), CALL(unshare),
	CALL(userfaultfd), CALL(vhangup),
#ifdef __x86_64__
	CALL(_sysctl), CALL(create_module), CALL(get_kernel_syms), CALL(ioperm), CALL(iopl), CALL(modify_ldt), CALL(mknod),
	CALL(sysfs), CALL(uselib), CALL(ustat),
#endif
};
/* clang-format on */

static char zeros[65536];

static long call_argument(const char *text)
{
	char *end;
	long v;

	if (strcmp(text, "buf") == 0)
		return (long)(uintptr_t)zeros;
	v = (long)strtoull(text, &end, 0);
	return *text && *end == '\0' ? v : (long)(uintptr_t)text;
}

static int v_call(char **a)
{
	long n = -1, x[6] = { 0 };
	char *end;

	for (size_t i = 0; i < sizeof(calls) / sizeof(*calls); i++)
		if (strcmp(calls[i].name, a[0]) == 0)
			n = calls[i].number;
	if (n < 0) {
		n = strtol(a[0], &end, 0);
		if (*end) {
			printf("call: no such name\n");
			return 64;
		}
	}
	for (int i = 0; i < 6 && a[i + 1]; i++)
		x[i] = call_argument(a[i + 1]);
	return verdict("call", syscall(n, x[0], x[1], x[2], x[3], x[4], x[5]));
}

/* ---- the other doors of an x86_64 kernel ---- */

#ifdef __x86_64__
static int v_int80(char **a)
{
	long r;

	(void)a;
	__asm__ volatile("int $0x80" : "=a"(r) : "a"(20L /* getpid of i386 */) : "memory", "r8", "r9", "r10", "r11");
	printf("int80: DONE %ld\n", r);
	return 1;
}

static int v_x32(char **a)
{
	long n = 0x40000000L | (a[0] ? strtol(a[0], NULL, 0) : SYS_getpid);
	long r = syscall(n);

	printf("x32: %s %ld\n", r < 0 ? strerrorname_np(errno) : "DONE", r);
	return 1;
}

/*
 * A far call into the 32-bit code segment: from there even plain instructions are another architecture's. The code
 * has to lie below 4 GiB: mov eax,20; int 0x80; lret.
 */
static int v_far32(char **a)
{
	static const unsigned char code[] = { 0xb8, 20, 0, 0, 0, 0xcd, 0x80, 0xcb };
	struct {
		uint32_t offset;
		uint16_t segment;
	} __attribute__((packed)) target = { 0, 0x23 };
	unsigned char *p =
		mmap(NULL, 65536, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	long r = 0;

	(void)a;
	if (p == MAP_FAILED)
		return verdict("far32", -1) + 64;
	memcpy(p, code, sizeof(code));
	target.offset = (uint32_t)(uintptr_t)p;
	/* a stack below 4 GiB too: the 32-bit side pushes and pops there */
	__asm__ volatile("movq %%rsp, %%r12\n\tmovq %2, %%rsp\n\tlcall *%1\n\tmovq %%r12, %%rsp"
			 : "=a"(r)
			 : "m"(target), "r"((uintptr_t)p + 65536 - 64)
			 : "memory", "r12", "rbx", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11");
	printf("far32: DONE %ld\n", r);
	return 1;
}
#endif

/* ---- the network ---- */

/* 1 s is enough: nothing that could answer is far away */
static int try_connect(int sock, const struct sockaddr *to, socklen_t size)
{
	struct pollfd p = { .fd = sock, .events = POLLOUT };
	int code = 0;
	socklen_t room = sizeof(code);

	if (sock < 0 || fcntl(sock, F_SETFL, O_NONBLOCK) < 0)
		return verdict("connect", -1);
	if (connect(sock, to, size) == 0)
		return verdict("connect", 0);
	if (errno != EINPROGRESS)
		return verdict("connect", -1);
	if (poll(&p, 1, 1000) <= 0) {
		printf("connect: no answer\n");
		return 0;
	}
	(void)getsockopt(sock, SOL_SOCKET, SO_ERROR, &code, &room);
	errno = code;
	return verdict("connect", code ? -1 : 0);
}

/* connect ADDRESS PORT [udp] */
static int v_connect(char **a)
{
	struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(a[1])) };
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_port = htons((uint16_t)atoi(a[1])) };
	int type = a[2] ? SOCK_DGRAM : SOCK_STREAM;

	if (inet_pton(AF_INET, a[0], &v4.sin_addr) == 1)
		return try_connect(socket(AF_INET, type, 0), (struct sockaddr *)&v4, sizeof(v4));
	if (inet_pton(AF_INET6, a[0], &v6.sin6_addr) != 1)
		return 64;
	return try_connect(socket(AF_INET6, type, 0), (struct sockaddr *)&v6, sizeof(v6));
}

/* "@name" is abstract */
static socklen_t unix_name(struct sockaddr_un *sa, const char *name)
{
	*sa = (struct sockaddr_un){ .sun_family = AF_UNIX };
	strncpy(sa->sun_path, name, sizeof(sa->sun_path) - 1);
	if (name[0] != '@')
		return sizeof(*sa);
	sa->sun_path[0] = '\0';
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name));
}

static int v_connect_unix(char **a)
{
	struct sockaddr_un sa;
	socklen_t size = unix_name(&sa, a[0]);

	return try_connect(socket(AF_UNIX, SOCK_STREAM, 0), (struct sockaddr *)&sa, size);
}

/* listen PORT|PATH|@NAME: a listener that says when it is there, and takes whoever comes */
static int v_listen(char **a)
{
	struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(a[0])) };
	bool is_unix = a[0][0] == '/' || a[0][0] == '@';
	int sock = socket(is_unix ? AF_UNIX : AF_INET, SOCK_STREAM, 0), on = 1;
	struct sockaddr_un un;
	socklen_t size = unix_name(&un, a[0]);

	(void)setsockopt(sock, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if ((is_unix ? bind(sock, (struct sockaddr *)&un, size) : bind(sock, (struct sockaddr *)&v4, sizeof(v4))) < 0 ||
	    listen(sock, 8) < 0)
		return verdict("listen", -1) + 1;
	puts("listening");
	for (int n; (n = accept(sock, NULL, NULL)) >= 0; close(n))
		puts("somebody came");
	return 1;
}

/* A listener whose queue is full: the next one to connect waits, for ever. */
static int v_listen_full(char **a)
{
	struct sockaddr_in v4 = { .sin_family = AF_INET,
				  .sin_port = htons((uint16_t)atoi(a[0])),
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int sock = socket(AF_INET, SOCK_STREAM, 0);

	if (bind(sock, (struct sockaddr *)&v4, sizeof(v4)) < 0 || listen(sock, 0) < 0)
		return verdict("listen", -1) + 1;
	for (int i = 0; i < 8; i++) {
		int c = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

		(void)connect(c, (struct sockaddr *)&v4, sizeof(v4));
	}
	puts("full");
	pause();
	return 0;
}

/* ---- taking hold of what is not ours ---- */

/*
 * Numbers of processes are handed out one after the other: whoever comes next is one of these. Each signal tells who has
 * come; the window then moves on.
 */
struct window {
	pid_t last;
};

enum { WINDOW = 4 };

static void window_knock(struct window *w, pid_t p, int signo)
{
	if (kill(p, signo) == 0 && p > w->last)
		w->last = p;
}

/* Of the processes to come: stop them, look into them, open what they execute. `grab SECONDS [stop]` */
static int v_grab(char **a)
{
	struct window w = { getpid() };
	time_t end = time(NULL) + atoi(a[0]);

	puts("ready");
	while (time(NULL) < end) {
		for (pid_t p = w.last; p < w.last + WINDOW; p++) {
			char path[64], link[256] = "";
			int fd;

			if (p == getpid())
				continue;
			window_knock(&w, p, a[1] ? SIGSTOP : 0);
			snprintf(path, sizeof(path), "/proc/%d/exe", p);
			fd = open(path, O_RDONLY);
			if (fd < 0)
				continue;
			if (readlink(path, link, sizeof(link) - 1) > 0 && !strstr(link, "payload")) {
				printf("opened %s\n", link);
				printf("lock: %s\n",
				       flock(fd, LOCK_EX | LOCK_NB) < 0 ? strerrorname_np(errno) : "DONE");
				printf("xattr: %s\n",
				       fsetxattr(fd, "user.cubit", "x", 1, 0) < 0 ? strerrorname_np(errno) : "DONE");
				snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
				printf("write: %s\n", open(path, O_RDWR) < 0 ? strerrorname_np(errno) : "DONE");
				return 1;
			}
			close(fd);
		}
	}
	puts("nothing");
	return 0;
}

/* Stop whatever comes next, again and again. */
static int v_freeze_others(char **a)
{
	struct window w = { getpid() };
	time_t end = time(NULL) + (a[0] ? atoi(a[0]) : 10);

	puts("ready");
	while (time(NULL) < end)
		for (pid_t p = w.last; p < w.last + WINDOW; p++)
			if (p != getpid())
				window_knock(&w, p, SIGSTOP);
	return 0;
}

/* ---- more bombs: each takes of one thing until it is refused, or for ever ---- */

static int until_refused(const char *what, long n)
{
	printf("%s %ld then %s\n", what, n, strerrorname_np(errno));
	sleep(1000); /* the time limit ends it, holding all of it */
	return 0;
}

static int v_pipe_hog(char **a)
{
	long n = 0;
	int p[2];

	(void)a;
	for (; pipe2(p, O_NONBLOCK) == 0; n++) {
		(void)fcntl(p[1], F_SETPIPE_SZ, 1 << 20);
		while (write(p[1], zeros, sizeof(zeros)) > 0) {
		}
	}
	return until_refused("pipes", n);
}

static int v_unix_hog(char **a)
{
	long n = 0;
	int p[2];

	(void)a;
	for (; socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, p) == 0; n++)
		while (write(p[1], zeros, 4096) > 0) {
		}
	return until_refused("sockets", n);
}

static int v_udp_hog(char **a)
{
	struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t size = sizeof(v4);
	long n = 0, bytes = 0;
	int out = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);

	(void)a;
	for (int s; (s = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0)) >= 0; n++) {
		v4.sin_port = 0;
		if (bind(s, (struct sockaddr *)&v4, sizeof(v4)) < 0 ||
		    getsockname(s, (struct sockaddr *)&v4, &size) < 0)
			break;
		for (int i = 0; i < 16; i++) /* more than a receive buffer takes */
			if (sendto(out, zeros, 16384, 0, (struct sockaddr *)&v4, sizeof(v4)) > 0)
				bytes += 16384;
	}
	printf("sent %ld\n", bytes);
	return until_refused("sockets", n);
}

static int v_tcp_hog(char **a)
{
	struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t size = sizeof(v4);
	int l = socket(AF_INET, SOCK_STREAM, 0);
	long n = 0;

	(void)a;
	if (bind(l, (struct sockaddr *)&v4, size) < 0 || listen(l, 128) < 0 ||
	    getsockname(l, (struct sockaddr *)&v4, &size) < 0)
		return until_refused("connections", -1);
	for (int s; (s = socket(AF_INET, SOCK_STREAM, 0)) >= 0; n++) {
		if (connect(s, (struct sockaddr *)&v4, size) < 0 || accept(l, NULL, NULL) < 0)
			break;
		(void)fcntl(s, F_SETFL, O_NONBLOCK);
		while (write(s, zeros, sizeof(zeros)) > 0) {
		}
	}
	return until_refused("connections", n);
}

/* N processes that do the same: what is bounded by open files is so for each of them. */
static int v_crowd(char **a)
{
	for (int n = atoi(a[0]); n > 0; n--) {
		pid_t p = fork();

		if (p == 0)
			exit(run_verb(a + 1));
		if (p < 0)
			break;
	}
	sleep(1000);
	return 0;
}

/* Answers about lo that nobody reads. */
static int v_netlink_hog(char **a)
{
	struct {
		struct nlmsghdr h;
		struct ifinfomsg i;
	} ask = { { sizeof(ask), RTM_GETLINK, NLM_F_REQUEST, 1, 0 }, { .ifi_family = AF_UNSPEC, .ifi_index = 1 } };
	long n = 0;

	(void)a;
	for (int s; (s = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE)) >= 0; n++)
		for (int i = 0; i < 200; i++)
			(void)send(s, &ask, sizeof(ask), MSG_DONTWAIT);
	return until_refused("netlink sockets", n);
}

enum { FILTER_STEPS = 4000 };

static struct sock_fprog *long_filter(void)
{
	static struct sock_filter steps[FILTER_STEPS];
	static struct sock_fprog program = { FILTER_STEPS, steps };

	for (int i = 0; i < FILTER_STEPS - 1; i++)
		steps[i] = (struct sock_filter)BPF_STMT(BPF_ALU | BPF_MUL | BPF_K, 0x12345678);
	steps[FILTER_STEPS - 1] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, 0x7fff0000 /* SECCOMP_RET_ALLOW */);
	return &program;
}

/* Kernel text, one way: packet filters. */
static int v_filter_hog(char **a)
{
	struct sock_fprog *program = long_filter();
	long n = 0;

	(void)a;
	for (int s; (s = socket(AF_INET, SOCK_DGRAM, 0)) >= 0; n++)
		if (setsockopt(s, SOL_SOCKET, SO_ATTACH_FILTER, program, sizeof(*program)) < 0)
			break;
	return until_refused("filters", n);
}

/* ... and another: system call filters, which pile up. */
static int v_seccomp_hog(char **a)
{
	struct sock_fprog *program = long_filter();
	long n = 0;

	while (a[0] ? prctl(PR_SET_SECCOMP, 2, program, 0, 0) == 0 : syscall(SYS_seccomp, 1, 0, program) == 0)
		n++;
	return until_refused("filters", n);
}

static int v_aio_hog(char **a)
{
	long n = 0;
	unsigned long context = 0;

	(void)a;
	for (; syscall(SYS_io_setup, 1024, &context) == 0; n++)
		context = 0;
	return until_refused("contexts", n);
}

static int v_mqueue_hog(char **a)
{
	struct mq_attr attr = { .mq_maxmsg = 10, .mq_msgsize = 8192 };
	char name[32];
	long n = 0;

	(void)a;
	for (;; n++) {
		mqd_t q;

		snprintf(name, sizeof(name), "/q%ld", n);
		q = mq_open(name, O_RDWR | O_CREAT | O_NONBLOCK, 0600, &attr);
		if (q == (mqd_t)-1)
			break;
		while (mq_send(q, zeros, 8192, 0) == 0) {
		}
	}
	return until_refused("queues", n);
}

static int v_sysv_hog(char **a)
{
	long n = 0;

	(void)a;
	for (;; n++) {
		int id = shmget(IPC_PRIVATE, 1 << 20, IPC_CREAT | 0600);
		char *p = id < 0 ? (char *)-1 : shmat(id, NULL, 0);

		if (p == (char *)-1)
			break;
		memset(p, 1, 1 << 20);
		(void)shmdt(p);
	}
	return until_refused("segments", n);
}

static int v_pty_hog(char **a)
{
	long n = 0;

	(void)a;
	for (int fd, unlock = 0; (fd = open("/dev/ptmx", O_RDWR | O_NONBLOCK | O_NOCTTY)) >= 0; n++) {
		(void)ioctl(fd, TIOCSPTLCK, &unlock);
		while (write(fd, zeros, 4096) > 0) {
		}
	}
	return until_refused("terminals", n);
}

static int v_inotify_hog(char **a)
{
	long n = 0;

	while (inotify_init1(0) >= 0)
		n++;
	printf("instances %ld then %s\n", n, strerrorname_np(errno));
	if (a[0])
		sleep((unsigned)atoi(a[0]));
	return 0;
}

static int v_signal_hog(char **a)
{
	const union sigval v = { 0 };
	sigset_t set;
	long n = 0;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGRTMIN);
	(void)sigprocmask(SIG_BLOCK, &set, NULL);
	while (sigqueue(getpid(), SIGRTMIN, v) == 0)
		n++;
	printf("signals %ld then %s\n", n, strerrorname_np(errno));
	if (a[0])
		sleep((unsigned)atoi(a[0]));
	return 0;
}

/* What a neighbour of the hogs above needs: one of each, the queue of the usual size. */
static int v_own_share(char **a)
{
	struct mq_attr attr = { .mq_maxmsg = 10, .mq_msgsize = 8192 };
	char name[32];
	timer_t t;

	(void)a;
	snprintf(name, sizeof(name), "/own-%d", getpid());
	(void)verdict("inotify", inotify_init1(0));
	(void)verdict("timer", timer_create(CLOCK_MONOTONIC, NULL, &t));
	(void)verdict("queue", mq_open(name, O_RDWR | O_CREAT, 0600, &attr));
	(void)verdict("lock", mlock(zeros, 4096));
	(void)mq_unlink(name);
	return 0;
}

/* children that end and are never waited for */
static int v_zombies(char **a)
{
	(void)a;
	for (;;) {
		pid_t p = fork();

		if (p == 0)
			_exit(0);
		if (p < 0)
			sched_yield();
	}
	return 0;
}

/* orphans in sessions of their own, some deaf, some spinning; the first process ends at once or stays: `daemons [stay]` */
static int v_daemons(char **a)
{
	for (int i = 0; i < 8; i++) {
		if (fork() != 0)
			continue;
		(void)setsid();
		if (fork() != 0)
			_exit(0);
		for (int s = 1; s < 64; s++)
			signal(s, SIG_IGN);
		while (i % 4 == 0) {
		}
		for (;;)
			pause();
	}
	while (wait(NULL) > 0) {
	}
	puts("daemons are out");
	while (a[0])
		pause();
	return 0;
}

/* one process that never keeps its program, nor its children their parent */
static int v_exec_loop(char **a)
{
	char *argv[] = { (char *)(uintptr_t) "/bin/payload", (char *)(uintptr_t) "exec-loop", NULL };

	(void)a;
	if (fork() != 0)
		_exit(0);
	(void)execv(argv[0], argv);
	return 1;
}

/* the first process ends like a good one; its child writes on and on */
static int v_flood(char **a)
{
	(void)a;
	if (fork() != 0) {
		usleep(100000);
		return 0;
	}
	for (;;)
		if (write(1, zeros, sizeof(zeros)) < 0)
			return 1;
}

/* a lot of files without content, in a lot of directories, deeper and deeper: `deep DIRECTORY LEVELS` */
static int v_deep(char **a)
{
	int n = 0;

	if (chdir(a[0]) < 0)
		return verdict("deep", -1) + 1;
	while (n < atoi(a[1]) && mkdir("d", 0755) == 0 && chdir("d") == 0)
		n++;
	printf("%d levels then %s\n", n, n < atoi(a[1]) ? strerrorname_np(errno) : "enough");
	return n < atoi(a[1]) ? 3 : 0;
}

/* Memory that no counter of the sandbox sees, where a host keeps huge pages ready. */
static int v_huge(char **a)
{
	void *p = mmap(NULL, 2 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);

	(void)a;
	(void)verdict("mmap", p == MAP_FAILED ? -1 : 0);
	(void)verdict("memfd", memfd_create("huge", MFD_HUGETLB));
	(void)verdict("shm", shmget(IPC_PRIVATE, 2 << 20, IPC_CREAT | 04000 /* SHM_HUGETLB */ | 0600));
	return 0;
}

/*
 * ---- channels between sandboxes ----
 *
 * `hold` takes everything that could be seen from elsewhere, says "holding", and waits for a line on standard input;
 * then it says what it noticed. `probe` looks whether it can tell that somebody holds: "NAME: own" when it cannot,
 * "NAME: SHARED" when it can, "NAME: refused ERRNO" when the means itself is refused. /shared/file and /shared belong
 * to the layer.
 */
enum { CHANNEL_KEY = 0x43554249, CHANNEL_PORT = 7707, LOCK_BYTE = 77 };

static void channel(const char *name, bool is_shared)
{
	printf("%s: %s\n", name, is_shared ? "SHARED" : "own");
}

/* What can be locked: opened read-only, so that an overlay does not copy it up first. */
static const struct {
	const char *name, *path;
} lockable[] = {
	{ "file of a layer", "/shared/file" },
	{ "directory of a layer", "/shared" },
	{ "root directory", "/" },
	{ "directory of the skeleton", "/etc" },
	{ "/dev", "/dev" },
	{ "/dev/null", "/dev/null" },
	{ "/dev/urandom", "/dev/urandom" },
	{ "/dev/shm", "/dev/shm" },
	{ "/dev/mqueue", "/dev/mqueue" },
	{ "/dev/pts", "/dev/pts" },
	{ "/proc", "/proc" },
	{ "/proc/version", "/proc/version" },
	{ "/proc/uptime", "/proc/uptime" },
	{ "/proc/sys/kernel/hostname", "/proc/sys/kernel/hostname" },
	{ "/proc/sys/vm", "/proc/sys/vm" },
	{ "/proc/fs", "/proc/fs" },
	{ "/proc/irq", "/proc/irq" },
	{ "/proc/keys", "/proc/keys" },
	{ "program", "/proc/self/exe" },
	{ "cgroup namespace", "/proc/self/ns/cgroup" },
	{ "ipc namespace", "/proc/self/ns/ipc" },
	{ "mount namespace", "/proc/self/ns/mnt" },
	{ "network namespace", "/proc/self/ns/net" },
	{ "pid namespace", "/proc/self/ns/pid" },
	{ "time namespace", "/proc/self/ns/time" },
	{ "user namespace", "/proc/self/ns/user" },
	{ "uts namespace", "/proc/self/ns/uts" },
};

enum { LOCKABLE = sizeof(lockable) / sizeof(*lockable) };

/* What has no path. In the kernel all of these are one and the same inode, or one each. */
static const char *const nameless[] = { "eventfd", "epoll", "inotify", "timerfd", "memfd", "pipe", "socket", "pidfd" };

enum { NAMELESS = sizeof(nameless) / sizeof(*nameless) };

static int open_nameless(size_t i)
{
	int p[2] = { -1, -1 };

	switch (i) {
	case 0:
		return eventfd(0, 0);
	case 1:
		return epoll_create1(0);
	case 2:
		return inotify_init1(0);
	case 3:
		return timerfd_create(CLOCK_MONOTONIC, 0);
	case 4:
		return memfd_create("channel", 0);
	case 5:
		return pipe(p) < 0 ? -1 : p[1];
	case 6:
		return socket(AF_UNIX, SOCK_STREAM, 0);
	default:
		return (int)syscall(SYS_pidfd_open, getpid(), 0);
	}
}

static int lock_byte(int fd, int command, short type)
{
	struct flock l = { .l_type = type, .l_whence = SEEK_SET, .l_start = LOCK_BYTE, .l_len = 1 };

	return fcntl(fd, command, &l);
}

/* Three kinds of lock on one thing; a read lock is what a descriptor without the right to write can hold. */
static void hold_locks(int fd)
{
	(void)flock(fd, LOCK_EX | LOCK_NB);
	if (lock_byte(fd, F_SETLK, F_WRLCK) < 0)
		(void)lock_byte(fd, F_SETLK, F_RDLCK);
	if (lock_byte(fd, F_OFD_SETLK, F_WRLCK) < 0)
		(void)lock_byte(fd, F_OFD_SETLK, F_RDLCK);
}

/* Is there a lock of somebody else? F_GETLK asks without taking. */
static bool sees_lock(int fd)
{
	struct flock l = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = LOCK_BYTE, .l_len = 1 };
	bool is_seen = flock(fd, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK;

	return is_seen || (fcntl(fd, F_GETLK, &l) == 0 && l.l_type != F_UNLCK);
}

static void probe_lock(const char *name, int fd)
{
	char text[128];

	snprintf(text, sizeof(text), "lock on %s", name);
	if (fd < 0)
		printf("%s: refused %s\n", text, strerrorname_np(errno));
	else
		channel(text, sees_lock(fd));
	if (fd >= 0)
		close(fd);
}

/* In the page cache? -1: the kernel does not say (mincore(2) only tells owners). */
static int is_cached(const char *path)
{
	int fd = open(path, O_RDONLY);
	void *p = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
	unsigned char pages = 0;
	int r = p == MAP_FAILED ? -1 : mincore(p, 4096, &pages);

	close(fd);
	return r < 0 ? -1 : pages & 1;
}

static int touch_cache(const char *path, bool is_wanted)
{
	int fd = open(path, O_RDONLY);
	char byte;
	ssize_t n = pread(fd, &byte, 1, 0);

	if (!is_wanted)
		(void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	close(fd);
	return n == 1 ? 0 : -1;
}

static long long access_time(const char *path)
{
	struct stat st;

	return stat(path, &st) < 0 ? -1 : st.st_atim.tv_sec * 1000000000LL + st.st_atim.tv_nsec;
}

static void hold_ipc(void)
{
	struct mq_attr attr = { .mq_maxmsg = 2, .mq_msgsize = 64 };
	struct {
		long type;
		char text[8];
	} message = { 1, "hello" };
	int q = msgget(CHANNEL_KEY, IPC_CREAT | 0666);
	mqd_t m = mq_open("/channel", O_RDWR | O_CREAT, 0666, &attr);

	(void)shmget(CHANNEL_KEY, 4096, IPC_CREAT | 0666);
	(void)semget(CHANNEL_KEY, 1, IPC_CREAT | 0666);
	(void)msgsnd(q, &message, sizeof(message.text), IPC_NOWAIT);
	(void)mq_send(m, "hello", 5, 0);
}

static int hold_sockets(void)
{
	struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_port = htons(CHANNEL_PORT) };
	struct sockaddr_un sa;
	socklen_t size = unix_name(&sa, "@cubit-channel");
	int s = socket(AF_UNIX, SOCK_STREAM, 0), t = socket(AF_INET, SOCK_STREAM, 0);

	if (bind(s, (struct sockaddr *)&sa, size) < 0 || listen(s, 1) < 0)
		return -1;
	return bind(t, (struct sockaddr *)&v4, sizeof(v4)) < 0 || listen(t, 1) < 0 ? -1 : 0;
}

struct held {
	int watch, fifo;
	long long accessed;
};

static struct held hold(void)
{
	struct held h = {
		.watch = inotify_init1(IN_NONBLOCK),
		.fifo = open("/shared/fifo", O_RDONLY | O_NONBLOCK),
		.accessed = access_time("/shared/file"),
	};
	struct stat input;

	for (size_t i = 0; i < LOCKABLE; i++)
		hold_locks(open(lockable[i].path, O_RDONLY));
	for (size_t i = 0; i < NAMELESS; i++)
		hold_locks(open_nameless(i));
	(void)fcntl(open("/shared/file", O_RDONLY), F_SETLEASE, F_RDLCK);
	(void)fcntl(open("/shared", O_RDONLY), F_NOTIFY, 0x1 /* DN_ACCESS */ | 0x80000000UL /* DN_MULTISHOT */);
	(void)inotify_add_watch(h.watch, "/shared/file", IN_ALL_EVENTS);
	(void)inotify_add_watch(h.watch, "/shared", IN_ALL_EVENTS);
	/* a device might be another's as well; a pipe is ours and the host's, which speaks to us through it */
	if (fstat(0, &input) == 0 && !S_ISFIFO(input.st_mode))
		(void)inotify_add_watch(h.watch, "/proc/self/fd/0", IN_ALL_EVENTS);
	close(open("/dev/shm/channel", O_WRONLY | O_CREAT, 0666));
	close(open("/tmp/channel", O_WRONLY | O_CREAT, 0666));
	close(open("/work/channel", O_WRONLY | O_CREAT, 0666));
	hold_ipc();
	if (hold_sockets() < 0)
		printf("hold: %s\n", strerrorname_np(errno));
	(void)touch_cache("/shared/mine", false);
	while (read(h.watch, zeros, sizeof(zeros)) > 0) {
		/* what we have just done ourselves */
	}
	puts("holding");
	return h;
}

static void tell(const struct held *h)
{
	char line[4096];

	channel("events of watched files", read(h->watch, line, sizeof(line)) > 0);
	channel("access time of a layer's file", access_time("/shared/file") != h->accessed);
	channel("fifo of a layer", h->fifo >= 0 && read(h->fifo, line, sizeof(line)) > 0);
}

static int v_hold(char **a)
{
	struct held h = hold();
	char line[64];

	(void)a;
	if (!fgets(line, sizeof(line), stdin))
		return 1;
	tell(&h);
	return 0;
}

static void probe_ipc(void)
{
	struct sockaddr_un sa;
	socklen_t size = unix_name(&sa, "@cubit-channel");
	struct sockaddr_in v4 = { .sin_family = AF_INET,
				  .sin_port = htons(CHANNEL_PORT),
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };

	channel("System V shared memory", shmget(CHANNEL_KEY, 4096, 0) >= 0);
	channel("System V semaphore", semget(CHANNEL_KEY, 1, 0) >= 0);
	channel("System V queue", msgget(CHANNEL_KEY, 0) >= 0);
	channel("POSIX queue", mq_open("/channel", O_RDONLY) != (mqd_t)-1);
	channel("abstract socket", connect(socket(AF_UNIX, SOCK_STREAM, 0), (struct sockaddr *)&sa, size) == 0);
	channel("loopback port", connect(socket(AF_INET, SOCK_STREAM, 0), (struct sockaddr *)&v4, sizeof(v4)) == 0);
}

static int v_probe(char **a)
{
	int fd;

	(void)a;
	for (size_t i = 0; i < LOCKABLE; i++)
		probe_lock(lockable[i].name, open(lockable[i].path, O_RDONLY));
	for (size_t i = 0; i < NAMELESS; i++)
		probe_lock(nameless[i], open_nameless(i));
	fd = open("/shared/file", O_RDONLY);
	if (fcntl(fd, F_SETLEASE, F_RDLCK) < 0)
		printf("lease on a file of a layer: refused %s\n", strerrorname_np(errno));
	else
		puts("lease on a file of a layer: SHARED");
	if (fcntl(open("/shared", O_RDONLY), F_NOTIFY, 0x1) < 0)
		printf("F_NOTIFY on a directory of a layer: refused %s\n", strerrorname_np(errno));
	else
		puts("F_NOTIFY on a directory of a layer: SHARED");
	channel("/dev/shm", access("/dev/shm/channel", F_OK) == 0);
	channel("/tmp", access("/tmp/channel", F_OK) == 0);
	channel("/work", access("/work/channel", F_OK) == 0);
	probe_ipc();
	/* seen by the holder only if it is shared: reading, and a writer at the fifo */
	(void)touch_cache("/shared/file", true);
	fd = open("/shared/fifo", O_WRONLY | O_NONBLOCK);
	if (fd >= 0)
		(void)!write(fd, "x", 1);
	channel("writer at a fifo of a layer", fd >= 0);
	printf("page of a layer's file dropped by another: %s\n", is_cached("/shared/mine") == 0  ? "SHARED"
								  : is_cached("/shared/mine") > 0 ? "own"
												  : "refused");
	return 0;
}

/* The control: both in one sandbox, where much of it is seen. */
static int v_hold_and_probe(char **a)
{
	struct held h = hold();

	fflush(stdout);
	if (fork() == 0)
		exit(v_probe(a));
	(void)wait(NULL);
	tell(&h);
	return 0;
}

/* Ways to put bytes into the page cache of a layer's file without the right to write to it. `scribble FILE` */
static int v_scribble(char **a)
{
	static const char text[] = "scribbled";
	int fd = open(a[0], O_RDONLY), p[2];
	char path[64];
	char *m;

	(void)verdict("shared writable map",
		      (m = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)) == MAP_FAILED ? -1 : 0);
	m = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
	(void)verdict("map made writable", m == MAP_FAILED ? -1 : mprotect(m, 4096, PROT_READ | PROT_WRITE));
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	(void)verdict("opened again for writing", open(path, O_WRONLY));
	(void)verdict("/proc/self/mem", open("/proc/self/mem", O_RDWR));
	(void)verdict("ftruncate", ftruncate(fd, 0));
	/* CVE-2022-0847: a spliced page in a pipe whose buffers kept their flag */
	if (pipe(p) == 0) {
		loff_t at = 0;
		int size = fcntl(p[1], F_GETPIPE_SZ);

		for (int left = size; left > 0; left -= 4096)
			(void)!write(p[1], zeros, 4096);
		for (int left = size; left > 0; left -= 4096)
			(void)!read(p[0], zeros, 4096);
		memset(zeros, 0, 4096);
		(void)verdict("splice into a pipe", splice(fd, &at, p[1], NULL, 1, 0));
		(void)!write(p[1], text, sizeof(text) - 1);
	}
	return 0;
}

/*
 * ---- benchmarks and neighbours: sleep a millisecond N times, print how much longer it took, in microseconds ----
 * `latency N`: once; `latency N watch`: again and again, until killed
 */

static int cmp(const void *x, const void *y)
{
	long long a = *(const long long *)x, b = *(const long long *)y;

	return a < b ? -1 : a > b;
}

static int v_latency(char **a)
{
	int n = a[0] ? atoi(a[0]) : 1000;
	long long *us = calloc((size_t)n, sizeof(*us));

	do {
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
	} while (a[0] && a[1]);
	free(us);
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
	{ "each", v_each },
	{ "open-fds", v_open_fds },
	{ "status", v_status },
	{ "rlimits", v_rlimits },
	{ "namespaces", v_namespaces },
	{ "stat", v_stat },
	{ "count", v_count },
	{ "walk", v_walk },
	{ "walk-twice", v_walk_twice },
	{ "speculation", v_speculation },
	{ "call", v_call },
#ifdef __x86_64__
	{ "int80", v_int80 },
	{ "x32", v_x32 },
	{ "far32", v_far32 },
#endif
	{ "connect", v_connect },
	{ "connect-unix", v_connect_unix },
	{ "listen", v_listen },
	{ "listen-full", v_listen_full },
	{ "grab", v_grab },
	{ "freeze-others", v_freeze_others },
	{ "pipe-hog", v_pipe_hog },
	{ "unix-hog", v_unix_hog },
	{ "udp-hog", v_udp_hog },
	{ "tcp-hog", v_tcp_hog },
	{ "netlink-hog", v_netlink_hog },
	{ "filter-hog", v_filter_hog },
	{ "seccomp-hog", v_seccomp_hog },
	{ "aio-hog", v_aio_hog },
	{ "crowd", v_crowd },
	{ "mqueue-hog", v_mqueue_hog },
	{ "sysv-hog", v_sysv_hog },
	{ "pty-hog", v_pty_hog },
	{ "inotify-hog", v_inotify_hog },
	{ "signal-hog", v_signal_hog },
	{ "own-share", v_own_share },
	{ "zombies", v_zombies },
	{ "daemons", v_daemons },
	{ "exec-loop", v_exec_loop },
	{ "flood", v_flood },
	{ "deep", v_deep },
	{ "huge", v_huge },
	{ "hold", v_hold },
	{ "hold-and-probe", v_hold_and_probe },
	{ "probe", v_probe },
	{ "scribble", v_scribble },
	{ "latency", v_latency },
};

static int run_verb(char **a)
{
	for (size_t i = 0; a[0] && i < sizeof(verbs) / sizeof(verbs[0]); i++)
		if (strcmp(a[0], verbs[i].name) == 0)
			return verbs[i].run(a + 1);
	fprintf(stderr, "payload: no verb '%s'\n", a[0] ? a[0] : "");
	return 64;
}

int main(int argc, char **argv)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	return run_verb(argv + (argc > 0));
}
/* NOLINTEND(android-cloexec-*,bugprone-infinite-loop,bugprone-branch-clone,bugprone-suspicious-string-compare,clang-analyzer-deadcode.DeadStores) */
