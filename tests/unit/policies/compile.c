/* From rules to the program: selection, special cases, contradictions, the bounds, the cache, the interpreter. */
#include <errno.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <seccomp.h>

#include "policies/cache.h"
#include "policies/compile.h"
#include "policies/profile.h"
#include "policies/rules.h"
#include "policies/simulate.h"
#include "runtime/base/buf.h"
#include "runtime/base/error.h"
#include "tests/tap.h"

#define ERRNO(n) (SECCOMP_RET_ERRNO | (n))
#define CAP(n)   (1ULL << CAP_##n)

static const struct policy_context intel = { .kernel_major = 6, .kernel_minor = 1, .arch = AUDIT_ARCH_X86_64 };
static const struct policy_context arm = { .kernel_major = 6, .kernel_minor = 1, .arch = AUDIT_ARCH_AARCH64 };

static struct policy_profile *must_parse(const char *rules, const char *head)
{
	struct policy_profile *profile = NULL;
	struct error err = ERROR_INIT;
	char text[4096];

	(void)snprintf(text, sizeof(text),
		       "{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"defaultErrnoRet\":38%s,\"syscalls\":[%s]}", head,
		       rules);
	if (policy_profile_parse(text, strlen(text), "p.json", &profile, &err) < 0)
		need(0, "the test's own profile is good: %s", err.text);
	return profile;
}

static uint32_t ask(const struct policy_filter *filter, uint32_t arch, const char *name, uint64_t a0, uint64_t a1)
{
	struct seccomp_data call = { .nr = seccomp_syscall_resolve_name_arch(arch, name),
				     .arch = arch,
				     .args = { a0, a1 } };
	uint32_t action = 0;
	struct error err = ERROR_INIT;

	if (policy_simulate(filter->program, filter->n_instructions, &call, &action, NULL, &err) < 0)
		diag("%s", err.text);
	return action;
}

/* ---- verdicts of small profiles ---- */

#define ALLOW(name)              "{\"names\":[\"" name "\"],\"action\":\"SCMP_ACT_ALLOW\"}"
#define WITH(name, action, more) "{\"names\":[\"" name "\"],\"action\":\"" action "\"," more "}"
#define ARG(i, op, v, w)         "{\"index\":" #i ",\"value\":" #v ",\"valueTwo\":" #w ",\"op\":\"SCMP_CMP_" op "\"}"
#define ONLY_IF(name, arg)       WITH(name, "SCMP_ACT_ALLOW", "\"args\":[" arg "]")
#define REFUSE_IF(name, no, arg) WITH(name, "SCMP_ACT_ERRNO", "\"errnoRet\":" #no ",\"args\":[" arg "]")

struct verdict {
	const char *title, *rules;
	uint64_t caps;
	const char *call;
	uint64_t a0, a1;
	uint32_t want;
};

#define BIG (1ULL << 40)

