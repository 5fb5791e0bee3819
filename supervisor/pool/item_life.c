/* The life of a sandbox of the pool as a table: see item_life.h. */
#include "supervisor/pool/item_life.h"

#include <assert.h>

#define HERE(act)                                                                                                      \
	{                                                                                                              \
		ITEM_ACT_##act, ITEM_STATES                                                                            \
	}
#define GO(act, state)                                                                                                 \
	{                                                                                                              \
		ITEM_ACT_##act, ITEM_##state                                                                           \
	}
/* While it is being made. What the table does not name is odd if an agent says it, and ignored otherwise. */
#define ENDS [ITEM_EV_FAULT] = GO(FAIL, OVER), [ITEM_EV_TIME] = GO(LATE, OVER), [ITEM_EV_UNWANTED] = GO(END, OVER)

/* clang-format off */
static const struct item_cell cells[ITEM_STATES][ITEM_EVENTS] = { /* next ITEM_STATES: the same */
	[ITEM_CREATING] = {
		[ITEM_EV_CREATED]  = GO(BEGIN, STARTING),
		[ITEM_EV_REFUSED]  = GO(TELL, OVER),
		[ITEM_EV_UNWANTED] = GO(NOTE, DROPPED),
	},
	[ITEM_DROPPED] = {
		[ITEM_EV_CREATED]  = GO(END, OVER),
		[ITEM_EV_REFUSED]  = GO(FORGET, OVER),
	},
	[ITEM_STARTING] = {
		[ITEM_EV_ASK]      = GO(ASK, ASKING),
		[ITEM_EV_UP]       = GO(NOTE, UP),
		[ITEM_EV_PROBED]   = GO(NOTE, PROBED), ENDS,
	},
	[ITEM_UP] = {
		[ITEM_EV_PROBED]   = GO(CHECK, CHECKED), ENDS,
	},
	[ITEM_PROBED] = {
		[ITEM_EV_UP]       = GO(CHECK, CHECKED), ENDS,
	},
	[ITEM_CHECKED] = {
		[ITEM_EV_LAUNCH]   = GO(LAUNCH, LAUNCHING),
		[ITEM_EV_PARK]     = GO(PARK, PARKED),
		[ITEM_EV_WHOLE]    = GO(WHOLE, WHOLE), ENDS,
	},
	[ITEM_PARKED] = {
		[ITEM_EV_LAUNCH]   = GO(WARM, LAUNCHING),
		[ITEM_EV_FAULT]    = GO(FAIL, OVER),
		[ITEM_EV_UNWANTED] = GO(END, OVER),
	},
	[ITEM_LAUNCHING] = {
		[ITEM_EV_STARTED]  = GO(TAKE, WARMING),
		[ITEM_EV_EXITED]   = GO(LOST, OVER), ENDS,
	},
	[ITEM_WARMING] = {
		[ITEM_EV_BYTE]     = GO(WHOLE, WHOLE),
		[ITEM_EV_EXITED]   = GO(LOST, OVER), ENDS,
	},
	[ITEM_WHOLE] = {
		[ITEM_EV_READY]    = GO(READY, READY), ENDS,
	},
	[ITEM_ASKING] = {
		[ITEM_EV_UP]       = HERE(NOTE), /* START did not wait for it */
		[ITEM_EV_STARTED]  = GO(TAKE, ANSWERING),
		[ITEM_EV_EXITED]   = GO(ANSWER, OVER), ENDS,
	},
	[ITEM_ANSWERING] = {
		[ITEM_EV_UP]       = HERE(NOTE),
		[ITEM_EV_EXITED]   = GO(ANSWER, OVER), ENDS,
	},
	[ITEM_READY] = {
		[ITEM_EV_EXITED]   = GO(LOST, OVER), /* the interpreter that waits */
		[ITEM_EV_FAULT]    = GO(FAIL, OVER),
		[ITEM_EV_UNWANTED] = GO(END, OVER),
	},
	[ITEM_OVER] = { [0] = HERE(IGNORE) },
};

static const bool is_of_agent[ITEM_EVENTS] = {
	[ITEM_EV_UP]      = true,
	[ITEM_EV_PROBED]  = true,
	[ITEM_EV_STARTED] = true,
	[ITEM_EV_BYTE]    = true,
	[ITEM_EV_EXITED]  = true,
};
/* clang-format on */

struct item_cell item_life(enum item_state state, enum item_event event)
{
	struct item_cell c;

	assert(state < ITEM_STATES && event < ITEM_EVENTS);
	c = cells[state][event];
	if (c.act == ITEM_ACT_IGNORE && item_state_is_made(state) && state != ITEM_OVER && is_of_agent[event])
		return (struct item_cell){ ITEM_ACT_ODD, ITEM_OVER };
	if (c.act == ITEM_ACT_IGNORE || c.next == ITEM_STATES)
		c.next = state;
	return c;
}

const char *item_state_word(enum item_state state)
{
	static const char *const words[ITEM_STATES] = {
		"creating",  "dropped", "starting", "up",     "probed",    "checked", "parked",
		"launching", "warming", "whole",    "asking", "answering", "ready",   "over",
	};

	return words[state];
}

const char *item_event_word(enum item_event event)
{
	static const char *const words[ITEM_EVENTS] = {
		"created",     "refused",      "a question",    "up",     "a good report", "a wish for an interpreter",
		"a busy time", "wholeness",    "a start",       "a byte", "an end",        "readiness",
		"a fault",     "its deadline", "a lack of use",
	};

	return words[event];
}
