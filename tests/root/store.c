/*
 * The store keeps what it promises: by content, by reference and lease, against a second writer, and against kill -9 at
 * any moment.
 * # timeout: 120
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "images/store.h"
#include "runtime/base/buf.h"
#include "runtime/base/clock.h"
#include "runtime/base/error.h"
#include "runtime/base/fd.h"
#include "tests/tap.h"

static char root[4096];
static struct error err = ERROR_INIT;

static size_t names_in(const char *sub)
{
	char path[4200];
	size_t n = 0;
	struct dirent *e;
	DIR *d;

	snprintf(path, sizeof(path), "%s/%s", root, sub);
	d = opendir(path);
	while (d && (e = readdir(d)))
		n += e->d_name[0] != '.';
	if (d)
		closedir(d);
	return n;
}

static unsigned mode_of(const char *sub)
{
	char path[4200];
	struct stat st;

	snprintf(path, sizeof(path), "%s/%s", root, sub);
	return stat(path, &st) < 0 ? 0 : st.st_mode & 07777;
}

static struct store *must_open(void)
{
	struct store *s = NULL;

	error_clear(&err);
	if (store_open(root, &s, &err) < 0) {
		diag("%s", err.text);
		need(false, "the store opens");
	}
	return s;
}

/* ---- blobs ---- */

static void put_and_get(struct store *s)
{
	struct buf b = BUF_INIT;
	struct digest d, missing;
	uint64_t size = 0;
	char path[4300];

	is_int(store_blob_put(s, "hello", 5, &d, &err), 0, "a small blob is put");
	ok(store_blob_has(s, &d, &size) && size == 5, "and is there, with its size");
	is_int(store_blob_put(s, "hello", 5, &d, &err), 0, "putting it again is no error");
	is_int(store_blob_read(s, &d, 100, &b, &err), 0, "it can be read");
	is_str(buf_str(&b), "hello", "as it was");
	buf_reset(&b);
	is_int(store_blob_read(s, &d, 4, &b, &err), -EFBIG, "but not into less room than it takes");
	snprintf(path, sizeof(path), "%s/blobs/sha256/%s", root, digest_hex(&d));
	is_int(mode_of(path + strlen(root) + 1), 0400, "a blob is read-only");
	{
		int fd = open(path, O_WRONLY | O_CLOEXEC);

		need(fd >= 0 && write(fd, "j", 1) == 1, "damage it");
		close(fd);
	}
	buf_reset(&b);
	error_clear(&err);
	is_int(store_blob_read(s, &d, 100, &b, &err), -EBADMSG, "a blob that was damaged is not handed out");
	has_str(err.text, d.text, "and the message names it");
	digest_of("x", 1, &missing);
	error_clear(&err);
	is_int(store_blob_open(s, &missing, &err), -ENOENT, "a blob that is not there is ENOENT");
	memset(&missing, 0, sizeof(missing));
	is_int(store_blob_open(s, &missing, &err), -EINVAL, "no digest is EINVAL, not the directory itself");
	ok(!store_blob_has(s, &missing, NULL) && !store_layer_has(s, &missing), "and nothing has it");
	buf_done(&b);
}

static void resume(void)
{
	struct store *s = must_open();
	struct store_blob_writer *w = NULL;
	struct digest d;
	uint64_t have = 99;
	int fd = -1;

	digest_of("abcdef", 6, &d);
	is_int(store_blob_begin(s, &d, &w, &fd, &have, &err), 0, "a new blob is begun");
	is_int(have, 0, "with nothing in it");
	need(write(fd, "abc", 3) == 3, "write half of it");
	store_blob_abandon(w, true);
	store_close(s);
	s = must_open();
	is_int(store_blob_begin(s, &d, &w, &fd, &have, &err), 0, "begun again after it was put down, in another run");
	is_int(have, 3, "it goes on where it was");
	need(write(fd, "def", 3) == 3, "write the rest");
	is_int(store_blob_commit(w, &err), 0, "and commits");
	is_int(store_blob_begin(s, &d, &w, &fd, &have, &err), 1, "begun once more, it is already there");
	digest_of("other", 5, &d);
	is_int(store_blob_begin(s, &d, &w, &fd, &have, &err), 0, "another blob");
	store_blob_abandon(w, false);
	is_int(names_in("tmp"), 0, "abandoned without keeping, leaves nothing in tmp");
	store_close(s);
}