/* clang-format off */
static const struct verdict verdicts[] = {
	{ "a listed call is allowed", ALLOW("read"), 0, "read", 0, 0, SECCOMP_RET_ALLOW },
	{ "a call not listed gets the default", ALLOW("read"), 0, "write", 0, 0, ERRNO(38) },

	/* comparisons, on both sides of a boundary that has bits in both halves */
	{ "EQ holds", ONLY_IF("read", ARG(0, "EQ", 1099511627781, 0)), 0, "read", BIG + 5, 0, SECCOMP_RET_ALLOW },
	{ "EQ sees the upper half", ONLY_IF("read", ARG(0, "EQ", 1099511627781, 0)), 0, "read", 5, 0, ERRNO(38) },
	{ "NE sees the lower half", ONLY_IF("read", ARG(0, "NE", 1099511627781, 0)), 0, "read", BIG + 6, 0, SECCOMP_RET_ALLOW },
	{ "NE sees the upper half", ONLY_IF("read", ARG(0, "NE", 1099511627781, 0)), 0, "read", 5, 0, SECCOMP_RET_ALLOW },
	{ "NE fails on equal", ONLY_IF("read", ARG(0, "NE", 1099511627781, 0)), 0, "read", BIG + 5, 0, ERRNO(38) },
	{ "LT fails on equal", ONLY_IF("read", ARG(0, "LT", 1099511627781, 0)), 0, "read", BIG + 5, 0, ERRNO(38) },
	{ "LT holds one below", ONLY_IF("read", ARG(0, "LT", 1099511627781, 0)), 0, "read", BIG + 4, 0, SECCOMP_RET_ALLOW },
	{ "LT is decided by the upper half first", ONLY_IF("read", ARG(0, "LT", 1099511627781, 0)), 0, "read", 0xffffffff, 0, SECCOMP_RET_ALLOW },
	{ "LE holds on equal", ONLY_IF("read", ARG(0, "LE", 1099511627781, 0)), 0, "read", BIG + 5, 0, SECCOMP_RET_ALLOW },
	{ "LE fails one above", ONLY_IF("read", ARG(0, "LE", 1099511627781, 0)), 0, "read", BIG + 6, 0, ERRNO(38) },
	{ "GE holds on equal", ONLY_IF("read", ARG(0, "GE", 1099511627781, 0)), 0, "read", BIG + 5, 0, SECCOMP_RET_ALLOW },
	{ "GE fails with a large lower half alone", ONLY_IF("read", ARG(0, "GE", 1099511627781, 0)), 0, "read", 0xffffffff, 0, ERRNO(38) },
	{ "GT fails on equal", ONLY_IF("read", ARG(0, "GT", 1099511627781, 0)), 0, "read", BIG + 5, 0, ERRNO(38) },
	{ "GT holds with a large upper half alone", ONLY_IF("read", ARG(0, "GT", 1099511627781, 0)), 0, "read", 2 * BIG, 0, SECCOMP_RET_ALLOW },
	{ "MASKED_EQ looks at the mask only", ONLY_IF("read", ARG(0, "MASKED_EQ", 4294967295, 5)), 0, "read", BIG + 5, 0, SECCOMP_RET_ALLOW },
	{ "MASKED_EQ reaches the upper half", ONLY_IF("read", ARG(0, "MASKED_EQ", 1099511627776, 0)), 0, "read", BIG, 0, ERRNO(38) },
	{ "a mask of nothing always holds", ONLY_IF("read", ARG(0, "MASKED_EQ", 0, 0)), 0, "read", BIG, 7, SECCOMP_RET_ALLOW },

	/* several conditions, several rules */
	{ "two conditions of a rule: both hold", ONLY_IF("read", ARG(0, "EQ", 1, 0) "," ARG(1, "EQ", 2, 0)), 0, "read", 1, 2, SECCOMP_RET_ALLOW },
	{ "two conditions of a rule: one is not enough", ONLY_IF("read", ARG(0, "EQ", 1, 0) "," ARG(1, "EQ", 2, 0)), 0, "read", 1, 3, ERRNO(38) },
	{ "two rules: either will do", ONLY_IF("read", ARG(0, "EQ", 1, 0)) "," ONLY_IF("read", ARG(1, "EQ", 2, 0)), 0, "read", 9, 2, SECCOMP_RET_ALLOW },
	{ "one argument tested twice is two rules", ONLY_IF("read", ARG(0, "GE", 5, 0) "," ARG(0, "LE", 3, 0)), 0, "read", 2, 0, SECCOMP_RET_ALLOW },
	{ "and neither holds between them", ONLY_IF("read", ARG(0, "GE", 5, 0) "," ARG(0, "LE", 3, 0)), 0, "read", 4, 0, ERRNO(38) },

	/* special cases */
	{ "a condition is an exception to a rule without", ALLOW("ioctl") "," REFUSE_IF("ioctl", 1, ARG(1, "MASKED_EQ", 4294967295, 21522)), 0, "ioctl", 0, BIG | 21522, ERRNO(1) },
	{ "whatever their order", REFUSE_IF("ioctl", 1, ARG(1, "EQ", 21522, 0)) "," ALLOW("ioctl"), 0, "ioctl", 0, 21522, ERRNO(1) },
	{ "and the rule holds elsewhere", REFUSE_IF("ioctl", 1, ARG(1, "EQ", 21522, 0)) "," ALLOW("ioctl"), 0, "ioctl", 0, 21523, SECCOMP_RET_ALLOW },
	{ "an exception may say what the default says", ALLOW("ioctl") "," REFUSE_IF("ioctl", 38, ARG(1, "EQ", 7, 0)), 0, "ioctl", 0, 7, ERRNO(38) },
	{ "an exception within an exception", ALLOW("read") "," REFUSE_IF("read", 1, ARG(0, "GE", 10, 0)) "," ONLY_IF("read", ARG(0, "EQ", 12, 0)), 0, "read", 12, 0, SECCOMP_RET_ALLOW },
	{ "leaves the outer one standing", ALLOW("read") "," ONLY_IF("read", ARG(0, "EQ", 12, 0)) "," REFUSE_IF("read", 1, ARG(0, "GE", 10, 0)), 0, "read", 13, 0, ERRNO(1) },
	{ "more conditions are a special case of fewer", REFUSE_IF("read", 9, ARG(0, "EQ", 2, 0)) "," ONLY_IF("read", ARG(1, "EQ", 6, 0) "," ARG(0, "EQ", 2, 0)), 0, "read", 2, 6, SECCOMP_RET_ALLOW },
	{ "a rule equal to the default is left out", WITH("read", "SCMP_ACT_ERRNO", "\"errnoRet\":38"), 0, "read", 0, 0, ERRNO(38) },
	{ "saying it twice is saying it", ALLOW("read") "," ALLOW("read"), 0, "read", 0, 0, SECCOMP_RET_ALLOW },
	{ "an errno of 0 pretends success", WITH("sync", "SCMP_ACT_ERRNO", "\"errnoRet\":0"), 0, "sync", 0, 0, ERRNO(0) },
	{ "the other actions come through", WITH("read", "SCMP_ACT_TRAP", "\"args\":[]"), 0, "read", 0, 0, SECCOMP_RET_TRAP },
	{ "log", WITH("read", "SCMP_ACT_LOG", "\"args\":[]"), 0, "read", 0, 0, SECCOMP_RET_LOG },
	{ "kill", WITH("read", "SCMP_ACT_KILL", "\"args\":[]"), 0, "read", 0, 0, SECCOMP_RET_KILL_THREAD },
	{ "kill process", WITH("read", "SCMP_ACT_KILL_PROCESS", "\"args\":[]"), 0, "read", 0, 0, SECCOMP_RET_KILL_PROCESS },

	/* includes, excludes */
	{ "includes.caps wants all of them", WITH("bpf", "SCMP_ACT_ALLOW", "\"includes\":{\"caps\":[\"CAP_BPF\",\"CAP_CHOWN\"]}"), CAP(BPF), "bpf", 0, 0, ERRNO(38) },
	{ "and then selects", WITH("bpf", "SCMP_ACT_ALLOW", "\"includes\":{\"caps\":[\"CAP_BPF\",\"CAP_CHOWN\"]}"), CAP(BPF) | CAP(CHOWN), "bpf", 0, 0, SECCOMP_RET_ALLOW },
	{ "excludes.caps: one suffices", WITH("bpf", "SCMP_ACT_ALLOW", "\"excludes\":{\"caps\":[\"CAP_BPF\",\"CAP_CHOWN\"]}"), CAP(BPF), "bpf", 0, 0, ERRNO(38) },
	{ "a kernel new enough", WITH("bpf", "SCMP_ACT_ALLOW", "\"includes\":{\"minKernel\":\"6.1\"}"), 0, "bpf", 0, 0, SECCOMP_RET_ALLOW },
	{ "a kernel too old", WITH("bpf", "SCMP_ACT_ALLOW", "\"includes\":{\"minKernel\":\"6.2\"}"), 0, "bpf", 0, 0, ERRNO(38) },
	{ "5.10 is older than 6.1", WITH("bpf", "SCMP_ACT_ALLOW", "\"includes\":{\"minKernel\":\"5.10\"}"), 0, "bpf", 0, 0, SECCOMP_RET_ALLOW },
	{ "excluded from a kernel on", WITH("bpf", "SCMP_ACT_ALLOW", "\"excludes\":{\"minKernel\":\"4.8\"}"), 0, "bpf", 0, 0, ERRNO(38) },
	{ "for this architecture", WITH("bpf", "SCMP_ACT_ALLOW", "\"includes\":{\"arches\":[\"amd64\"]}"), 0, "bpf", 0, 0, SECCOMP_RET_ALLOW },
	{ "for another", WITH("bpf", "SCMP_ACT_ALLOW", "\"includes\":{\"arches\":[\"arm64\"]}"), 0, "bpf", 0, 0, ERRNO(38) },
	{ "not for this one", WITH("bpf", "SCMP_ACT_ALLOW", "\"excludes\":{\"arches\":[\"amd64\"]}"), 0, "bpf", 0, 0, ERRNO(38) },
	{ "of two rules without conditions the first counts", ALLOW("read") "," WITH("read", "SCMP_ACT_KILL", "\"args\":[]"), 0, "read", 0, 0, SECCOMP_RET_ALLOW },
	{ "whatever it says", WITH("read", "SCMP_ACT_KILL", "\"args\":[]") "," ALLOW("read"), 0, "read", 0, 0, SECCOMP_RET_KILL_THREAD },
	{ "an errno by name", WITH("read", "SCMP_ACT_ERRNO", "\"errno\":\"EINVAL\""), 0, "read", 0, 0, ERRNO(22) },
	{ "and by both", WITH("read", "SCMP_ACT_ERRNO", "\"errno\":\"EINVAL\",\"errnoRet\":22"), 0, "read", 0, 0, ERRNO(22) },
	{ "for an architecture that nobody knows", WITH("bpf", "SCMP_ACT_ALLOW", "\"includes\":{\"arches\":[\"amd46\"]}"), 0, "bpf", 0, 0, ERRNO(38) },
	{ "not for one that nobody knows", WITH("bpf", "SCMP_ACT_ALLOW", "\"excludes\":{\"arches\":[\"amd46\"]}"), 0, "bpf", 0, 0, SECCOMP_RET_ALLOW },
	{ "a rule not selected contradicts nothing", ALLOW("read") "," WITH("read", "SCMP_ACT_KILL", "\"includes\":{\"caps\":[\"CAP_BPF\"]}"), 0, "read", 0, 0, SECCOMP_RET_ALLOW },
};
/* clang-format on */

