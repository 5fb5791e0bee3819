/* The sealed memory file: see init_image.h. */
#include "runtime/init_image.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "runtime/base/error.h"
#include "runtime/base/fd.h"

#ifndef MFD_EXEC
#define MFD_EXEC 0x0010U /* since 6.3, where vm.memfd_noexec=1 makes the opposite the default */
#endif

extern const char init_image[], init_image_end[]; /* init_image.S */

int init_image_open(struct error *err)
{
	cleanup_fd int fd = memfd_create("cubit-init", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_EXEC);
	int r;

	if (fd < 0 && errno == EINVAL) /* before 6.3 each may be executed */
		fd = memfd_create("cubit-init", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0 && errno == EACCES)
		return error_errno(err, errno, "memory file for cubit-init (is vm.memfd_noexec 2?)");
	if (fd < 0)
		return error_errno(err, errno, "memory file for cubit-init");
	/* the two symbols bound one object of the assembler */
	r = fd_write_all(fd, init_image, (size_t)((uintptr_t)init_image_end - (uintptr_t)init_image), err);
	if (r < 0)
		return r;
	/* Only ever executed, by root of the host: a payload that comes across it (a script may name /proc/self/exe)
	 * cannot open it, and a lock on an inode that all sandboxes share would be a channel between them. */
	if (fchmod(fd, 0100) < 0)
		return error_errno(err, errno, "mode of cubit-init");
	if (fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0)
		return error_errno(err, errno, "seal cubit-init");
	return fd_take(&fd);
}
