/* The layers below one: see below.h. */
#include "images/whole/below.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <unistd.h>

#include "images/digest.h"
#include "images/store/store.h"
#include "runtime/base/error.h"
#include "runtime/base/fd.h"

enum { ATTRIBUTES = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC };
enum { PARAMETER_MAX = 255 }; /* bytes of one value, fsconfig(2) */

/* Overlayfs wants two layers at least. */
static int clone_one(int layer, struct error *err)
{
	struct mount_attr attributes = { .attr_set = ATTRIBUTES };
	cleanup_fd int fd = open_tree(layer, "", AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);

	if (fd < 0)
		return error_errno(err, errno, "clone the layer below");
	if (mount_setattr(fd, "", AT_EMPTY_PATH, &attributes, sizeof(attributes)) < 0)
		return error_errno(err, errno, "make the layer below read-only");
	return fd_take(&fd);
}

static int set_lowers_one_by_one(int context, const int *layers, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		char path[32];

		(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", layers[i]);
		if (fsconfig(context, FSCONFIG_SET_STRING, "lowerdir+", path, 0) < 0)
			return -errno;
	}
	return 0;
}

/* Kernels before 6.7: one string, and a short one, so its names are numbers in /proc/self/fd, where we are meanwhile. */
static int set_lowers_in_one(int context, const int *layers, size_t n)
{
	char text[PARAMETER_MAX + 1];
	size_t used = 0;

	for (size_t i = 0; i < n; i++) {
		int k = snprintf(text + used, sizeof(text) - used, "%s%d", i ? ":" : "", layers[i]);

		if (k < 0 || (size_t)k >= sizeof(text) - used)
			return -E2BIG;
		used += (size_t)k;
	}
	return fsconfig(context, FSCONFIG_SET_STRING, "lowerdir", text, 0) < 0 ? -errno : 0;
}

typedef int set_lowers(int context, const int *layers, size_t n);

static int merge_with(set_lowers *set, const int *layers, size_t n)
{
	cleanup_fd int context = fsopen("overlay", FSOPEN_CLOEXEC);
	int r = context < 0 ? -errno : set(context, layers, n), fd;

	if (r < 0)
		return r;
	/* as the sandboxes have it: hostile layers get no redirects and no metadata from elsewhere */
	if (fsconfig(context, FSCONFIG_SET_STRING, "metacopy", "off", 0) < 0 ||
	    fsconfig(context, FSCONFIG_SET_STRING, "redirect_dir", "nofollow", 0) < 0 ||
	    fsconfig(context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return -errno;
	fd = fsmount(context, FSMOUNT_CLOEXEC, ATTRIBUTES);
	return fd < 0 ? -errno : fd;
}

static int merge(const int *layers, size_t n, struct error *err)
{
	cleanup_fd int back = -1;
	int r = merge_with(set_lowers_one_by_one, layers, n);

	if (r == -EINVAL) { /* the word is taken by a kernel that does not know it, the whole is refused */
		back = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (back < 0 || chdir("/proc/self/fd") < 0)
			return error_errno(err, errno, "go to /proc/self/fd");
		r = merge_with(set_lowers_in_one, layers, n);
		if (fchdir(back) < 0 && r >= 0) {
			fd_close(&r);
			r = -errno;
		}
	}
	return r < 0 ? error_errno(err, -r, "merge the %zu layers below", n) : r;
}

int below_open(const struct store *s, const struct digest *names, size_t n, struct error *err)
{
	int *layers = calloc(n, sizeof(*layers));
	size_t n_layers = 0;
	int r;

	if (!layers)
		return error_set(err, ENOMEM, "out of memory");
	r = store_layers_open(s, names, n, layers, &n_layers, err);
	if (r == 0)
		r = n_layers == 1 ? clone_one(layers[0], err) : merge(layers, n_layers, err);
	while (n_layers > 0)
		fd_close(&layers[--n_layers]);
	free(layers);
	return r;
}