/* ---- two writers ---- */

/* A child that holds the blob or layer until told, then commits; the parent must wait for it. */
static void second_waits(bool is_layer)
{
	const char *what = is_layer ? "layer" : "blob";
	struct digest d;
	int tell[2], status = 0;
	uint64_t have = 0, began;
	struct store *s = must_open();
	pid_t pid;
	char c;

	digest_of(what, strlen(what), &d);
	need(pipe2(tell, O_CLOEXEC) == 0, "pipe");
	pid = fork();
	if (pid == 0) {
		struct store *mine = must_open();
		struct store_blob_writer *b = NULL;
		struct store_layer_writer *l = NULL;
		int fd = -1, r;

		r = is_layer ? store_layer_begin(mine, &d, &l, &fd, NULL) : store_blob_begin(mine, &d, &b, &fd, &have, NULL);
		if (r != 0 || write(tell[1], "x", 1) != 1)
			_exit(1);
		usleep(300000);
		_exit(is_layer ? store_layer_commit(l, NULL) != 0 : store_blob_commit(b, NULL) != 0);
	}
	need(read(tell[0], &c, 1) == 1, "the first writer of a %s is at work", what);
	began = clock_now_ns();
	if (is_layer) {
		struct store_layer_writer *l = NULL;
		int fd = -1;

		is_int(store_layer_begin(s, &d, &l, &fd, &err), 1, "the second writer of a layer finds it there");
	} else {
		struct store_blob_writer *b = NULL;
		int fd = -1;

		is_int(store_blob_begin(s, &d, &b, &fd, &have, &err), 1, "the second writer of a blob finds it there");
	}
	ok(clock_now_ns() - began > 100 * NS_PER_MS, "after it waited for the first");
	waitpid(pid, &status, 0);
	is_int(status, 0, "who finished");
	is_int(names_in("tmp"), 0, "nothing is left in tmp");
	close(tell[0]);
	close(tell[1]);
	store_close(s);
}

/* When the first dies, the second goes on with an empty start. */
static void second_inherits(void)
{
	struct store *s = must_open();
	struct store_layer_writer *l = NULL;
	struct digest d;
	int tell[2], fd = -1;
	char c;
	pid_t pid;

	digest_of("dies", 4, &d);
	need(pipe2(tell, O_CLOEXEC) == 0, "pipe");
	pid = fork();
	if (pid == 0) {
		int dir = -1;

		if (store_layer_begin(s, &d, &l, &dir, NULL) != 0 || mkdirat(dir, "half", 0755) < 0 || write(tell[1], "x", 1) != 1)
			_exit(1);
		usleep(200000);
		raise(SIGKILL);
	}
	need(read(tell[0], &c, 1) == 1, "a writer is at work");
	is_int(store_layer_begin(s, &d, &l, &fd, &err), 0, "when it is killed the one who waits takes over");
	waitpid(pid, NULL, 0);
	is_int(faccessat(fd, "half", F_OK, 0), -1, "with an empty directory");
	need(mkdirat(fd, "whole", 0755) == 0, "unpack");
	is_int(store_layer_commit(l, &err), 0, "and commits");
	fd = store_layer_open(s, &d, &err);
	ok(fd >= 0 && faccessat(fd, "whole", F_OK, 0) == 0, "the layer can be opened");
	close(fd);
	close(tell[0]);
	close(tell[1]);
	store_close(s);
}

/* ---- references ---- */

static int count_ref(const struct image_record *r, void *arg)
{
	char *text = arg;

	strcat(text, r->name);
	strcat(text, "\n");
	return 0;
}

