/* The scripts: see lua.h. Numbers go to commands through int(), which never says 1.7e+12. */
#include "supervisor/redis/lua.h"

/* clang-format off */

#define PRELUDE                                                                                                         \
	"local P, me, run = ARGV[1], ARGV[2], ARGV[3]\n"                                                                \
	"local function int(x) return string.format('%.0f', x) end\n"                                                   \
	"local function now() local t = redis.call('TIME'); return t[1] * 1000 + math.floor(t[2] / 1000) end\n"

/*
 * An entry is (kind 'stream' or 'list', source, group, token): token is the id of a stream's entry, the payload of a
 * list's. ack: nothing is left of it. there: somebody will find it again.
 */
#define ENTRY                                                                                                           \
	"local function ack(kind, src, group, token, node)\n"                                                           \
	"  redis.call('ZREM', P .. 'delayed:' .. src, token)\n"                                                         \
	"  if kind == 'stream' then\n"                                                                                  \
	"    redis.pcall('XACK', src, group, token)\n"                                                                  \
	"    redis.pcall('XDEL', src, token)\n"                                                                         \
	"  else\n"                                                                                                      \
	"    redis.call('LREM', P .. 'processing:' .. node, 0, token)\n"                                                \
	"  end\n"                                                                                                       \
	"end\n"                                                                                                         \
	"local function value(src, token, field)\n"                                                                     \
	"  local e = redis.pcall('XRANGE', src, token, token)\n"                                                        \
	"  if e.err or not e[1] then return nil end\n"                                                                  \
	"  local all = {}\n"                                                                                            \
	"  for i = 1, #e[1][2], 2 do\n"                                                                                 \
	"    if e[1][2][i] == field then return e[1][2][i + 1] end\n"                                                   \
	"    all[#all + 1] = e[1][2][i] .. '=' .. e[1][2][i + 1]\n"                                                     \
	"  end\n"                                                                                                       \
	"  return table.concat(all, '\\n')\n"                                                                           \
	"end\n"                                                                                                         \
	"local function there(kind, src, token, node)\n"                                                                \
	"  if not kind or not src or not token then return false end\n"                                                 \
	"  if kind == 'stream' then\n"                                                                                  \
	"    local e = redis.pcall('XRANGE', src, token, token)\n"                                                      \
	"    return not e.err and #e > 0\n"                                                                             \
	"  end\n"                                                                                                       \
	"  return redis.call('ZSCORE', P .. 'delayed:' .. src, token)\n"                                                \
	"    or redis.call('LPOS', P .. 'processing:' .. (node or me), token)\n"                                        \
	"    or redis.call('LPOS', P .. 'cubes', token) or redis.call('LPOS', src, token)\n"                            \
	"end\n"                                                                                                         \
	"local function park(kind, src, token, due)\n"                                                                  \
	"  redis.call('ZADD', P .. 'delayed:' .. src, int(due), token)\n"                                               \
	"  if kind == 'list' then redis.call('LREM', P .. 'processing:' .. me, 0, token) end\n"                         \
	"end\n"                                                                                                         \
	/* words for those who only listen; the strings are finished messages, '' for none */                           \
	"local function tell(message, channel, log)\n"                                                                  \
	"  if message ~= '' then redis.pcall('PUBLISH', P .. 'events', message) end\n"                                  \
	"  if channel ~= '' and log ~= '' then redis.pcall('PUBLISH', channel, log) end\n"                              \
	"end\n"                                                                                                         \
	"local function to_dead(kind, src, group, token, field, id, attempts, reason, keep)\n"                          \
	"  local payload = token\n"                                                                                     \
	"  if kind == 'stream' then payload = value(src, token, field) or '' end\n"                                     \
	"  redis.call('XADD', P .. 'dead', 'MINID', '~', int(math.max(0, now() - keep)), '*', 'id', id, 'payload', payload,\n" \
	"    'reason', reason, 'attempts', attempts, 'node', me, 'kind', kind, 'source', src, 'group', group, 'field', field)\n" \
	"  ack(kind, src, group, token, me)\n"                                                                          \
	"end\n"                                                                                                         \
	"local function job_dead(id, reason, failures, keep)\n"                                                         \
	"  local jk = P .. 'job:' .. id\n"                                                                              \
	"  redis.call('HSET', jk, 'state', 'dead', 'reason', reason, 'failures', failures, 'finished_ms', int(now()))\n" \
	"  redis.call('HDEL', jk, 'lease_until', 'not_before', 'ending')\n"                                             \
	"  redis.call('PEXPIRE', jk, int(keep))\n"                                                                      \
	"  redis.call('SREM', P .. 'running:' .. me, id)\n"                                                             \
	"end\n"                                                                                                         \
	/* the fields of a result, from argument number `from` on: their count, then name and value of each */          \
	"local function put_result(id, from, keep)\n"                                                                   \
	"  local rk = P .. 'result:' .. id\n"                                                                           \
	"  local a = {}\n"                                                                                              \
	"  for i = from + 1, from + 2 * tonumber(ARGV[from]) do a[#a + 1] = ARGV[i] end\n"                              \
	"  redis.call('HSET', rk, unpack(a))\n"                                                                         \
	"  redis.call('PEXPIRE', rk, keep)\n"                                                                           \
	"end\n"                                                                                                         \
	"local function put_end(id, status, keep)\n"                                                                    \
	"  local ek = P .. 'events:' .. id\n"                                                                           \
	"  redis.call('XADD', ek, '*', 'n', '0', 'type', 'end', 'data', status)\n"                                      \
	"  redis.call('PEXPIRE', ek, keep)\n"                                                                           \
	"end\n"

