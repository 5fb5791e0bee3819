/* From mountinfo and /proc/self/cgroup to directories: see cgroup_map.h. */
#include "runtime/cgroup/cgroup_map.h"

#include <stdio.h>
#include <string.h>

/* What the kernel calls a controller in v1 mount options and in /proc/self/cgroup. */
static const char *const v1_names[CGROUP_CONTROLLERS] = {
	[CGROUP_CPU] = "cpu",  [CGROUP_CPUACCT] = "cpuacct", [CGROUP_MEMORY] = "memory",   [CGROUP_PIDS] = "pids",
	[CGROUP_IO] = "blkio", [CGROUP_CPUSET] = "cpuset",   [CGROUP_FREEZER] = "freezer",
};

/* A stretch of a text, not terminated. */
struct part {
	const char *at;
	size_t size;
};

/* One group of ours, as /proc/self/cgroup has it: relative to the root of the hierarchy. */
struct own {
	bool is_known;
	struct part path;
};

struct owns {
	struct own v2, v1[CGROUP_CONTROLLERS];
};

struct mount {
	struct part root, point, options, type, super_options;
};

static bool part_is(struct part p, const char *word)
{
	return p.size == strlen(word) && memcmp(p.at, word, p.size) == 0;
}

/* Cut off what stands before `end`; rest continues after it. False when nothing is left. */
static bool part_next(struct part *rest, char end, struct part *ret)
{
	const char *stop;

	if (!rest->at)
		return false;
	ret->at = rest->at;
	stop = memchr(rest->at, end, rest->size);
	ret->size = stop ? (size_t)(stop - rest->at) : rest->size;
	rest->size -= ret->size + (stop ? 1 : 0);
	rest->at = stop ? stop + 1 : NULL;
	return true;
}

/* "rw,cpu,cpuacct" has the word cpu */
static bool list_has(struct part list, const char *word)
{
	struct part one;

	while (part_next(&list, ',', &one))
		if (part_is(one, word))
			return true;
	return false;
}

static bool is_octal(char c)
{
	return c >= '0' && c <= '7';
}

/* mountinfo writes blank, tab, newline and backslash as \ooo. Returns bytes written, or `room` when it does not fit. */
static size_t unescape(struct part p, char *out, size_t room)
{
	size_t n = 0;

	for (size_t i = 0; i < p.size; i++) {
		char c = p.at[i];

		if (c == '\\' && i + 3 < p.size && is_octal(p.at[i + 1]) && is_octal(p.at[i + 2]) &&
		    is_octal(p.at[i + 3])) {
			c = (char)((p.at[i + 1] - '0') * 64 + (p.at[i + 2] - '0') * 8 + (p.at[i + 3] - '0'));
			i += 3;
		}
		if (n + 1 >= room)
			return room;
		out[n++] = c;
	}
	out[n] = '\0';
	return n;
}

/* "36 35 98:0 /root /point rw,noatime shared:1 master:2 - cgroup2 source rw,nsdelegate" */
static bool parse_mount(struct part line, struct mount *ret)
{
	enum { HEAD = 6, TAIL = 3 };
	struct part skip, *const head[HEAD] = { &skip, &skip, &skip, &ret->root, &ret->point, &ret->options };
	struct part *const tail[TAIL] = { &ret->type, &skip, &ret->super_options };

	for (size_t i = 0; i < HEAD; i++)
		if (!part_next(&line, ' ', head[i]))
			return false;
	do { /* optional fields, any number of them */
		if (!part_next(&line, ' ', &skip))
			return false;
	} while (!part_is(skip, "-"));
	for (size_t i = 0; i < TAIL; i++)
		if (!part_next(&line, ' ', tail[i]))
			return false;
	return true;
}

/* "0::/system.slice/x" and "4:cpu,cpuacct:/y"; a path may hold colons itself. */
static void parse_own(struct part line, struct owns *ret)
{
	struct part id, list, path;

	if (!part_next(&line, ':', &id) || !part_next(&line, ':', &list) || !line.at)
		return;
	path = line;
	if (path.size == 0 || path.at[0] != '/')
		return;
	if (part_is(id, "0") && list.size == 0)
		ret->v2 = (struct own){ .is_known = true, .path = path };
	for (int c = 0; c < CGROUP_CONTROLLERS; c++)
		if (list_has(list, v1_names[c]))
			ret->v1[c] = (struct own){ .is_known = true, .path = path };
}

