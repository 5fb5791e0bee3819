/*
 * unpack_layer and the store as a program, for the scripts beside this file, and on its own a few promises of its own.
 *
 *   unpack                         TAP
 *   unpack ARCHIVE DIRECTORY [BUDGET=N | skip_compressed ...]   unpack; prints the result, or the message on stderr with status 1
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "images/unpack/inflate.h"
#include "images/unpack/unpack.h"
#include "images/worker_spawn.h"
#include "runtime/base/clock.h"
#include "runtime/base/error.h"
#include "runtime/base/fd.h"
#include "tests/tap.h"

static char worker[4096];

static int run(int argc, char **argv)
{
	struct unpack_spec spec = { .worker = worker };
	struct unpack_result r;
	struct error err = ERROR_INIT;
	const struct {
		const char *name;
		uint64_t *field;
	} budgets[] = {
		{ "in_bytes=", &spec.budget.in_bytes },
		{ "out_bytes=", &spec.budget.out_bytes },
		{ "entries=", &spec.budget.entries },
		{ "wall_ms=", &spec.budget.wall_ms },
		{ "xattr_entry=", &spec.budget.xattr_entry },
		{ "xattr_bytes=", &spec.budget.xattr_bytes },
		{ "ratio=", &spec.budget.ratio },
	};

	spec.input_fd = strcmp(argv[1], "-") == 0 ? 0 : open(argv[1], O_RDONLY | O_CLOEXEC);
	spec.dir_fd = open(argv[2], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (int i = 3; i < argc; i++)
		for (size_t b = 0; b < sizeof(budgets) / sizeof(budgets[0]); b++)
			if (strcmp(argv[i], "skip_compressed") == 0)
				spec.skip_compressed = true;
			else if (strncmp(argv[i], budgets[b].name, strlen(budgets[b].name)) == 0)
				*budgets[b].field = strtoull(argv[i] + strlen(budgets[b].name), NULL, 10);
	if (unpack_layer(&spec, &r, &err) < 0) {
		fprintf(stderr, "%d %s\n", err.code, err.text);
		return 1;
	}
	printf("diff_id %s\ncompressed %s\nformat %s\nin %llu\nout %llu\nfiles %llu\nentries %llu\nparents "
	       "%llu\ndropped %llu\ndevices %llu\n",
	       r.diff_id.text, r.compressed.text, inflate_format_name((enum inflate_format)r.format),
	       (unsigned long long)r.in_bytes, (unsigned long long)r.out_bytes, (unsigned long long)r.file_bytes,
	       (unsigned long long)r.entries, (unsigned long long)r.parents, (unsigned long long)r.xattrs_dropped,
	       (unsigned long long)r.devices_skipped);
	return 0;
}

/* ---- promises of the process itself ---- */

/* A field of /proc/PID/status, "" when it is not there. */
static const char *status_of(pid_t pid, const char *key, char ret[128])
{
	char path[64], line[256];
	FILE *f;

	ret[0] = '\0';
	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f))
		if (strncmp(line, key, strlen(key)) == 0)
			sscanf(line + strlen(key), ": %127s", ret);
	if (f)
		fclose(f);
	return ret;
}

static pid_t child_of(pid_t parent)
{
	char path[64];
	int pid = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)parent, (int)parent);
	f = fopen(path, "re");
	if (f && fscanf(f, "%d", &pid) != 1)
		pid = 0;
	if (f)
		fclose(f);
	return pid;
}

static bool same_link(const char *a, const char *b)
{
	struct stat x, y;

	return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_ino == y.st_ino && x.st_dev == y.st_dev;
}

#ifdef __SANITIZE_ADDRESS__
enum { IS_SANITIZED = 1 };
#else
enum { IS_SANITIZED = 0 };
#endif

