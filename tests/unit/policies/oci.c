/*
 * Rules with exceptions, written for runtimes that know none: policy_oci_write() itself asks libseccomp what it makes of the
 * document on every witness, so what is good here is good there. And what is written is read again, and decides the same.
 */
#include <errno.h>
#include <linux/audit.h>
#include <linux/seccomp.h>

#include "policies/builtin.h"
#include "policies/lookup.h"
#include "policies/oci.h"
#include "policies/profile.h"
#include "policies/rules.h"
#include "runtime/base/buf.h"
#include "runtime/base/error.h"
#include "tests/tap.h"

#define ALLOW           "\"action\":\"SCMP_ACT_ALLOW\""
#define REFUSE          "\"action\":\"SCMP_ACT_ERRNO\",\"errnoRet\":1"
#define ARG(i, op, v)   "{\"index\":" #i ",\"op\":\"SCMP_CMP_" #op "\",\"value\":" #v "}"
#define MASKED(i, m, v) "{\"index\":" #i ",\"op\":\"SCMP_CMP_MASKED_EQ\",\"value\":" #m ",\"valueTwo\":" #v "}"

static struct policy_rules *rules_of(const struct policy_profile *profile)
{
	struct policy_context context;
	struct policy_rules *rules = NULL;
	struct error err = ERROR_INIT;

	need(policy_context_host(0, &context, &err) == 0 && policy_rules_build(profile, &context, &rules, &err) == 0,
	     "rules: %s", err.text);
	return rules;
}

static int agrees(const struct seccomp_data *call, void *arg)
{
	struct policy_rules *const *both = arg;

	return policy_rules_decide(both[0], call, NULL) != policy_rules_decide(both[1], call, NULL);
}

/* is_read: no number of it is above INT64_MAX, which our own reader refuses */
static void round_trip(const struct policy_profile *profile, bool is_read, const char *title)
{
	cleanup_policy_profile struct policy_profile *again = NULL;
	cleanup_buf struct buf text = BUF_BOUNDED(64 << 20);
	struct policy_rules *both[2] = { rules_of(profile), NULL };
	struct error err = ERROR_INIT;

	is_int(policy_oci_write(profile, both[0], &text, &err), 0, "%s: written, and libseccomp means the same", title);
	if (err.code)
		diag("%s", err.text);
	if (is_read) {
		need(policy_profile_parse(buf_str(&text), text.size, "oci.json", &again, &err) == 0,
		     "%s: read again %s", title, err.text);
		both[1] = rules_of(again);
		is_int(policy_rules_witness(both[0], agrees, both), 0, "%s: it decides the same", title);
		is_int(policy_rules_witness(both[1], agrees, both), 0, "%s: on its own boundaries too", title);
		policy_rules_free(both[1]);
	}
	policy_rules_free(both[0]);
}

static void round_trip_text(const char *rules, bool is_read, const char *title)
{
	cleanup_policy_profile struct policy_profile *profile = NULL;
	struct error err = ERROR_INIT;
	char text[4096];

	(void)snprintf(text, sizeof(text),
		       "{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"defaultErrnoRet\":38,\"syscalls\":[%s]}", rules);
	need(policy_profile_parse(text, strlen(text), "p.json", &profile, &err) == 0, "%s: a profile %s", title,
	     err.text);
	round_trip(profile, is_read, title);
}

static void test_parts_end(void)
{
	cleanup_policy_profile struct policy_profile *profile = NULL;
	cleanup_policy_rules struct policy_rules *rules = NULL;
	cleanup_buf struct buf rows = BUF_BOUNDED(1 << 20), text = BUF_BOUNDED(64 << 20);
	struct error err = ERROR_INIT;

	/* each exception cuts what is left into some sixty parts */
	(void)buf_append_str(&rows,
			     "{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"syscalls\":[{\"names\":[\"ioctl\"]," ALLOW "}");
	for (unsigned i = 0; i < 200; i++)
		(void)buf_printf(&rows,
				 ",{\"names\":[\"ioctl\"]," REFUSE
				 ",\"args\":[{\"index\":0,\"op\":\"SCMP_CMP_EQ\",\"value\":%u},"
				 "{\"index\":1,\"op\":\"SCMP_CMP_EQ\",\"value\":%u}]}",
				 i * 7919U, i * 104729U);
	(void)buf_append_str(&rows, "]}");
	need(policy_profile_parse(buf_str(&rows), rows.size, "many.json", &profile, &err) == 0, "a profile %s",
	     err.text);
	rules = rules_of(profile);
	is_int(policy_oci_write(profile, rules, &text, &err), -E2BIG, "too many parts are refused: %s", err.text);
	is_int((long)text.size, 0, "and nothing is written");
}

int main(void)
{
	for (size_t i = 0; policy_builtin_at(i); i++) {
		cleanup_policy_profile struct policy_profile *profile = NULL;
		struct error err = ERROR_INIT;

		need(policy_lookup(policy_builtin_at(i)->name, &profile, &err) == 0, "%s", err.text);
		round_trip(profile, false, policy_builtin_at(i)->name);
	}
	round_trip_text("{\"names\":[\"read\",\"write\"]," ALLOW "}", true, "without conditions");
	round_trip_text("{\"names\":[\"ioctl\"]," ALLOW "},{\"names\":[\"ioctl\"]," REFUSE
			",\"args\":[" MASKED(1, 4294967295, 21522) "]}",
			true, "all but one, in 32 bits");
	round_trip_text("{\"names\":[\"ioctl\"]," ALLOW "},{\"names\":[\"ioctl\"]," REFUSE
			",\"args\":[" ARG(1, EQ, 21522) "]}",
			false, "all but one, in 64 bits");
	round_trip_text("{\"names\":[\"write\"]," ALLOW ",\"args\":[" ARG(2, LE, 4096) "]}", false, "up to a size");
	round_trip_text("{\"names\":[\"write\"]," ALLOW ",\"args\":[" ARG(2, LT, 1) "]}", false, "below one");
	round_trip_text("{\"names\":[\"write\"]," ALLOW ",\"args\":[" ARG(2, GE, 4097) "]}", false, "from a size on");
	round_trip_text("{\"names\":[\"write\"]," ALLOW ",\"args\":[" ARG(2, GT, 0) "]}", false, "above nothing");
	round_trip_text("{\"names\":[\"prlimit64\"]," ALLOW "},{\"names\":[\"prlimit64\"]," REFUSE
			",\"args\":[" MASKED(1, 4294967295, 4) "," ARG(2, NE, 0) "]}",
			false, "an exception of two arguments");
	round_trip_text("{\"names\":[\"clone\"]," ALLOW "},{\"names\":[\"clone\"]," REFUSE
			",\"args\":[" MASKED(0, 131072, 131072) "]},{\"names\":[\"clone\"]," REFUSE
								",\"args\":[" MASKED(0, 128, 128) "]}",
			true, "all but some bits");
	test_parts_end();
	return done_testing();
}
