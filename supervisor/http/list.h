/*
 * A ring of links inside other structs: O(1) everywhere, no allocation. Single-threaded, as the loop is.
 *
 * Pure; runs anywhere.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct link {
	struct link *prev, *next; /* NULL: in no list */
};

#define LIST_ENTRY(type, member, l) ((type *)(void *)((char *)(l)-offsetof(type, member)))

static inline void list_init(struct link *head)
{
	head->prev = head->next = head;
}

static inline bool list_is_empty(const struct link *head)
{
	return head->next == head;
}

static inline bool list_holds(const struct link *l)
{
	return l->next != NULL;
}

static inline void list_append(struct link *head, struct link *l)
{
	l->prev = head->prev;
	l->next = head;
	head->prev->next = l;
	head->prev = l;
}

/* Nothing happens to a link that is in no list. */
static inline void list_remove(struct link *l)
{
	if (!l->next)
		return;
	l->prev->next = l->next;
	l->next->prev = l->prev;
	l->prev = l->next = NULL;
}

/* The first, taken out; NULL when there is none. */
static inline struct link *list_take(struct link *head)
{
	struct link *l = head->next;

	if (l == head)
		return NULL;
	list_remove(l);
	return l;
}
