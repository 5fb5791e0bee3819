/* Reading seccomp profiles: what is accepted and how it is understood; what is refused and with which words. */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/seccomp.h>
#include <unistd.h>

#include "policies/arch.h"
#include "policies/lookup.h"
#include "policies/profile.h"
#include "runtime/base/buf.h"
#include "runtime/base/error.h"
#include "tests/tap.h"

static int parse(const char *text, struct policy_profile **ret, struct error *err)
{
	return policy_profile_parse(text, strlen(text), "p.json", ret, err);
}

/* A document with one rule for read: the fields given, then an action unless they have one. */
#define RULE(fields) "{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"syscalls\":[{\"names\":[\"read\"]," fields "}]}"
#define ALLOWED      "\"action\":\"SCMP_ACT_ALLOW\""
#define ARG(fields)  RULE(ALLOWED ",\"args\":[{" fields "}]")
#define DOC(fields)  "{\"defaultAction\":\"SCMP_ACT_ERRNO\"," fields "}"

struct bad {
	const char *text, *message;
	int code;
};

/* clang-format off */
static const struct bad bads[] = {
	/* not JSON, or not an object */
	{ "", "p.json: line 1, column 0: '[' or '{' expected near end of file", EINVAL },
	{ "{\n  \"defaultAction\" \"x\" }", "p.json: line 2, column 21: ':' expected near '\"x\"'", EINVAL },
	{ "{\"a\":1,\"a\":2}", "p.json: line 1, column 10: duplicate object key near '\"a\"'", EINVAL },
	{ "{} x", "p.json: line 1, column 4: end of file expected near 'x'", EINVAL },
	{ "[]", "p.json: must be an object, is a list", EINVAL },

	/* the document */
	{ "{}", "p.json: defaultAction: is missing", EINVAL },
	{ "{\"defaultAction\":null}", "p.json: defaultAction: is missing", EINVAL },
	{ "{\"defaultAction\":1}", "p.json: defaultAction: must be a string, is a whole number", EINVAL },
	{ "{\"defaultAction\":\"ALLOW\"}",
	  "p.json: defaultAction: 'ALLOW' is not an action (SCMP_ACT_ALLOW, SCMP_ACT_ERRNO, ...)", EINVAL },
	{ "{\"defaultAction\":\"SCMP_ACT_TRACE\"}",
	  "p.json: defaultAction: SCMP_ACT_TRACE: no tracer is attached to a sandbox, so the call would always fail", EINVAL },
	{ "{\"defaultAction\":\"SCMP_ACT_NOTIFY\"}",
	  "p.json: defaultAction: SCMP_ACT_NOTIFY: nobody answers notifications of an enforced profile", EINVAL },
	{ "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"defaultErrnoRet\":1}",
	  "p.json: defaultErrnoRet: has no meaning with SCMP_ACT_ALLOW", EINVAL },
	{ DOC("\"defaultErrnoRet\":4096"), "p.json: defaultErrnoRet: 4096 is not an errno: 0 to 4095", EINVAL },
	{ DOC("\"defaultErrnoRet\":\"EPERM\""), "p.json: defaultErrnoRet: must be a whole number, is a string", EINVAL },
	{ DOC("\"defaultErrnoRet\":1.5"), "p.json: defaultErrnoRet: must be a whole number, is a number with a fraction", EINVAL },
	{ DOC("\n \"defaultErrnoRet\": -1"), "p.json: line 2, column 21: a negative number; there is no use for one here", EINVAL },
	{ DOC("\"rules\":[]"), "p.json: rules: unknown field", EINVAL },
	{ DOC("\"architectures\":[\"SCMP_ARCH_Z80\"]"), "p.json: architectures[0]: 'SCMP_ARCH_Z80' is not an architecture", EINVAL },
	{ DOC("\"architectures\":[\"SCMP_ARCH_X86\"],\"archMap\":[{\"architecture\":\"SCMP_ARCH_X86_64\"}]"),
	  "p.json: 'architectures' and 'archMap' do not go together", EINVAL },
	{ DOC("\"archMap\":[{\"subArchitectures\":[]}]"), "p.json: archMap[0]: 'architecture' is missing", EINVAL },
	{ DOC("\"archMap\":[{\"architecture\":\"SCMP_ARCH_X86_64\",\"subArchitectures\":[\"mars\"]}]"),
	  "p.json: archMap[0].subArchitectures[0]: 'mars' is not an architecture", EINVAL },
	{ DOC("\"archMap\":[{\"architecture\":\"SCMP_ARCH_X86_64\",\"arch\":1}]"), "p.json: archMap[0].arch: unknown field", EINVAL },
	{ DOC("\"flags\":[\"SECCOMP_FILTER_FLAG_NEW_LISTENER\"]"),
	  "p.json: flags[0]: 'SECCOMP_FILTER_FLAG_NEW_LISTENER' is not a flag that can be honoured", EINVAL },
	{ DOC("\"listenerPath\":\"/run/x\""),
	  "p.json: listenerPath: belongs to SCMP_ACT_NOTIFY, and nobody answers notifications of an enforced profile", EINVAL },
	{ DOC("\"syscalls\":{}"), "p.json: syscalls: must be a list, is an object", EINVAL },

	/* rules */
	{ DOC("\"syscalls\":[[]]"), "p.json: syscalls[0]: must be an object, is a list", EINVAL },
	{ DOC("\"syscalls\":[{}]"), "p.json: syscalls[0]: names no system call", EINVAL },
	{ DOC("\"syscalls\":[{\"names\":[]," ALLOWED "}]"), "p.json: syscalls[0]: names no system call", EINVAL },
	{ DOC("\"syscalls\":[{\"names\":[\"read\"]}]"), "p.json: syscalls[0].action: is missing", EINVAL },
	{ DOC("\"syscalls\":[{\"names\":[\"read\"]," ALLOWED "},{\"names\":[\"read\",7]," ALLOWED "}]"),
	  "p.json: syscalls[1].names[1]: must be a string, is a whole number", EINVAL },
	{ DOC("\"syscalls\":[{\"names\":[\"Read\"]," ALLOWED "}]"),
	  "p.json: syscalls[0].names[0]: 'Read' is not the name of a system call", EINVAL },
	{ DOC("\"syscalls\":[{\"names\":[\"read \"]," ALLOWED "}]"),
	  "p.json: syscalls[0].names[0]: 'read ' is not the name of a system call", EINVAL },
	{ DOC("\"syscalls\":[{\"names\":[\"\"]," ALLOWED "}]"),
	  "p.json: syscalls[0].names[0]: '' is not the name of a system call", EINVAL },
	{ DOC("\"syscalls\":[{\"names\":[\"read\",\"opneat\"]," ALLOWED "}]"),
	  "p.json: syscalls[0].names[1]: 'opneat' is no system call of any kernel known here, up to 6.19 (a rule for newer ones has includes.minKernel)", EINVAL },
	{ DOC("\"syscalls\":[{\"name\":\"opneat\"," ALLOWED ",\"includes\":{\"minKernel\":\"6.19\"}}]"),
	  "p.json: syscalls[0].name: 'opneat' is no system call of any kernel known here, up to 6.19 (a rule for newer ones has includes.minKernel)", EINVAL },
	{ RULE("\"name\":\"write\"," ALLOWED), "p.json: syscalls[0].name: 'name' and 'names' do not go together", EINVAL },
	{ RULE(ALLOWED ",\"priority\":1"), "p.json: syscalls[0].priority: unknown field", EINVAL },
	{ RULE(ALLOWED ",\"errnoRet\":1"), "p.json: syscalls[0].errnoRet: has no meaning with SCMP_ACT_ALLOW", EINVAL },
	{ RULE("\"action\":\"SCMP_ACT_ERRNO\",\"errnoRet\":70000"),
	  "p.json: syscalls[0].errnoRet: 70000 is not an errno: 0 to 4095", EINVAL },
	{ RULE("\"action\":\"SCMP_ACT_NOTIFY\""),
	  "p.json: syscalls[0].action: SCMP_ACT_NOTIFY: nobody answers notifications of an enforced profile", EINVAL },
	{ RULE(ALLOWED ",\"comment\":7"), "p.json: syscalls[0].comment: must be a string, is a whole number", EINVAL },

	/* conditions */
	{ ARG("\"value\":1,\"op\":\"SCMP_CMP_EQ\""), "p.json: syscalls[0].args[0]: 'index' is missing", EINVAL },
	{ ARG("\"index\":0,\"value\":1"), "p.json: syscalls[0].args[0]: 'op' is missing", EINVAL },
	{ ARG("\"index\":6,\"value\":1,\"op\":\"SCMP_CMP_EQ\""), "p.json: syscalls[0].args[0].index: 6 is not an argument: 0 to 5", EINVAL },
	{ ARG("\"index\":0,\"op\":\"==\""),
	  "p.json: syscalls[0].args[0].op: '==' is not a comparison (SCMP_CMP_EQ, SCMP_CMP_MASKED_EQ, ...)", EINVAL },
	{ ARG("\"index\":0,\"value\":\"1\",\"op\":\"SCMP_CMP_EQ\""),
	  "p.json: syscalls[0].args[0].value: must be a whole number, is a string", EINVAL },
	{ ARG("\"index\":0,\"value\":18446744073709551616,\"op\":\"SCMP_CMP_EQ\""),
	  "p.json: line 1, column 137: too big integer near '18446744073709551616'", EINVAL },
	{ ARG("\"index\":0,\"value\":1,\"op\":\"SCMP_CMP_EQ\",\"mask\":1"), "p.json: syscalls[0].args[0].mask: unknown field", EINVAL },
	{ ARG("\"index\":0,\"value\":2,\"valueTwo\":3,\"op\":\"SCMP_CMP_MASKED_EQ\""),
	  "p.json: syscalls[0].args[0]: never true: valueTwo (3) has bits outside the mask, which is value (2)", EINVAL },
	{ ARG("\"index\":0,\"value\":0,\"op\":\"SCMP_CMP_LT\""), "p.json: syscalls[0].args[0]: never true: nothing is less than 0", EINVAL },
	{ ARG("\"index\":0,\"value\":18446744073709551615,\"op\":\"SCMP_CMP_GT\""),
	  "p.json: syscalls[0].args[0]: never true: nothing is greater than 18446744073709551615", EINVAL },
	{ RULE(ALLOWED ",\"args\":[7]"), "p.json: syscalls[0].args[0]: must be an object, is a whole number", EINVAL },

	/* includes, excludes */
	{ RULE(ALLOWED ",\"includes\":{\"caps\":[\"CAP_FLY\"]}"), "p.json: syscalls[0].includes.caps[0]: 'CAP_FLY' is not a capability", EINVAL },
	/* what libcap would read as well: other letters, a number, the first of several */
	{ RULE(ALLOWED ",\"includes\":{\"caps\":[\"CAP_sys_admin\"]}"), "p.json: syscalls[0].includes.caps[0]: 'CAP_sys_admin' is not a capability", EINVAL },
	{ RULE(ALLOWED ",\"includes\":{\"caps\":[\"21\"]}"), "p.json: syscalls[0].includes.caps[0]: '21' is not a capability", EINVAL },
	{ RULE(ALLOWED ",\"includes\":{\"caps\":[\"CAP_KILL,CAP_CHOWN\"]}"), "p.json: syscalls[0].includes.caps[0]: 'CAP_KILL,CAP_CHOWN' is not a capability", EINVAL },
	{ RULE(ALLOWED ",\"includes\":{\"caps\":[\"SYS_ADMIN\"]}"), "p.json: syscalls[0].includes.caps[0]: 'SYS_ADMIN' is not a capability", EINVAL },
	{ RULE(ALLOWED ",\"errno\":\"EPERM\""), "p.json: syscalls[0].errnoRet: has no meaning with SCMP_ACT_ALLOW", EINVAL },
	{ RULE("\"action\":\"SCMP_ACT_ERRNO\",\"errno\":\"EWHAT\""), "p.json: syscalls[0].errno: 'EWHAT' is not the name of an errno such as EPERM", EINVAL },
	{ RULE("\"action\":\"SCMP_ACT_ERRNO\",\"errno\":\"EPERM\",\"errnoRet\":38"), "p.json: syscalls[0].errnoRet: is 38, and the name beside it EPERM, which is 1", EINVAL },
	{ RULE(ALLOWED ",\"includes\":{\"minKernel\":\"5\"}"), "p.json: syscalls[0].includes.minKernel: '5' is not a kernel version such as 5.10", EINVAL },
	{ RULE(ALLOWED ",\"includes\":{\"minKernel\":\"5.10.1\"}"), "p.json: syscalls[0].includes.minKernel: '5.10.1' is not a kernel version such as 5.10", EINVAL },
	{ RULE(ALLOWED ",\"includes\":{\"minKernel\":\"123456.1\"}"), "p.json: syscalls[0].includes.minKernel: '123456.1' is not a kernel version such as 5.10", EINVAL },
	{ RULE(ALLOWED ",\"includes\":{\"maxKernel\":\"5.1\"}"), "p.json: syscalls[0].includes.maxKernel: unknown field", EINVAL },
	{ RULE(ALLOWED ",\"includes\":[]"), "p.json: syscalls[0].includes: must be an object, is a list", EINVAL },
};
/* clang-format on */