/*
 * 4 stream, 5 group, 6 field, 7 n, 8 lease ms, 9 from where our own pending entries are looked through ('': not), 10
 * the same for those that were idle for a lease, 11 bytes of a payload at most, 12 ms a dead letter stays.
 * {{token, id or '', payload or nil, is it gone}...}, next 9, next 10, newest id of the stream when all were read (''), dead.
 * One answer holds TAKE_BYTES and one payload; what is too long is a dead letter at once, so that it need not be sent.
 */
#define TAKE_BYTES "16777216"
#define TOO_LONG                                                                                                        \
	"local bytes, dead, most = 0, 0, tonumber(ARGV[#ARGV - 1])\n"                                                   \
	"local function too_long(kind, src, group, token, field, v)\n"                                                 \
	"  if #v <= most then bytes = bytes + #v return false end\n"                                                    \
	"  dead = dead + 1\n"                                                                                           \
	"  to_dead(kind, src, group, token, field, '', 0, 'the payload has ' .. #v .. ' bytes, more than the ' .. most ..\n" \
	"    ' that CUBIT_MAX_BODY allows', tonumber(ARGV[#ARGV]))\n"                                                   \
	"  return true\n"                                                                                               \
	"end\n"
struct redis_script redis_lua_take_stream = { .text = PRELUDE ENTRY TOO_LONG
	"local s, g, field, n, lease = ARGV[4], ARGV[5], ARGV[6], tonumber(ARGV[7]), ARGV[8]\n"
	"local d, out, last = P .. 'delayed:' .. s, {}, ''\n"
	"local p = redis.pcall('XPENDING', s, g)\n"
	"if p.err then\n"
	"  if not string.find(p.err, 'NOGROUP') then return p end\n"
	"  redis.call('XGROUP', 'CREATE', s, g, '0', 'MKSTREAM')\n"
	"end\n"
	"local function add(e, gone)\n"
	"  local v, id = false, ''\n"
	"  for i = 1, #e[2], 2 do\n"
	"    if e[2][i] == field then v = e[2][i + 1] elseif e[2][i] == 'id' then id = e[2][i + 1] end\n"
	"  end\n"
	"  if v and too_long('stream', s, g, e[1], field, v) then return end\n"
	"  out[#out + 1] = {e[1], id, v, gone}\n"
	"end\n"
	"local function full() return #out >= n or bytes >= " TAKE_BYTES " end\n"
	"local function claim(id)\n"
	"  local c = redis.call('XCLAIM', s, g, me, 0, id)\n"
	"  if c[1] and c[1][2] then add(c[1], 0) else add({id, {}}, 1) end\n"
	"end\n"
	"for _, id in ipairs(redis.call('ZRANGEBYSCORE', d, '-inf', int(now()), 'LIMIT', 0, n)) do\n"
	"  if full() then break end\n"
	"  redis.call('ZREM', d, id)\n"
	"  claim(id)\n"
	"end\n"
	"local function scan(from, idle)\n"
	"  if from == '' or full() then return from end\n"
	"  local p\n"
	"  if idle then p = redis.call('XPENDING', s, g, 'IDLE', lease, from, '+', 64)\n"
	"  else p = redis.call('XPENDING', s, g, from, '+', 64, me) end\n"
	"  for _, e in ipairs(p) do\n"
	"    if full() then return from end\n"
	"    from = '(' .. e[1]\n"
	"    if not redis.call('ZSCORE', d, e[1]) then claim(e[1]) end\n"
	"  end\n"
	"  return #p < 64 and '' or from\n"
	"end\n"
	"local mine = scan(ARGV[9], false)\n"
	"local claimed = scan(ARGV[10], true)\n"
	"while not full() do\n"
	"  local r = redis.call('XREADGROUP', 'GROUP', g, me, 'COUNT', 1, 'STREAMS', s, '>')\n"
	"  if r and r[1] then\n"
	"    add(r[1][2][1], 0)\n"
	"  else\n"
	"    local info = redis.call('XINFO', 'STREAM', s)\n"
	"    for i = 1, #info, 2 do if info[i] == 'last-generated-id' then last = info[i + 1] end end\n"
	"    break\n"
	"  end\n"
	"end\n"
	"return {out, mine, claimed, last, dead}\n"
};

/*
 * 4 list, 5 n, 6 '1': what is in our processing list as well, which may be more than n, 7 as 11 above, 8 as 12.
 * Answers as above.
 */
struct redis_script redis_lua_take_list = { .text = PRELUDE ENTRY TOO_LONG
	"local s, n = ARGV[4], tonumber(ARGV[5])\n"
	"local d, k, out, last = P .. 'delayed:' .. s, P .. 'processing:' .. me, {}, ''\n"
	"local function add(p)\n"
	"  if not too_long('list', s, '', p, '', p) then out[#out + 1] = {p, '', p, 0} end\n"
	"end\n"
	"if ARGV[6] == '1' then\n"
	"  for i = 0, 1023 do\n"
	"    local p = bytes < " TAKE_BYTES " and redis.call('LINDEX', k, i)\n"
	"    if not p then break end\n"
	"    add(p)\n"
	"  end\n"
	"end\n"
	"local old = #out\n"
	"for _, p in ipairs(redis.call('ZRANGEBYSCORE', d, '-inf', int(now()), 'LIMIT', 0, n)) do\n"
	"  if bytes >= " TAKE_BYTES " then break end\n"
	"  redis.call('RPUSH', k, p)\n"
	"  redis.call('ZREM', d, p)\n"
	"  add(p)\n"
	"end\n"
	"while #out < n and bytes < " TAKE_BYTES " and old == 0 do\n"
	"  local p = redis.call('LMOVE', s, k, 'LEFT', 'RIGHT')\n"
	"  if not p then last = '1' break end\n"
	"  add(p)\n"
	"end\n"
	"return {out, '', '', last, dead}\n"
};