/* A worker that waits for its input, and what it still may do. */
static void look_at_worker(const char *dir)
{
	const char *last = IS_SANITIZED ? "NoNewPrivs" : "Seccomp"; /* what it does to itself last */
	int input[2], cancel[2], status = 0;
	char text[128], path[64];
	pid_t pid, w = 0;

	need(pipe2(input, O_CLOEXEC) == 0 && pipe2(cancel, O_CLOEXEC) == 0, "two pipes");
	pid = fork();
	if (pid == 0) {
		struct unpack_spec spec = { .worker = worker, .input_fd = input[0], .cancel_fd = cancel[0] };
		struct unpack_result r;
		struct error err = ERROR_INIT;

		spec.dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		_exit(unpack_layer(&spec, &r, &err) == -ECANCELED ? 0 : 1);
	}
	for (int i = 0; i < 1000 && strcmp(status_of(w, last, text), IS_SANITIZED ? "1" : "2") != 0; i++) {
		usleep(10000);
		w = child_of(pid);
	}
	is_str(status_of(w, "Seccomp", text), IS_SANITIZED ? "0" : "2",
	       IS_SANITIZED ? "a sanitizer makes calls of its own: no filter"
			    : "before the worker reads a byte it has a seccomp filter");
	is_str(status_of(w, "NoNewPrivs", text), "1", "and no_new_privs");
	is_str(status_of(w, "CapEff", text), "000000008000001b",
	       "five effective capabilities: chown, dac_override, fowner, fsetid, setfcap");
	is_str(status_of(w, "CapPrm", text), "000000008000001b", "no more are permitted");
	is_str(status_of(w, "CapBnd", text), "0000000000000000", "the bounding set is empty");
	is_str(status_of(w, "CapInh", text), "0000000000000000", "nothing is inheritable");
	snprintf(path, sizeof(path), "/proc/%d/root", (int)w);
	ok(same_link(path, dir), "its root is the layer directory");
	snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)w);
	ok(!same_link(path, "/proc/self/ns/net"), "it has a network namespace of its own");
	snprintf(path, sizeof(path), "/proc/%d/environ", (int)w);
	{
		int fd = open(path, O_RDONLY | O_CLOEXEC);
		char c;

		ok(fd >= 0 && read(fd, &c, 1) == 0, "and an empty environment");
		close(fd);
	}
	for (int fd = 6; fd < 64; fd++) {
		snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)w, fd);
		if (readlink(path, text, sizeof(text)) >= 0)
			break;
		if (fd == 63)
			ok(true, "no descriptor but its own");
	}
	need(write(cancel[1], "x", 1) == 1, "cancel");
	is_int(waitpid(pid, &status, 0), pid, "cancelling ends it");
	ok(WIFEXITED(status) && WEXITSTATUS(status) == 0, "with -ECANCELED");
	ok(kill(w, 0) < 0 && errno == ESRCH, "and leaves no process");
	for (int i = 0; i < 2; i++) {
		close(input[i]);
		close(cancel[i]);
	}
}

static void ask_for_what_cannot_be(const char *dir)
{
	struct unpack_spec spec = { .worker = "/nonexistent/worker", .input_fd = 0 };
	struct unpack_result r;
	struct error err = ERROR_INIT;
	struct digest wrong;
	int p[2];

	spec.dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	is_int(unpack_layer(&spec, &r, &err), -ENOENT, "a worker program that is not there is reported");
	has_str(err.text, "start the unpack worker: '/nonexistent/worker'", "by name");

	error_clear(&err);
	spec.worker = "/bin/true";
	is_int(unpack_layer(&spec, &r, &err), -EPROTO, "a worker that ends without a result is reported");
	has_str(err.text, "exit status 0", "with how it ended");

	error_clear(&err);
	spec.worker = worker;
	need(pipe2(p, O_CLOEXEC) == 0, "pipe");
	spec.input_fd = p[0];
	spec.budget.wall_ms = 50;
	is_int(unpack_layer(&spec, &r, &err), -ETIMEDOUT, "input that never comes runs into the time budget");
	close(p[1]);
	error_clear(&err);
	spec.budget.wall_ms = 0;
	is_int(unpack_layer(&spec, &r, &err), 0, "an empty input is an empty layer");
	digest_of("", 0, &wrong);
	ok(digest_equal(&wrong, &r.diff_id), "with the diff id of nothing");
	digest_of("x", 1, &wrong);
	spec.diff_id = &wrong;
	is_int(unpack_layer(&spec, &r, &err), -EBADMSG, "another diff id than the expected is refused");
	has_str(err.text, wrong.text, "and the message has both");
	spec.diff_id = NULL;
	spec.compressed = &wrong;
	error_clear(&err);
	is_int(unpack_layer(&spec, &r, &err), -EBADMSG, "so is another compressed digest");
	close(p[0]);
	close(spec.dir_fd);
}

int main(int argc, char **argv)
{
	const char *build = getenv("CUBIT_BUILD"), *base = getenv("CUBIT_TEST_DIR");
	char dir[4096];

	snprintf(worker, sizeof(worker), "%s/bin/cubit-worker", build ? build : "build");
	if (argc > 2)
		return run(argc, argv);
	if (geteuid() != 0) {
		printf("1..0 # SKIP not root\n");
		return 0;
	}
	snprintf(dir, sizeof(dir), "%s/layer", base ? base : "/tmp");
	need(mkdir(dir, 0755) == 0, "a directory");
	look_at_worker(dir);
	ask_for_what_cannot_be(dir);
	rmdir(dir);
	return done_testing();
}
