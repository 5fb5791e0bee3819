/*
 * Compiles the built-in profiles when Cubit is built, and writes the programs as C to standard output: see
 * policies/embedded.h. Runs once in a build, without privilege; it is not installed.
 */
#include <inttypes.h>
#include <linux/filter.h>
#include <stdbool.h>
#include <stdio.h>

#include "policies/arch.h"
#include "policies/builtin.h"
#include "policies/compile.h"
#include "policies/lookup.h"
#include "policies/profile.h"
#include "policies/rules.h"
#include "policies/stamp.h"
#include "runtime/base/error.h"

static bool depends(const struct policy_when *when)
{
	return when->caps != 0 || when->has_kernel;
}

/* Does the program depend on nothing but the text and the architecture? */
static bool is_definite(const struct policy_profile *profile)
{
	for (size_t i = 0; i < profile->n_rules; i++) {
		if (depends(&profile->rules[i].includes) || depends(&profile->rules[i].excludes))
			return false;
	}
	return true;
}

static void write_code(const struct policy_builtin *builtin, const struct policy_arch *arch,
		       const struct policy_filter *filter)
{
	printf("static const struct sock_filter %s_%s[] = {\n", builtin->name, arch->short_name);
	for (size_t i = 0; i < filter->n_instructions; i++) {
		const struct sock_filter *in = &filter->program[i];

		printf("\t{ 0x%02x, %u, %u, 0x%08x },\n", in->code, in->jt, in->jf, in->k);
	}
	printf("};\n\n");
}

static void write_row(const struct policy_builtin *builtin, const struct policy_arch *arch,
		      const struct policy_filter *filter)
{
	printf("\t{ \"%s\", 0x%08x, UINT64_C(0x%016" PRIx64 "), 0x%x, %u, %s_%s },\n", builtin->name, arch->token,
	       policy_stamp(builtin->text, policy_builtin_size(builtin)), filter->install_flags, filter->n_instructions,
	       builtin->name, arch->short_name);
}

typedef void write_fn(const struct policy_builtin *builtin, const struct policy_arch *arch,
		      const struct policy_filter *filter);

/* One profile, for every architecture. */
static int each_arch(const struct policy_builtin *builtin, write_fn *write, struct error *err)
{
	cleanup_policy_profile struct policy_profile *profile = NULL;
	const struct policy_arch *arch;
	int r = policy_lookup(builtin->name, &profile, err);

	if (r < 0 || !is_definite(profile))
		return r;
	for (size_t i = 0; (arch = policy_arch_at(i)); i++) {
		const struct policy_context context = { .arch = arch->token };
		cleanup_policy_filter struct policy_filter *filter = NULL;

		if (!arch->is_target || (profile->arches && !(profile->arches & UINT32_C(1) << i)))
			continue;
		r = policy_compile(profile, &context, &filter, err);
		if (r < 0)
			return r;
		write(builtin, arch, filter);
	}
	return 0;
}

static int each_profile(write_fn *write, struct error *err)
{
	const struct policy_builtin *builtin;
	int r = 0;

	for (size_t i = 0; r == 0 && (builtin = policy_builtin_at(i)); i++)
		r = each_arch(builtin, write, err);
	return r;
}

int main(void)
{
	struct error err = ERROR_INIT;
	int r;

	printf("/* Written by policies/embed/main.c: the programs of the built-in profiles. */\n"
	       "#include <linux/filter.h>\n#include <stddef.h>\n#include <stdint.h>\n\n"
	       "#include \"policies/embedded.h\"\n\n");
	r = each_profile(write_code, &err);
	printf("const struct policy_embedded policy_embedded_programs[] = {\n");
	if (r == 0)
		r = each_profile(write_row, &err);
	printf("\t{ .name = NULL },\n};\n");
	if (r < 0)
		fprintf(stderr, "embed: %s\n", err.text);
	return r < 0 || fflush(stdout) != 0;
}
