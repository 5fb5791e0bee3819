/* Users of images: from the image's own files, as text, and no number wraps around to root. */
#include "images/user.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "runtime/base/buf.h"
#include "runtime/base/error.h"
#include "tests/tap.h"

static const char passwd[] = "root:x:0:0:root:/root:/bin/sh\n"
			     "short:x:5\n"
			     "app:x:1000:1001:App:/home/app:/bin/sh\n"
			     "huge:x:4294967296:0::/:/bin/sh\n"
			     "hugegroup:x:5:4294967296::/:/bin/sh\n"
			     "big:x:65535:65535::/:/bin/sh\n"
			     "2000:x:7:7::/:/bin/sh\n"
			     "last:x:42:43::/last:/bin/sh";
static const char group[] = "root:x:0:\nstaff:x:50:app\nbig:x:70000:\n";

static const struct {
	const char *spec;
	uint32_t uid, gid;
	const char *home;
} good[] = {
	{ "", 0, 0, "" },
	{ "app", 1000, 1001, "/home/app" },
	{ "1000", 1000, 1001, "/home/app" },
	{ "app:staff", 1000, 50, "/home/app" },
	{ "app:7", 1000, 7, "/home/app" },
	{ "33:44", 33, 44, "" },
	{ "33", 33, 0, "" },
	{ "2000", 2000, 0, "" }, /* digits are a number, whatever passwd calls itself */
	{ "last", 42, 43, "/last" },
	{ "0", 0, 0, "/root" },
	{ "65534:65534", 65534, 65534, "" },
};

static const struct {
	const char *spec;
	int code;
	const char *part;
} bad[] = {
	{ "nobody", ENOENT, "no user 'nobody'" },
	{ "short", ENOENT, "no user 'short'" },
	{ "app:nogroup", ENOENT, "no group 'nogroup'" },
	{ "4294967296", ERANGE, "4294967296 is above 65534" },
	{ "18446744073709551616", ERANGE, "above 65534" },
	{ "65535", ERANGE, "above" },
	{ "1:4294967296", ERANGE, "group id 4294967296" },
	{ "huge", ERANGE, "4294967296" },
	{ "hugegroup", ERANGE, "4294967296" },
	{ "big", ERANGE, "65535" },
	{ "app:big", ERANGE, "70000" },
	{ ":staff", EINVAL, "USER:GROUP" },
	{ "app:", EINVAL, "USER:GROUP" },
	{ "a:b:c", EINVAL, "USER:GROUP" },
	{ "-1", ENOENT, "no user '-1'" },
};

static int resolve(const char *spec, struct image_user *ret, struct error *err)
{
	return image_user_resolve(spec, passwd, strlen(passwd), group, strlen(group), ret, err);
}

static void test_resolve(void)
{
	static char large[USER_FILE_MAX_BYTES + 1];
	struct image_user u = { .uid = 77 };
	struct error err = ERROR_INIT;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		is_int(resolve(bad[i].spec, &u, &err), -bad[i].code, "user '%s' is refused", bad[i].spec);
		has_str(err.text, bad[i].part, "the message says '%s'", bad[i].part);
	}
	is_int(u.uid, 77, "a refusal writes nothing");
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		ok(resolve(good[i].spec, &u, &err) == 0 && u.uid == good[i].uid && u.gid == good[i].gid,
		   "user '%s' is %u:%u", good[i].spec, good[i].uid, good[i].gid);
		is_str(u.home, good[i].home, "with home '%s'", good[i].home);
	}
	is_int(image_user_resolve("x", large, sizeof(large), "", 0, &u, &err), -EFBIG,
	       "a passwd above 1 MiB is refused");
	has_str(err.text, "/etc/passwd is larger", "with the file named");
}

/* ---- layers --------------------------------------------------------------------------------------------------- */

static char dir[4096];

static void put(const char *path, const char *text)
{
	char whole[5000];
	int fd;

	(void)snprintf(whole, sizeof(whole), "%s/%s", dir, path);
	fd = open(whole, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	need(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text), "made %s", path);
	(void)close(fd);
}

static void make_dir(const char *path)
{
	char whole[5000];

	(void)snprintf(whole, sizeof(whole), "%s/%s", dir, path);
	need(mkdir(whole, 0755) == 0, "made %s", path);
}