/*
 * 4 kind, 5 source, 6 group, 7 token, 8 id, 9 owner, 10 spec, 11 lease ms, 12 attempts, 13 delay ms, 14 '1': the id is
 * the entry's own, 15 keep ms, 16 '1': it was read once more from our own list.
 * {'ok', attempt, failures, queued_ms, ending}: run it. {'done'}: it has its result, or is a copy: gone. {'busy'},
 * {'later'}: left alone. {'duplicate'}: another entry has this id. {'other'}: so has, but the id was the entry's own.
 * {'dead', attempt, failures, reason}: attempts used up. {'cancel', attempt, queued_ms}: somebody wants its end.
 */
struct redis_script redis_lua_begin = { .text = PRELUDE ENTRY
	"local kind, src, g, token, id, owner, spec = ARGV[4], ARGV[5], ARGV[6], ARGV[7], ARGV[8], ARGV[9], ARGV[10]\n"
	"local lease, attempts, delay = tonumber(ARGV[11]), tonumber(ARGV[12]), tonumber(ARGV[13])\n"
	"local jk, t = P .. 'job:' .. id, now()\n"
	"local h = redis.call('HMGET', jk, 'state', 'attempt', 'failures', 'node', 'lease_until', 'entry', 'source', 'run',\n"
	"  'ending', 'not_before', 'queued_ms', 'kind')\n"
	"local state, attempt, failures = h[1], tonumber(h[2] or 0), tonumber(h[3] or 0)\n"
	"local same = state and h[6] == token and h[7] == src\n"
	"local queued = tonumber(h[11] or 0)\n"
	"if ARGV[14] == '1' and state and not same then return {'other'} end\n"
	"if redis.call('EXISTS', P .. 'result:' .. id) == 1 then ack(kind, src, g, token, me) return {'done'} end\n"
	"if state == 'running' and tonumber(h[5] or 0) > t then\n"
	"  if not same then return {'duplicate'} end\n"
	"  if h[8] == run then\n"
	"    redis.call('HSET', jk, 'lease_until', int(t + lease))\n"
	"    return {'ok', attempt, failures, int(queued), h[9] or ''}\n"
	"  end\n"
	"  if kind == 'list' and ARGV[16] ~= '1' then\n"
	"    if h[4] ~= me and redis.call('LPOS', P .. 'processing:' .. (h[4] or ''), token) then\n"
	"      redis.call('LREM', P .. 'processing:' .. me, 0, token)\n"
	"      return {'done'}\n"
	"    end\n"
	"    park(kind, src, token, tonumber(h[5]) + 1)\n"
	"  end\n"
	"  return {'busy'}\n"
	"end\n"
	"local alive = state == 'waiting' or state == 'running' or state == 'pending'\n"
	"if alive and not same and there(h[12], h[7], h[6], h[4]) then return {'duplicate'} end\n"
	"if same and not alive and kind == 'stream' then ack(kind, src, g, token, me) return {'done'} end\n"
	"if not same or not alive then\n"
	"  failures, queued, h[9], h[10] = 0, t, false, false\n"
	"  if kind == 'stream' then\n"
	"    local ms = tonumber(string.match(token, '^(%d+)'))\n"
	"    if ms and ms <= t and ms > t - 30 * 86400000 then queued = ms end\n"
	"  end\n"
	"  if delay > 0 then h[10] = queued + delay end\n"
	"end\n"
	"local reason = ''\n"
	"if same and state == 'running' then\n"
	"  failures = failures + 1\n"
	"  reason = 'the lease of node ' .. (h[4] or '?') .. ' ran out'\n"
	"  if h[9] == '1' then return {'cancel', attempt, int(queued)} end\n"
	"  redis.call('SREM', P .. 'running:' .. (h[4] or ''), id)\n"
	"  if failures >= attempts then return {'dead', attempt, failures, reason} end\n"
	"end\n"
	"local base = {'id', id, 'owner', owner, 'kind', kind, 'source', src, 'group', g, 'entry', token, 'spec', spec,\n"
	"  'queued_ms', int(queued), 'attempt', attempt, 'failures', failures, 'reason', reason}\n"
	"if tonumber(h[10] or 0) > t then\n"
	"  redis.call('HSET', jk, 'state', 'waiting', 'not_before', int(tonumber(h[10])), unpack(base))\n"
	"  redis.call('PEXPIRE', jk, ARGV[15])\n"
	"  park(kind, src, token, tonumber(h[10]))\n"
	"  return {'later'}\n"
	"end\n"
	"attempt = attempt + 1\n"
	"redis.call('HSET', jk, unpack(base))\n"
	"redis.call('HSET', jk, 'state', 'running', 'attempt', attempt, 'node', me, 'run', run, 'lease_until', int(t + lease))\n"
	"redis.call('HDEL', jk, 'not_before', 'ending', 'finished_ms', 'status')\n"
	"redis.call('PEXPIRE', jk, ARGV[15])\n"
	"redis.call('SADD', P .. 'running:' .. me, id)\n"
	"redis.call('ZREM', P .. 'delayed:' .. src, token)\n"
	"return {'ok', attempt, failures, int(queued), ''}\n"
};

/*
 * An entry that never becomes a run. 4 kind, 5 source, 6 group, 7 token, 8 field, 9 id or '', 10 reason, 11 keep ms, 12
 * '1': the id is known to be this entry's, 13 attempts, 14 message, 15 channel, 16 log
 */
