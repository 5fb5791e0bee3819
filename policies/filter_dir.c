/*
 * Compiled filters in a directory: see filter_dir.h.
 *
 * A file is a struct head, the profile's text, and the instructions. It never leaves the machine, so it is in the
 * machine's own byte order.
 */
#include "policies/filter_dir.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/filter.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "policies/compile.h"
#include "policies/profile.h"
#include "policies/rules.h"
#include "policies/stamp.h"
#include "runtime/base/buf.h"
#include "runtime/base/error.h"
#include "runtime/base/fd.h"

static const char directory[] = "filters";

struct head {
	char magic[8];
	uint64_t stamp;
	uint64_t caps;
	uint32_t kernel_major, kernel_minor, arch;
	uint32_t text_bytes;
	/* what the reader cannot know */
	uint32_t install_flags;
	uint32_t n_instructions;
	uint64_t checksum; /* of the whole file, with 0 in this place */
};

static_assert(sizeof(struct head) == 56, "without holes, whose bytes would be anything");

enum { FILE_MAX = sizeof(struct head) + POLICY_FILE_MAX + BPF_MAXINSNS * sizeof(struct sock_filter) };

static struct head head_of(const char *text, size_t size, const struct policy_context *context)
{
	return (struct head){
		.magic = "filter1",
		.stamp = policy_stamp(text, size),
		.caps = context->caps,
		.kernel_major = context->kernel_major,
		.kernel_minor = context->kernel_minor,
		.arch = context->arch,
		.text_bytes = (uint32_t)size,
	};
}

void filter_dir_name(const char *text, size_t size, const struct policy_context *context, char ret[17])
{
	struct head head = head_of(text, size, context);

	(void)snprintf(ret, 17, "%016" PRIx64, policy_hash(0, &head, sizeof(head)));
}

/* ---- whose ---- */

static int check_ours(const struct stat *st, const char *what, struct error *err)
{
	if (st->st_uid != geteuid() || (st->st_mode & (S_IWGRP | S_IWOTH)))
		return error_set(err, EPERM, "%s is not ours alone to write (uid %u, mode %04o)", what, st->st_uid,
				 st->st_mode & 07777);
	return 0;
}

static int check_dir(int fd, const char *what, struct error *err)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return error_errno(err, errno, "stat %s", what);
	return check_ours(&st, what, err);
}