/* The shapes that Docker's own profile is made of. */
#define DOCKER                                                                                                         \
	"{\"names\":[\"read\",\"_llseek\",\"socketcall\",\"chown32\"],\"action\":\"SCMP_ACT_ALLOW\"},"                 \
	"{\"names\":[\"socket\"],\"action\":\"SCMP_ACT_ALLOW\",\"args\":[{\"index\":0,\"value\":38,\"op\":\"SCMP_CMP_" \
	"LT\"}]},"                                                                                                     \
	"{\"names\":[\"socket\"],\"action\":\"SCMP_ACT_ALLOW\",\"args\":[{\"index\":0,\"value\":39,\"op\":\"SCMP_CMP_" \
	"EQ\"}]},"                                                                                                     \
	"{\"names\":[\"socket\"],\"action\":\"SCMP_ACT_ALLOW\",\"args\":[{\"index\":0,\"value\":40,\"op\":\"SCMP_CMP_" \
	"GT\"}]},"                                                                                                     \
	"{\"names\":[\"clone\",\"clone3\"],\"action\":\"SCMP_ACT_ALLOW\",\"includes\":{\"caps\":[\"CAP_SYS_ADMIN\"]}}" \
	","                                                                                                            \
	"{\"names\":[\"clone\"],\"action\":\"SCMP_ACT_ALLOW\",\"args\":[{\"index\":0,\"value\":2114060288,"            \
	"\"op\":\"SCMP_CMP_MASKED_EQ\"}],\"excludes\":{\"caps\":[\"CAP_SYS_ADMIN\"],\"arches\":[\"s390\",\"s390x\"]}}" \
	","                                                                                                            \
	"{\"names\":[\"clone\"],\"action\":\"SCMP_ACT_ALLOW\",\"args\":[{\"index\":1,\"value\":2114060288,"            \
	"\"op\":\"SCMP_CMP_MASKED_EQ\"}],\"includes\":{\"arches\":[\"s390\",\"s390x\"]}},"                             \
	"{\"names\":[\"clone3\"],\"action\":\"SCMP_ACT_ERRNO\",\"errnoRet\":38,\"excludes\":{\"caps\":[\"CAP_SYS_"     \
	"ADMIN\"]}}"

