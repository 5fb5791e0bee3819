/* Check of the image store: is there anything to run in? See doctor.h. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/cubit/doctor.h"

enum { NAMES_BYTES = 300 };

/* The file of a record, images/store/store.h: percent-encoded. What everybody means is left out: "localhost/" and ":latest".
 */
static void add_name(const char *file, char *to, size_t room)
{
	static const char ours[] = "localhost%2F", latest[] = "%3Alatest";
	const char *from = strncmp(file, ours, sizeof(ours) - 1) == 0 ? file + sizeof(ours) - 1 : file;
	const char *end = strstr(from, latest);
	char name[256];
	size_t n = 0, at = strlen(to);

	for (const char *p = from; *p && p != end && n < sizeof(name) - 1; p++) {
		char hex[3] = "";

		if (p[0] == '%' && p[1]) {
			hex[0] = p[1];
			hex[1] = p[2];
		}
		name[n++] = hex[1] ? (char)strtoul(hex, NULL, 16) : *p;
		p += hex[1] ? 2 : 0;
	}
	name[n] = '\0';
	if (at + n + 3 < room)
		(void)snprintf(to + at, room - at, "%s%s", at ? ", " : "", name);
}

void check_images(const struct check *c, struct finding *f)
{
	char state[512], path[600], names[NAMES_BYTES] = "";
	const struct dirent *e;
	unsigned n = 0;
	DIR *dir;

	(void)c;
	doctor_state_dir(state, sizeof(state));
	(void)snprintf(path, sizeof(path), "%s/images/refs", state);
	dir = opendir(path);
	if (!dir && errno != ENOENT) {
		finding_warning(f, "'%s': %s", path, strerror(errno));
		return;
	}
	while (dir && (e = readdir(dir)) != NULL) {
		if (e->d_name[0] == '.' || strncmp(e->d_name, "tmp.", 4) == 0)
			continue;
		n++;
		add_name(e->d_name, names, sizeof(names));
	}
	if (dir)
		(void)closedir(dir);
	if (n > 0) {
		finding_ok(f, "%u in '%s/images': %s", n, state, names);
		return;
	}
	finding_warning(f, "no image in '%s/images': no language can be run", state);
	finding_remedy(f, "run `cubit setup`, which makes the default images; or `cubit image pull`");
}
