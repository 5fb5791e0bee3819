/*
 * The monitor: see monitor.h. Start, the loop, signals, and the front's comings and goings.
 *
 * One turn: wait for descriptors (requests, deaths, refused forks, signals), look at the clocks that are due, remove
 * one sandbox that is over. What is not urgent (network namespaces made ahead) happens when a turn found nothing to do.
 */
#include "supervisor/monitor/monitor.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <sys/wait.h>
#include <unistd.h>

#include "images/store/store.h"
#include "runtime/base/buf.h"
#include "runtime/base/clock.h"
#include "runtime/base/error.h"
#include "runtime/base/fd.h"
#include "runtime/base/log.h"
#include "runtime/base/parse.h"
#include "runtime/core_sched.h"
#include "runtime/oom_score.h"
#include "runtime/sandbox.h"
#include "runtime/surroundings.h"
#include "supervisor/monitor/admin_key.h"
#include "supervisor/monitor/image_table.h"
#include "supervisor/monitor/monitor_impl.h"
#include "supervisor/monitor/notify.h"
#include "supervisor/monitor/policy_table.h"
#include "supervisor/monitor/sandboxes.h"
#include "supervisor/protocol/front_fds.h"
#include "supervisor/settings.h"

enum {
	END_TIMEOUT_MS = 10000, /* for all sandboxes together, when we end */
	FRONT_LIVED_S = 30,     /* then its end is no sign that the next will fail as well */
	FRONT_ATTEMPTS = 5,     /* for the first front to open its doors */
	FRONT_END_S = 5,        /* from the end of its link to its own */
	DRAIN_GRACE_S = 5,
	PING_S = 2,        /* how often the front is asked whether its loop turns */
	PINGS_MISSED = 12, /* so many without an answer, of one that answered before: it hangs */
};

/* ---- fronts come and go ---- */

static void welcome(struct monitor *m)
{
	struct sysinfo machine = { 0 };
	struct monitor_welcome w = {
		.n_adopt = sandboxes_count_offered(m->sandboxes),
		.front_number = m->front_number,
		.is_hybrid = sandbox_host_cgroups(m->host)->is_hybrid,
	};
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);

	(void)sysinfo(&machine); /* cannot fail for our own memory */
	w.cpus = cpus > 0 ? (uint32_t)cpus : 1;
	w.memory_bytes = (uint64_t)machine.totalram * machine.mem_unit;
	memcpy(w.boot_id, m->boot_id, sizeof(w.boot_id));
	front_link_send(&m->link, MONITOR_WELCOME, 0, &w, NULL, 0);
	sandboxes_offer(m->sandboxes);
}

int monitor_attach_front(struct monitor *m, int sock, struct error *err)
{
	int r = front_link_open(&m->link, sock, err);

	if (r < 0)
		return r;
	m->front_number++;
	m->ping_at_ns = CLOCK_NEVER;
	m->n_pings = 0;
	m->has_ponged = false;
	welcome(m);
	if (m->is_stopping)
		front_link_send(&m->link, MONITOR_DRAIN, 0, NULL, NULL, 0);
	return 0;
}

/* The link is closed: end of file, or something that no front of ours says. */
static void on_link_lost(const struct error *why, void *arg)
{
	struct monitor *m = arg;

	if (why->code)
		log_error(LOG_FACTS(LOG_INT("front", m->front_number)), "the front broke the protocol, ending it: %s",
			  why->text);
	sandboxes_front_gone(m->sandboxes);
	m->next_check_ns = 0;
	/* Without a link it is of no use. An honest one is about to end, and may have a database to close. */
	if (why->code)
		front_process_kill(&m->front);
	else if (m->front.pidfd >= 0)
		m->kill_front_at_ns = clock_deadline_ns(FRONT_END_S * NS_PER_S);
}

static void end(struct monitor *m, int status)
{
	m->is_over = true;
	m->exit_status = status;
}

static void on_front_death(uint32_t events, void *arg);