static int open_dir(const char *path)
{
	char whole[5000];

	(void)snprintf(whole, sizeof(whole), "%s/%s", dir, path);
	return open(whole, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static int read_it(const int *fds, size_t n, struct buf *out, struct error *err)
{
	buf_reset(out);
	return image_file_read(fds, n, "etc/passwd", 100, out, err);
}

static void test_layers(void)
{
	const char *base = getenv("CUBIT_TEST_DIR");
	char whole[5000];
	cleanup_buf struct buf out = BUF_INIT;
	struct error err = ERROR_INIT;
	int fds[4];

	(void)snprintf(dir, sizeof(dir), "%s", base ? base : "/tmp");
	if (!base)
		(void)snprintf(dir, sizeof(dir), "/tmp/user-test.%d", (int)getpid());
	(void)mkdir(dir, 0700);
	make_dir("low");
	make_dir("low/etc");
	put("low/etc/passwd", "low");
	make_dir("empty");
	make_dir("link");
	make_dir("link/etc");
	make_dir("fifo");
	make_dir("fifo/etc");
	put("secret", "host secret");
	(void)snprintf(whole, sizeof(whole), "%s/link/etc/passwd", dir);
	need(symlink("../../secret", whole) == 0, "made a link that leads out");
	(void)snprintf(whole, sizeof(whole), "%s/fifo/etc/passwd", dir);
	need(mkfifo(whole, 0644) == 0, "made a fifo");
	fds[0] = open_dir("low");
	fds[1] = open_dir("empty");
	ok(read_it(fds, 2, &out, &err) == 0, "a file of the lower layer is read");
	is_str(buf_str(&out), "low", "when the upper one has none");
	fds[1] = open_dir("link");
	ok(read_it(fds, 2, &out, &err) <= 0 && out.size != strlen("host secret"),
	   "a link never leads out of its layer");
	fds[1] = open_dir("fifo");
	ok(read_it(fds, 2, &out, &err) == -EBADMSG, "a fifo is refused, and nobody waits for it");
	has_str(err.text, "not a regular file", "in words");
	put("low/etc/passwd", "0123456789012345678901234567890123456789012345678901234567890123456789"
			      "0123456789012345678901234567890123456789");
	ok(read_it(fds, 1, &out, &err) == -EFBIG, "a file above the bound is refused");
}

/* What stands in the way in an upper layer, and what is then seen of etc/passwd in the lower one. */
enum upper {
	NOTHING,
	WHITEOUT_FILE,
	WHITEOUT_DIR,
	OPAQUE,
	OPAQUE_AND_FILE,
	NOT_OPAQUE,
	FILE_FOR_DIR,
	LINK_ASTRAY,
	DIR_ASTRAY,
	LINK_INSIDE,
	UPPER_FILE
};

static void make_upper(const char *layer, enum upper how)
{
	char etc[5000], file[5100];

	make_dir(layer);
	(void)snprintf(etc, sizeof(etc), "%s/%s/etc", dir, layer);
	(void)snprintf(file, sizeof(file), "%s/passwd", etc);
	if (how == WHITEOUT_DIR)
		need(mknod(etc, S_IFCHR, 0) == 0, "a whiteout");
	else if (how == FILE_FOR_DIR)
		need(close(open(etc, O_WRONLY | O_CREAT | O_CLOEXEC, 0644)) == 0, "a file");
	else if (how == DIR_ASTRAY)
		need(symlink("usr/etc", etc) == 0, "a link to nothing");
	else if (how != NOTHING)
		need(mkdir(etc, 0755) == 0, "a directory");
	if (how == WHITEOUT_FILE)
		need(mknod(file, S_IFCHR, 0) == 0, "a whiteout");
	if (how == OPAQUE || how == OPAQUE_AND_FILE)
		need(setxattr(etc, "user.overlay.opaque", "y", 1, 0) == 0, "an opaque directory");
	if (how == NOT_OPAQUE)
		need(setxattr(etc, "user.overlay.opaque", "x", 1, 0) == 0, "a directory with another mark");
	if (how == LINK_ASTRAY)
		need(symlink("/usr/etc/passwd", file) == 0, "a link to nothing");
	if (how == LINK_INSIDE) {
		need(symlink("/etc/accounts", file) == 0, "a link");
		(void)snprintf(file, sizeof(file), "%s/etc/accounts", layer);
		put(file, "upper");
	}
	if (how == UPPER_FILE || how == OPAQUE_AND_FILE) {
		(void)snprintf(file, sizeof(file), "%s/etc/passwd", layer);
		put(file, "upper");
	}
}

static void test_whiteouts(void)
{
	static const struct {
		enum upper middle, top;
		const char *want, *title;
	} rows[] = {
		{ NOTHING, NOTHING, "lowest", "a layer without the directory hides nothing" },
		{ WHITEOUT_FILE, NOTHING, "", "a whiteout hides the file in the layer below" },
		{ NOTHING, WHITEOUT_FILE, "", "also two layers below" },
		{ WHITEOUT_DIR, NOTHING, "", "a whiteout of its directory does as well" },
		{ OPAQUE, NOTHING, "", "and an opaque directory" },
		{ NOT_OPAQUE, NOTHING, "lowest", "which a directory of another mark is not" },
		{ OPAQUE_AND_FILE, NOTHING, "upper", "what the opaque directory has itself is seen" },
		{ FILE_FOR_DIR, NOTHING, "", "a file in the place of the directory hides it" },
		{ WHITEOUT_FILE, UPPER_FILE, "upper", "what is deleted and made again is seen" },
		{ UPPER_FILE, WHITEOUT_FILE, "", "what is made and deleted again is not" },
		{ LINK_INSIDE, NOTHING, "upper", "a link within the layer is followed" },
		{ LINK_ASTRAY, NOTHING, "", "one to elsewhere hides the file, and is not" },
		{ DIR_ASTRAY, NOTHING, "", "nor is one in the place of the directory" },
	};
	cleanup_buf struct buf out = BUF_INIT;
	struct error err = ERROR_INIT;

	make_dir("lowest");
	make_dir("lowest/etc");
	put("lowest/etc/passwd", "lowest");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char middle[32], top[32];
		int fds[3], r;

		(void)snprintf(middle, sizeof(middle), "middle%zu", i);
		(void)snprintf(top, sizeof(top), "top%zu", i);
		make_upper(middle, rows[i].middle);
		make_upper(top, rows[i].top);
		fds[0] = open_dir("lowest");
		fds[1] = open_dir(middle);
		fds[2] = open_dir(top);
		r = read_it(fds, 3, &out, &err);
		is_str(r < 0 ? err.text : buf_str(&out), rows[i].want, "%s", rows[i].title);
		for (size_t k = 0; k < 3; k++)
			(void)close(fds[k]);
	}
}

int main(void)
{
	test_resolve();
	test_layers();
	test_whiteouts();
	return done_testing();
}