static const struct verdict docker[] = {
	{ "Docker's shapes: a plain call", DOCKER, 0, "read", 0, 0, SECCOMP_RET_ALLOW },
	{ "three ranges leave out the first family", DOCKER, 0, "socket", 38, 0, ERRNO(38) },
	{ "allow the one between", DOCKER, 0, "socket", 39, 0, SECCOMP_RET_ALLOW },
	{ "leave out the second", DOCKER, 0, "socket", 40, 0, ERRNO(38) },
	{ "and, comparing 64 bits, miss one with garbage above", DOCKER, 0, "socket", BIG | 40, 0, SECCOMP_RET_ALLOW },
	{ "clone without namespaces", DOCKER, 0, "clone", 17, 0x10000000, SECCOMP_RET_ALLOW },
	{ "clone with one", DOCKER, 0, "clone", 0x10000000, 0, ERRNO(38) },
	{ "clone with one and the capability", DOCKER, CAP(SYS_ADMIN), "clone", 0x10000000, 0, SECCOMP_RET_ALLOW },
	{ "clone3 with the capability", DOCKER, CAP(SYS_ADMIN), "clone3", 0, 0, SECCOMP_RET_ALLOW },
};

static void small_profiles(const struct verdict *rows, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const struct verdict *v = &rows[i];
		struct policy_context context = intel;
		struct policy_profile *profile = must_parse(v->rules, "");
		struct policy_filter *filter = NULL;
		struct error err = ERROR_INIT;

		context.caps = v->caps;
		if (policy_compile(profile, &context, &filter, &err) < 0)
			ok(0, "%s: %s", v->title, err.text);
		else
			is_int(ask(filter, AUDIT_ARCH_X86_64, v->call, v->a0, v->a1), v->want, "%s", v->title);
		policy_filter_unref(filter);
		policy_profile_free(profile);
	}
}

