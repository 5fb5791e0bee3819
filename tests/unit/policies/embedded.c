/*
 * Programs of the built-in profiles that were compiled when Cubit was built: they are what compiling gives now, whatever the
 * capabilities and the kernel, and one that was made from something else is noticed.
 */
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <string.h>

#include "policies/arch.h"
#include "policies/builtin.h"
#include "policies/cache.h"
#include "policies/compile.h"
#include "policies/embedded.h"
#include "policies/lookup.h"
#include "policies/profile.h"
#include "policies/ready.h"
#include "policies/rules.h"
#include "policies/stamp.h"
#include "runtime/base/error.h"
#include "tests/tap.h"

enum { BUILTINS = 5 };

static bool is_same(const struct policy_filter *filter, const struct policy_embedded *e)
{
	return filter->n_instructions == e->n_instructions && filter->install_flags == e->install_flags &&
	       memcmp(filter->program, e->program, e->n_instructions * sizeof(*e->program)) == 0;
}

static void test_one(const struct policy_builtin *builtin, const struct policy_profile *profile, uint32_t arch)
{
	const struct policy_context contexts[] = {
		{ .arch = arch, .kernel_major = 6, .kernel_minor = 1 },
		{ .arch = arch, .kernel_major = 7, .kernel_minor = 40, .caps = UINT64_MAX },
	};
	const struct policy_embedded *e = policy_embedded_find(builtin->name, arch);
	const char *name = policy_arch_at((size_t)policy_arch_find_token(arch))->constant;

	need(e, "%s is embedded for %s", builtin->name, name);
	is_int((int)(e->stamp == policy_stamp(builtin->text, policy_builtin_size(builtin))), 1,
	       "%s, %s: its stamp is that of the text, the compiler and the library", builtin->name, name);
	for (size_t i = 0; i < 2; i++) {
		cleanup_policy_filter struct policy_filter *filter = NULL;
		struct error err = ERROR_INIT;

		need(policy_compile(profile, &contexts[i], &filter, &err) == 0, "compile: %s", err.text);
		ok(is_same(filter, e), "%s, %s: it is what compiling gives now%s", builtin->name, name,
		   i ? ", for every capability and a later kernel" : "");
	}
}

static void test_all(void)
{
	const struct policy_builtin *builtin;
	size_t n = 0;

	for (size_t i = 0; (builtin = policy_builtin_at(i)); i++) {
		cleanup_policy_profile struct policy_profile *profile = NULL;
		struct error err = ERROR_INIT;

		need(policy_lookup(builtin->name, &profile, &err) == 0, "%s: %s", builtin->name, err.text);
		test_one(builtin, profile, AUDIT_ARCH_X86_64);
		test_one(builtin, profile, AUDIT_ARCH_AARCH64);
	}
	while (policy_embedded_programs[n].name)
		n++;
	is_int(n, BUILTINS * 2, "every built-in profile is there, once for each architecture that it names");
	ok(!policy_embedded_find("default", AUDIT_ARCH_S390X) && !policy_embedded_find("mine", AUDIT_ARCH_X86_64),
	   "and nothing else is");
}

/* One byte of the text, or the stamp, is another: what a file that make forgot would look like. */
static void test_stale(void)
{
	const struct policy_builtin *builtin = policy_builtin_find("strict");
	struct policy_embedded e = *policy_embedded_find("strict", AUDIT_ARCH_X86_64);
	size_t size = policy_builtin_size(builtin);
	struct error err = ERROR_INIT;
	struct policy_filter *filter = NULL;
	char *text = strndup(builtin->text, size);

	need(text, "a copy");
	is_int(policy_embedded_filter(&e, text, size, &filter, &err), 0, "the same text elsewhere is the same");
	policy_filter_unref(filter);
	filter = NULL;
	text[size / 2] ^= 1;
	is_int(policy_embedded_filter(&e, text, size, &filter, &err), -ESTALE,
	       "one changed bit of the text is noticed");
	is_str(err.text, "the embedded program of 'strict' was made from something else", "and said");
	text[size / 2] ^= 1;
	is_int(policy_embedded_filter(&e, text, size - 1, &filter, &err), -ESTALE, "so is a text that ends earlier");
	e.stamp ^= 1;
	is_int(policy_embedded_filter(&e, text, size, &filter, &err), -ESTALE, "so is the stamp of another compiler");
	ok(!filter, "and there is no filter");
	free(text);
}

/* Whose text is not a built-in one's is compiled, whatever it calls itself. */
static void test_make(void)
{
	static const char mine[] = "{\"defaultAction\":\"SCMP_ACT_ALLOW\"}";
	const struct policy_context context = { .arch = AUDIT_ARCH_X86_64, .kernel_major = 6, .kernel_minor = 1 };
	cleanup_policy_profile struct policy_profile *own = NULL, *builtin = NULL;
	cleanup_policy_filter struct policy_filter *of_own = NULL, *of_builtin = NULL, *of_name = NULL, *none = NULL;
	struct error err = ERROR_INIT;

	need(policy_profile_parse(mine, sizeof(mine) - 1, "builtin default", &own, &err) == 0, "%s", err.text);
	need(policy_lookup("default", &builtin, &err) == 0, "%s", err.text);
	need(policy_filter_make(own, &context, &of_own, &err) == 0, "%s", err.text);
	need(policy_filter_make(builtin, &context, &of_builtin, &err) == 0, "%s", err.text);
	need(policy_ready("default", &context, -1, &of_name, &err) == 0, "%s", err.text);
	ok(is_same(of_builtin, policy_embedded_find("default", context.arch)), "the text of 'default' is not compiled");
	ok(is_same(of_name, policy_embedded_find("default", context.arch)), "nor is its name");
	ok(of_own->n_instructions < 10, "a text of one's own under that name is");
	is_int(policy_ready("mine", &context, -1, &none, &err), -ENOENT, "a name that is none is refused");
	ok(strstr(err.text, "no profile 'mine'"), "with the words of the look-up (%s)", err.text);
}

int main(void)
{
	test_all();
	test_stale();
	test_make();
	return done_testing();
}
