/* The life of a job as a table: see job_life.h. */
#include "supervisor/jobs/job_life.h"

#include <assert.h>
#include <stddef.h>

/* Stay, and do that. */
#define HERE(act)                                                                                                      \
	{                                                                                                              \
		JOB_ACT_##act, JOB_STATES                                                                              \
	}
#define GO(act, state)                                                                                                 \
	{                                                                                                              \
		JOB_ACT_##act, JOB_##state                                                                             \
	}
/* What the table does not name: odd while something is awaited, ignored once the end has begun. */
#define ENDS [JOB_EV_STOP] = GO(KILL, ENDING), [JOB_EV_ENDED] = GO(FINISH, ENDING)

struct named_cell {
	enum job_act act;
	enum job_state next; /* JOB_STATES: the same */
};

/* clang-format off */
static const struct named_cell cells[JOB_STATES][JOB_EVENTS] = {
	[JOB_SANDBOX] = {
		[JOB_EV_SANDBOX] = GO(TAKE, FILES),
		[JOB_EV_STOP]    = GO(LEAVE, FACTS),
	},
	[JOB_FILES] = {
		[JOB_EV_FOUND]   = HERE(FILES),
		[JOB_EV_SOURCE]  = GO(COMPILE, COMPILE_LIMIT),
		[JOB_EV_PROGRAM] = GO(RUN, RUN_LIMIT),
		[JOB_EV_EARLY]   = GO(EARLY, ENDING),
		[JOB_EV_TIME]    = HERE(SILENT), ENDS,
	},
	[JOB_COMPILE_LIMIT] = {
		[JOB_EV_LIMITED] = GO(START, COMPILE_START),
		[JOB_EV_TIME]    = HERE(SILENT), ENDS,
	},
	[JOB_COMPILE_START] = {
		[JOB_EV_STARTED] = GO(STARTED, COMPILE),
		[JOB_EV_REFUSED] = HERE(REFUSED),
		[JOB_EV_TIME]    = HERE(SILENT), ENDS,
	},
	[JOB_COMPILE] = {
		[JOB_EV_EXITED]  = HERE(EXITED),
		[JOB_EV_MADE]    = GO(KEEP, KEEP),
		[JOB_EV_PROGRAM] = GO(RUN, RUN_LIMIT),
		[JOB_EV_TIME]    = HERE(CLOCK), ENDS,
	},
	[JOB_KEEP] = {
		[JOB_EV_PROGRAM] = GO(RUN, RUN_LIMIT),
		[JOB_EV_TIME]    = HERE(SILENT), ENDS,
	},
	[JOB_RUN_LIMIT] = {
		[JOB_EV_LIMITED] = GO(START, RUN_START),
		[JOB_EV_WARM]    = GO(HAND, RUN),
		[JOB_EV_EXITED]  = HERE(GONE),
		[JOB_EV_TIME]    = HERE(SILENT), ENDS,
	},
	[JOB_RUN_START] = {
		[JOB_EV_STARTED] = GO(STARTED, RUN),
		[JOB_EV_REFUSED] = HERE(REFUSED),
		[JOB_EV_TIME]    = HERE(SILENT), ENDS,
	},
	[JOB_RUN] = {
		[JOB_EV_EXITED]  = HERE(EXITED),
		[JOB_EV_WANTED]  = GO(OUTPUTS, OUTPUTS),
		[JOB_EV_TIME]    = HERE(CLOCK), ENDS,
	},
	[JOB_OUTPUTS] = {
		[JOB_EV_STOP]    = GO(CUT, ENDING),
		[JOB_EV_ENDED]   = GO(FINISH, ENDING),
		[JOB_EV_TIME]    = HERE(SILENT),
	},
	[JOB_CASES] = {
		[JOB_EV_STOP]    = HERE(END_CASES),
		[JOB_EV_ENDED]   = GO(NO_FACTS, FACTS),
	},
	[JOB_ENDING] = {
		[JOB_EV_TIME]    = HERE(FINISH), /* too much waited for the monitor */
		[JOB_EV_SENT]    = GO(AWAIT, FACTS),
	},
	[JOB_FACTS] = {
		[JOB_EV_FACTS]   = GO(OVER, OVER),
		[JOB_EV_TIME]    = GO(OVER, OVER),
	},
	[JOB_OVER] = { [0] = HERE(IGNORE) },
};

/* What is no fault although nothing awaits it. */
static const bool is_harmless[JOB_EVENTS] = {
	[JOB_EV_FOUND]   = true, /* the cache answers late */
	[JOB_EV_LIMITED] = true, /* START did not wait for it */
	[JOB_EV_WARM]    = true,
	[JOB_EV_TIME]    = true, /* a clock that was just stopped */
};
/* clang-format on */

struct job_cell job_life(enum job_state state, enum job_event event)
{
	struct named_cell c;

	assert(state < JOB_STATES && event < JOB_EVENTS);
	c = cells[state][event];
	if (c.act == JOB_ACT_IGNORE && state < JOB_ENDING && !is_harmless[event])
		c.act = JOB_ACT_ODD;
	if (c.act == JOB_ACT_IGNORE || c.act == JOB_ACT_ODD || c.next == JOB_STATES)
		c.next = state;
	return (struct job_cell){ c.act, c.next };
}

const char *job_state_word(enum job_state state)
{
	static const char *const words[JOB_STATES] = {
		"sandbox",   "files", "compile limits", "compile start", "compile", "keep",  "run limits",
		"run start", "run",   "outputs",        "cases",         "ending",  "facts", "over",
	};

	return words[state];
}

const char *job_event_word(enum job_event event)
{
	static const char *const words[JOB_EVENTS] = {
		"a sandbox",
		"an artefact",
		"source files",
		"a program",
		"limits",
		"limits of a waiting interpreter",
		"a start",
		"an end",
		"a refusal",
		"what was compiled",
		"a wish for files",
		"the end of it all",
		"an early verdict",
		"a stop",
		"a deadline",
		"a question for facts",
		"facts",
	};

	return words[event];
}