/* ---- refusals ---- */

struct contradiction {
	const char *head, *rules, *message;
};

/* clang-format off */
static const struct contradiction contradictions[] = {
	{ "", ONLY_IF("read", ARG(0, "EQ", 5, 0)) "," REFUSE_IF("read", 1, ARG(0, "MASKED_EQ", 18446744073709551615, 5)),
	  "p.json: syscalls[0] (SCMP_ACT_ALLOW) and syscalls[1] (SCMP_ACT_ERRNO(1)) contradict each other on 'read': the same conditions" },
	{ "", ONLY_IF("read", ARG(0, "LE", 5, 0)) "," REFUSE_IF("read", 1, ARG(0, "GE", 5, 0)),
	  "p.json: syscalls[0] (SCMP_ACT_ALLOW) and syscalls[1] (SCMP_ACT_ERRNO(1)) contradict each other on 'read': "
	  "some arguments meet the conditions of both, and neither is a special case of the other" },
	{ "", ONLY_IF("read", ARG(0, "EQ", 5, 0)) "," REFUSE_IF("read", 1, ARG(1, "EQ", 5, 0)),
	  "p.json: syscalls[0] (SCMP_ACT_ALLOW) and syscalls[1] (SCMP_ACT_ERRNO(1)) contradict each other on 'read': "
	  "some arguments meet the conditions of both, and neither is a special case of the other" },
	{ ",\"architectures\":[\"SCMP_ARCH_S390X\"]", ALLOW("read"),
	  "p.json: not meant for SCMP_ARCH_X86_64: its list of architectures does not have it" },
};
/* clang-format on */