static int start_front(struct monitor *m, struct error *err)
{
	const struct front_plan plan = {
		.settings = m->settings, .dirs = &m->dirs, .listeners = &m->listeners, .admin_hash = &m->admin_hash
	};
	int sock = -1, r;

	m->start_at_ns = CLOCK_NEVER;
	r = front_process_start(&plan, &m->front, &sock, err);
	if (r < 0)
		return r;
	m->front.started_ns = clock_now_ns();
	r = loop_add(m->loop, &m->front_death, m->front.pidfd, EPOLLIN, on_front_death, m, err);
	if (r < 0) {
		fd_close(&sock);
		front_process_kill(&m->front);
		(void)front_process_reap(&m->front);
		return r;
	}
	log_info(LOG_FACTS(LOG_INT("pid", m->front.pid), LOG_INT("front", m->front_number + 1)), "front started");
	return monitor_attach_front(m, sock, err);
}

/* How long to wait after so many short lives in a row. */
static uint64_t backoff_ns(unsigned n_failed)
{
	static const uint64_t delays_ms[] = { 0, 100, 1000, 5000 };
	const unsigned last = sizeof(delays_ms) / sizeof(delays_ms[0]) - 1;

	return delays_ms[n_failed < last ? n_failed : last] * NS_PER_MS;
}

static void plan_next_front(struct monitor *m)
{
	uint64_t delay = backoff_ns(m->n_failed++);

	if (!m->has_listened && m->n_failed >= FRONT_ATTEMPTS) {
		end(m, 1);
		return;
	}
	log_warning(LOG_NONE, "the front is gone, starting another in %u ms", (unsigned)(delay / NS_PER_MS));
	m->start_at_ns = clock_deadline_ns(delay);
}

static void log_front_end(struct monitor *m, pid_t pid, int status)
{
	const struct log_fact *facts = LOG_FACTS(LOG_INT("pid", pid), LOG_INT("front", m->front_number));

	if (WIFEXITED(status))
		(void)snprintf(m->front_end, sizeof(m->front_end), "front ended with status %d", WEXITSTATUS(status));
	else
		(void)snprintf(m->front_end, sizeof(m->front_end), "front killed by signal %d (%s)", WTERMSIG(status),
			       strsignal(WTERMSIG(status)));
	log_write(m->is_stopping && WIFEXITED(status) ? LOG_LEVEL_NOTICE : LOG_LEVEL_ERROR, facts, "%s", m->front_end);
}

static void on_front_death(uint32_t events, void *arg)
{
	struct monitor *m = arg;
	const pid_t pid = m->front.pid;
	int status;

	(void)events;
	loop_remove(m->loop, &m->front_death);
	m->kill_front_at_ns = CLOCK_NEVER;
	status = front_process_reap(&m->front);
	log_front_end(m, pid, status);
	if (front_link_is_open(&m->link)) {
		front_link_close(&m->link);
		sandboxes_front_gone(m->sandboxes);
	}
	if (m->is_stopping) {
		end(m, 0);
		return;
	}
	if (WIFEXITED(status) && WEXITSTATUS(status) == FRONT_EXIT_SETTINGS) {
		end(m, FRONT_EXIT_SETTINGS); /* the next one would read the same */
		return;
	}
	if (clock_now_ns() - m->front.started_ns >= FRONT_LIVED_S * NS_PER_S)
		m->n_failed = 0;
	plan_next_front(m);
}

/* ---- signals ---- */

static void stop(struct monitor *m)
{
	if (m->is_stopping)
		return;
	m->is_stopping = true;
	m->start_at_ns = CLOCK_NEVER;
	m->kill_front_at_ns = clock_deadline_ns(m->settings->drain_ns + DRAIN_GRACE_S * NS_PER_S);
	notify_send("STOPPING=1");
	log_notice(LOG_NONE, "stopping: running jobs may end, or are given back");
	front_link_send(&m->link, MONITOR_DRAIN, 0, NULL, NULL, 0);
	if (m->front.pidfd < 0)
		end(m, 0);
}

static void stop_at_once(struct monitor *m)
{
	log_notice(LOG_NONE, "stopping at once");
	end(m, 0);
}

static void reload(struct monitor *m)
{
	char text[64];

	(void)snprintf(text, sizeof(text), "RELOADING=1\nMONOTONIC_USEC=%llu",
		       (unsigned long long)(clock_now_ns() / NS_PER_US));
	notify_send(text);
	log_notice(LOG_NONE, "reading policies and languages again");
	policy_table_read(m->policies);
	front_link_send(&m->link, MONITOR_RELOAD, 0, NULL, NULL, 0);
	if (m->has_listened)
		notify_send("READY=1");
}

