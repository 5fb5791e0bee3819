/* Collection takes what neither a reference nor a living lease reaches; the trash is emptied without a look back. */
#include <signal.h>
#include <sys/wait.h>

#include "tests/root/store_fixture.h"

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
	is_int(names_in("blobs/sha256") + names_in("layers") + names_in("trash"), 0,
	       "of what nobody refers to nothing is left");
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
	is_int(store_lease_add(lease, &leased, &err) | store_lease_add(lease, &leased_layer, &err), 0,
	       "on a blob and a layer");
	store_blob_put(s, "loose", 5, &loose, &err);
	add_layer(s, "loose layer", &loose_layer);
	is_int(store_gc(s, &gc, &err), 0, "collecting");
	is_int(gc.blobs, 1, "takes the blob nobody needs");
	is_int(gc.layers, 1, "and the layer nobody needs");
	is_int(gc.bytes, 5, "and says how much that was");
	ok(!store_blob_has(s, &loose, NULL) && !store_layer_has(s, &loose_layer), "they are gone");
	ok(store_blob_has(s, &kept[0], NULL) && store_blob_has(s, &kept[1], NULL) &&
		   store_blob_has(s, &kept[2], NULL) && store_layer_has(s, &layer),
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

		if (store_lease_new(mine, &lease, NULL) < 0 || store_lease_add(lease, &leased, NULL) < 0 ||
		    write(tell[1], "x", 1) != 1)
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

/* A process that was killed takes its lease with it; the file goes when the store is opened next. */
static void dead_leases(void)
{
	struct store *s = must_open();
	struct store_lease *lease = NULL;
	int tell[2];
	pid_t pid;
	char c;

	need(store_lease_new(s, &lease, &err) == 0 && pipe2(tell, O_CLOEXEC) == 0, "a lease of ours");
	pid = fork();
	if (pid == 0) {
		struct store_lease *theirs = NULL;

		if (store_lease_new(must_open(), &theirs, NULL) < 0 || write(tell[1], "x", 1) != 1)
			_exit(1);
		pause();
	}
	need(read(tell[0], &c, 1) == 1, "another process holds one");
	is_int(names_in("leases"), 2, "there are two");
	store_close(must_open());
	is_int(names_in("leases"), 2, "opening the store leaves both");
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	store_close(must_open());
	is_int(names_in("leases"), 1, "after a kill -9, it takes away the one that nobody holds");
	store_lease_free(lease);
	is_int(names_in("leases"), 0, "the other goes when it is given back");
	close(tell[0]);
	close(tell[1]);
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

		if (mkdirat(at, "deep", 0755) < 0 ||
		    (next = openat(at, "deep", O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
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

int main(void)
{
	store_fixture();
	collection();
	dead_leases();
	trash();
	return done_testing();
}