/*
 * What remains of our group's path below the root of a mount: "" when they are the same, otherwise "/...".
 * A mount can show a part of a hierarchy only (containers); and with a cgroup namespace a group outside of it
 * is shown as "/../..", which no path can reach, cgroup_namespaces(7).
 */
static bool below_root(struct part own, const char *root, struct part *ret)
{
	size_t n = strcmp(root, "/") == 0 ? 0 : strlen(root);

	if ((own.size >= 3 && memcmp(own.at, "/..", 3) == 0 && (own.size == 3 || own.at[3] == '/')) || own.size < n ||
	    memcmp(own.at, root, n) != 0 || (own.size > n && own.at[n] != '/'))
		return false;
	*ret = (struct part){ .at = own.at + n, .size = own.size - n };
	if (ret->size == 1) /* "/" */
		ret->size = 0;
	return true;
}

/* Is our group reachable through this mount? The first that serves is taken, else the last reason is kept. */
static void consider(struct cgroup_map_entry *e, const struct own *own, const struct mount *m)
{
	char root[sizeof(e->path)], point[sizeof(e->path)];
	struct part rest;
	size_t n;

	if (e->is_found || !own->is_known)
		return;
	n = unescape(m->point, point, sizeof(point));
	if (n >= sizeof(point) || unescape(m->root, root, sizeof(root)) >= sizeof(root)) {
		(void)snprintf(e->why_not, sizeof(e->why_not), "it is mounted at a path that is too long");
	} else if (!below_root(own->path, root, &rest)) {
		(void)snprintf(e->why_not, sizeof(e->why_not), "our group '%.*s' is outside of what '%.60s' shows",
			       own->path.size > 50 ? 50 : (int)own->path.size, own->path.at, point);
	} else if (list_has(m->options, "ro") || list_has(m->super_options, "ro")) {
		(void)snprintf(e->why_not, sizeof(e->why_not), "'%.100s' is mounted read-only", point);
	} else if (n + rest.size >= sizeof(e->path)) {
		(void)snprintf(e->why_not, sizeof(e->why_not), "the path of our group is too long");
	} else {
		memcpy(e->path, point, n);
		memcpy(e->path + n, rest.at, rest.size);
		e->path[n + rest.size] = '\0';
		e->mount_length = n;
		e->is_found = true;
	}
}

static void default_reasons(const struct owns *owns, struct cgroup_map *map)
{
	(void)snprintf(map->v2.why_not, sizeof(map->v2.why_not), "no cgroup2 file system is mounted");
	for (int c = 0; c < CGROUP_CONTROLLERS; c++) {
		map->v1[c].is_bound = owns->v1[c].is_known;
		(void)snprintf(map->v1[c].why_not, sizeof(map->v1[c].why_not),
			       map->v1[c].is_bound ? "the kernel has it on a v1 hierarchy that is mounted nowhere"
						   : "no v1 hierarchy has it");
	}
}

void cgroup_map_parse(const char *mountinfo, const char *self_cgroup, struct cgroup_map *ret)
{
	struct part lines = { .at = self_cgroup, .size = strlen(self_cgroup) }, line;
	struct owns owns = { .v2 = { .is_known = false } };
	struct mount m;

	*ret = (struct cgroup_map){ .v2 = { .is_found = false } };
	while (part_next(&lines, '\n', &line))
		parse_own(line, &owns);
	default_reasons(&owns, ret);
	lines = (struct part){ .at = mountinfo, .size = strlen(mountinfo) };
	while (part_next(&lines, '\n', &line)) {
		if (!parse_mount(line, &m))
			continue;
		if (part_is(m.type, "cgroup2"))
			consider(&ret->v2, &owns.v2, &m);
		if (!part_is(m.type, "cgroup"))
			continue;
		for (int c = 0; c < CGROUP_CONTROLLERS; c++)
			if (list_has(m.super_options, v1_names[c]))
				consider(&ret->v1[c], &owns.v1[c], &m);
	}
}