static void refusals(void)
{
	struct policy_context strange = intel;
	struct policy_profile *profile;
	struct policy_filter *filter = NULL;
	struct error err = ERROR_INIT;

	for (size_t i = 0; i < sizeof(contradictions) / sizeof(contradictions[0]); i++) {
		const struct contradiction *c = &contradictions[i];

		profile = must_parse(c->rules, c->head);
		is_int(policy_compile(profile, &intel, &filter, &err), -EINVAL, "refused: %s", c->message);
		has_str(err.text, c->message, "in these words");
		policy_profile_free(profile);
	}
	profile = must_parse(ALLOW("read"), "");
	strange.arch = AUDIT_ARCH_S390X;
	is_int(policy_compile(profile, &strange, &filter, &err), -ENOTSUP, "an architecture we make no filters for");
	has_str(err.text, "no filters are made for architecture SCMP_ARCH_S390X", "says so");
	ok(!filter, "and returns nothing");
	policy_profile_free(profile);
}

/* As many distinct conditional rules on one call as asked for. */
static int compile_conditions(size_t n, struct policy_filter **ret, struct error *err)
{
	struct buf text = BUF_INIT;
	struct policy_profile *profile = NULL;
	int r;

	(void)buf_append_str(&text,
			     "{\"defaultAction\":\"SCMP_ACT_KILL\",\"syscalls\":["); /* memory: would fail below */
	for (size_t i = 0; i < n; i++)
		(void)buf_printf(
			&text,
			"%s{\"names\":[\"read\"],\"action\":\"SCMP_ACT_ALLOW\",\"args\":[{\"index\":0,\"value\":%zu,"
			"\"op\":\"SCMP_CMP_EQ\"}]}",
			i ? "," : "", i);
	(void)buf_append_str(&text, "]}");
	r = policy_profile_parse(buf_str(&text), text.size, "many.json", &profile, err);
	if (r == 0)
		r = policy_compile(profile, &intel, ret, err);
	policy_profile_free(profile);
	buf_done(&text);
	return r;
}

static void size_bounds(void)
{
	struct policy_filter *filter = NULL;
	struct error err = ERROR_INIT;

	is_int(compile_conditions(800, &filter, &err), 0, "800 conditions on one call fit: %s", err.text);
	is_int(ask(filter, AUDIT_ARCH_X86_64, "read", 799, 0), SECCOMP_RET_ALLOW, "and the last one works");
	policy_filter_unref(filter);
	filter = NULL;
	is_int(compile_conditions(1000, &filter, &err), -E2BIG, "a program longer than the kernel takes is refused");
	has_str(err.text, "instructions, more than 4096", "with its length");
	is_int(compile_conditions(1025, &filter, &err), -E2BIG, "so are more conditions than could ever fit");
	is_str(err.text, "many.json: syscalls[1024]: more conditions on 'read' than a filter has room for",
	       "naming the rule");
}

/* ---- the frame ---- */

