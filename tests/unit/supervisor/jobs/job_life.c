/*
 * Every cell of the table of a job's life: what is done in which state about what. The picture below is drawn by hand
 * from what must be true, and the rules after it hold for any table that may stand there one day.
 */
#include "supervisor/jobs/job_life.h"

#include <stdio.h>
#include <string.h>

#include "tests/tap.h"

/*
 * A row for each state, a letter for each event in the order of enum job_event:
 * sandbox Found sourCe Program Limited Warm starteD eXited Refused Made wanted(O) ended early stop Time sent facts
 *   .  ignored     !  odd
 *   T  take        f  files     c  compile   r  run      s  start    h  hand over   d  started   x  exited
 *   n  refused     g  gone      k  keep      o  outputs  F  finish   e  early       K  kill      u  cut
 *   E  end cases   N  no facts
 *   l  leave       z  silent    t  clock     a  await    v  over
 */
/* clang-format off */
static const char letters[] = ".!Tfcrshdxngko"
			      "FeKuENlztav";
static const char *const picture[JOB_STATES] = {
	/*                      sFCPLWDXRMOeeSTsf */
	[JOB_SANDBOX] = /*   */ "T.!!..!!!!!!!l.!!",
	[JOB_FILES] = /*     */ "!fcr..!!!!!FeKz!!",
	[JOB_COMPILE_LIMIT] =   "!.!!s.!!!!!F!Kz!!",
	[JOB_COMPILE_START] =   "!.!!..d!n!!F!Kz!!",
	[JOB_COMPILE] = /*   */ "!.!r..!x!k!F!Kt!!",
	[JOB_KEEP] = /*      */ "!.!r..!!!!!F!Kz!!",
	[JOB_RUN_LIMIT] = /* */ "!.!!sh!g!!!F!Kz!!",
	[JOB_RUN_START] = /* */ "!.!!..d!n!!F!Kz!!",
	[JOB_RUN] = /*       */ "!.!!..!x!!oF!Kt!!",
	[JOB_OUTPUTS] = /*   */ "!.!!..!!!!!F!uz!!",
	[JOB_CASES] = /*     */ "!.!!..!!!!!N!E.!!",
	[JOB_ENDING] = /*    */ "..............Fa.",
	[JOB_FACTS] = /*     */ "..............v.v",
	[JOB_OVER] = /*      */ ".................",
};
/* clang-format on */

/* Where each action leads; JOB_STATES: it depends on the state, or it stays. */
static enum job_state leads_to(enum job_act act, enum job_state from)
{
	switch (act) {
	case JOB_ACT_TAKE:
		return JOB_FILES;
	case JOB_ACT_COMPILE:
		return JOB_COMPILE_LIMIT;
	case JOB_ACT_RUN:
		return JOB_RUN_LIMIT;
	case JOB_ACT_START:
		return from == JOB_COMPILE_LIMIT ? JOB_COMPILE_START : JOB_RUN_START;
	case JOB_ACT_STARTED:
		return from == JOB_COMPILE_START ? JOB_COMPILE : JOB_RUN;
	case JOB_ACT_HAND:
		return JOB_RUN;
	case JOB_ACT_KEEP:
		return JOB_KEEP;
	case JOB_ACT_OUTPUTS:
		return JOB_OUTPUTS;
	case JOB_ACT_FINISH:
	case JOB_ACT_EARLY:
	case JOB_ACT_KILL:
	case JOB_ACT_CUT:
		return JOB_ENDING;
	case JOB_ACT_NO_FACTS:
	case JOB_ACT_LEAVE:
	case JOB_ACT_AWAIT:
		return JOB_FACTS;
	case JOB_ACT_OVER:
		return JOB_OVER;
	default:
		return from;
	}
}

static void test_cells(void)
{
	for (int s = 0; s < JOB_STATES; s++) {
		is_int(strlen(picture[s]), JOB_EVENTS, "the picture has each event at '%s'",
		       job_state_word((enum job_state)s));
		for (int e = 0; e < JOB_EVENTS; e++) {
			const struct job_cell c = job_life((enum job_state)s, (enum job_event)e);
			const char got[2] = { letters[c.act], '\0' }, want[2] = { picture[s][e], '\0' };

			is_str(got, want, "%s at '%s'", job_event_word((enum job_event)e),
			       job_state_word((enum job_state)s));
			is_int(c.next, leads_to(c.act, (enum job_state)s), "and where that leads");
		}
	}
}

static void test_rules(void)
{
	bool is_reached[JOB_STATES] = { [JOB_SANDBOX] = true, [JOB_CASES] = true }; /* where a job begins */
	int n_acts = 0;
	bool is_done[JOB_ACTS] = { false };

	for (int s = 0; s < JOB_STATES; s++) {
		const char *word = job_state_word((enum job_state)s);
		struct job_cell stop = job_life((enum job_state)s, JOB_EV_STOP);
		bool leads_on = s == JOB_OVER;

		for (int e = 0; e < JOB_EVENTS; e++) {
			const struct job_cell c = job_life((enum job_state)s, (enum job_event)e);

			if (c.next < (enum job_state)s)
				ok(false, "'%s' never goes back to '%s'", word, job_state_word(c.next));
			leads_on |= c.next > (enum job_state)s;
			is_reached[c.next] |= is_reached[s];
			is_done[c.act] = true;
		}
		ok(is_reached[s], "'%s' is reached", word);
		ok(leads_on, "and not for ever");
		if (s == JOB_CASES)
			is_int(stop.act, JOB_ACT_END_CASES, "a stop ends the case at work there");
		else if (s < JOB_ENDING)
			ok(stop.next >= JOB_ENDING, "a stop ends it there");
		else
			is_int(stop.act, JOB_ACT_IGNORE, "a stop comes too late there");
		if (s != JOB_SANDBOX && s != JOB_CASES &&
		    s != JOB_OVER) /* the pool has a clock of its own, each case too */
			ok(job_life((enum job_state)s, JOB_EV_TIME).act != JOB_ACT_IGNORE,
			   "it waits there for so long only");
	}
	for (int a = 0; a < JOB_ACTS; a++)
		n_acts += is_done[a];
	is_int(n_acts, JOB_ACTS, "there is no action that nothing leads to");
}

int main(void)
{
	is_int(sizeof(letters) - 1, JOB_ACTS, "each action has a letter");
	test_cells();
	test_rules();
	return done_testing();
}