static void references(void)
{
	struct store *s = must_open();
	struct image_record r = { .name = "registry.example:5000/lib/x:1", .created_s = 7, .size_bytes = UINT64_C(1) << 40 }, *got = NULL;
	struct digest d[2];
	char text[8192] = "", long_name[STORE_NAME_BYTES];

	digest_of("m", 1, &r.manifest);
	digest_of("c", 1, &r.config);
	digest_of("1", 1, &d[0]);
	digest_of("2", 1, &d[1]);
	r.n_layers = 2;
	r.blobs = r.diff_ids = d;
	is_int(store_ref_set(s, &r, &err), 0, "a reference is set");
	is_int(store_ref_get(s, r.name, &got, &err), 0, "and read back");
	ok(got && strcmp(got->name, r.name) == 0 && got->size_bytes == r.size_bytes && got->created_s == 7 && got->n_layers == 2 &&
		   digest_equal(&got->manifest, &r.manifest) && digest_equal(&got->blobs[1], &d[1]) &&
		   digest_equal(&got->diff_ids[0], &d[0]),
	   "as it was");
	image_record_free(got);
	memset(long_name, 'a', sizeof(long_name) - 1);
	long_name[sizeof(long_name) - 1] = '\0';
	memcpy(r.name, long_name, sizeof(long_name));
	is_int(store_ref_set(s, &r, &err), 0, "a name longer than a file name may be is no trouble");
	is_int(store_ref_get(s, long_name, &got, &err), 0, "and found again");
	image_record_free(got);
	snprintf(r.name, sizeof(r.name), "%s", "../../../etc/passwd");
	is_int(store_ref_set(s, &r, &err), 0, "a name that looks like a path");
	is_int(names_in("refs"), 3, "is a file in refs like any other");
	snprintf(r.name, sizeof(r.name), "%s", "a\nb");
	error_clear(&err);
	is_int(store_ref_set(s, &r, &err), -EINVAL, "control characters in a name are refused");
	has_str(err.text, "byte 0x0a", "by their number");
	is_int(store_ref_each(s, count_ref, text, &err), 0, "all are listed");
	ok(strncmp(text, "../../../etc/passwd\naaaa", 20) == 0 && strstr(text, "registry.example:5000/lib/x:1\n"), "by name");
	error_clear(&err);
	is_int(store_ref_get(s, "nothing:here", &got, &err), -ENOENT, "an unknown name is ENOENT");
	has_str(err.text, "'nothing:here'", "with the name");
	is_int(store_ref_remove(s, "nothing:here", NULL), -ENOENT, "also to remove");
	is_int(store_ref_remove(s, "../../../etc/passwd", &err), 0, "a known one is removed");
	is_int(store_ref_remove(s, long_name, &err), 0, "the long one too");
	is_int(store_ref_remove(s, "registry.example:5000/lib/x:1", &err), 0, "and the first");
	store_close(s);
}

/* ---- collection ---- */

static void add_layer(struct store *s, const char *name, struct digest *ret)
{
	struct store_layer_writer *w = NULL;
	int fd = -1;

	digest_of(name, strlen(name), ret);
	need(store_layer_begin(s, ret, &w, &fd, &err) == 0 && mkdirat(fd, "d", 0755) == 0 && store_layer_commit(w, &err) == 0,
	     "a layer '%s'", name);
}

