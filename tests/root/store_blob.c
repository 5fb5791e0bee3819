/* Blobs of the store are kept by their content, and a write that was interrupted goes on. */
#include "runtime/base/buf.h"
#include "tests/root/store_fixture.h"

static void put_and_get(void)
{
	struct store *s = must_open();
	struct buf b = BUF_INIT;
	struct digest d, missing;
	uint64_t size = 0;
	char path[4300];
	struct stat st;

	is_int(store_blob_put(s, "hello", 5, &d, &err), 0, "a small blob is put");
	ok(store_blob_has(s, &d, &size) && size == 5, "and is there, with its size");
	is_int(store_blob_put(s, "hello", 5, &d, &err), 0, "putting it again is no error");
	is_int(store_blob_read(s, &d, 100, &b, &err), 0, "it can be read");
	is_str(buf_str(&b), "hello", "as it was");
	buf_reset(&b);
	is_int(store_blob_read(s, &d, 4, &b, &err), -EFBIG, "but not into less room than it takes");
	snprintf(path, sizeof(path), "%s/blobs/sha256/%s", root, digest_hex(&d));
	ok(stat(path, &st) == 0 && (st.st_mode & 07777) == 0400, "a blob is read-only");
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
	store_close(s);
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

int main(void)
{
	store_fixture();
	put_and_get();
	resume();
	return done_testing();
}
