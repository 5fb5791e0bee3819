/* Sandboxes for `cubit runtime test`: see trial_host.h. */
#include "tools/cubit/trial_host.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/filter.h>

#include "images/config.h"
#include "images/store/store.h"
#include "policies/compile.h"
#include "policies/lookup.h"
#include "policies/profile.h"
#include "policies/rules.h"
#include "runtime/agent/agent.h"
#include "runtime/base/buf.h"
#include "runtime/base/clock.h"
#include "runtime/base/error.h"
#include "runtime/base/fd.h"
#include "runtime/cgroup/cgroup_scope.h"
#include "runtime/run.h"
#include "runtime/sandbox.h"
#include "supervisor/settings.h"

enum {
	READY_MS = 30000,
	DEFAULT_WALL_MS = 5000,
	DEFAULT_PROCESSES = 64,
	DEFAULT_OUTPUT = 1 << 20,
	CONFIG_MAX = 4 << 20,
	ENV_MAX = 256,
};

/* ---- opening ---- */

static int compile_policy(struct trial_host *h, struct error *err)
{
	cleanup_policy_profile struct policy_profile *profile = NULL;
	struct policy_context context;
	int r = policy_lookup("default", &profile, err);

	if (r == 0)
		r = policy_context_host(0, &context, err);
	if (r == 0)
		r = policy_compile(profile, &context, &h->filter, err);
	return r;
}

static int open_store(struct trial_host *h, struct error *err)
{
	char root[4096];

	(void)snprintf(root, sizeof(root), "%s/images", settings_used()->state_dir);
	if (access(root, F_OK) < 0)
		return 0; /* asking for an image must not make a store */
	return store_open(root, &h->store, err);
}

int trial_host_open(struct trial_host *ret, const char *rootfs, struct error *err)
{
	const struct settings *settings = settings_used();
	const struct sandbox_host_options o = {
		.run_dir = settings->run_dir,
		.id_base = (uint32_t)settings->id_base,
		.id_count = (uint32_t)settings->id_count,
		.allow_unenforced = settings->allow_unenforced,
	};
	int r;

	*ret = (struct trial_host){ .rootfs = rootfs };
	if (geteuid() != 0)
		return error_set(err, EPERM, "needs root: it makes sandboxes");
	cgroup_scope_enter();
	(void)signal(SIGPIPE, SIG_IGN);             /* a program that does not read is no reason to die */
	r = sandbox_host_open(&o, &ret->host, err); /* first: with our limits as they were, anything might fail */
	if (r == 0)
		r = compile_policy(ret, err);
	if (r == 0 && !rootfs)
		r = open_store(ret, err);
	return r;
}

static void close_image(struct trial_host *h)
{
	while (h->n_layers > 0)
		fd_close(&h->layer_fds[--h->n_layers]);
	for (size_t i = 0; h->image_env && h->image_env[i]; i++)
		free(h->image_env[i]);
	free(h->image_env);
	h->image_env = NULL;
}

void trial_host_close(struct trial_host *h)
{
	close_image(h);
	store_close(h->store);
	policy_filter_unref(h->filter);
	sandbox_host_close(h->host);
}

/* ---- images ---- */

static int take_env(struct trial_host *h, const struct image_record *record, struct error *err)
{
	cleanup_image_config struct image_config *config = NULL;
	cleanup_buf struct buf text = BUF_INIT;
	int r = store_blob_read(h->store, &record->config, CONFIG_MAX, &text, err);

	if (r == 0)
		r = image_config_parse(buf_str(&text), text.size, &config, err);
	if (r == 0) {
		h->image_env = config->env.items;
		config->env.items = NULL; /* moved */
		config->env.count = 0;
	}
	return r;
}

static int open_layers(struct trial_host *h, const struct image_record *record, struct error *err)
{
	if (record->n_layers > TRIAL_LAYERS_MAX)
		return error_set(err, E2BIG, "%zu layers, more than %d", record->n_layers, TRIAL_LAYERS_MAX);
	return store_layers_open(h->store, record->diff_ids, record->n_layers, h->layer_fds, &h->n_layers, err);
}

