/* Network namespaces made ahead: see netns_pool.h. */
#include "supervisor/monitor/netns_pool.h"

#include "runtime/base/error.h"
#include "runtime/base/fd.h"
#include "runtime/base/log.h"

int netns_pool_take(struct netns_pool *p, struct error *err)
{
	int fd;

	if (p->n > 0)
		return fd_take(&p->fds[--p->n]);
	fd = netns_new(&p->maker, err);
	if (fd >= 0)
		p->is_broken = false;
	return fd;
}

void netns_pool_add(struct netns_pool *p)
{
	struct error err = ERROR_INIT;
	int fd = netns_new(&p->maker, &err);

	if (fd < 0) {
		p->is_broken = true;
		log_warning(LOG_NONE, "cannot make network namespaces ahead, making them when needed: %s", err.text);
		return;
	}
	p->fds[p->n++] = fd;
}

void netns_pool_done(struct netns_pool *p)
{
	while (p->n > 0)
		fd_close(&p->fds[--p->n]);
	netns_maker_done(&p->maker);
}
