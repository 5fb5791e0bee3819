/* Tickets: see ticket.h. */
#include "supervisor/auth/ticket.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/alloc.h"
#include "runtime/base/error.h"
#include "runtime/base/text.h"

void ticket_table_init(struct ticket_table *t, size_t max, size_t max_each, uint64_t life_ns)
{
	*t = (struct ticket_table){ .max = max, .max_each = max_each, .life_ns = life_ns };
	t->tickets = alloc_zeroed(max, sizeof(*t->tickets));
}

void ticket_table_done(struct ticket_table *t)
{
	free(t->tickets);
	*t = (struct ticket_table){ .n = 0 };
}

static void remove_at(struct ticket_table *t, size_t i)
{
	t->n--;
	memmove(t->tickets + i, t->tickets + i + 1, (t->n - i) * sizeof(*t->tickets));
}

static void remove_old(struct ticket_table *t, uint64_t now_ns)
{
	while (t->n > 0 && t->tickets[0].until_ns <= now_ns) /* all live equally long: the oldest ends first */
		remove_at(t, 0);
}

static void make_room(struct ticket_table *t, const uint8_t *holder)
{
	size_t n = 0, first = 0;

	for (size_t i = t->n; i-- > 0;) {
		if (memcmp(t->tickets[i].holder, holder, KEY_HASH_BYTES) == 0) {
			first = i;
			n++;
		}
	}
	if (n >= t->max_each)
		remove_at(t, first);
	if (t->n >= t->max)
		remove_at(t, 0);
}

int ticket_make(struct ticket_table *t, const uint8_t holder[KEY_HASH_BYTES], uint64_t now_ns,
		char ret[KEY_TOKEN_BYTES], struct error *err)
{
	return ticket_make_for(t, holder, "", now_ns, ret, err);
}

int ticket_make_for(struct ticket_table *t, const uint8_t holder[KEY_HASH_BYTES], const char *subject, uint64_t now_ns,
		    char ret[KEY_TOKEN_BYTES], struct error *err)
{
	int r = key_make_token(ret, err);
	struct ticket *new;

	if (r < 0)
		return r;
	remove_old(t, now_ns);
	make_room(t, holder);
	new = &t->tickets[t->n++];
	key_hash(ret, strlen(ret), new->hash);
	memcpy(new->holder, holder, KEY_HASH_BYTES);
	new->until_ns = now_ns + t->life_ns;
	(void)text_copy(new->subject, sizeof(new->subject), subject); /* too long: "", which opens nothing */
	return 0;
}

const struct ticket *ticket_find(const struct ticket_table *t, const char *token, uint64_t now_ns)
{
	uint8_t hash[KEY_HASH_BYTES];
	size_t size = strlen(token);

	if (size != KEY_TOKEN_BYTES - 1)
		return NULL;
	key_hash(token, size, hash);
	for (size_t i = 0; i < t->n; i++) {
		if (t->tickets[i].hash[0] == hash[0] && key_hash_equal(t->tickets[i].hash, hash))
			return t->tickets[i].until_ns > now_ns ? &t->tickets[i] : NULL;
	}
	return NULL;
}

int ticket_take(struct ticket_table *t, const char *token, uint64_t now_ns, uint8_t ret_holder[KEY_HASH_BYTES])
{
	const struct ticket *found = ticket_find(t, token, now_ns);

	if (!found)
		return -ENOENT;
	memcpy(ret_holder, found->holder, KEY_HASH_BYTES);
	remove_at(t, (size_t)(found - t->tickets));
	return 0;
}

void ticket_drop(struct ticket_table *t, const uint8_t holder[KEY_HASH_BYTES])
{
	for (size_t i = t->n; i-- > 0;) {
		if (memcmp(t->tickets[i].holder, holder, KEY_HASH_BYTES) == 0)
			remove_at(t, i);
	}
}