static void on_signal(uint32_t events, void *arg)
{
	struct monitor *m = arg;
	struct signalfd_siginfo si;

	(void)events;
	while (read(m->signal_fd, &si, sizeof(si)) == (ssize_t)sizeof(si)) {
		if (si.ssi_signo == SIGHUP)
			reload(m);
		else if (si.ssi_signo == SIGINT && m->n_interrupts++ > 0)
			stop_at_once(m);
		else
			stop(m);
	}
}

static int take_signals(struct monitor *m, struct error *err)
{
	sigset_t set;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGTERM);
	(void)sigaddset(&set, SIGINT);
	(void)sigaddset(&set, SIGHUP);
	/* a child resets both before exec: cubit-init and front_process.c */
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return error_errno(err, errno, "sigprocmask");
	m->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (m->signal_fd < 0)
		return error_errno(err, errno, "signalfd");
	return loop_add(m->loop, &m->signals, m->signal_fd, EPOLLIN, on_signal, m, err);
}

/* ---- the loop ---- */

static uint64_t earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/*
 * Does the front's loop still turn? What counts is questions without an answer and not time, so that a machine that was
 * suspended, or so busy that neither of us ran, is no reason to end it. While it starts it is not asked: a large
 * database takes as long as it takes.
 */
static void ping_front(struct monitor *m, uint64_t now)
{
	m->ping_at_ns = now + PING_S * NS_PER_S;
	if (!front_link_is_open(&m->link) || m->front.pidfd < 0) {
		m->ping_at_ns = CLOCK_NEVER;
	} else if (m->has_ponged && m->n_pings >= PINGS_MISSED) {
		log_error(LOG_FACTS(LOG_INT("pid", m->front.pid), LOG_INT("front", m->front_number)),
			  "the front hangs: it has not answered for %d s, ending it", PING_S * PINGS_MISSED);
		m->ping_at_ns = CLOCK_NEVER;
		front_process_kill(&m->front); /* its death starts the next one */
	} else {
		m->n_pings++;
		front_link_send(&m->link, MONITOR_PING, 0, NULL, NULL, 0);
	}
}

/* WatchdogSec= of the unit, sd_watchdog_enabled(3): twice as often as it asks for. */
static void read_watchdog(struct monitor *m)
{
	const char *text = getenv("WATCHDOG_USEC");
	uint64_t us = 0;

	m->watchdog_at_ns = CLOCK_NEVER;
	if (!text || parse_u64(text, 2, UINT64_MAX / NS_PER_US, &us, NULL) < 0)
		return;
	m->watchdog_ns = us * NS_PER_US / 2;
	m->watchdog_at_ns = 0;
}

/* What is due now. */
static void check_clocks(struct monitor *m)
{
	uint64_t now = clock_now_ns();
	struct error err = ERROR_INIT;

	if (sandboxes_have_news(m->sandboxes) || m->next_check_ns <= now)
		m->next_check_ns = sandboxes_check(m->sandboxes, now);
	if (m->next_age_ns <= now)
		m->next_age_ns = earlier(image_table_age(m->images, now), now + 30 * NS_PER_S);
	if (m->start_at_ns <= now && start_front(m, &err) < 0) {
		log_error(LOG_NONE, "%s", err.text);
		plan_next_front(m);
	}
	if (m->ping_at_ns <= now)
		ping_front(m, now);
	if (m->watchdog_at_ns <= now) {
		m->watchdog_at_ns = now + m->watchdog_ns;
		notify_send("WATCHDOG=1");
	}
	if (m->kill_front_at_ns <= now) {
		log_warning(LOG_FACTS(LOG_INT("pid", m->front.pid)), "the front did not end in time, ending it");
		m->kill_front_at_ns = CLOCK_NEVER;
		front_process_kill(&m->front);
	}
}

static uint64_t next_deadline(const struct monitor *m)
{
	uint64_t next = earlier(m->next_check_ns, m->next_age_ns);

	next = earlier(next, earlier(m->ping_at_ns, m->watchdog_at_ns));
	return earlier(earlier(next, m->start_at_ns), m->kill_front_at_ns);
}