static void collection(void)
{
	struct store *s = must_open();
	struct store_gc_result gc;
	struct store_lease *lease = NULL;
	struct digest kept[3], layer, leased, leased_layer, loose, loose_layer;
	struct image_record r = { .name = "x:1", .n_layers = 1, .blobs = &kept[2], .diff_ids = &layer };
	int status = 0, tell[2], fd;
	char c, path[4300];
	pid_t pid;

	need(store_gc(s, &gc, &err) == 0, "start with an empty store");
	is_int(names_in("blobs/sha256") + names_in("layers") + names_in("trash"), 0, "of what nobody refers to nothing is left");
	store_blob_put(s, "manifest", 8, &kept[0], &err);
	store_blob_put(s, "config", 6, &kept[1], &err);
	store_blob_put(s, "layer blob", 10, &kept[2], &err);
	add_layer(s, "referenced", &layer);
	r.manifest = kept[0];
	r.config = kept[1];
	need(store_ref_set(s, &r, &err) == 0, "a reference to all of these");
	is_int(store_lease_new(s, &lease, &err), 0, "a lease is taken");
	store_blob_put(s, "leased", 6, &leased, &err);
	add_layer(s, "leased layer", &leased_layer);
	is_int(store_lease_add(lease, &leased, &err) | store_lease_add(lease, &leased_layer, &err), 0, "on a blob and a layer");
	store_blob_put(s, "loose", 5, &loose, &err);
	add_layer(s, "loose layer", &loose_layer);
	is_int(store_gc(s, &gc, &err), 0, "collecting");
	is_int(gc.blobs, 1, "takes the blob nobody needs");
	is_int(gc.layers, 1, "and the layer nobody needs");
	is_int(gc.bytes, 5, "and says how much that was");
	ok(!store_blob_has(s, &loose, NULL) && !store_layer_has(s, &loose_layer), "they are gone");
	ok(store_blob_has(s, &kept[0], NULL) && store_blob_has(s, &kept[1], NULL) && store_blob_has(s, &kept[2], NULL) &&
		   store_layer_has(s, &layer),
	   "what is referred to stays");
	ok(store_blob_has(s, &leased, NULL) && store_layer_has(s, &leased_layer), "what is leased stays");
	store_lease_free(lease);
	is_int(store_gc(s, &gc, &err), 0, "after the lease was given back");
	is_int(gc.blobs + gc.layers, 2, "it goes");
	is_int(names_in("leases") + names_in("trash"), 0, "and leaves neither lease nor trash");

	need(pipe2(tell, O_CLOEXEC) == 0, "pipe");
	store_blob_put(s, "leased", 6, &leased, &err);
	pid = fork();
	if (pid == 0) {
		struct store *mine = must_open();

		if (store_lease_new(mine, &lease, NULL) < 0 || store_lease_add(lease, &leased, NULL) < 0 || write(tell[1], "x", 1) != 1)
			_exit(1);
		pause();
	}
	need(read(tell[0], &c, 1) == 1 && store_gc(s, &gc, &err) == 0, "another process holds a lease");
	ok(store_blob_has(s, &leased, NULL), "it counts");
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	need(store_gc(s, &gc, &err) == 0, "it is killed");
	ok(!store_blob_has(s, &leased, NULL) && names_in("leases") == 0, "its lease died with it");
	close(tell[0]);
	close(tell[1]);

	snprintf(path, sizeof(path), "%s/refs/broken", root);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	need(fd >= 0 && write(fd, "{", 1) == 1, "a reference that cannot be read");
	close(fd);
	store_blob_put(s, "loose", 5, &loose, &err);
	error_clear(&err);
	is_int(store_gc(s, &gc, &err), -EBADMSG, "stops the collection");
	has_str(err.text, "refs/broken", "which says so");
	ok(store_blob_has(s, &loose, NULL), "before anything was removed");
	unlink(path);
	is_int(store_ref_remove(s, "x:1", &err), 0, "without its reference");
	is_int(store_gc(s, &gc, &err), 0, "all the rest");
	is_int(names_in("blobs/sha256") + names_in("layers"), 0, "is collected");
	store_close(s);
}

/* ---- trash ---- */