struct redis_script redis_lua_reject = { .text = PRELUDE ENTRY
	"local kind, src, g, token, id = ARGV[4], ARGV[5], ARGV[6], ARGV[7], ARGV[9]\n"
	"local keep = tonumber(ARGV[11])\n"
	"if kind == 'list' and not redis.call('LPOS', P .. 'processing:' .. me, token) then return 0 end\n"
	"if kind == 'stream' and #redis.call('XPENDING', src, g, token, token, 1) == 0\n"
	"  and not there(kind, src, token, me) and ARGV[12] ~= '2' then return 0 end\n"
	"to_dead(kind, src, g, token, ARGV[8], id, ARGV[13], ARGV[10], keep)\n"
	"if id ~= '' then\n"
	"  local h = redis.call('HMGET', P .. 'job:' .. id, 'state', 'entry', 'source')\n"
	"  if ARGV[12] == '1' and (not h[1] or (h[2] == token and h[3] == src)) then\n"
	"    redis.call('HSET', P .. 'job:' .. id, 'id', id, 'entry', token, 'source', src, 'kind', kind, 'group', g)\n"
	"    job_dead(id, ARGV[10], ARGV[13], keep)\n"
	"    tell(ARGV[14], ARGV[15], ARGV[16])\n"
	"  end\n"
	"end\n"
	"return 1\n"
};

/* A request for a cube. 4 list, 5 payload, 6 id, 7 owner, 8 name, 9 cube_type. 1 kept, 0 it was; -1 the id is a job's. */
struct redis_script redis_lua_cube = { .text = PRELUDE ENTRY
	"local src, token, id = ARGV[4], ARGV[5], ARGV[6]\n"
	"local jk, k = P .. 'job:' .. id, P .. 'processing:' .. me\n"
	"local h = redis.call('HMGET', jk, 'state', 'entry')\n"
	"if h[1] and h[1] ~= 'pending' and h[1] ~= 'cancelled' then return -1 end\n"
	"local fresh = h[1] ~= 'pending'\n"
	"if not fresh and h[2] ~= token then redis.call('LREM', P .. 'cubes', 0, h[2]) end\n"
	"redis.call('HSET', jk, 'id', id, 'state', 'pending', 'owner', ARGV[7], 'name', ARGV[8], 'cube_type', ARGV[9],\n"
	"  'kind', 'list', 'source', src, 'entry', token, 'group', '')\n"
	"if fresh then redis.call('HSET', jk, 'queued_ms', int(now())) end\n"
	"redis.call('PERSIST', jk)\n"
	"if not redis.call('LPOS', P .. 'cubes', token) then redis.call('RPUSH', P .. 'cubes', token) end\n"
	"redis.call('LREM', k, 0, token)\n"
	"return fresh and 1 or 0\n"
};

/*
 * 4 id, 5 attempt, 6 lease ms, 7 keep ms, 8 owner, 9 kind, 10 source, 11 group, 12 token, 13 queued_ms. 1, or 0: lost.
 * A hash that is gone without a result was lost by the server: it is made again.
 */
struct redis_script redis_lua_extend = { .text = PRELUDE
	"local id = ARGV[4]\n"
	"local jk = P .. 'job:' .. id\n"
	"local h = redis.call('HMGET', jk, 'state', 'attempt')\n"
	"if not h[1] then\n"
	"  if redis.call('EXISTS', P .. 'result:' .. id) == 1 then return 0 end\n"
	"  redis.call('HSET', jk, 'id', id, 'state', 'running', 'attempt', ARGV[5], 'failures', 0, 'owner', ARGV[8],\n"
	"    'kind', ARGV[9], 'source', ARGV[10], 'group', ARGV[11], 'entry', ARGV[12], 'queued_ms', ARGV[13])\n"
	"elseif h[1] ~= 'running' or h[2] ~= ARGV[5] then\n"
	"  return 0\n"
	"end\n"
	"redis.call('HSET', jk, 'node', me, 'run', run, 'lease_until', int(now() + tonumber(ARGV[6])))\n"
	"redis.call('PEXPIRE', jk, ARGV[7])\n"
	"redis.call('SADD', P .. 'running:' .. me, id)\n"
	"if ARGV[9] == 'stream' then\n"
	"  redis.pcall('XCLAIM', ARGV[10], ARGV[11], me, 0, ARGV[12], 'IDLE', 0, 'JUSTID')\n"
	"end\n"
	"return 1\n"
};

/*
 * 4 id, 5 attempt, 6 status, 7 state, 8 retention ms, 9 owner, 10 kind, 11 source, 12 group, 13 token, 14 queued_ms, 15
 * '1': an end event, 16 message, 17 channel, 18 log, 19 fields. 1; 0: another attempt owns it. The same again is 1.
 */
