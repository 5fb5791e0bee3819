/*
 * A control group that outlives the service: held by a process that does nothing else (the *keeper*), so that sandboxes
 * which shall survive an end, a crash or an upgrade of their supervisor have a place outside of its group. A service
 * manager ends what is in the service's group; the keeper is a service of its own.
 *
 *   .../cubitd.service/        supervisor, jobs            ends with the service
 *   .../cubit-cubes.service/   the keeper, what outlives   stays
 *
 * The keeper writes its pid to RUN/keeper and holds that file locked (flock(2)) for as long as it lives. Others read the
 * pid, look up its group in /proc/PID/cgroup and make theirs beside the keeper's leaf, exactly as below their own.
 *
 * cgroup v2 only: on hybrid hosts nothing outlives the service.
 *
 * Runs in: cubitd --hold-cubes (announce); monitor, cubit-sandbox (open). Root.
 */
#pragma once

struct cgroup_host;
struct error;

#define CGROUP_KEEPER_FILE "keeper"

/*
 * Become the keeper: prepare our own group to hand controllers down, say so in the run directory.
 *
 * run_fd    borrowed directory, CUBIT_RUN
 * ret_lock  owned descriptor: the group counts as kept for as long as it is open
 *
 * Returns 0 or -errno: -EBUSY another keeper lives; -ENOTSUP memory, cpu or pids are not on cgroup v2 here.
 */
int cgroup_keeper_announce(int run_fd, int *ret_lock, struct error *err);

/*
 * The living keeper's group, as cgroup_host_open() gives our own. ret owned: cgroup_host_done().
 * Returns 0 or -errno: -ENOENT no keeper lives (err is filled too). Nobody is moved.
 */
int cgroup_keeper_open(int run_fd, struct cgroup_host *ret, struct error *err);
