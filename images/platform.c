/* Platforms: see platform.h. */
#include "images/platform.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#include "runtime/base/error.h"
#include "runtime/base/text.h"

static const struct {
	const char *machine, *architecture, *variant;
} machines[] = {
	{ "x86_64", "amd64", "" },    { "aarch64", "arm64", "v8" }, { "armv7l", "arm", "v7" },
	{ "armv6l", "arm", "v6" },    { "i686", "386", "" },        { "riscv64", "riscv64", "" },
	{ "ppc64le", "ppc64le", "" }, { "s390x", "s390x", "" },     { "loongarch64", "loong64", "" },
};

void platform_host(struct platform *ret)
{
	struct utsname u;

	*ret = (struct platform){ .os = "linux" };
	if (uname(&u) < 0)
		return; /* cannot happen; nothing matches then */
	for (size_t i = 0; i < sizeof(machines) / sizeof(machines[0]); i++) {
		if (strcmp(u.machine, machines[i].machine) == 0) {
			/* words of ours: they fit */
			(void)text_copy(ret->architecture, sizeof(ret->architecture), machines[i].architecture);
			(void)text_copy(ret->variant, sizeof(ret->variant), machines[i].variant);
			return;
		}
	}
	(void)snprintf(ret->architecture, sizeof(ret->architecture), "%.31s", u.machine);
}

static int take_word(const char **text, const char *what, char ret[PLATFORM_WORD_BYTES], struct error *err)
{
	size_t n = strspn(*text, "abcdefghijklmnopqrstuvwxyz0123456789_-");

	if (n == 0 || n >= PLATFORM_WORD_BYTES || ((*text)[n] != '\0' && (*text)[n] != '/'))
		return error_set(err, EINVAL, "the %s is missing or not lower-case letters and digits", what);
	memcpy(ret, *text, n);
	ret[n] = '\0';
	*text += n + ((*text)[n] == '/');
	return 0;
}

int platform_parse(const char *text, struct platform *ret, struct error *err)
{
	struct platform p = { .os = "" };
	const char *at = text;
	int r = take_word(&at, "operating system", p.os, err);

	if (r == 0)
		r = take_word(&at, "architecture", p.architecture, err);
	if (r == 0 && *at)
		r = take_word(&at, "variant", p.variant, err);
	if (r == 0 && (*at || text[strlen(text) - 1] == '/'))
		r = error_set(err, EINVAL, "there is more than os/architecture/variant");
	if (r < 0)
		return error_wrap(err, "platform '%.60s'", text), -EINVAL;
	*ret = p;
	return 0;
}

/* What an architecture without a variant means. */
static const char *variant_of(const struct platform *p)
{
	if (p->variant[0])
		return p->variant;
	if (strcmp(p->architecture, "arm64") == 0)
		return "v8";
	if (strcmp(p->architecture, "arm") == 0)
		return "v7";
	return strcmp(p->architecture, "amd64") == 0 ? "v1" : "";
}

bool platform_matches(const struct platform *want, const struct platform *offer)
{
	return strcmp(want->os, offer->os) == 0 && strcmp(want->architecture, offer->architecture) == 0 &&
	       strcmp(variant_of(want), variant_of(offer)) == 0;
}

void platform_text(const struct platform *p, char ret[PLATFORM_TEXT_BYTES])
{
	(void)snprintf(ret, PLATFORM_TEXT_BYTES, "%s/%s%s%s", p->os, p->architecture, p->variant[0] ? "/" : "",
		       p->variant);
}
