/* clang-format off */
/*
 * Every key in Redis, who writes it and how long it stays. All begin with the prefix of the settings, "cubit:" below,
 * but those that the settings name themselves. Only Lua scripts (lua/) write; each is one step that is done or not.
 * "retention" is CUBIT_RETENTION, or what a job asked for (retention_ms) when that is less.
 *
 *   KEY                      TYPE     WRITTEN BY, HOLDING                                           STAYS
 *   cubit:jobs, ...          stream   producers: FIELD is the payload as JSON (payload.h); `id`,    until its job ends
 *                                     where it is there, the job's id; XDEL with the result, so
 *                                     XLEN is what is not done
 *   execution                list     producers: the payload                                        until taken
 *   cubit:job:<id>           hash     where the job is: state (waiting running done cancelled       8 days while it is
 *                                     dead pending), attempt, failures, node, run (of the           alive; retention
 *                                     process), lease_until, not_before, finished_ms, queued_ms     after the end, 7 x
 *                                     (TIME, ms), kind, source, group, entry, owner, spec (with     that when dead; of
 *                                     callback.secret), status, reason, ending, retention (ms that  a cube for ever
 *                                     it asked for); of a cube name and cube_type
 *   cubit:result:<id>        hash     finish: every field of the result (docs/api.md; null is       retention
 *                                     empty), json all but stdout, stderr, compile, outputs, cases;
 *                                     journal the blob of journal.h, only where the stream of
 *                                     events has not all of it
 *   cubit:events:<id>        stream   the node that runs it: n, type, at_ms, attempt, data (bytes   retention
 *                                     as they are); last an `end` with the status; at most
 *                                     CUBIT_REDIS_EVENTS of them
 *   cubit:events             channel  the same as JSON lines with `job`; also type "result" and
 *                                     "dead"
 *   X:logs                   channel  for entries of a stream X:jobs that is not below our prefix:
 *                                     messages {job_id, output, type: "log" or "status", status?}
 *   cubit:dead               stream   id, payload (bytes as they came), reason, attempts, node,     7 x retention
 *                                     kind, source, group, field
 *   cubit:delayed:<source>   zset     entries that are not due: score is when (TIME, ms)            until due
 *   cubit:ahead:<stream>     zset     entries that were read ahead, all nodes' together: pending, in    until taken
 *                                     no lease; beside it ahead-of: (hash, of whom), ahead-by:
 *                                     <stream>/<owner> (zset, -priority), ahead-owners: (zset, last
 *                                     turn), ahead-turn: (the turns so far)
 *   cubit:lacking:<node>     zset     hashes of entries that the node left to others, who may have the  seconds
 *                                     image; score is until when (TIME, ms)
 *   cubit:running:<node>     set      ids that the node has leased                                  until ended
 *   cubit:ending:<node>      set      ids that the node is asked to end                             a day
 *   cubit:cancel             zset     producers: ids that are not wanted any more, score 0; the     until ended; a
 *                                     time (TIME, ms) when no such job is known yet                 day unknown
 *   cubit:processing:<node>  list     payloads of the list that the node took                       until ended
 *   cubit:index              zset     ids of all jobs that have a hash; score is queued_ms. What has  as its hash, and
 *                                     none any more is taken out by and by                          a while
 *   cubit:cubes              list     payloads that name a cube and nothing to run: kept for who    until cancelled
 *                                     starts cubes
 *   cubit:key:<owner>:<key>  hash     idempotency of submit: fingerprint and id                     retention
 *   cubit:node:<name>        hash     each second: name, version, slots, running, state, sources,   a day
 *                                     seen (TIME, ms); drain: set by anybody, 1 asks it to take
 *                                     nothing
 *   cubit:nodes              set      their names
 *
 * Leases. An entry of a stream stays in the group's list of pending entries, owned by the node that runs it, until
 * there is a result; each renewal sets its idle time to 0. One that was idle for longer than a lease is claimed by any
 * node. What decides is the hash of the job: `begin` gives out an attempt number only when nobody has a lease that
 * still lasts, and finish, extend, give back are refused with any other number. Payloads of the list lie in
 * processing:<node> and are put back when the node has not been seen for longer than a lease.
 *
 * Time is that of Redis, TIME and idle times; no clock of a node is compared with another's.
 *
 * The list is taken from its left end (LPOP), as the workers of this list always did: RPUSH makes it first in, first
 * out, and a priority is kept and not looked at. Of a stream some thousand entries are read ahead, and who has a free
 * slot takes the one whose turn it is (lua/ahead.lua). They are pending like any others: when all of ahead: is lost, the
 * scan for entries that nobody is at work on finds them.
 *
 * Needs Redis 6.2 (XAUTOCLAIM's relatives, LMOVE, XADD MINID); 7 knows entries that were trimmed. Not for Redis
 * Cluster: scripts compute names.
 *
 * Runs in: the front writes through the scripts; producers and other nodes see the same keys.
 */
/* clang-format on */
#pragma once

enum { REDIS_PREFIX_MAX = 128, REDIS_ALIVE_MS = 8 * 24 * 3600 * 1000, REDIS_DEAD_FACTOR = 7 };
