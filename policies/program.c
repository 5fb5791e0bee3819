/* What libseccomp exports: see program.h. */
#include "policies/program.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "runtime/base/buf.h"
#include "runtime/base/error.h"
#include "runtime/base/fd.h"

int policy_library_error(struct error *err, int r, const char *what)
{
	return error_errno(err, -r, "libseccomp: %s", what); /* it returns -errno */
}

int policy_program_export(scmp_filter_ctx ctx, struct policy_program *ret, struct error *err)
{
	cleanup_fd int fd = memfd_create("filter", MFD_CLOEXEC);
	cleanup_buf struct buf bytes = BUF_BOUNDED(sizeof(ret->code));
	int r;

	if (fd < 0)
		return error_errno(err, errno, "memfd_create");
	r = seccomp_export_bpf(ctx, fd);
	if (r < 0)
		return policy_library_error(err, r, "export");
	if (lseek(fd, 0, SEEK_SET) < 0)
		return error_errno(err, errno, "lseek");
	r = fd_read_all(fd, sizeof(ret->code), &bytes, err);
	if (r == -EFBIG)
		return error_set(err, E2BIG, "the filter has more than %d instructions", BPF_MAXINSNS);
	if (r < 0)
		return r;
	if (bytes.size == 0 || bytes.size % sizeof(ret->code[0]) != 0)
		return error_set(err, EPROTO, "libseccomp: exported %zu bytes", bytes.size);
	memcpy(ret->code, bytes.data, bytes.size);
	ret->n = bytes.size / sizeof(ret->code[0]);
	return 0;
}