static void refusals(void)
{
	for (size_t i = 0; i < sizeof(bads) / sizeof(bads[0]); i++) {
		struct policy_profile *profile = NULL;
		struct error err = ERROR_INIT;
		int r = parse(bads[i].text, &profile, &err);

		is_str(err.text, bads[i].message, "%s", bads[i].message);
		if (r != -bads[i].code || profile || parse(bads[i].text, &profile, NULL) != r)
			ok(0, "... with code %d, nothing returned, and without a place for words too; got %d",
			   bads[i].code, r);
		policy_profile_free(profile);
	}
}

static const char everything[] =
	"{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"defaultErrnoRet\":38,"
	"\"archMap\":[{\"architecture\":\"SCMP_ARCH_X86_64\",\"subArchitectures\":[\"SCMP_ARCH_X86\"]},"
	"{\"architecture\":\"SCMP_ARCH_AARCH64\",\"subArchitectures\":null}],"
	"\"flags\":[\"SECCOMP_FILTER_FLAG_LOG\",\"SECCOMP_FILTER_FLAG_SPEC_ALLOW\"],\"syscalls\":["
	"{\"names\":[\"read\",\"a_call_of_2040\"],\"action\":\"SCMP_ACT_ALLOW\",\"args\":[],\"comment\":\"why\","
	"\"includes\":{\"minKernel\":\"40.1\"},"
	"\"excludes\":{}},"
	"{\"name\":\"clone\",\"action\":\"SCMP_ACT_ERRNO\",\"args\":[{\"index\":3,\"value\":18446744073709551615,"
	"\"valueTwo\":9223372036854775808,\"op\":\"SCMP_CMP_MASKED_EQ\"},{\"index\":1,\"value\":7,\"valueTwo\":9,"
	"\"op\":"
	"\"SCMP_CMP_GE\"}],\"includes\":{\"caps\":[\"CAP_SYS_ADMIN\",\"CAP_BPF\"],\"minKernel\":\"4.8\"},"
	"\"excludes\":{\"arches\":[\"arm64\",\"SCMP_ARCH_S390X\"]}},"
	"{\"names\":[\"socket\"],\"name\":\"\",\"action\":\"SCMP_ACT_KILL\",\"args\":[{\"index\":0,\"value\":1,\"op\":"
	"\"SCMP_CMP_NE\"},"
	"{\"index\":0,\"value\":2,\"op\":\"SCMP_CMP_NE\"}]}]}";

