/*
 * The life of a job as a table: what it awaits (states), what may come (events), and what is done about it. The table
 * decides; job.c has the actions, and the other files say what has come (job_event() of job.h).
 *
 *   SANDBOX        a sandbox of the pool
 *   FILES          the cache of artefacts, then FILE_DONE of each file
 *   COMPILE_LIMIT  the compiler's limits: STAGE asked
 *   COMPILE_START  the compiler: START sent
 *   COMPILE        its end
 *   KEEP           what it made, read back
 *   RUN_LIMIT, RUN_START, RUN   the same of the program; an interpreter that waits goes from RUN_LIMIT to RUN
 *   OUTPUTS        files read back
 *   CASES          from its beginning, a job of cases: the last of them
 *   ENDING         FINISH is to be sent
 *   FACTS          the monitor's facts
 *   OVER           nothing
 *
 * A job only ever goes down this list. From ENDING on only time and facts matter, whatever else comes.
 *
 * Pure: no job is needed to look at it. Runs in: front.
 */
#pragma once

#include <stdbool.h>

enum job_state {
	JOB_SANDBOX,
	JOB_FILES,
	JOB_COMPILE_LIMIT,
	JOB_COMPILE_START,
	JOB_COMPILE,
	JOB_KEEP,
	JOB_RUN_LIMIT,
	JOB_RUN_START,
	JOB_RUN,
	JOB_OUTPUTS,
	JOB_CASES,
	JOB_ENDING,
	JOB_FACTS,
	JOB_OVER,
	JOB_STATES,
};

enum job_event {
	JOB_EV_SANDBOX, /* one is there */
	JOB_EV_FOUND,   /* the cache has answered */
	JOB_EV_SOURCE,  /* all files are in, and they are to be compiled */
	JOB_EV_PROGRAM, /* there is a program to be run: nothing to compile, or what was compiled is kept or needs not be */
	JOB_EV_LIMITED, /* limits are set */
	JOB_EV_WARM,    /* limits are set around an interpreter that waits */
	JOB_EV_STARTED, /* agent */
	JOB_EV_EXITED,  /* agent */
	JOB_EV_REFUSED, /* agent: START cannot be done */
	JOB_EV_MADE,    /* the compiler ended well, and what it made is to be kept */
	JOB_EV_WANTED,  /* the program ended, and files are to be handed back */
	JOB_EV_ENDED,   /* nothing more is to come: process, files, or the sandbox itself ended */
	JOB_EV_EARLY,   /* it cannot be run, and that is the request's doing */
	JOB_EV_STOP,    /* a limit, somebody, or a fault of ours ends it */
	JOB_EV_TIME,    /* the deadline of what is awaited */
	JOB_EV_SENT,    /* FINISH is on its way */
	JOB_EV_FACTS,   /* they came, or never will */
	JOB_EVENTS,
};

enum job_act {
	JOB_ACT_IGNORE,
	JOB_ACT_ODD,     /* nobody may say that now: a fault, and the job cannot go on */
	JOB_ACT_TAKE,    /* the sandbox; tell the monitor whose it is; ask the cache */
	JOB_ACT_FILES,   /* write them */
	JOB_ACT_COMPILE, /* set limits for the compiler */
	JOB_ACT_RUN,     /* set limits for the program */
	JOB_ACT_START,   /* send START */
	JOB_ACT_HAND,    /* hand the program to the waiting interpreter */
	JOB_ACT_STARTED, /* take its descriptors, start its clock */
	JOB_ACT_EXITED,  /* take how it ended, and see what comes of it */
	JOB_ACT_REFUSED,
	JOB_ACT_GONE,      /* it ended before it was handed anything: a waiting interpreter may do that */
	JOB_ACT_KEEP,      /* read back what the compiler made */
	JOB_ACT_OUTPUTS,   /* read back what is to be handed back */
	JOB_ACT_FINISH,    /* ask for the facts */
	JOB_ACT_EARLY,     /* the same, with the verdict that is known already */
	JOB_ACT_KILL,      /* note why, end what runs, ask for the facts */
	JOB_ACT_CUT,       /* the program has ended; only its files are cut short */
	JOB_ACT_END_CASES, /* note why, stop the one at work */
	JOB_ACT_NO_FACTS,  /* there are none to be asked for: be over soon */
	JOB_ACT_LEAVE,     /* there is no sandbox: forget the pool, be over soon */
	JOB_ACT_SILENT,    /* an agent that owes an answer has given none */
	JOB_ACT_CLOCK,     /* the limit of time */
	JOB_ACT_AWAIT,     /* the facts, for a while */
	JOB_ACT_OVER,      /* judge, tell who ordered it */
	JOB_ACTS,
};

/* next is entered before act is done, which may bring the next event at once. */
struct job_cell {
	enum job_act act;
	enum job_state next;
};

/* What event means in state; both in range. */
struct job_cell job_life(enum job_state state, enum job_event event);

const char *job_state_word(enum job_state state); /* "files" ... */
const char *job_event_word(enum job_event event);

/* A process of the job is at work: the limit of time counts, and it can be spoken to. */
static inline bool job_state_runs(enum job_state state)
{
	return state == JOB_COMPILE || state == JOB_RUN;
}
