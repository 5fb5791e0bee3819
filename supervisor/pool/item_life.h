/*
 * The life of a sandbox of the pool as a table: what it awaits (states), what may come (events), and what is done about
 * it. The table decides; pool_make.c has the actions.
 *
 *   CREATING   the monitor works
 *   DROPPED    the same, and nobody wants it any more: its CREATED comes, and it ends then
 *   STARTING   READY of the agent and the report of the probe, in any order
 *   UP         the report; READY has come
 *   PROBED     READY; the report has come
 *   CHECKED    nothing: both are there, and it is decided what is still missing
 *   PARKED     somebody who claims it as it is, or a quiet moment: then an interpreter is started in it
 *   LAUNCHING  the waiting interpreter: START sent
 *   WARMING    its byte
 *   WHOLE      nothing: whoever counts what can be made is told, and nobody may claim it before
 *   ASKING     version_command: START sent
 *   ANSWERING  its end
 *   READY      somebody who claims it, or whoever it was made for
 *   OVER       nothing: it is freed
 *
 * It only ever goes down this list.
 *
 * Pure: no sandbox is needed to look at it. Runs in: front.
 */
#pragma once

#include <stdbool.h>

enum item_state {
	ITEM_CREATING,
	ITEM_DROPPED,
	ITEM_STARTING,
	ITEM_UP,
	ITEM_PROBED,
	ITEM_CHECKED,
	ITEM_PARKED,
	ITEM_LAUNCHING,
	ITEM_WARMING,
	ITEM_WHOLE,
	ITEM_ASKING,
	ITEM_ANSWERING,
	ITEM_READY,
	ITEM_OVER,
	ITEM_STATES,
};

enum item_event {
	ITEM_EV_CREATED,  /* monitor */
	ITEM_EV_REFUSED,  /* monitor: it cannot be made */
	ITEM_EV_ASK,      /* it is there to be asked for its version */
	ITEM_EV_UP,       /* agent: READY */
	ITEM_EV_PROBED,   /* agent: a process in it is restricted as it must be */
	ITEM_EV_LAUNCH,   /* an interpreter is to wait in it */
	ITEM_EV_PARK,     /* that is not the time for one */
	ITEM_EV_WHOLE,    /* nothing is missing */
	ITEM_EV_STARTED,  /* agent: our process */
	ITEM_EV_BYTE,     /* the interpreter waits */
	ITEM_EV_EXITED,   /* agent: our process */
	ITEM_EV_READY,    /* they have been told */
	ITEM_EV_FAULT,    /* whatever makes it worthless: what the agent says, its end, a fault of ours */
	ITEM_EV_TIME,     /* its deadline has passed */
	ITEM_EV_UNWANTED, /* nobody has use for it any more */
	ITEM_EVENTS,
};

enum item_act {
	ITEM_ACT_IGNORE,
	ITEM_ACT_ODD,    /* nobody may say that now: it is worthless */
	ITEM_ACT_NOTE,   /* the state says it */
	ITEM_ACT_BEGIN,  /* take its descriptors, ask for the report */
	ITEM_ACT_TELL,   /* free it, tell those who wait */
	ITEM_ACT_FORGET, /* free it, tell nobody */
	ITEM_ACT_ASK,    /* start version_command */
	ITEM_ACT_CHECK,  /* decide what is missing */
	ITEM_ACT_LAUNCH, /* start the interpreter */
	ITEM_ACT_PARK,   /* hand it to whom it was made for, without one */
	ITEM_ACT_WARM,   /* nobody may claim it from now on; start the interpreter */
	ITEM_ACT_TAKE,   /* the descriptors of our process */
	ITEM_ACT_ANSWER, /* read the version, end it */
	ITEM_ACT_LOST,   /* the interpreter ended: it is worthless */
	ITEM_ACT_WHOLE,  /* tell that one could be made; a proof ends here */
	ITEM_ACT_READY,  /* hand it to whom it was made for */
	ITEM_ACT_FAIL,   /* end it, tell those whom it concerns */
	ITEM_ACT_LATE,   /* the same, because of the time */
	ITEM_ACT_END,    /* end it */
	ITEM_ACTS,
};

/* next is entered before act is done, which may bring the next event at once; but OVER, for the act frees it. */
struct item_cell {
	enum item_act act;
	enum item_state next;
};

/* What event means in state; both in range. */
struct item_cell item_life(enum item_state state, enum item_event event);

const char *item_state_word(enum item_state state);
const char *item_event_word(enum item_event event);

/* The monitor has made it: there is something to be ended. */
static inline bool item_state_is_made(enum item_state state)
{
	return state >= ITEM_STARTING;
}