static void understanding(void)
{
	struct policy_profile *p = NULL;
	struct error err = ERROR_INIT;
	const struct policy_rule *rule;

	need(parse(everything, &p, &err) == 0, "a profile that uses every field is read: %s", err.text);
	is_int(p->default_action, SECCOMP_RET_ERRNO | 38, "the default action has its errno");
	is_int(p->arches, 1U << policy_arch_find("amd64") | 1U << policy_arch_find("SCMP_ARCH_AARCH64"),
	       "archMap names the architectures it is meant for");
	is_int(p->install_flags, SECCOMP_FILTER_FLAG_LOG, "the log flag is passed on, the one for speculation is not");
	is_int(p->n_rules, 3, "three rules");

	rule = &p->rules[0];
	ok(rule->n_names == 2 && strcmp(rule->names[1], "a_call_of_2040") == 0,
	   "a name that a later kernel may have is kept");
	is_str(rule->comment, "why", "the comment is kept");
	rule = &p->rules[1];
	ok(rule->position == 1 && rule->n_names == 1 && strcmp(rule->names[0], "clone") == 0,
	   "the old 'name' is a list of one");
	is_int(rule->action, SECCOMP_RET_ERRNO | EPERM, "an errno not given is EPERM");
	ok(rule->conditions[0].value == UINT64_MAX && rule->conditions[0].value_two == 1ULL << 63,
	   "numbers reach to 2^64-1, unrounded");
	ok(rule->conditions[1].op == POLICY_GE && rule->conditions[1].index == 1 && rule->conditions[1].value_two == 0,
	   "a valueTwo that the comparison does not use is forgotten");
	ok(rule->includes.caps == (1ULL << CAP_SYS_ADMIN | 1ULL << CAP_BPF) && rule->includes.has_kernel &&
		   rule->includes.kernel_major == 4 && rule->includes.kernel_minor == 8,
	   "includes: capabilities and kernel");
	is_int(rule->excludes.arches, 1U << policy_arch_find("arm64") | 1U << policy_arch_find("s390x"),
	       "excludes: architectures in either spelling");
	rule = &p->rules[2];
	ok(rule->is_split && rule->action == SECCOMP_RET_KILL_THREAD, "a rule that tests an argument twice is marked");

	need(p->n_warnings == 4, "four warnings");
	is_str(p->warnings[0].text, "archMap[0].subArchitectures[0]: calls of SCMP_ARCH_X86 stay closed",
	       "32-bit calls");
	is_str(p->warnings[1].text,
	       "flags[1]: SECCOMP_FILTER_FLAG_SPEC_ALLOW has no effect: speculation stays restricted in every "
	       "sandbox",
	       "speculation");
	is_str(p->warnings[2].text,
	       "syscalls[0].names[1]: 'a_call_of_2040' is not known to libseccomp, it gets the default action",
	       "unknown name");
	ok(p->warnings[2].kind == POLICY_WARN_UNKNOWN_NAME && p->warnings[3].kind == POLICY_WARN_SPLIT,
	   "kinds of warnings");
	is_str(p->warnings[3].text,
	       "syscalls[2]: tests one argument twice: as in runc, each of its 2 conditions is then a rule "
	       "of its own (or, not and)",
	       "split");
	policy_profile_free(p);

	p = NULL;
	need(parse("{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":null}", &p, &err) == 0,
	     "no rules at all is a profile");
	ok(p->n_rules == 0 && p->n_warnings == 0, "and an empty one");
	policy_profile_free(p);
}

