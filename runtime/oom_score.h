/*
 * Whom the kernel ends first when memory runs out on the whole host, or in a group above all sandboxes:
 * /proc/PID/oom_score_adj, proc(5). A sandbox before everything else of the host, the supervisor after everything else.
 *
 * Runs in: monitor, cubit-sandbox.
 */
#pragma once

#include <sys/types.h>

enum { OOM_SCORE_SANDBOX = 500, OOM_SCORE_SUPERVISOR = -900 };

/*
 * Be spared, and with us what we start without saying otherwise (the front). Needs CAP_SYS_RESOURCE; without it nothing
 * changes, and sandboxes still go first. Best effort.
 */
void oom_score_protect(void);

/*
 * Offer a child, before it starts anything: pid 1 of a sandbox. With CAP_SYS_RESOURCE this is also the least it can ask
 * for afterwards. A higher score than ours stays. Best effort: a score is no promise of anything.
 */
void oom_score_offer(pid_t pid);
