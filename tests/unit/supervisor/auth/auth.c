/*
 * The gate and its parts without a server and without a clock: buckets, keys, addresses, tickets, usage, and each case
 * of who is let in.
 */
#include <errno.h>
#include <stdint.h>
#include <unistd.h>

#include "runtime/base/error.h"
#include "runtime/base/log.h"
#include "supervisor/auth/auth_impl.h"
#include "supervisor/settings.h"
#include "tests/tap.h"

#define START (1000 * NS_PER_S)

/* ---- buckets ---- */

static void test_bucket(void)
{
	struct bucket_rate r = bucket_rate(10, 3);
	struct bucket b = { 0 };
	struct bucket_left left;
	uint64_t now = START;
	size_t n = 0;

	for (uint64_t i = 0; i < 3; i++)
		ok(bucket_take(&b, &r, now, &left) && left.remaining == 2 - i, "one of three is taken, %d are left",
		   (int)(2 - i));
	ok(!bucket_take(&b, &r, now, &left) && left.remaining == 0, "the fourth is refused");
	ok(left.retry_s == 1 && left.reset_s == 1, "with whole seconds, rounded up");
	ok(!bucket_has(&b, &r, now) && !bucket_take(&b, &r, now + NS_PER_S / 10 - 1, NULL),
	   "until a tenth of a second later");
	ok(bucket_has(&b, &r, now + NS_PER_S / 10) && bucket_take(&b, &r, now + NS_PER_S / 10, NULL),
	   "when one is back");
	ok(!bucket_take(&b, &r, now + NS_PER_S / 10, NULL), "and only one");
	now += 100 * NS_PER_S;
	while (bucket_take(&b, &r, now, NULL))
		n++;
	is_int(n, 3, "a long pause fills it, not more");
	n = 0;
	for (int i = 0; i < 10000; i++)
		n += bucket_take(&b, &r, now + (uint64_t)i * NS_PER_MS, NULL);
	is_int(n, 99, "ten seconds at ten a second let 99 through behind an empty bucket");
	r = bucket_rate(1000000, 10000000);
	b.full_at_ns = 0;
	ok(bucket_take(&b, &r, 5, &left) && left.remaining == 9999999, "the largest bucket does not overflow");
	r = bucket_rate(1, 2);
	b.full_at_ns = START + 3600 * NS_PER_S;
	ok(!bucket_take(&b, &r, START, &left) && left.retry_s == 1 && left.reset_s == 2,
	   "a smaller rate does not lock out for an hour");
}

/* ---- keys ---- */

static struct key *new_key(const char *text, const char *id)
{
	struct key *k = calloc(1, sizeof(*k));

	if (!k)
		abort();
	key_hash(text, strlen(text), k->hash);
	(void)snprintf(k->id, sizeof(k->id), "%s", id);
	(void)snprintf(k->owner, sizeof(k->owner), "owner");
	k->scopes = SCOPE_RUN;
	return k;
}

