/*
 * Every cell of the table of a pooled sandbox's life. The picture is drawn by hand from what must be true; the rules after
 * it hold for any table that may stand there one day.
 */
#include "supervisor/pool/item_life.h"

#include <string.h>

#include "tests/tap.h"

/*
 * A row for each state, a letter for each event in the order of enum item_event:
 * Created Refused Ask Up Probed Launch parK Whole Started Byte eXited Ready Fault Time Unwanted
 *   .  ignored     !  odd
 *   n  note   b  begin   t  tell   g  forget   a  ask   c  check   l  launch   p  park   m  warm   d  take   v  answer   x  lost
 *   w  whole  r  ready  F  fail    L  late   E  end
 */
/* clang-format off */
static const char letters[] = ".!nbtgaclpmdvxwrFLE";
static const char *const picture[ITEM_STATES] = {
	/*                      CRAUPLKWSBXRFTU */
	[ITEM_CREATING] = /* */ "bt............n",
	[ITEM_DROPPED] = /*  */ "Eg.............",
	[ITEM_STARTING] = /* */ "..ann...!!!.FLE",
	[ITEM_UP] = /*       */ "...!c...!!!.FLE",
	[ITEM_PROBED] = /*   */ "...c!...!!!.FLE",
	[ITEM_CHECKED] = /*  */ "...!!lpw!!!.FLE",
	[ITEM_PARKED] = /*   */ "...!!m..!!!.F.E",
	[ITEM_LAUNCHING] = /**/ "...!!...d!x.FLE",
	[ITEM_WARMING] = /*  */ "...!!...!wx.FLE",
	[ITEM_WHOLE] = /*    */ "...!!...!!!rFLE",
	[ITEM_ASKING] = /*   */ "...n!...d!v.FLE",
	[ITEM_ANSWERING] = /**/ "...n!...!!v.FLE",
	[ITEM_READY] = /*    */ "...!!...!!x.F.E",
	[ITEM_OVER] = /*     */ "...............",
};
/* clang-format on */

/* Where each action leads; what is only noted is said by the state itself. */
static enum item_state leads_to(enum item_act act, enum item_state from, enum item_event event)
{
	switch (act) {
	case ITEM_ACT_IGNORE:
		return from;
	case ITEM_ACT_NOTE:
		if (from == ITEM_CREATING)
			return ITEM_DROPPED;
		if (from == ITEM_STARTING)
			return event == ITEM_EV_UP ? ITEM_UP : ITEM_PROBED;
		return from;
	case ITEM_ACT_BEGIN:
		return ITEM_STARTING;
	case ITEM_ACT_ASK:
		return ITEM_ASKING;
	case ITEM_ACT_CHECK:
		return ITEM_CHECKED;
	case ITEM_ACT_PARK:
		return ITEM_PARKED;
	case ITEM_ACT_LAUNCH:
	case ITEM_ACT_WARM:
		return ITEM_LAUNCHING;
	case ITEM_ACT_TAKE:
		return from == ITEM_ASKING ? ITEM_ANSWERING : ITEM_WARMING;
	case ITEM_ACT_WHOLE:
		return ITEM_WHOLE;
	case ITEM_ACT_READY:
		return ITEM_READY;
	default:
		return ITEM_OVER;
	}
}

static void test_cells(void)
{
	for (int s = 0; s < ITEM_STATES; s++) {
		is_int(strlen(picture[s]), ITEM_EVENTS, "the picture has each event at '%s'",
		       item_state_word((enum item_state)s));
		for (int e = 0; e < ITEM_EVENTS; e++) {
			const struct item_cell c = item_life((enum item_state)s, (enum item_event)e);
			const char got[2] = { letters[c.act], '\0' }, want[2] = { picture[s][e], '\0' };

			is_str(got, want, "%s at '%s'", item_event_word((enum item_event)e),
			       item_state_word((enum item_state)s));
			is_int(c.next, leads_to(c.act, (enum item_state)s, (enum item_event)e), "and where that leads");
		}
	}
}

static void test_rules(void)
{
	bool is_reached[ITEM_STATES] = { [ITEM_CREATING] = true }, is_done[ITEM_ACTS] = { false };
	int n_acts = 0;

	for (int s = 0; s < ITEM_STATES; s++) {
		const char *word = item_state_word((enum item_state)s);
		bool is_made = item_state_is_made((enum item_state)s) && s != ITEM_OVER;

		for (int e = 0; e < ITEM_EVENTS; e++) {
			const struct item_cell c = item_life((enum item_state)s, (enum item_event)e);

			if (c.next < (enum item_state)s)
				ok(false, "'%s' never goes back to '%s'", word, item_state_word(c.next));
			if (c.next == ITEM_WHOLE && s != ITEM_WHOLE)
				ok(s == ITEM_CHECKED || s == ITEM_WARMING, "nothing is whole that was not checked");
			is_reached[c.next] |= is_reached[s];
			is_done[c.act] = true;
		}
		ok(is_reached[s], "'%s' is reached", word);
		is_int(item_life((enum item_state)s, ITEM_EV_FAULT).act, is_made ? ITEM_ACT_FAIL : ITEM_ACT_IGNORE,
		       "a fault ends what is made");
		is_int(item_life((enum item_state)s, ITEM_EV_UNWANTED).act == ITEM_ACT_END, is_made,
		       "what nobody wants ends");
		is_int(item_life((enum item_state)s, ITEM_EV_TIME).act == ITEM_ACT_LATE,
		       is_made && s != ITEM_READY && s != ITEM_PARKED, "it is made within a time");
	}
	for (int a = 0; a < ITEM_ACTS; a++)
		n_acts += is_done[a];
	is_int(n_acts, ITEM_ACTS, "there is no action that nothing leads to");
}

int main(void)
{
	is_int(sizeof(letters) - 1, ITEM_ACTS, "each action has a letter");
	test_cells();
	test_rules();
	return done_testing();
}