struct redis_script redis_lua_finish = { .text = PRELUDE ENTRY
	"local id = ARGV[4]\n"
	"local jk, rk = P .. 'job:' .. id, P .. 'result:' .. id\n"
	"local h = redis.call('HMGET', jk, 'state', 'attempt', 'run')\n"
	"if redis.call('EXISTS', rk) == 1 then\n"
	"  return h[2] == ARGV[5] and h[3] == run and h[1] ~= 'running' and 1 or 0\n"
	"end\n"
	"if h[1] and (h[1] ~= 'running' or h[2] ~= ARGV[5]) then return 0 end\n"
	"put_result(id, 19, ARGV[8])\n"
	"redis.call('HSET', jk, 'id', id, 'state', ARGV[7], 'status', ARGV[6], 'attempt', ARGV[5], 'run', run, 'node', me,\n"
	"  'owner', ARGV[9], 'source', ARGV[11], 'entry', ARGV[13], 'queued_ms', ARGV[14], 'finished_ms', int(now()),\n"
	"  'reason', '')\n"
	"redis.call('HDEL', jk, 'lease_until', 'ending', 'not_before')\n"
	"redis.call('PEXPIRE', jk, ARGV[8])\n"
	"redis.call('SREM', P .. 'running:' .. me, id)\n"
	"redis.call('SREM', P .. 'ending:' .. me, id)\n"
	"ack(ARGV[10], ARGV[11], ARGV[12], ARGV[13], me)\n"
	"if ARGV[15] == '1' then put_end(id, ARGV[6], ARGV[8]) end\n"
	"tell(ARGV[16], ARGV[17], ARGV[18])\n"
	"return 1\n"
};

/*
 * 4 id, 5 attempt, 6 reason, 7 '1': free, 8 attempts, 9 backoff ms, 10 keep ms when dead, 11 kind, 12 source, 13 group, 14
 * token, 15 field, 16 message, 17 channel, 18 log. 1; 0: lost; 2: dead; 3: somebody wants its end, nothing was done.
 */
struct redis_script redis_lua_give_back = { .text = PRELUDE ENTRY
	"local id = ARGV[4]\n"
	"local jk = P .. 'job:' .. id\n"
	"local h = redis.call('HMGET', jk, 'state', 'attempt', 'failures', 'ending')\n"
	"if h[1] ~= 'running' or h[2] ~= ARGV[5] then return 0 end\n"
	"if h[4] == '1' then return 3 end\n"
	"local failures = tonumber(h[3] or 0)\n"
	"local due = now()\n"
	"if ARGV[7] ~= '1' then\n"
	"  failures = failures + 1\n"
	"  local back = tonumber(ARGV[9])\n"
	"  for _ = 2, failures do back = math.min(back * 2, 300000) end\n"
	"  due = due + back\n"
	"  if failures >= tonumber(ARGV[8]) then\n"
	"    to_dead(ARGV[11], ARGV[12], ARGV[13], ARGV[14], ARGV[15], id, ARGV[5], ARGV[6], tonumber(ARGV[10]))\n"
	"    job_dead(id, ARGV[6], failures, tonumber(ARGV[10]))\n"
	"    tell(ARGV[16], ARGV[17], ARGV[18])\n"
	"    return 2\n"
	"  end\n"
	"end\n"
	"redis.call('HSET', jk, 'state', 'waiting', 'failures', failures, 'reason', ARGV[6], 'not_before', int(due))\n"
	"redis.call('HDEL', jk, 'lease_until')\n"
	"redis.call('SREM', P .. 'running:' .. me, id)\n"
	"park(ARGV[11], ARGV[12], ARGV[14], due)\n"
	"return 1\n"
};

/* 4 id, 5 attempt, 6 reason, 7 keep ms, 8 kind, 9 source, 10 group, 11 token, 12 field, 13 message, 14 channel, 15 log. 1; 0 */
struct redis_script redis_lua_bury = { .text = PRELUDE ENTRY
	"local id, keep = ARGV[4], tonumber(ARGV[7])\n"
	"local h = redis.call('HMGET', P .. 'job:' .. id, 'state', 'attempt', 'failures')\n"
	"if h[1] ~= 'running' or h[2] ~= ARGV[5] then return 0 end\n"
	"to_dead(ARGV[8], ARGV[9], ARGV[10], ARGV[11], ARGV[12], id, ARGV[5], ARGV[6], keep)\n"
	"job_dead(id, ARGV[6], tonumber(h[3] or 0) + 1, keep)\n"
	"tell(ARGV[13], ARGV[14], ARGV[15])\n"
	"return 1\n"
};

/*
 * 4 id, 5 '1': 6 is the owner, 7 attempt that must be its number, 8 '1': also when it is leased with that number and
 * its lease is over or ours, 9 retention ms, 10 '1': an end event, 11 message, 12 channel, 13 log, 14 fields.
 * 0 there is none, 1 cancelled, 2 it runs and its node is told, 3 it has ended, 4 another attempt: look again.
 */
struct redis_script redis_lua_cancel = { .text = PRELUDE ENTRY
	"local id = ARGV[4]\n"
	"local jk = P .. 'job:' .. id\n"
	"local h = redis.call('HMGET', jk, 'state', 'owner', 'attempt', 'node', 'lease_until', 'kind', 'source', 'group',\n"
	"  'entry')\n"
	"local state = h[1]\n"
	"if not state or (ARGV[5] == '1' and h[2] ~= ARGV[6]) then return 0 end\n"
	"if redis.call('EXISTS', P .. 'result:' .. id) == 1 then return 3 end\n"
	"if state ~= 'waiting' and state ~= 'running' and state ~= 'pending' then return 3 end\n"
	"local over = tonumber(h[5] or 0) <= now() or h[4] == me\n"
	"if state == 'running' and not (ARGV[8] == '1' and over and (h[3] or '0') == ARGV[7]) then\n"
	"  redis.call('HSET', jk, 'ending', '1')\n"
	"  redis.call('SADD', P .. 'ending:' .. (h[4] or ''), id)\n"
	"  redis.call('PEXPIRE', P .. 'ending:' .. (h[4] or ''), 86400000)\n"
	"  return 2\n"
	"end\n"
	"if (h[3] or '0') ~= ARGV[7] then return 4 end\n"
	"put_result(id, 14, ARGV[9])\n"
	"redis.call('HSET', jk, 'state', 'cancelled', 'status', 'cancelled', 'finished_ms', int(now()), 'run', run)\n"
	"redis.call('HDEL', jk, 'lease_until', 'ending', 'not_before')\n"
	"redis.call('PEXPIRE', jk, ARGV[9])\n"
	"redis.call('SREM', P .. 'running:' .. (h[4] or ''), id)\n"
	"if h[7] and h[9] then\n"
	"  ack(h[6] or 'stream', h[7], h[8] or '', h[9], h[4] or me)\n"
	"  if h[6] == 'list' then redis.call('LREM', P .. 'cubes', 0, h[9]) end\n"
	"end\n"
	"if ARGV[10] == '1' then put_end(id, 'cancelled', ARGV[9]) end\n"
	"tell(ARGV[11], ARGV[12], ARGV[13])\n"
	"return 1\n"
};

