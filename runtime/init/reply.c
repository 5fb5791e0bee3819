/* What pid 1 says to the host: answers, and why something could not be done. See init.h. */
#include <errno.h>
#include <string.h>

#include "runtime/init/init.h"

int fail(struct failure *f, enum agent_stage stage, const char *object)
{
	f->stage = stage;
	f->code = errno;
	(void)strncpy(f->object, object, sizeof(f->object) - 1);
	f->object[sizeof(f->object) - 1] = '\0';
	return -1;
}

void reply(struct init *in, enum agent_message type, uint32_t seq, const void *message, const int *fds, size_t n_fds)
{
	struct frame_writer w;

	if (agent_encode(&w, in->out, sizeof(in->out), type, seq, message, NULL) == 0)
		(void)frame_send(INIT_SOCKET, &w, fds, n_fds, 0, NULL); /* a peer that is gone shows as end of file */
}

void reply_failure(struct init *in, enum agent_message type, uint32_t seq, const struct failure *f)
{
	struct agent_failed m = { .stage = f->stage, .code = (uint32_t)f->code };

	memcpy(m.object, f->object, sizeof(m.object));
	reply(in, type, seq, &m, NULL, 0);
}

void reply_refused(struct init *in, uint32_t seq, const struct failure *f)
{
	reply_failure(in, AGENT_REFUSED, seq, f);
}
