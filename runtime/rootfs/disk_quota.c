/* Project quota on a directory: see disk.h. */
#include <errno.h>
#include <linux/fs.h>
#include <linux/quota.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "runtime/base/error.h"
#include "runtime/rootfs/disk.h"

enum { QUOTA_BLOCK_BYTES = 1024 };

/* The header's Q_SETQUOTA wants a command and a type in one word, quotactl(2) */
#define PROJECT_QUOTA(cmd) (((unsigned)(cmd) << SUBCMDSHIFT) | (PRJQUOTA & SUBCMDMASK))

static int is_unsupported(int code)
{
	return code == ENOTTY || code == EOPNOTSUPP || code == ENOSYS || code == ESRCH || code == EINVAL;
}

int disk_quota_set(int dir_fd, uint64_t size_bytes, uint64_t inodes, struct error *err)
{
	struct if_dqblk limits = {
		.dqb_bhardlimit = (size_bytes + QUOTA_BLOCK_BYTES - 1) / QUOTA_BLOCK_BYTES,
		.dqb_ihardlimit = inodes,
		.dqb_valid = QIF_LIMITS,
	};
	struct fsxattr attr;
	struct stat st;
	uint32_t project;

	if (fstat(dir_fd, &st) < 0)
		return error_errno(err, errno, "look at the directory");
	/* An inode number is unique on its file system for as long as the directory lives; 0 means "no project". */
	project = (uint32_t)st.st_ino ? (uint32_t)st.st_ino : 1;
	if (syscall(SYS_quotactl_fd, dir_fd, PROJECT_QUOTA(Q_SETQUOTA), project, &limits) < 0)
		return is_unsupported(errno) ? error_set(err, ENOTSUP, "its file system has no project quota")
					     : error_errno(err, errno, "set the project quota");
	if (ioctl(dir_fd, FS_IOC_FSGETXATTR, &attr) < 0)
		return error_errno(err, errno, "read the project of the directory");
	attr.fsx_projid = project;
	attr.fsx_xflags |= FS_XFLAG_PROJINHERIT;
	if (ioctl(dir_fd, FS_IOC_FSSETXATTR, &attr) < 0)
		return error_errno(err, errno, "set the project of the directory");
	return 0;
}