/* 4 source. {{id, owner, attempt, failures, queued_ms, ending, token}...} of this node's name, whoever it was. */
struct redis_script redis_lua_leased = { .text = PRELUDE
	"local out = {}\n"
	"for _, id in ipairs(redis.call('SMEMBERS', P .. 'running:' .. me)) do\n"
	"  local h = redis.call('HMGET', P .. 'job:' .. id, 'owner', 'attempt', 'failures', 'queued_ms', 'ending', 'entry',\n"
	"    'state', 'node', 'source')\n"
	"  if h[7] ~= 'running' or h[8] ~= me then\n"
	"    redis.call('SREM', P .. 'running:' .. me, id)\n"
	"  elseif h[9] == ARGV[4] then\n"
	"    out[#out + 1] = {id, h[1] or '', h[2] or '1', h[3] or '0', h[4] or '0', h[5] or '', h[6] or ''}\n"
	"  end\n"
	"end\n"
	"return out\n"
};

/* 4 id, 5 '1': with the journal. {job hash as JOB_FIELDS, result, journal}; nil: there is none. */
struct redis_script redis_lua_get = { .text = PRELUDE
	"local h = redis.call('HMGET', P .. 'job:' .. ARGV[4], 'state', 'owner', 'attempt', 'failures', 'queued_ms',\n"
	"  'not_before', 'finished_ms', 'node', 'status', 'reason', 'ending', 'spec', 'source')\n"
	"local r = redis.call('HMGET', P .. 'result:' .. ARGV[4], 'json', 'status')\n"
	"if not h[1] and not r[1] then return false end\n"
	"if not h[1] then h[1] = r[2] == 'cancelled' and 'cancelled' or 'done'; h[9] = r[2] end\n"
	"local j = ''\n"
	"if ARGV[5] == '1' and r[1] then j = redis.call('HGET', P .. 'result:' .. ARGV[4], 'journal') or '' end\n"
	"return {h, r[1], j}\n"
};

/*
 * 4 id, 5 attempt, 6 most, 7 keep ms, 8 channel or '', 9 events that follow: n, type, at_ms, data, message, log.
 * The number of the last one Redis has; -1: another attempt owns the job. 6 is '0': channel only.
 */
struct redis_script redis_lua_events = { .text = PRELUDE
	"local id, most = ARGV[4], ARGV[6]\n"
	"local ek = P .. 'events:' .. id\n"
	"local a = redis.call('HGET', P .. 'job:' .. id, 'attempt')\n"
	"if a and a ~= ARGV[5] then return -1 end\n"
	"local last = 0\n"
	"if most ~= '0' then\n"
	"  for _, e in ipairs(redis.call('XREVRANGE', ek, '+', '-', 'COUNT', 2)) do\n"
	"    local n, of\n"
	"    for i = 1, #e[2], 2 do\n"
	"      if e[2][i] == 'n' then n = tonumber(e[2][i + 1]) elseif e[2][i] == 'attempt' then of = e[2][i + 1] end\n"
	"    end\n"
	"    if of and of ~= ARGV[5] then\n"
	"      redis.call('XADD', ek, '*', 'n', '0', 'type', 'again', 'attempt', ARGV[5], 'data', '')\n"
	"      redis.call('XTRIM', ek, 'MAXLEN', 1)\n"
	"      break\n"
	"    end\n"
	"    if of == ARGV[5] and n > last then last = n end\n"
	"  end\n"
	"end\n"
	"for i = 0, tonumber(ARGV[9]) - 1 do\n"
	"  local b = 10 + 6 * i\n"
	"  if tonumber(ARGV[b]) > last then\n"
	"    if most ~= '0' then\n"
	"      redis.call('XADD', ek, 'MAXLEN', '~', most, '*', 'n', ARGV[b], 'type', ARGV[b + 1], 'at_ms', ARGV[b + 2],\n"
	"        'attempt', ARGV[5], 'data', ARGV[b + 3])\n"
	"      redis.pcall('PUBLISH', P .. 'events', ARGV[b + 4])\n"
	"    end\n"
	"    if ARGV[8] ~= '' and ARGV[b + 5] ~= '' then redis.pcall('PUBLISH', ARGV[8], ARGV[b + 5]) end\n"
	"    last = tonumber(ARGV[b])\n"
	"  end\n"
	"end\n"
	"if most ~= '0' then redis.call('PEXPIRE', ek, ARGV[7]) end\n"
	"return last\n"
};