static void test_keys(void)
{
	struct key_table t = { .n = 0 };
	char text[KEY_TEXT_BYTES], again[KEY_TEXT_BYTES], id[KEY_ID_BYTES];
	uint8_t hash[KEY_HASH_BYTES];
	struct error err = ERROR_INIT;
	struct key *k;
	size_t found = 0, n = 0;

	need(key_make_text(text, &err) == 0 && key_make_text(again, &err) == 0 && key_make_id(id, &err) == 0,
	     "keys are made");
	ok(strlen(text) == 49 && strncmp(text, "cubit_", 6) == 0, "a key is cubit_ and 43 characters");
	is_int(strspn(text + 6, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"), 43,
	       "of base64url");
	ok(strcmp(text, again) != 0, "no two are equal");
	ok(strlen(id) == 25 && id[0] == 'k', "an id is k and 24 digits");
	key_hash("abc", 3, hash);
	ok(hash[0] == 0xba && hash[31] == 0xad, "the hash is SHA-256");
	is_int(key_hash_parse("sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", hash, &err), 0,
	       "and read back");
	ok(hash[0] == 0xba && hash[31] == 0xad, "to the same");
	is_int(key_hash_parse("ba78", hash, &err), -EINVAL, "a short one is refused");
	is_int(key_hash_parse("BA7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", hash, &err), -EINVAL,
	       "so is upper case");
	is_int(key_hash_parse("", hash, &err), -EINVAL, "and none");

	for (int i = 0; i < 500; i++) {
		char name[32];

		(void)snprintf(name, sizeof(name), "key-%d", i);
		n += key_table_add(&t, new_key(name, name)) == 0;
	}
	is_int(n, 500, "five hundred keys are added");
	for (int i = 0; i < 500; i++) {
		char name[32];

		(void)snprintf(name, sizeof(name), "key-%d", i);
		key_hash(name, strlen(name), hash);
		k = key_table_find(&t, hash);
		found += k && strcmp(k->id, name) == 0 && key_table_find_id(&t, name) == k;
	}
	is_int(found, 500, "every key is found by its hash and by its id");
	key_hash("key-500", 7, hash);
	ok(!key_table_find(&t, hash) && !key_table_find_id(&t, "key-500"), "another is not");
	k = new_key("key-7", "other");
	is_int(key_table_add(&t, k), -EEXIST, "the same key twice is refused");
	free(k);
	k = new_key("other", "key-7");
	is_int(key_table_add(&t, k), -EEXIST, "so is the same id");
	free(k);
	k = key_table_take(&t, "key-7");
	key_hash("key-7", 5, hash);
	ok(k && !key_table_find(&t, hash) && t.n == 499, "a key that was taken out is not found any more");
	free(k);
	ok(!key_table_take(&t, "key-7"), "nor taken twice");
	key_table_done(&t);
}

/* ---- addresses ---- */

static void test_peers(void)
{
	struct peer_table *t = peer_table_new();
	char name[PEER_NAME_BYTES];
	size_t kept = 0;

	need(t, "a table of addresses");
	peer_name("2001:db8:1:2:3:4:5:6", name);
	is_str(name, "2001:db8:1:2::", "an IPv6 address counts as its /64");
	peer_name("::ffff:10.0.0.1", name);
	is_str(name, "10.0.0.1", "a mapped one as the IPv4 address");
	peer_name("unix:1000", name);
	is_str(name, "unix:1000", "a unix peer as itself");
	peer_table_get(t, "2001:db8::1")->requests.full_at_ns = 7;
	is_int(peer_table_get(t, "2001:db8::2")->requests.full_at_ns, 7, "two addresses of one /64 share their bucket");
	for (int i = 0; i < 3 * PEERS_MAX; i++) {
		(void)snprintf(name, sizeof(name), "10.%d.%d.%d", i >> 16, i >> 8 & 255, i & 255);
		peer_table_get(t, name)->requests.full_at_ns = (uint64_t)i + 1;
		(void)peer_table_get(t, "2001:db8::1");
	}
	is_int(peer_table_get(t, "2001:db8::1")->requests.full_at_ns, 7, "who keeps coming is remembered");
	for (int i = 3 * PEERS_MAX - (PEERS_MAX - 1); i < 3 * PEERS_MAX; i++) {
		(void)snprintf(name, sizeof(name), "10.%d.%d.%d", i >> 16, i >> 8 & 255, i & 255);
		kept += peer_table_get(t, name)->requests.full_at_ns == (uint64_t)i + 1;
	}
	is_int(kept, PEERS_MAX - 1, "and so are the latest others");
	is_int(peer_table_get(t, "10.0.0.0")->requests.full_at_ns, 0, "the oldest is forgotten");
	peer_table_free(t);
}

/* ---- tickets ---- */

static void test_tickets(void)
{
	struct ticket_table t;
	char first[KEY_TOKEN_BYTES], token[KEY_TOKEN_BYTES], other[KEY_TOKEN_BYTES];
	uint8_t one[KEY_HASH_BYTES] = { 1 }, two[KEY_HASH_BYTES] = { 2 }, holder[KEY_HASH_BYTES];
	uint64_t now = START;

	ticket_table_init(&t, 6, 3, 10 * NS_PER_S);
	need(ticket_make(&t, one, now, first, NULL) == 0 && ticket_make(&t, two, now + 1, other, NULL) == 0,
	     "two are made");
	ok(ticket_find(&t, first, now) && ticket_find(&t, first, now)->holder[0] == 1,
	   "a ticket is found and knows its holder");
	ok(!ticket_find(&t, "", now) && !ticket_find(&t, "x", now), "rubbish is not");
	first[0] ^= 1;
	ok(!ticket_find(&t, first, now), "nor a token with one bit changed");
	first[0] ^= 1;
	ok(!ticket_find(&t, first, now + 10 * NS_PER_S), "when its time is over it is none");
	for (int i = 0; i < 3; i++)
		(void)ticket_make(&t, one, now + 2, token, NULL);
	ok(!ticket_find(&t, first, now + 2) && ticket_find(&t, token, now + 2),
	   "a holder's fourth pushes out the holder's first");
	ok(ticket_find(&t, other, now + 2), "not one of somebody else");
	is_int(ticket_take(&t, token, now + 2, holder), 0, "a ticket is used up");
	is_int(holder[0], 1, "for its holder");
	is_int(ticket_take(&t, token, now + 2, holder), -ENOENT, "once");
	ticket_drop(&t, one);
	ok(t.n == 1 && ticket_find(&t, other, now + 2), "the tickets of a holder go, others stay");
	for (uint8_t i = 10; i < 16; i++)
		(void)ticket_make(&t, (uint8_t[KEY_HASH_BYTES]){ i }, now + 3, token, NULL);
	ok(t.n == 6 && !ticket_find(&t, other, now + 3), "when all are taken the oldest goes");
	(void)ticket_make(&t, one, now + 60 * NS_PER_S, token, NULL);
	is_int(t.n, 1, "those whose time is over are swept");
	ticket_table_done(&t);
}

/* ---- usage ---- */

static void test_usage(void)
{
	struct usage_table t = { .n = 0 };
	struct auth_quota q = { .jobs = 2, .cpu_ms_per_day = 100, .bytes_per_day = 1000 }, none = { 0 };
	struct error err = ERROR_INIT;
	unsigned retry_s = 0;
	struct usage *u;
	uint64_t now_ms = 20000 * UINT64_C(86400000) + 86340000; /* a minute to midnight */

	for (int i = 0; i < 100; i++) {
		char owner[16];

		(void)snprintf(owner, sizeof(owner), "o%d", i * 37 % 100);
		(void)usage_get(&t, owner, 20000);
	}
	is_int(t.n, 100, "each owner is there once");
	u = usage_get(&t, "o5", 20000);
	ok(u && strcmp(u->owner, "o5") == 0 && usage_find(&t, "o5") == u && !usage_find(&t, "o500"),
	   "and found by name");
	u->jobs_now = 1;
	is_int(usage_check(u, &q, now_ms, &retry_s, &err), 0, "below every bound a job may start");
	u->jobs_now = 2;
	is_int(usage_check(u, &q, now_ms, &retry_s, &err), -EDQUOT, "jobs at once are bounded");
	has_str(err.text, "jobs: 2 of 2", "and the message says how many");
	is_int(retry_s, 1, "to be tried again soon");
	is_int(usage_check(u, &none, now_ms, &retry_s, &err), 0, "0 is no bound");
	u->jobs_now = 0;
	u->cpu_ms = 100;
	is_int(usage_check(u, &q, now_ms, &retry_s, &err), -EDQUOT, "cpu time of a day is bounded");
	has_str(err.text, "cpu_ms_per_day: 100 of 100", "by its name");
	is_int(retry_s, 61, "to be tried again after midnight");
	u->cpu_ms = 0;
	u->bytes = 2000;
	is_int(usage_check(u, &q, now_ms, &retry_s, &err), -EDQUOT, "so are bytes");
	has_str(err.text, "bytes_per_day: 2000 of 1000", "by their name");
	u->jobs_now = 1;
	u = usage_get(&t, "o5", 20001);
	ok(u->bytes == 0 && u->jobs_now == 1, "a new day begins at nothing, but for what runs");
	u->bytes = 5;
	ok(usage_get(&t, "o5", 20000)->bytes == 5, "a clock that goes back gives no second day");
	usage_table_done(&t);
}

/* ---- the gate ---- */

static struct settings settings = { .rate_per_s = 10, .rate_burst = 100, .guests = (char *)"" };
static struct auth gate;
static char session[KEY_TOKEN_BYTES], admin_session[KEY_TOKEN_BYTES];

static void open_gate(void)
{
	memset(&gate, 0, sizeof(gate));
	gate.settings = &settings;
	gate.peers = peer_table_new();
	gate.is_ready = true;
	key_hash("the-admin-key-of-tests", 22, gate.admin_hash);
	ticket_table_init(&gate.sessions, 8, 8, 3600 * NS_PER_S);
	if (key_table_add(&gate.keys, new_key("run-key", "k1")) < 0 ||
	    ticket_make(&gate.sessions, gate.keys.keys[0]->hash, START, session, NULL) < 0 ||
	    ticket_make(&gate.sessions, gate.admin_hash, START, admin_session, NULL) < 0)
		abort();
}

static void close_gate(void)
{
	key_table_done(&gate.keys);
	ticket_table_done(&gate.sessions);
	peer_table_free(gate.peers);
}

/* clang-format off */
static const struct {
	const char *title;
	struct ask ask;
	int status;
	const char *key_id, *text;
} cases[] = {
	{ "nobody gets what is for everybody", { .peer = "p" }, 0, "", "" },
	{ "nobody does not get what needs a scope", { .scope = SCOPE_RUN }, 401, "", "this needs a key: Authorization: Bearer" },
	{ "a bearer key gets in", { .authorization = "Bearer run-key", .scope = SCOPE_RUN }, 0, "k1", "" },
	{ "the scheme is written as you like", { .authorization = "bEARER   run-key", .scope = SCOPE_RUN }, 0, "k1", "" },
	{ "a key in X-API-Key gets in", { .api_key = "run-key", .scope = SCOPE_RUN }, 0, "k1", "" },
	{ "Authorization goes before X-API-Key", { .authorization = "Bearer wrong", .api_key = "run-key" }, 401, "", "not known" },
	{ "another scheme is not ours", { .authorization = "Basic cnVuLWtleTo=", .scope = SCOPE_RUN }, 401, "", "needs a key" },
	{ "a key without the scope is refused, which is named", { .api_key = "run-key", .scope = SCOPE_IMAGES }, 403, "", "scope 'images'" },
	{ "also for admins' things", { .api_key = "run-key", .scope = SCOPE_ADMIN }, 403, "", "scope 'admin'" },
	{ "a wrong key is refused", { .api_key = "run-kez", .scope = SCOPE_RUN }, 401, "", "this key is not known" },
	{ "also where none is needed", { .api_key = "run-kez" }, 401, "", "this key is not known" },
	{ "also on the unix socket of root", { .api_key = "run-kez", .has_uid = true }, 401, "", "not known" },
	{ "an empty key is a wrong one", { .api_key = "" }, 401, "", "not known" },
	{ "the admin key gets everything", { .api_key = "the-admin-key-of-tests", .scope = SCOPE_IMAGES }, 0, "admin", "" },
	{ "root on the unix socket is admin", { .has_uid = true, .scope = SCOPE_ADMIN }, 0, "unix", "" },
	{ "our own account is nobody", { .has_uid = true, .uid = 998, .scope = SCOPE_ADMIN }, 401, "", "uid 998 needs a key" },
	{ "another uid needs a key", { .has_uid = true, .uid = 1000, .scope = SCOPE_RUN }, 401, "", "uid 1000 needs a key" },
	{ "with one it gets in", { .has_uid = true, .uid = 1000, .api_key = "run-key", .scope = SCOPE_RUN }, 0, "k1", "" },
	{ "uid 0 on TCP is nobody", { .uid = 0, .scope = SCOPE_RUN }, 401, "", "needs a key" },
	{ "a session has its key's rights", { .session = session, .scope = SCOPE_RUN }, 0, "k1", "" },
	{ "and no more", { .session = session, .scope = SCOPE_ADMIN }, 403, "", "scope 'admin'" },
	{ "an admin's session those of the admin", { .session = admin_session, .scope = SCOPE_ADMIN }, 0, "admin", "" },
	{ "a session may change things from our own page", { .session = session, .is_changing = true, .scope = SCOPE_RUN }, 0, "k1", "" },
	{ "not from another's", { .session = session, .is_changing = true, .is_foreign = true, .scope = SCOPE_RUN }, 403, "", "another origin" },
	{ "not even where nobody is needed", { .session = session, .is_changing = true, .is_foreign = true }, 403, "", "another origin" },
	{ "a look from another page is a look", { .session = session, .is_foreign = true, .scope = SCOPE_RUN }, 0, "k1", "" },
	{ "a key is no cookie: pages of others may send it", { .api_key = "run-key", .is_changing = true, .is_foreign = true, .scope = SCOPE_RUN }, 0, "k1", "" },
	{ "an unknown session is nobody", { .session = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", .scope = SCOPE_RUN }, 401, "", "needs a key" },
	{ "a session that is over is nobody", { .session = session, .scope = SCOPE_RUN, .now_ns = START + 3601 * NS_PER_S }, 401, "", "needs a key" },
	{ "a session's token is not a key", { .api_key = session, .scope = SCOPE_RUN }, 401, "", "not known" },
};
/* clang-format on */

static void test_gate(void)
{
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct ask ask = cases[i].ask;
		struct admission adm;

		open_gate();
		ask.peer = "10.0.0.1";
		ask.now_ns = ask.now_ns ? ask.now_ns : START;
		gate_decide(&gate, &ask, &adm);
		if (!ok(adm.status == cases[i].status &&
				strcmp(adm.caller.key_id, cases[i].status ? adm.caller.key_id : cases[i].key_id) == 0,
			"%s", cases[i].title))
			diag("status %d, caller '%s', %s", adm.status, adm.caller.key_id, adm.text);
		has_str(adm.text, cases[i].text, "and is told so");
		ok((adm.status == 401) == (adm.challenge != NULL), "with a challenge where that is the answer");
		ok(adm.status == 0 || (adm.code && !strstr(adm.text, "run-ke") && !strstr(adm.text, session)),
		   "and without secrets");
		close_gate();
	}
}

/* With k1 as the key of the guests. */
static void test_guests(void)
{
	static const struct {
		const char *title;
		struct ask ask;
		int status;
		const char *owner;
	} rows[] = {
		{ "who comes with nothing is a guest",
		  { .peer = "10.0.0.1", .scope = SCOPE_RUN },
		  0,
		  "guest-10.0.0.1" },
		{ "an address with IPv6 counts as its /64",
		  { .peer = "2001:db8:1:2:3::9", .scope = SCOPE_RUN },
		  0,
		  "guest-2001-db8-1-2--" },
		{ "one of IPv4 in IPv6 as that",
		  { .peer = "::ffff:10.0.0.1", .scope = SCOPE_RUN },
		  0,
		  "guest-10.0.0.1" },
		{ "a guest has the scope run alone", { .peer = "10.0.0.1", .scope = SCOPE_IMAGES }, 401, NULL },
		{ "and is no administrator", { .peer = "10.0.0.1", .scope = SCOPE_ADMIN }, 401, NULL },
		{ "a wrong key makes none",
		  { .api_key = "run-kez", .peer = "10.0.0.1", .scope = SCOPE_RUN },
		  401,
		  NULL },
		{ "nor does a ticket that is none",
		  { .ticket = "x", .job = "j", .peer = "10.0.0.1", .scope = SCOPE_RUN },
		  401,
		  NULL },
		{ "a session that is over does",
		  { .session = "AAAA", .peer = "10.0.0.1", .scope = SCOPE_RUN },
		  0,
		  "guest-10.0.0.1" },
		{ "an account of the unix socket is none",
		  { .has_uid = true, .uid = 998, .peer = "unix:998", .scope = SCOPE_RUN },
		  401,
		  NULL },
		{ "a page of another origin changes nothing as one",
		  { .peer = "10.0.0.1", .is_changing = true, .is_foreign = true, .scope = SCOPE_RUN },
		  403,
		  NULL },
	};
	struct ask one = { .peer = "10.0.0.1", .scope = SCOPE_RUN, .now_ns = START }, other = one;
	struct admission adm = { .status = 0 };

	settings.guests = (char *)"k1";
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct ask ask = rows[i].ask;

		open_gate();
		gate.keys.keys[0]->scopes |= SCOPE_IMAGES | SCOPE_ADMIN;
		ask.now_ns = START;
		ticket_table_init(&gate.tickets, 8, 8, 600 * NS_PER_S);
		gate_decide(&gate, &ask, &adm);
		ok(adm.status == rows[i].status && (adm.status || strcmp(adm.caller.owner, rows[i].owner) == 0),
		   "%s (%d, %s)", rows[i].title, adm.status, adm.caller.owner);
		ok(adm.status || (adm.caller.is_guest && adm.caller.scopes == SCOPE_RUN &&
				  strcmp(adm.caller.key_id, "k1") == 0),
		   "with the key that it stands for");
		ticket_table_done(&gate.tickets);
		close_gate();
	}
	open_gate();
	other.peer = "10.0.0.2";
	for (int i = 0; i < 200 && adm.status != 429; i++)
		gate_decide(&gate, &one, &adm);
	is_int(adm.status, 429, "a guest that asks too often is told");
	gate_decide(&gate, &other, &adm);
	is_int(adm.status, 0, "and another one is served");
	gate.keys.keys[0]->expires_ms = 1;
	gate_decide(&gate, &other, &adm);
	is_int(adm.status, 401, "when the key is over there are none");
	close_gate();
	settings.guests = (char *)"";
}

static int status_of(const struct ask *ask, struct admission *adm)
{
	gate_decide(&gate, ask, adm);
	return adm->status;
}

static void test_gate_rates(void)
{
	struct ask key = { .api_key = "run-key", .peer = "10.0.0.1", .scope = SCOPE_RUN, .now_ns = START };
	struct ask nobody = { .peer = "10.0.0.1", .now_ns = START }, other = { .peer = "10.0.0.2", .now_ns = START };
	struct ask cookie = { .session = session, .peer = "10.0.0.3", .scope = SCOPE_RUN, .now_ns = START };
	struct ask unix_root = { .has_uid = true, .peer = "unix:0", .now_ns = START };
	struct admission adm;
	size_t n = 0;

	open_gate();
	is_int(status_of(&key, &adm), 0, "a first request");
	ok(adm.has_limit && adm.limit == 100 && adm.left.remaining == 99 && adm.left.reset_s == 1,
	   "tells what is left");
	while (status_of(&key, &adm) == 0)
		n++;
	is_int(n, 99, "a key may ask a hundred times at once");
	is_int(adm.status, 429, "then it has to wait");
	is_str(adm.code, "rate_limited", "and is told so");
	is_int(adm.retry_s, 1, "with a time");
	is_int(status_of(&cookie, &adm), 429, "its sessions share the bucket");
	is_int(status_of(&nobody, &adm), 0, "nobody from the same address has another");
	n = 0;
	while (status_of(&nobody, &adm) == 0)
		n++;
	is_int(n, 99, "which is as deep");
	nobody.scope = SCOPE_RUN;
	is_int(status_of(&nobody, &adm), 429, "when it is empty there is not even a 401");
	is_int(status_of(&other, &adm), 0, "another address is not affected");
	n = 0;
	for (int i = 0; i < 1000; i++)
		n += status_of(&unix_root, &adm) == 0 && !adm.has_limit;
	is_int(n, 1000, "root on the unix socket has no bucket");
	gate.keys.keys[0]->quota = (struct auth_quota){ .rate_per_s = 1, .rate_burst = 2 };
	key.now_ns += 3600 * NS_PER_S;
	n = 0;
	while (status_of(&key, &adm) == 0)
		n++;
	ok(n == 2 && adm.limit == 2, "a key's own rate goes before that of the settings");
	close_gate();

	settings.rate_per_s = 0;
	open_gate();
	n = 0;
	for (int i = 0; i < 1000; i++)
		n += status_of(&key, &adm) == 0 && !adm.has_limit;
	is_int(n, 1000, "CUBIT_RATE=0 is no bucket");
	settings.rate_per_s = 10;
	close_gate();
}

static void test_gate_wrong_keys(void)
{
	struct ask wrong = { .api_key = "wrong", .peer = "10.0.0.1", .now_ns = START };
	struct ask right = { .api_key = "run-key", .peer = "10.0.0.1", .scope = SCOPE_RUN, .now_ns = START };
	struct ask admin = { .api_key = "the-admin-key-of-tests", .peer = "10.0.0.1", .now_ns = START };
	struct ask starting = right;
	struct admission adm;
	char big[1000];
	size_t n = 0;

	open_gate();
	while (status_of(&wrong, &adm) == 401)
		n++;
	is_int(n, 20, "after twenty wrong keys");
	is_int(adm.status, 429, "an address has to wait");
	has_str(adm.text, "too many wrong keys", "for that reason");
	is_int(adm.retry_s, 3, "three seconds");
	is_int(status_of(&admin, &adm), 0, "not with the admin key");
	is_int(status_of(&right, &adm), 0, "nor with any other right one");
	admin.peer = "10.0.0.2";
	is_int(status_of(&admin, &adm), 0, "from another address the admin gets in");
	wrong.now_ns += 3 * NS_PER_S;
	is_int(status_of(&wrong, &adm), 401, "three seconds later one more is looked at");
	is_int(status_of(&wrong, &adm), 429, "and no second one");
	is_int(gate.counts.refusals[AUTH_WRONG_KEY], 21, "wrong keys are counted");
	memset(big, 'x', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	wrong.peer = "10.0.0.3";
	wrong.api_key = big;
	is_int(status_of(&wrong, &adm), 401, "a key of a thousand characters is a wrong one");
	gate.is_ready = false;
	starting.api_key = "key-that-was-not-read-yet";
	is_int(status_of(&starting, &adm), 503, "while keys are being read, an unknown one is asked to come back");
	is_int(adm.retry_s, 1, "in a second");
	close_gate();
}

int main(void)
{
	log_init(STDERR_FILENO, LOG_LEVEL_ERROR, LOG_FORMAT_TEXT); /* wrong keys are warned about */
	test_bucket();
	test_keys();
	test_peers();
	test_tickets();
	test_usage();
	test_gate();
	test_guests();
	test_gate_rates();
	test_gate_wrong_keys();
	return done_testing();
}