static void frame(const struct policy_context *context, const char *title)
{
	static const struct {
		const char *title;
		uint32_t nr, arch, want[2]; /* on x86_64, elsewhere */
	} rows[] = {
		{ "an i386 call kills", 3, AUDIT_ARCH_I386, { SECCOMP_RET_KILL_PROCESS, SECCOMP_RET_KILL_PROCESS } },
		{ "an ARM call kills", 3, AUDIT_ARCH_ARM, { SECCOMP_RET_KILL_PROCESS, SECCOMP_RET_KILL_PROCESS } },
		{ "an x32 call kills", POLICY_X32_BIT, 0, { SECCOMP_RET_KILL_PROCESS, ERRNO(38) } },
		{ "an x32 call of its own kills", POLICY_X32_BIT + 520, 0, { SECCOMP_RET_KILL_PROCESS, ERRNO(38) } },
		{ "a number with the sign bit kills", 0x80000000, 0, { SECCOMP_RET_KILL_PROCESS, ERRNO(38) } },
		{ "an unknown number gets the default", 100000, 0, { ERRNO(38), ERRNO(38) } },
		{ "so does the mark of a skipped call", 0xffffffff, 0, { ERRNO(38), ERRNO(38) } },
	};
	struct policy_profile *profile = must_parse(ALLOW("read") "," ALLOW("openat"), "");
	struct policy_filter *filter = NULL;
	struct error err = ERROR_INIT;

	need(policy_compile(profile, context, &filter, &err) == 0, "%s: compiled: %s", title, err.text);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct seccomp_data call = { .nr = (int)rows[i].nr,
					     .arch = rows[i].arch ? rows[i].arch : context->arch };
		uint32_t got = 0;

		(void)policy_simulate(filter->program, filter->n_instructions, &call, &got, NULL,
				      NULL); /* got stays 0 */
		is_int(got, rows[i].want[context->arch != AUDIT_ARCH_X86_64], "%s: %s", title, rows[i].title);
	}
	is_int(ask(filter, context->arch, "openat", 0, 0), SECCOMP_RET_ALLOW, "%s: calls have their own numbers",
	       title);
	policy_filter_unref(filter);
	policy_profile_free(profile);
}

/* ---- the cache ---- */

static void cache(void)
{
	struct policy_cache *c = policy_cache_new();
	struct policy_profile *profile = must_parse(ALLOW("read"), ""), *other = must_parse(ALLOW("write"), "");
	struct policy_filter *first = NULL, *again = NULL, *third = NULL;
	struct policy_context context = intel;
	struct error err = ERROR_INIT;
	size_t hits, misses;

	need(c, "a cache");
	need(policy_cache_get(c, profile, &context, &first, &err) == 0, "compiled at first");
	ok(policy_cache_get(c, profile, &context, &again, &err) == 0 && again == first, "found the second time");
	policy_filter_unref(again);
	ok(policy_cache_get(c, other, &context, &third, &err) == 0 && third != first,
	   "another profile is another filter");
	policy_filter_unref(third);
	context.caps = CAP(CHOWN);
	ok(policy_cache_get(c, profile, &context, &third, &err) == 0 && third != first, "so are other capabilities");
	policy_filter_unref(third);
	context = arm;
	ok(policy_cache_get(c, profile, &context, &third, &err) == 0 && third != first, "and another architecture");
	policy_filter_unref(third);
	policy_cache_counts(c, &hits, &misses);
	ok(hits == 1 && misses == 4, "hits and misses are counted");

	for (unsigned i = 0; i < POLICY_CACHE_MAX; i++) {
		context = intel;
		context.kernel_minor = 100 + i;
		need(policy_cache_get(c, profile, &context, &third, &err) == 0, "context %u", i);
		policy_filter_unref(third);
	}
	ok(policy_cache_get(c, profile, &intel, &again, &err) == 0 && again != first,
	   "the entry unused for longest made room");
	policy_filter_unref(again);
	policy_cache_free(c);
	is_int(ask(first, AUDIT_ARCH_X86_64, "read", 0, 0), SECCOMP_RET_ALLOW,
	       "a filter in use outlives entry and cache");
	policy_filter_unref(first);
	policy_profile_free(profile);
	policy_profile_free(other);
}

/* ---- the interpreter ---- */

struct program {
	const char *title;
	struct sock_filter code[6];
	size_t n;
	int code_want; /* 0 or -errno */
	uint32_t want;
};

#define RET(v) BPF_STMT(BPF_RET | BPF_K, (v))

