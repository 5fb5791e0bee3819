/*
 * The checks of `cubit doctor`: what a check is, what it finds, and the list of those that there are.
 *
 * A check tries what Cubit will do and writes down what it found. It runs in a child of its own, so it may enter
 * namespaces, mount and crash; it must leave nothing behind that outlives the child except what its `undo` removes.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

enum finding_status {
	FINDING_OK,
	FINDING_WARNING, /* Cubit runs, but something will be missing, slower or smaller */
	FINDING_MISSING, /* Cubit cannot run, or not as it is configured */
	FINDING_STATUSES,
};

struct finding {
	enum finding_status status;
	char detail[480]; /* what was found: a sentence without its full stop */
	char remedy[480]; /* what to do about it; "" for ok */
};

struct check {
	const char *name;
	const char *group;
	void (*run)(const struct check *c, struct finding *f);
	int arg;         /* which one, for a check that does several things */
	bool needs_root; /* without it the check is not even tried; the check "root" says the rest */
	void (*undo)(const struct check *c); /* in the parent, after the child died before its report; may be NULL */
};

/* Set a finding; the last call counts. Each takes the detail, then finding_remedy adds what to do. */
void finding_ok(struct finding *f, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void finding_warning(struct finding *f, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void finding_missing(struct finding *f, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void finding_remedy(struct finding *f, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* The directory that CUBIT_STATE names (or the default), or its nearest parent that exists. In `ret`. */
void doctor_state_dir(char *ret, size_t size);

/* A number from a file of /proc, in *ret; false when there is no such file, or no number in it. */
bool doctor_read_number(const char *path, long long *ret);

/* Does our effective set have this capability, capabilities(7)? */
bool doctor_has_capability(int cap);

/* The name of the groups that checks make: one for all of them, since one check runs at a time. */
const char *doctor_group_name(void);

/* ---- one file per subject: doctor_SUBJECT.c ---- */
void check_kernel(const struct check *c, struct finding *f);
void check_root(const struct check *c, struct finding *f);
void check_settings(const struct check *c, struct finding *f);
void check_speculation(const struct check *c, struct finding *f);
void check_core_sched(const struct check *c, struct finding *f);
void check_smt(const struct check *c, struct finding *f);
void check_userns(const struct check *c, struct finding *f);
void check_idmap(const struct check *c, struct finding *f);
void check_cgroup_mounts(const struct check *c, struct finding *f);
void check_cgroup_clone(const struct check *c, struct finding *f);
void check_cgroup_delegation(const struct check *c, struct finding *f);
void check_cgroup_controller(const struct check *c, struct finding *f); /* arg: enum cgroup_controller */
void check_cgroup_swap(const struct check *c, struct finding *f);
void undo_cgroup(const struct check *c);
void check_seccomp(const struct check *c, struct finding *f);
void check_veth(const struct check *c, struct finding *f);
void check_nftables(const struct check *c, struct finding *f);
void check_surrounding(const struct check *c, struct finding *f); /* the row of that name */
void check_namespace_counts(const struct check *c, struct finding *f);
void check_pid_max(const struct check *c, struct finding *f);
void check_inotify(const struct check *c, struct finding *f);
void check_budgets(const struct check *c, struct finding *f);
void check_sys_resource(const struct check *c, struct finding *f);
void check_disk(const struct check *c, struct finding *f);
void check_images(const struct check *c, struct finding *f);
void check_memory(const struct check *c, struct finding *f);
void check_redis(const struct check *c, struct finding *f);
void check_s3(const struct check *c, struct finding *f);