int monitor_turn(struct monitor *m, int max_ms, struct error *err)
{
	bool has_dead = sandboxes_bury_one(m->sandboxes);
	bool is_idle_work = netns_pool_wants_more(&m->nets) && !m->is_stopping;
	int ms = clock_poll_ms(next_deadline(m)), n;

	if (max_ms >= 0 && (ms < 0 || ms > max_ms))
		ms = max_ms;
	n = loop_turn(m->loop, has_dead || is_idle_work ? 0 : ms, err);
	if (n < 0)
		return n;
	check_clocks(m);
	if (n == 0 && !has_dead && is_idle_work)
		netns_pool_add(&m->nets);
	return 0;
}

/* ---- start and end ---- */

static void read_boot_id(struct monitor *m)
{
	cleanup_buf struct buf text = BUF_BOUNDED(64);

	/* without one the front sees each start as another boot, which is the careful side */
	(void)fd_read_file(AT_FDCWD, "/proc/sys/kernel/random/boot_id", 64, &text, NULL);
	(void)snprintf(m->boot_id, sizeof(m->boot_id), "%.*s", (int)strcspn(buf_str(&text), "\n"), buf_str(&text));
}

/* What sandboxes can be made with, and will be missing in them. */
static void warn_of_surroundings(void)
{
	struct surrounding s;

	for (size_t i = 0; i < surroundings_count(); i++) {
		surroundings_look(i, &s);
		if (s.status == SURROUNDING_POOR)
			log_warning(LOG_FACTS(LOG_STR("check", surroundings_name(i)), LOG_STR("remedy", s.remedy)),
				    "going on: %s", s.detail);
	}
}

static int open_host(struct monitor *m, struct error *err)
{
	const struct sandbox_host_options o = {
		.run_dir = m->settings->run_dir,
		.id_base = (uint32_t)m->settings->id_base,
		.id_count = (uint32_t)m->settings->id_count,
		.allow_unenforced = m->settings->allow_unenforced,
	};
	size_t n_left = 0;
	int r = sandbox_host_open(&o, &m->host, err);

	if (r == 0)
		warn_of_surroundings();
	if (r == 0)
		r = sandbox_host_end_orphans(m->host, &n_left, err);
	if (r == 0 && n_left > 0)
		log_notice(LOG_FACTS(LOG_INT("sandboxes", n_left)), "ended sandboxes that an earlier monitor had left");
	return r;
}

static int open_store(struct monitor *m, struct error *err)
{
	char root[4096];

	if (snprintf(root, sizeof(root), "%s/images", m->settings->state_dir) >= (int)sizeof(root))
		return error_set(err, ENAMETOOLONG, "CUBIT_STATE is too long");
	return store_open(root, &m->store, err);
}

static int open_tables(struct monitor *m, struct error *err)
{
	struct sandboxes_env env;
	int r = policy_table_new(m->settings->policies_dir, m->settings->replace_policies, &m->policies, err);

	if (r == 0) {
		policy_table_read(m->policies);
		r = totals_open(m->settings, &m->totals, err);
	}
	if (r < 0)
		return r;
	m->images = image_table_new(m->store);
	env = (struct sandboxes_env){
		.settings = m->settings,
		.totals = &m->totals,
		.host = m->host,
		.loop = m->loop,
		.link = &m->link,
		.images = m->images,
		.policies = m->policies,
		.nets = &m->nets,
	};
	m->sandboxes = m->images ? sandboxes_new(&env) : NULL;
	return m->sandboxes ? 0 : error_errno(err, ENOMEM, "tables");
}

/* Asked for and not to be had is refused here, in words, and not by each sandbox. */
static int check_core_sched(const struct settings *s, struct error *err)
{
	if (!s->core_sched)
		return 0;
	switch (core_sched_probe()) {
	case CORE_SCHED_HAVE:
		break;
	case CORE_SCHED_NO_THREADS:
		log_notice(LOG_NONE,
			   "CUBIT_CORE_SCHED: no core of this machine has two hardware threads, nothing to keep apart");
		break;
	case CORE_SCHED_NO_KERNEL:
		return error_set(err, ENOTSUP,
				 "CUBIT_CORE_SCHED: this kernel has no core scheduling (CONFIG_SCHED_CORE)");
	}
	return 0;
}