/* 4 id, 5 behind which entry. {state or '', {{entry, n, type, data}...}} */
struct redis_script redis_lua_follow = { .text = PRELUDE
	"local out = {}\n"
	"for _, e in ipairs(redis.call('XRANGE', P .. 'events:' .. ARGV[4], '(' .. ARGV[5], '+', 'COUNT', 64)) do\n"
	"  local f = {}\n"
	"  for i = 1, #e[2], 2 do f[e[2][i]] = e[2][i + 1] end\n"
	"  out[#out + 1] = {e[1], f.n or '0', f.type or '', f.data or ''}\n"
	"end\n"
	"return {redis.call('HGET', P .. 'job:' .. ARGV[4], 'state') or '', out}\n"
};

/*
 * 4 stream, 5 group, 6 field, 7 payload, 8 id, 9 owner, 10 spec, 11 most, 12 keep ms, 13 key or '', 14 fingerprint, 15 retention, 16
 * delay ms.
 * {'ok', id}, {'same', id}, {'used'} the key with another request, {'taken'} the id, {'full'}
 */
struct redis_script redis_lua_submit = { .text = PRELUDE
	"local s, id = ARGV[4], ARGV[8]\n"
	"local kk = P .. 'key:' .. ARGV[9] .. ':' .. ARGV[13]\n"
	"if ARGV[13] ~= '' then\n"
	"  local k = redis.call('HMGET', kk, 'fingerprint', 'id')\n"
	"  if k[1] == ARGV[14] then return {'same', k[2]} end\n"
	"  if k[1] then return {'used'} end\n"
	"end\n"
	"if redis.call('EXISTS', P .. 'job:' .. id, P .. 'result:' .. id) > 0 then return {'taken'} end\n"
	"if redis.call('XLEN', s) >= tonumber(ARGV[11]) then return {'full'} end\n"
	"local entry = redis.call('XADD', s, '*', ARGV[6], ARGV[7])\n"
	"local jk = P .. 'job:' .. id\n"
	"redis.call('HSET', jk, 'id', id, 'state', 'waiting', 'attempt', 0, 'failures', 0, 'owner', ARGV[9], 'kind', 'stream',\n"
	"  'source', s, 'group', ARGV[5], 'entry', entry, 'spec', ARGV[10], 'queued_ms', int(now()))\n"
	"if tonumber(ARGV[16]) > 0 then redis.call('HSET', jk, 'not_before', int(now() + tonumber(ARGV[16]))) end\n"
	"redis.call('PEXPIRE', jk, ARGV[12])\n"
	"if ARGV[13] ~= '' then\n"
	"  redis.call('HSET', kk, 'fingerprint', ARGV[14], 'id', id)\n"
	"  redis.call('PEXPIRE', kk, ARGV[15])\n"
	"end\n"
	"return {'ok', id}\n"
};

/*
 * 4 version, 5 slots, 6 running, 7 state, 8 sources, 9 lease ms, 10 a day in ms, then kind and name and group of each source.
 * {drain, {ids to end}, {{due, waiting}...}, payloads put back}
 */
struct redis_script redis_lua_tick = { .text = PRELUDE
	"local t, nk = now(), P .. 'node:' .. me\n"
	"redis.call('HSET', nk, 'name', me, 'version', ARGV[4], 'slots', ARGV[5], 'running', ARGV[6], 'state', ARGV[7],\n"
	"  'sources', ARGV[8], 'seen', int(t))\n"
	"redis.call('PEXPIRE', nk, ARGV[10])\n"
	"redis.call('SADD', P .. 'nodes', me)\n"
	"local ek = P .. 'ending:' .. me\n"
	"local ending, per, moved, lists = redis.call('SMEMBERS', ek), {}, 0, {}\n"
	"for i = #ending, 1, -1 do\n"
	"  local h = redis.call('HMGET', P .. 'job:' .. ending[i], 'state', 'node')\n"
	"  if h[1] ~= 'running' or h[2] ~= me then redis.call('SREM', ek, ending[i]) table.remove(ending, i) end\n"
	"end\n"
	"for i = 11, #ARGV, 3 do\n"
	"  local s, waiting = ARGV[i + 1], 0\n"
	"  local due = redis.call('ZCOUNT', P .. 'delayed:' .. s, '-inf', int(t))\n"
	"  local delayed = redis.call('ZCARD', P .. 'delayed:' .. s)\n"
	"  if ARGV[i] == 'stream' then\n"
	"    local n, p = redis.pcall('XLEN', s), redis.pcall('XPENDING', s, ARGV[i + 2])\n"
	"    if type(n) == 'number' then\n"
	"      waiting = n\n"
	"      if not p.err then waiting = math.max(0, n - p[1]) + math.min(n, delayed) end\n"
	"    end\n"
	"  else\n"
	"    local n = redis.pcall('LLEN', s)\n"
	"    if type(n) == 'number' then waiting = n + delayed end\n"
	"    lists[#lists + 1] = s\n"
	"  end\n"
	"  per[#per + 1] = {due, waiting, waiting - delayed}\n"
	"end\n"
	"for _, name in ipairs(redis.call('SMEMBERS', P .. 'nodes')) do\n"
	"  local seen = tonumber(redis.call('HGET', P .. 'node:' .. name, 'seen') or 0)\n"
	"  if name ~= me and t - seen > tonumber(ARGV[9]) + 5000 then\n"
	"    local k = P .. 'processing:' .. name\n"
	"    for _, s in ipairs(lists) do\n"
	"      for _ = 1, 100 do\n"
	"        if not redis.call('LMOVE', k, s, 'RIGHT', 'LEFT') then break end\n"
	"        moved = moved + 1\n"
	"      end\n"
	"    end\n"
	"    if seen == 0 and redis.call('EXISTS', k) == 0 then redis.call('SREM', P .. 'nodes', name) end\n"
	"  end\n"
	"end\n"
	"return {redis.call('HGET', nk, 'drain') or '0', ending, per, moved}\n"
};

