/* What an agent says is in a directory: see paths.h. */
#include "supervisor/jobs/paths.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/agent/agent_proto.h"
#include "runtime/base/alloc.h"

bool path_is_plain(const char *path)
{
	for (;;) {
		size_t n = strcspn(path, "/");

		if (n == 0 || (n == 1 && path[0] == '.') || (n == 2 && path[0] == '.' && path[1] == '.'))
			return false;
		if (!path[n])
			return true;
		path += n + 1;
	}
}

int paths_each(const char *data, size_t size, bool (*fn)(void *arg, const struct agent_file_record *r), void *arg)
{
	struct agent_file_record *r = alloc_bytes(sizeof(*r)); /* 8 KiB */
	int result = 0;

	while (result == 0 && size > 0) {
		ssize_t n = agent_record_decode(data, size, r);

		if (n <= 0 || !path_is_plain(r->path)) {
			result = -EPROTO;
		} else if (!fn(arg, r)) {
			result = -ECANCELED;
		} else {
			data += n;
			size -= (size_t)n;
		}
	}
	free(r);
	return result;
}