int monitor_open(const struct settings *settings, struct monitor **ret, struct error *err)
{
	struct monitor *m = calloc(1, sizeof(*m));
	int r;

	if (!m)
		return error_errno(err, ENOMEM, "monitor");
	*m = (struct monitor){
		.settings = settings,
		.dirs = STATE_DIR_INIT,
		.link = FRONT_LINK_INIT,
		.listeners = LISTENERS_INIT,
		.front = FRONT_PROCESS_INIT,
		.front_death = LOOP_SOURCE_INIT,
		.totals = TOTALS_INIT,
		.signals = LOOP_SOURCE_INIT,
		.signal_fd = -1,
		.start_at_ns = CLOCK_NEVER,
		.kill_front_at_ns = CLOCK_NEVER,
		.ping_at_ns = CLOCK_NEVER,
	};
	read_watchdog(m);
	read_boot_id(m);
	r = check_core_sched(settings, err);
	if (r == 0)
		r = loop_new(&m->loop, err);
	m->link.loop = m->loop;
	m->link.message = requests_serve;
	m->link.lost = on_link_lost;
	m->link.arg = m;
	if (r == 0)
		r = state_dir_open(settings, &m->dirs, err);
	if (r == 0)
		r = open_host(m, err);
	if (r == 0)
		r = open_store(m, err);
	if (r == 0)
		r = open_tables(m, err);
	if (r < 0)
		monitor_close(m);
	else
		*ret = m;
	return r;
}

static void end_front(struct monitor *m)
{
	loop_remove(m->loop, &m->front_death);
	if (m->front.pidfd >= 0) {
		front_process_kill(&m->front);
		(void)front_process_reap(&m->front);
	}
	front_link_close(&m->link);
}

void monitor_close(struct monitor *m)
{
	if (!m)
		return;
	if (m->loop) {
		end_front(m);
		loop_remove(m->loop, &m->signals);
	}
	sandboxes_free(m->sandboxes, END_TIMEOUT_MS);
	listeners_close(&m->listeners, m->dirs.run_fd);
	netns_pool_done(&m->nets);
	image_table_free(m->images);
	policy_table_free(m->policies);
	totals_done(&m->totals);
	store_close(m->store);
	sandbox_host_close(m->host);
	fd_close(&m->signal_fd);
	loop_free(m->loop);
	state_dir_close(&m->dirs);
	free(m);
}

/* ---- the program ---- */

static int prepare_process(const struct settings *s, struct error *err)
{
	enum log_level level = LOG_LEVEL_NOTICE;

	(void)log_parse_level(s->log_level, &level); /* the settings were checked */
	log_init(STDERR_FILENO, level, strcmp(s->log_format, "json") == 0 ? LOG_FORMAT_JSON : LOG_FORMAT_TEXT);
	if (geteuid() != 0)
		return error_set(err, EPERM,
				 "needs root: it makes sandboxes (the part that talks to the network does not)");
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return error_errno(err, errno, "prctl");
	(void)signal(SIGPIPE, SIG_IGN);
	(void)umask(022);    /* limits, and the rest that sandboxes need: sandbox_host_open() */
	oom_score_protect(); /* and the front, which inherits it */
	return 0;
}

static int open_doors(struct monitor *m, struct error *err)
{
	int made = admin_key_open(m->dirs.state_fd, m->settings->admin_key, &m->admin_hash, err);

	if (made < 0)
		return made;
	log_notice(LOG_NONE, "the admin key is in '%s/admin.key'%s", m->settings->state_dir,
		   made ? ", newly made" : "");
	return listeners_open(m->dirs.run_fd, m->settings->listen, &m->listeners, err);
}

int monitor_main(const struct settings *settings, struct error *err)
{
	struct monitor *m = NULL;
	int r = prepare_process(settings, err), status;

	if (r == 0)
		r = monitor_open(settings, &m, err);
	if (r == 0)
		r = take_signals(m, err);
	if (r == 0)
		r = open_doors(m, err);
	if (r == 0)
		m->start_at_ns = 0;
	while (r == 0 && !m->is_over)
		r = monitor_turn(m, -1, err);
	if (r == -EINVAL && m)
		err->code = EIO; /* no setting is at fault any more */
	if (r == 0 && m->exit_status == FRONT_EXIT_SETTINGS)
		(void)error_set(err, EINVAL, "the front refuses a setting: see the line before");
	else if (r == 0 && m->exit_status != 0)
		(void)error_set(err, ECHILD, "the front did not come up in %d attempts; the last: %s", FRONT_ATTEMPTS,
				m->front_end);
	status = r < 0 ? 1 : m->exit_status;
	monitor_close(m);
	if (status == 0)
		log_notice(LOG_NONE, "stopped");
	return status;
}
