/* The new mount API: see mount_api.h. */
#include "runtime/rootfs/mount_api.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "runtime/base/error.h"
#include "runtime/base/fd.h"

/* The kernel explains itself on the context's descriptor: lines such as "e overlay: ...". Take the last error. */
static void kernel_words(int context, char *ret, size_t room)
{
	char line[256];
	ssize_t n;

	ret[0] = '\0';
	while ((n = read(context, line, sizeof(line) - 1)) > 0) {
		line[n] = '\0';
		line[strcspn(line, "\n")] = '\0';
		if (strncmp(line, "e ", 2) == 0 && strlen(line) - 1 < room)
			memcpy(ret, line + 2, strlen(line) - 1);
	}
}

static int context_error(int context, const char *what, struct error *err)
{
	int code = errno;
	char words[200];

	kernel_words(context, words, sizeof(words));
	if (words[0])
		return error_errno(err, code, "%s (%s)", what, words);
	return error_errno(err, code, "%s", what);
}

int mount_context_open(const char *type, struct error *err)
{
	int fd = (int)syscall(SYS_fsopen, type, FSOPEN_CLOEXEC);

	return fd < 0 ? error_errno(err, errno, "file system '%s'", type) : fd;
}

int mount_context_set(int context, const char *key, const char *value, struct error *err)
{
	unsigned cmd = value ? FSCONFIG_SET_STRING : FSCONFIG_SET_FLAG;

	if (syscall(SYS_fsconfig, context, cmd, key, value, 0) < 0)
		return context_error(context, key, err);
	return 0;
}

int mount_context_finish(int context, const char *type, uint64_t attributes, struct error *err)
{
	int fd;

	if (syscall(SYS_fsconfig, context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return context_error(context, type, err);
	fd = (int)syscall(SYS_fsmount, context, FSMOUNT_CLOEXEC, (unsigned)attributes);
	return fd < 0 ? context_error(context, type, err) : fd;
}

int mount_new(const char *type, const struct mount_option *options, uint64_t attributes, struct error *err)
{
	cleanup_fd int context = mount_context_open(type, err);

	if (context < 0)
		return context;
	for (; options->key; options++) {
		int r = mount_context_set(context, options->key, options->value, err);

		if (r < 0)
			return r;
	}
	return mount_context_finish(context, type, attributes, err);
}

int mount_change(int mount_fd, const char *key, const char *value, struct error *err)
{
	cleanup_fd int context = (int)syscall(SYS_fspick, mount_fd, "", FSPICK_CLOEXEC | FSPICK_EMPTY_PATH);
	int r;

	if (context < 0)
		return error_errno(err, errno, "change a file system");
	r = mount_context_set(context, key, value, err);
	if (r == 0 && syscall(SYS_fsconfig, context, FSCONFIG_CMD_RECONFIGURE, NULL, NULL, 0) < 0)
		r = context_error(context, key, err);
	return r;
}

int mount_clone(int dir_fd, struct error *err)
{
	int fd = (int)syscall(SYS_open_tree, dir_fd, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH);

	return fd < 0 ? error_errno(err, errno, "clone a mount") : fd;
}

int mount_set(int mount_fd, uint64_t set, int userns_fd, struct error *err)
{
	struct mount_attr attr = { .attr_set = set, .userns_fd = userns_fd >= 0 ? (uint64_t)userns_fd : 0 };

	if (syscall(SYS_mount_setattr, mount_fd, "", AT_EMPTY_PATH, &attr, sizeof(attr)) < 0)
		return error_errno(err, errno, "set mount attributes");
	return 0;
}