/* clang-format off */
static const struct program programs[] = {
	{ "the lower half of argument 1 is at 24",
	  { BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 24), BPF_STMT(BPF_RET | BPF_A, 0) }, 2, 0, 0x55667788 },
	{ "its upper half at 28", { BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 28), BPF_STMT(BPF_RET | BPF_A, 0) }, 2, 0, 0x11223344 },
	{ "the length is that of the call", { BPF_STMT(BPF_LD | BPF_W | BPF_LEN, 0), BPF_STMT(BPF_RET | BPF_A, 0) }, 2, 0, 64 },
	{ "scratch memory keeps",
	  { BPF_STMT(BPF_LD | BPF_IMM, 7), BPF_STMT(BPF_ST, 3), BPF_STMT(BPF_LDX | BPF_W | BPF_MEM, 3), BPF_STMT(BPF_MISC | BPF_TXA, 0),
	    BPF_STMT(BPF_ALU | BPF_ADD | BPF_X, 0), BPF_STMT(BPF_RET | BPF_A, 0) }, 6, 0, 14 },
	{ "bits are tested", { BPF_STMT(BPF_LD | BPF_IMM, 6), BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, 4, 1, 0), RET(1), RET(2) }, 4, 0, 2 },
	{ "a far jump", { BPF_STMT(BPF_JMP | BPF_JA, 1), RET(1), RET(2) }, 3, 0, 2 },
	{ "a zero divisor in X ends with 0",
	  { BPF_STMT(BPF_LD | BPF_IMM, 6), BPF_STMT(BPF_ALU | BPF_DIV | BPF_X, 0), RET(9) }, 3, 0, 0 },
	{ "a constant zero divisor is refused", { BPF_STMT(BPF_ALU | BPF_DIV | BPF_K, 0), RET(9) }, 2, -EINVAL, 0 },
	{ "a shift by 32 is refused", { BPF_STMT(BPF_ALU | BPF_LSH | BPF_K, 32), RET(9) }, 2, -EINVAL, 0 },
	{ "a load of a byte is refused", { BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 0), RET(9) }, 2, -EINVAL, 0 },
	{ "a crooked load is refused", { BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 2), RET(9) }, 2, -EINVAL, 0 },
	{ "a load behind the call is refused", { BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 64), RET(9) }, 2, -EINVAL, 0 },
	{ "an indirect load is refused", { BPF_STMT(BPF_LD | BPF_W | BPF_IND, 0), RET(9) }, 2, -EINVAL, 0 },
	{ "scratch memory has an end", { BPF_STMT(BPF_ST, BPF_MEMWORDS), RET(9) }, 2, -EINVAL, 0 },
	{ "a jump past the end is refused", { BPF_STMT(BPF_JMP | BPF_JA, 1), RET(9) }, 2, -EINVAL, 0 },
	{ "a jump that wraps is refused", { BPF_STMT(BPF_JMP | BPF_JA, 0xffffffff), RET(9) }, 2, -EINVAL, 0 },
	{ "a program must answer", { BPF_STMT(BPF_LD | BPF_IMM, 6) }, 1, -EINVAL, 0 },
	{ "no program is no answer", { RET(9) }, 0, -EINVAL, 0 },
};
/* clang-format on */

static void interpreter(void)
{
	const struct seccomp_data call = { .nr = 1, .args = { 0, 0x1122334455667788 } };

	for (size_t i = 0; i < sizeof(programs) / sizeof(programs[0]); i++) {
		uint32_t got = 0;
		struct error err = ERROR_INIT;
		int r = policy_simulate(programs[i].code, programs[i].n, &call, &got, NULL, &err);

		ok(r == programs[i].code_want && got == programs[i].want && (r == 0) == (err.text[0] == '\0'),
		   "%s (%d, 0x%x)", programs[i].title, r, got);
	}
}

int main(void)
{
	small_profiles(verdicts, sizeof(verdicts) / sizeof(verdicts[0]));
	small_profiles(docker, sizeof(docker) / sizeof(docker[0]));
	refusals();
	size_bounds();
	frame(&intel, "x86_64");
	frame(&arm, "aarch64");
	cache();
	interpreter();
	return done_testing();
}