int filter_dir_open(int parent_fd, struct error *err)
{
	cleanup_fd int fd = -1;
	int r = check_dir(parent_fd, "the directory above the filters", err);

	if (r < 0)
		return r;
	if (mkdirat(parent_fd, directory, 0700) < 0 && errno != EEXIST)
		return error_errno(err, errno, "make the directory '%s'", directory);
	fd = openat(parent_fd, directory, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return error_errno(err, errno, "open the directory '%s'", directory);
	r = check_dir(fd, "the directory of filters", err);
	return r < 0 ? r : fd_take(&fd);
}

/* ---- reading ---- */

static int open_ours(int dir_fd, const char *name, struct error *err)
{
	cleanup_fd int fd = openat(dir_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	struct stat st;
	int r;

	if (fd < 0)
		return error_errno(err, errno, "open filter '%s'", name);
	if (fstat(fd, &st) < 0)
		return error_errno(err, errno, "stat filter '%s'", name);
	if (!S_ISREG(st.st_mode) || st.st_nlink != 1)
		return error_set(err, EPERM, "filter '%s' is no regular file with one name", name);
	r = check_ours(&st, "the file of a filter", err);
	return r < 0 ? r : fd_take(&fd);
}

/* Is this the file of that text in that context, undamaged? ret_program: where the instructions begin. */
static bool is_sound(const struct buf *file, const char *text, size_t size, const struct policy_context *context,
		     struct head *ret, const char **ret_program)
{
	struct head want = head_of(text, size, context), got;
	uint64_t checksum;

	if (file->size < sizeof(got))
		return false;
	memcpy(&got, file->data, sizeof(got));
	checksum = got.checksum;
	got.checksum = 0;
	*ret = got;
	want.install_flags = got.install_flags;
	want.n_instructions = got.n_instructions;
	if (memcmp(&want, &got, sizeof(want)) != 0 || got.n_instructions == 0 || got.n_instructions > BPF_MAXINSNS ||
	    file->size != sizeof(got) + size + got.n_instructions * sizeof(struct sock_filter))
		return false;
	if (policy_hash(policy_hash(0, &got, sizeof(got)), file->data + sizeof(got), file->size - sizeof(got)) !=
	    checksum)
		return false;
	*ret_program = (const char *)file->data + sizeof(got) + size;
	return memcmp(file->data + sizeof(got), text, size) == 0;
}

int filter_dir_get(int dir_fd, const char *text, size_t size, const struct policy_context *context,
		   struct policy_filter **ret, struct error *err)
{
	cleanup_buf struct buf file = BUF_BOUNDED(FILE_MAX);
	struct sock_filter program[BPF_MAXINSNS];
	struct policy_filter *filter;
	cleanup_fd int fd = -1;
	const char *code;
	struct head head;
	char name[17];
	int r;

	filter_dir_name(text, size, context, name);
	fd = open_ours(dir_fd, name, err);
	r = fd < 0 ? fd : fd_read_all(fd, FILE_MAX, &file, err);
	if (r < 0)
		return r;
	if (!is_sound(&file, text, size, context, &head, &code))
		return error_set(err, EBADMSG, "filter '%s' is damaged, or made from something else", name);
	memcpy(program, code, head.n_instructions * sizeof(program[0])); /* aligned */
	filter = policy_filter_new(program, head.n_instructions, head.install_flags);
	if (!filter)
		return error_set(err, ENOMEM, "out of memory");
	*ret = filter;
	return 0;
}

/* ---- writing ---- */

/* Remove all when there are too many: a bound that needs no memory of what was used when. */
static void make_room(int dir_fd)
{
	int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *entry;
	size_t n = 0;

	if (!dir) {
		fd_close(&fd);
		return;
	}
	while (readdir(dir))
		n++;
	rewinddir(dir);
	while (n >= FILTER_DIR_FILES + 2 && (entry = readdir(dir))) {
		if (entry->d_name[0] != '.')
			(void)unlinkat(dir_fd, entry->d_name, 0); /* another one may have done so */
	}
	(void)closedir(dir);
}

static int write_file(int dir_fd, const char *name, const struct buf *content, struct error *err)
{
	cleanup_fd int fd = -1;
	char beside[32];
	int r;

	(void)snprintf(beside, sizeof(beside), "new-%d", (int)getpid());
	(void)unlinkat(dir_fd, beside, 0); /* of one that died with our number */
	fd = openat(dir_fd, beside, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return error_errno(err, errno, "make '%s'", beside);
	r = fd_write_all(fd, content->data, content->size, err);
	if (r == 0 && renameat(dir_fd, beside, dir_fd, name) < 0)
		r = error_errno(err, errno, "rename to '%s'", name);
	if (r < 0)
		(void)unlinkat(dir_fd, beside, 0);
	return r;
}

int filter_dir_put(int dir_fd, const char *text, size_t size, const struct policy_context *context,
		   const struct policy_filter *filter, struct error *err)
{
	cleanup_buf struct buf content = BUF_BOUNDED(FILE_MAX);
	struct head head = head_of(text, size, context);
	char name[17];
	int r;

	head.install_flags = filter->install_flags;
	head.n_instructions = filter->n_instructions;
	r = buf_append(&content, &head, sizeof(head));
	if (r == 0)
		r = buf_append(&content, text, size);
	if (r == 0)
		r = buf_append(&content, filter->program, filter->n_instructions * sizeof(*filter->program));
	if (r < 0)
		return error_errno(err, -r, "filter");
	head.checksum = policy_hash(policy_hash(0, &head, sizeof(head)), content.data + sizeof(head),
				    content.size - sizeof(head));
	memcpy(content.data, &head, sizeof(head));
	filter_dir_name(text, size, context, name);
	make_room(dir_fd);
	return write_file(dir_fd, name, &content, err);
}