/* {{name, version, slots, running, state, sources, ms ago, drain}...} */
struct redis_script redis_lua_nodes = { .text = PRELUDE
	"local out, t = {}, now()\n"
	"for _, name in ipairs(redis.call('SMEMBERS', P .. 'nodes')) do\n"
	"  local h = redis.call('HMGET', P .. 'node:' .. name, 'version', 'slots', 'running', 'state', 'sources', 'seen', 'drain')\n"
	"  if h[6] then\n"
	"    out[#out + 1] = {name, h[1] or '', h[2] or '0', h[3] or '0', h[4] or '', h[5] or '', int(t - tonumber(h[6])),\n"
	"      h[7] or '0'}\n"
	"  end\n"
	"end\n"
	"return out\n"
};

/* 4 name, 5 '1' or '0'. 1; 0: there is none. */
struct redis_script redis_lua_drain = { .text = PRELUDE
	"local k = P .. 'node:' .. ARGV[4]\n"
	"if redis.call('EXISTS', k) == 0 then return 0 end\n"
	"redis.call('HSET', k, 'drain', ARGV[5])\n"
	"return 1\n"
};

/* 4 at most. Newest first: {{letter, id, reason, attempts, node, source, bytes, the first 64 KiB of the payload}...} */
struct redis_script redis_lua_dead_list = { .text = PRELUDE
	"local out = {}\n"
	"for _, e in ipairs(redis.call('XREVRANGE', P .. 'dead', '+', '-', 'COUNT', ARGV[4])) do\n"
	"  local f = {}\n"
	"  for i = 1, #e[2], 2 do f[e[2][i]] = e[2][i + 1] end\n"
	"  local p = f.payload or ''\n"
	"  out[#out + 1] = {e[1], f.id or '', f.reason or '', f.attempts or '0', f.node or '', f.source or '', int(#p),\n"
	"    string.sub(p, 1, 65536)}\n"
	"end\n"
	"return out\n"
};

/* By its letter's entry or, failing that, the newest one of the job. nil, or the fields with `letter`. */
#define LETTER                                                                                                          \
	"local function letter(id)\n"                                                                                   \
	"  local function fields(e)\n"                                                                                  \
	"    local f = { letter = e[1] }\n"                                                                             \
	"    for i = 1, #e[2], 2 do f[e[2][i]] = e[2][i + 1] end\n"                                                     \
	"    return f\n"                                                                                                \
	"  end\n"                                                                                                       \
	"  if string.match(id, '^%d+%-%d+$') then\n"                                                                    \
	"    local e = redis.call('XRANGE', P .. 'dead', id, id)\n"                                                     \
	"    if e[1] then return fields(e[1]) end\n"                                                                    \
	"  end\n"                                                                                                       \
	"  local to = '+'\n"                                                                                            \
	"  for _ = 1, 200 do\n"                                                                                         \
	"    local es = redis.call('XREVRANGE', P .. 'dead', to, '-', 'COUNT', 100)\n"                                  \
	"    for _, e in ipairs(es) do\n"                                                                               \
	"      local f = fields(e)\n"                                                                                   \
	"      if f.id == id then return f end\n"                                                                       \
	"      to = '(' .. e[1]\n"                                                                                      \
	"    end\n"                                                                                                     \
	"    if #es < 100 then return nil end\n"                                                                        \
	"  end\n"                                                                                                       \
	"end\n"

/* 4 id or letter, 5 most, 6 keep ms. 1; 0: there is none; -1: the stream is full. */
struct redis_script redis_lua_replay = { .text = PRELUDE LETTER
	"local f = letter(ARGV[4])\n"
	"if not f then return 0 end\n"
	"local entry = f.payload\n"
	"if f.kind == 'stream' then\n"
	"  if redis.call('XLEN', f.source) >= tonumber(ARGV[5]) then return -1 end\n"
	"  if f.id ~= '' then entry = redis.call('XADD', f.source, '*', f.field, f.payload, 'id', f.id)\n"
	"  else entry = redis.call('XADD', f.source, '*', f.field, f.payload) end\n"
	"else\n"
	"  redis.call('RPUSH', f.source, f.payload)\n"
	"end\n"
	"local jk = P .. 'job:' .. f.id\n"
	"if f.id ~= '' and redis.call('HGET', jk, 'state') == 'dead' then\n"
	"  redis.call('HSET', jk, 'state', 'waiting', 'failures', 0, 'entry', entry)\n"
	"  redis.call('HDEL', jk, 'finished_ms')\n"
	"  redis.call('PEXPIRE', jk, ARGV[6])\n"
	"end\n"
	"redis.call('XDEL', P .. 'dead', f.letter)\n"
	"return 1\n"
};

/* 4 id or letter. 1; 0 */
struct redis_script redis_lua_dead_delete = { .text = PRELUDE LETTER
	"local f = letter(ARGV[4])\n"
	"if not f then return 0 end\n"
	"redis.call('XDEL', P .. 'dead', f.letter)\n"
	"if f.id ~= '' and redis.call('HGET', P .. 'job:' .. f.id, 'state') == 'dead' then redis.call('DEL', P .. 'job:' .. f.id) end\n"
	"return 1\n"
};

/* 4 list, 5 payload that was fetched and not begun: back to where it came from. */
struct redis_script redis_lua_unfetch = { .text = PRELUDE
	"if redis.call('LREM', P .. 'processing:' .. me, -1, ARGV[5]) > 0 then redis.call('LPUSH', ARGV[4], ARGV[5]) end\n"
	"return 1\n"
};

/* clang-format on */