int trial_host_image(struct trial_host *h, const char *image, struct error *err)
{
	struct image_record *record = NULL;
	int r;

	close_image(h);
	if (h->rootfs) {
		int fd = open(h->rootfs, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

		if (fd < 0)
			return error_errno(err, errno, "open directory '%s'", h->rootfs);
		h->layer_fds[h->n_layers++] = fd;
		return 0;
	}
	if (!h->store)
		return error_set(err, ENOENT, "there is no image store yet");
	r = store_ref_get(h->store, image, &record, err);
	if (r < 0)
		return r;
	r = open_layers(h, record, err);
	if (r == 0)
		r = take_env(h, record, err);
	image_record_free(record);
	if (r == -ENOENT) /* the image is known, and part of it gone: not the same as a missing image */
		r = error_set(err, EIO, "image '%s' is not whole: make or pull it again", image);
	return r;
}

/* ---- sandboxes ---- */

int trial_sandbox(struct trial_host *h, const struct runtime_limits *limits, uint64_t disk_bytes, struct sandbox **ret,
		  struct error *err)
{
	struct sandbox *s = NULL;
	struct sandbox_spec spec;
	char id[48];
	int r;

	(void)snprintf(id, sizeof(id), "runtime-test-%d-%u", (int)getpid(), h->n_sandboxes++);
	sandbox_spec_defaults(&spec);
	spec.id = id;
	spec.layers = h->layer_fds;
	spec.n_layers = h->n_layers;
	spec.filter = h->filter->program;
	spec.filter_bytes = h->filter->n_instructions * sizeof(*h->filter->program);
	if (disk_bytes)
		spec.disk.size_bytes = disk_bytes;
	if (limits->memory_bytes)
		spec.limits.memory_max_bytes = limits->memory_bytes;
	if (limits->cpus_milli)
		spec.limits.cpu_max_milli = limits->cpus_milli;
	spec.limits.pids_max = (limits->processes ? limits->processes : DEFAULT_PROCESSES) + 1; /* and our pid 1 */
	r = sandbox_create(h->host, &spec, &s, err);
	if (r == 0)
		r = sandbox_wait_ready(s, READY_MS, err);
	if (r < 0 && s)
		(void)sandbox_destroy(s, READY_MS, NULL); /* the first failure is the one to tell */
	if (r == 0)
		*ret = s;
	return r;
}

int trial_relimit(struct sandbox *s, const struct runtime_limits *limits, struct error *err)
{
	struct sandbox_spec defaults;
	struct cgroup_limits l = { .memory_max_bytes = limits->memory_bytes, .cpu_max_milli = limits->cpus_milli };

	sandbox_spec_defaults(&defaults);
	if (!l.memory_max_bytes)
		l.memory_max_bytes = defaults.limits.memory_max_bytes;
	if (!l.cpu_max_milli)
		l.cpu_max_milli = defaults.limits.cpu_max_milli;
	l.pids_max = (limits->processes ? limits->processes : DEFAULT_PROCESSES) + 1;
	return sandbox_change_limits(s, &l, err);
}

/* One message within a bounded time. */
static int next_event(struct sandbox *s, struct agent_event *e, struct error *err)
{
	struct pollfd p = { .fd = s->sock, .events = POLLIN };
	int r;

	if (poll(&p, 1, READY_MS) <= 0)
		return error_set(err, ETIMEDOUT, "sandbox '%s' does not answer", s->id);
	r = agent_receive(s->sock, e, MSG_DONTWAIT, err);
	if (r == 0)
		return error_set(err, EPIPE, "sandbox '%s' is gone", s->id);
	return r < 0 ? r : 0;
}

static int feed(struct sandbox *s, struct agent_event *e, const char *text, struct error *err)
{
	int r = next_event(s, e, err);

	if (r == 0 && e->header.type == AGENT_FILE_OPEN && e->n_fds == 1) {
		(void)fd_write_all(e->fds[0], text, strlen(text), NULL); /* the answer says how it went */
		agent_event_done(e);
		r = next_event(s, e, err);
	}
	if (r == 0 && e->header.type == AGENT_REFUSED)
		r = agent_failure(&e->any.failed, err);
	else if (r == 0 && e->header.type != AGENT_FILE_DONE)
		r = error_set(err, EPROTO, "sandbox '%s': it sent an answer that was not asked for", s->id);
	else if (r == 0 && e->any.file_done.code != 0)
		r = error_errno(err, (int)e->any.file_done.code, "write");
	agent_event_done(e);
	return r;
}

int trial_write(struct sandbox *s, const char *path, const char *text, struct error *err)
{
	static struct agent_event e;
	static struct agent_file f;
	int r;

	f = (struct agent_file){ .op = AGENT_FILE_WRITE, .mode = 0644, .limit = strlen(text) };
	f.uid = f.gid = PROCESS_DEFAULT_ID;
	(void)snprintf(f.path, sizeof(f.path), "%s", path);
	r = agent_request(s->sock, AGENT_FILE, sandbox_next_seq(s), &f, err);
	if (r == 0)
		r = feed(s, &e, text, err);
	return r < 0 ? error_wrap(err, "'%s'", path) : 0;
}

/* ---- running ---- */

/* Replace the variable of that name, or append. Beyond the bound, silently none: runtime_def and config are bounded. */
static size_t set_env(const char *list[ENV_MAX + 1], size_t n, const char *item)
{
	size_t name = strcspn(item, "=") + 1;

	for (size_t i = 0; i < n; i++) {
		if (strncmp(list[i], item, name) == 0) {
			list[i] = item;
			return n;
		}
	}
	if (n < ENV_MAX)
		list[n++] = item;
	list[n] = NULL;
	return n;
}

struct outputs {
	struct buf *buf[2];
};

static int on_output(int stream, const void *data, size_t size, void *arg)
{
	const struct outputs *o = arg;

	(void)buf_append(o->buf[stream - 1], data, size); /* what is over the bound is not looked at */
	return 0;
}

int trial_run(struct trial_host *h, struct sandbox *s, char *const *argv, char *const *env,
	      const struct runtime_limits *limits, struct buf *out, struct buf *errors, struct run_result *ret,
	      struct error *err)
{
	static const char *const common[] = { "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
					      "LANG=C.UTF-8", "HOME=/work" };
	const char *all[ENV_MAX + 1] = { NULL };
	struct outputs outputs = { { out, errors } };
	uint64_t wall = limits->wall_ms ? limits->wall_ms : DEFAULT_WALL_MS;
	const struct process_limits process_limits = { limits->open_files, limits->stack_bytes, limits->file_bytes };
	struct process_rlimit rlimits[AGENT_RLIMITS_MAX];
	size_t n_rlimits = process_rlimits(&process_limits, rlimits);
	struct process_spec process = {
		.argv = (const char *const *)argv,
		.env = all,
		.cwd = "/work",
		.uid = PROCESS_DEFAULT_ID,
		.gid = PROCESS_DEFAULT_ID,
		.stdio = AGENT_STDIO_NO_STDIN,
		.umask = 022,
		.rlimits = rlimits,
		.n_rlimits = n_rlimits,
	};
	struct run_spec spec = {
		.process = &process,
		.limits = { .wall_ns = wall * NS_PER_MS,
			    .cpu_ns = (limits->cpu_ms ? limits->cpu_ms : wall) * NS_PER_MS,
			    .output_bytes = limits->output_bytes ? limits->output_bytes : DEFAULT_OUTPUT },
		.input_fd = -1,
		.on_output = on_output,
		.arg = &outputs,
	};
	size_t n = 0;

	for (size_t i = 0; i < sizeof(common) / sizeof(common[0]); i++)
		n = set_env(all, n, common[i]);
	for (size_t i = 0; h->image_env && h->image_env[i]; i++)
		n = set_env(all, n, h->image_env[i]);
	for (size_t i = 0; env && env[i]; i++)
		n = set_env(all, n, env[i]);
	return run_process(s, &spec, ret, err);
}
