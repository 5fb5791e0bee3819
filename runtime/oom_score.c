/* Scores for the kernel's choice: see oom_score.h. */
#include "runtime/oom_score.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#include "runtime/base/buf.h"
#include "runtime/base/fd.h"

static int read_score(const char *path)
{
	cleanup_buf struct buf text = BUF_BOUNDED(32);

	return fd_read_file(AT_FDCWD, path, 32, &text, NULL) < 0 ? 0 : (int)strtol(buf_str(&text), NULL, 10);
}

static void write_score(const char *path, int score)
{
	char text[16];

	(void)snprintf(text, sizeof(text), "%d", score);
	(void)fd_write_file(AT_FDCWD, path, text, NULL);
}

void oom_score_protect(void)
{
	static const char path[] = "/proc/self/oom_score_adj";

	if (read_score(path) > OOM_SCORE_SUPERVISOR)
		write_score(path, OOM_SCORE_SUPERVISOR);
}

void oom_score_offer(pid_t pid)
{
	char path[48];

	(void)snprintf(path, sizeof(path), "/proc/%d/oom_score_adj", (int)pid);
	if (read_score(path) < OOM_SCORE_SANDBOX)
		write_score(path, OOM_SCORE_SANDBOX);
}
