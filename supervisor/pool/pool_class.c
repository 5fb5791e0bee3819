/* What makes one sandbox as good as another: see pool_impl.h. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "images/digest.h"
#include "runtime/base/alloc.h"
#include "supervisor/pool/pool_impl.h"
#include "supervisor/pool/prestart.h"

enum { DEFAULT_PROCESSES = 64 };
#define DEFAULT_DISK (UINT64_C(64) << 20)

static void make_key(const struct sandbox_class *w, const struct pool_manifest *manifest, char ret[POOL_KEY_BYTES])
{
	struct digest launcher = { "" };

	/* the launcher and what it was started with are inputs too; a definition's text has both */
	if (w->may_prestart)
		digest_of(w->runtime->text, strlen(w->runtime->text), &launcher);
	(void)snprintf(ret, POOL_KEY_BYTES,
		       "runtime=%s image=%s policy=%s compile_policy=%s network=%u memory=%" PRIu64 " disk=%" PRIu64
		       " processes=%" PRIu32 " cpus=%" PRIu32 " prestart=%s",
		       w->runtime->name, manifest->manifest, w->policy, w->compile_policy[0] ? w->compile_policy : "-",
		       (unsigned)w->network, w->memory_bytes, w->disk_bytes, w->processes, w->cpus_milli,
		       launcher.text[0] ? launcher.text : "-");
}

static bool is_held(const struct pool_class *c)
{
	return c->items || c->waits || c->n_claimed || c->is_measuring;
}

void pool_classes_forget(struct pool *p)
{
	struct pool_class **at = &p->classes;

	while (*at) {
		struct pool_class *c = *at;

		if (c->is_old && !is_held(c)) {
			*at = c->next;
			free(c);
		} else {
			at = &c->next;
		}
	}
}

/* Not wanted any more; a proof says by itself what became of it. */
void pool_item_drop(struct pool_item *item)
{
	if (item->purpose != ITEM_TO_PROVE)
		pool_item_finish(item);
}

/* Room for another class: that which nobody has asked for the longest time has to go. */
static void make_room(struct pool *p)
{
	struct pool_class *oldest = NULL;
	unsigned n = 0;

	for (struct pool_class *c = p->classes; c; c = c->next) {
		n += !c->is_old;
		if (!c->is_old && !c->is_default && !c->waits && (!oldest || c->used_ns < oldest->used_ns))
			oldest = c;
	}
	if (n < POOL_CLASSES_MAX || !oldest)
		return;
	oldest->is_old = true;
	for (struct pool_item *i = oldest->items, *next; i; i = next) {
		next = i->next;
		pool_item_drop(i);
	}
}

struct pool_class *pool_class_find(struct pool *p, const struct sandbox_class *wanted,
				   const struct pool_manifest *manifest)
{
	struct sandbox_class what = *wanted;
	char key[POOL_KEY_BYTES];
	struct pool_class *c;

	what.may_prestart = wanted->may_prestart && prestart_is_there(wanted->runtime);
	make_key(&what, manifest, key);
	for (c = p->classes; c; c = c->next) {
		if (!c->is_old && strcmp(c->key, key) == 0)
			return c;
	}
	make_room(p);
	c = alloc_zeroed(1, sizeof(*c));
	memcpy(c->key, key, sizeof(key));
	c->pool = p;
	c->what = what;
	c->runtime = wanted->runtime;
	c->manifest = manifest;
	c->version = pool_version_find(p, wanted->runtime, manifest);
	if (!c->version) {
		free(c);
		return NULL;
	}
	c->waits_end = &c->waits;
	c->next = p->classes;
	p->classes = c;
	return c;
}

void pool_class_of(const struct pool *p, const struct runtime_def *def, struct sandbox_class *ret)
{
	const struct runtime_limits *run = &def->run.limits, *compile = &def->compile.limits;
	uint64_t disk = run->disk_bytes > compile->disk_bytes ? run->disk_bytes : compile->disk_bytes;

	*ret = (struct sandbox_class){
		.runtime = def,
		.policy = "default",
		.network = MONITOR_NETWORK_NONE,
		.memory_bytes = run->memory_bytes ? run->memory_bytes : p->settings->memory_bytes,
		.disk_bytes = disk ? disk : DEFAULT_DISK,
		.processes = run->processes ? (uint32_t)run->processes : DEFAULT_PROCESSES,
		.cpus_milli = (uint32_t)(run->cpus_milli ? run->cpus_milli : p->settings->cpus_milli),
		.may_prestart = prestart_is_there(def),
	};
}