/* A document with so many of something, as text. */
static char *repeat(const char *head, const char *item, size_t n, const char *tail)
{
	struct buf b = BUF_INIT;

	(void)buf_append_str(&b, head); /* memory: the test would fail below */
	for (size_t i = 0; i < n; i++)
		(void)buf_printf(&b, "%s%s", i ? "," : "", item);
	(void)buf_append_str(&b, tail);
	return buf_take(&b);
}

static void bounds(void)
{
	static const char one_rule[] = "{\"names\":[\"read\"]," ALLOWED "}";
	static const char one_arg[] = "{\"index\":0,\"op\":\"SCMP_CMP_EQ\"}";
	static const struct {
		const char *head, *item, *tail;
		size_t max;
		const char *message;
	} rows[] = {
		{ DOC("\"syscalls\":["), one_rule, "]}", POLICY_RULES_MAX,
		  "p.json: syscalls: 4097 rules, more than 4096" },
		{ RULE(ALLOWED ",\"args\":["), one_arg, "]}]}", POLICY_CONDITIONS_MAX,
		  "p.json: syscalls[0].args: 65 conditions, more than 64" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		for (size_t more = 0; more < 2; more++) {
			struct policy_profile *p = NULL;
			struct error err = ERROR_INIT;
			/* the heads above are whole documents: cut them behind the list's bracket */
			char *head = strdup(rows[i].head), *text;
			int r;

			*(strrchr(head, '[') + 1) = '\0';
			text = repeat(head, rows[i].item, rows[i].max + more, rows[i].tail);
			r = parse(text, &p, &err);
			if (more)
				ok(r == -E2BIG && strcmp(err.text, rows[i].message) == 0, "%s", rows[i].message);
			else
				ok(r == 0, "one fewer is accepted %s", err.text);
			policy_profile_free(p);
			free(text);
			free(head);
		}
	}
}

static void file_bounds(void)
{
	size_t size = POLICY_FILE_MAX + 1;
	char *text = malloc(size);
	struct policy_profile *p = NULL;
	struct error err = ERROR_INIT;

	need(text, "memory");
	memset(text, ' ', size);
	is_int(policy_profile_parse(text, size, "p.json", &p, &err), -E2BIG, "more than a mebibyte is refused");
	is_str(err.text, "p.json: 1048577 bytes, more than 1048576", "and says how much it is");
	(void)snprintf(text, size, "{\"defaultAction\":\"SCMP_ACT_LOG\"}");
	text[32] = ' '; /* the NUL */
	is_int(policy_profile_parse(text, size - 1, "p.json", &p, &err), 0, "a mebibyte is accepted");
	policy_profile_free(p);
	free(text);
}

/* The text is taken by its size: what follows it in memory is not read. */
static void exact_size(void)
{
	struct policy_profile *p = NULL;
	struct error err = ERROR_INIT;
	static const char text[] = "{\"defaultAction\":\"SCMP_ACT_LOG\"}trailing";

	is_int(policy_profile_parse(text, 32, "p.json", &p, &err), 0, "no NUL is needed behind the text");
	policy_profile_free(p);
	p = NULL;
	is_int(policy_profile_parse(NULL, 0, "p.json", &p, &err), -EINVAL, "no text at all is refused");
	is_int(policy_profile_parse("{\"defaultAction\":\"SCMP_ACT_LOG\"}\0{", 34, "p.json", &p, &err), -EINVAL,
	       "a NUL inside the text is refused");
}

static void files(void)
{
	char path[] = "/tmp/policy-test-XXXXXX";
	struct policy_profile *p = NULL;
	struct error err = ERROR_INIT;
	int fd = mkostemp(path, O_CLOEXEC);

	need(fd >= 0 && write(fd, "{\"defaultAction\":1}", 19) == 19, "a file");
	is_int(policy_lookup(path, &p, &err), -EINVAL, "a bad profile in a file is refused");
	has_str(err.text, path, "naming the file");
	has_str(err.text, ": defaultAction: must be a string, is a whole number", "the place and the reason");
	need(ftruncate(fd, 0) == 0 && pwrite(fd, "{\"defaultAction\":\"SCMP_ACT_LOG\"}", 32, 0) == 32,
	     "the file mended");
	is_int(policy_lookup(path, &p, &err), 0, "a path with a slash is a file");
	is_str(p->origin, path, "called by its path");
	policy_profile_free(p);
	p = NULL;
	need(ftruncate(fd, POLICY_FILE_MAX + 1) == 0, "a large file");
	is_int(policy_lookup(path, &p, &err), -EFBIG, "a file of more than a mebibyte is not read");
	(void)close(fd);
	(void)unlink(path);
	is_int(policy_lookup(path, &p, &err), -ENOENT, "a file that is not there");
	is_int(policy_lookup("relaxed", &p, &err), -ENOENT, "a name that is not there");
	is_str(err.text,
	       "no profile 'relaxed': there are default, strict, net, build, unconfined, or give a path with a '/' in "
	       "it",
	       "and those that are");
	is_int(policy_lookup("strict", &p, &err), 0, "a built-in profile by name");
	is_str(p->origin, "builtin strict", "called so");
	policy_profile_free(p);
}

static void action_names(void)
{
	char text[40];

	is_str(policy_action_name(SECCOMP_RET_ERRNO | 38, text, sizeof(text)), "SCMP_ACT_ERRNO(38)",
	       "an action in words");
	is_str(policy_action_name(SECCOMP_RET_KILL_THREAD, text, sizeof(text)), "SCMP_ACT_KILL_THREAD",
	       "the clearer of two names");
	is_str(policy_action_name(SECCOMP_RET_KILL_PROCESS, text, sizeof(text)), "SCMP_ACT_KILL_PROCESS", "a process");
	is_str(policy_action_name(0x12340000, text, sizeof(text)), "unknown action", "one that is none");
}

int main(void)
{
	refusals();
	understanding();
	bounds();
	file_bounds();
	exact_size();
	files();
	action_names();
	return done_testing();
}