static void trash(void)
{
	struct store *s = must_open();
	struct store_layer_writer *w = NULL;
	struct digest d;
	char canary[4300], path[4400];
	int fd = -1, at;

	snprintf(canary, sizeof(canary), "%s.canary", root);
	snprintf(path, sizeof(path), "%s/file", canary);
	need(mkdir(canary, 0755) == 0, "a directory outside");
	close(open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
	digest_of("trash", 5, &d);
	need(store_layer_begin(s, &d, &w, &fd, &err) == 0, "a layer");
	is_int(symlinkat(canary, fd, "link"), 0, "with a link to it");
	at = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	for (int i = 0; i < 5000; i++) { /* far deeper than any path */
		int next;

		if (mkdirat(at, "deep", 0755) < 0 || (next = openat(at, "deep", O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
			break;
		close(at);
		at = next;
	}
	close(at);
	store_layer_abandon(w);
	is_int(names_in("tmp"), 0, "given up, it leaves tmp");
	is_int(names_in("trash"), 1, "for the trash");
	error_clear(&err);
	is_int(store_trash_empty(s, &err), 0, "a tree 5000 deep is deleted");
	is_int(names_in("trash"), 0, "all of it");
	is_int(access(path, F_OK), 0, "and what its links point to is untouched");
	unlink(path);
	rmdir(canary);
	store_close(s);
}

/* ---- kill -9 ---- */

/* What a puller does, again and again, until it is killed. */
static void pull_for_ever(unsigned seed)
{
	struct store *s = must_open();

	for (unsigned i = 0;; i++) {
		char text[64];
		struct digest d, diff;
		struct store_lease *lease = NULL;
		struct store_layer_writer *w = NULL;
		struct image_record r = { .n_layers = 1, .blobs = &d, .diff_ids = &diff };
		int fd = -1, n = snprintf(text, sizeof(text), "%u %u", seed, i % 7);

		(void)store_lease_new(s, &lease, NULL);
		digest_of(text, (size_t)n, &d);
		(void)store_lease_add(lease, &d, NULL);
		(void)store_blob_put(s, text, (size_t)n, &d, NULL);
		digest_of(&i, sizeof(i), &diff);
		(void)store_lease_add(lease, &diff, NULL);
		if (store_layer_begin(s, &diff, &w, &fd, NULL) == 0) {
			for (int k = 0; k < 20; k++) {
				snprintf(text, sizeof(text), "d%d", k);
				(void)mkdirat(fd, text, 0755);
			}
			(void)mkdirat(fd, "complete", 0755);
			(void)store_layer_commit(w, NULL);
		}
		r.manifest = r.config = d;
		snprintf(r.name, sizeof(r.name), "image:%u", i % 3);
		(void)store_ref_set(s, &r, NULL);
		if (i % 4 == 3) {
			struct store_gc_result gc;

			(void)store_gc(s, &gc, NULL);
		}
		store_lease_free(lease);
	}
}

struct check {
	struct store *store;
	unsigned bad;
};

/* Whatever a reference names is there, whole and undamaged. */
static int check_record(const struct image_record *r, void *arg)
{
	struct check *c = arg;
	struct buf b = BUF_INIT;
	int fd;

	for (size_t i = 0; i < r->n_layers; i++) {
		c->bad += store_blob_read(c->store, &r->blobs[i], 1000, &b, &err) < 0;
		fd = store_layer_open(c->store, &r->diff_ids[i], &err);
		c->bad += fd < 0 || faccessat(fd, "complete", F_OK, 0) < 0;
		if (fd >= 0)
			close(fd);
	}
	buf_done(&b);
	return 0;
}

static void kills(void)
{
	enum { ROUNDS = 60 };
	unsigned bad = 0, left = 0;

	srand(1);
	for (unsigned round = 0; round < ROUNDS; round++) {
		struct check c = { .bad = 0 };
		struct store_gc_result gc;
		pid_t pids[2];

		for (unsigned i = 0; i < 2; i++) {
			pids[i] = fork();
			if (pids[i] == 0)
				pull_for_ever(round * 2 + i);
		}
		usleep((useconds_t)(rand() % 60000));
		for (unsigned i = 0; i < 2; i++) {
			kill(pids[i], SIGKILL);
			waitpid(pids[i], NULL, 0);
		}
		c.store = must_open();
		left += names_in("tmp") > 0;
		if (store_ref_each(c.store, check_record, &c, &err) < 0 || c.bad > 0) {
			bad++;
			diag("round %u: %s", round, err.text);
		}
		bad += store_gc(c.store, &gc, &err) < 0;
		left += names_in("trash") > 0 || names_in("leases") > 0;
		store_close(c.store);
	}
	is_int(bad, 0, "two pullers killed at any moment, %d times: every reference is whole", ROUNDS);
	is_int(left, 0, "the next start leaves nothing of theirs in tmp, the next collection nothing anywhere");
}

int main(void)
{
	const char *base = getenv("CUBIT_TEST_DIR");
	struct store *s, *none = NULL;

	snprintf(root, sizeof(root), "%s/a/store", base ? base : "/tmp");
	umask(0);
	s = must_open();
	for (size_t i = 0; i < 8; i++) {
		static const char *const dirs[] = { "", "blobs", "blobs/sha256", "layers", "refs", "leases", "tmp", "trash" };

		is_int(mode_of(dirs[i]), 0700, "'%s' is for its owner only, whatever the umask", dirs[i]);
	}
	put_and_get(s);
	store_close(s);
	chmod(root, 0755);
	store_close(must_open());
	is_int(mode_of(""), 0700, "a store that others could read is closed to them when it is opened");
	resume();
	second_waits(false);
	second_waits(true);
	second_inherits();
	references();
	collection();
	trash();
	kills();
	if (geteuid() == 0) {
		is_int(chown(root, 12345, 0), 0, "a store of another user");
		error_clear(&err);
		is_int(store_open(root, &none, &err), -EPERM, "is refused");
		has_str(err.text, "belongs to user 12345", "and the message says whose it is");
	}
	return done_testing();
}
