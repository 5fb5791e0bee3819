-- This node lives. lease, day: ms. From argument 11 on: kind and name and group of each source.
-- {drain, {ids to end}, {{due, waiting, waiting and not delayed}...}, payloads put back, {ids that a producer wants cancelled}}: such a one is
-- asked for until it has ended; one that is not known yet may lie in a stream, and `begin` finds its mark.
-- with: prelude

local version, slots, running, state, sources, lease, day = unpack(ARGV, 4)
local t, nk = now(), P .. 'node:' .. me
redis.call('HSET', nk, 'name', me, 'version', version, 'slots', slots, 'running', running, 'state', state,
  'sources', sources, 'seen', int(t))
redis.call('PEXPIRE', nk, day)
redis.call('SADD', P .. 'nodes', me)
local ek = P .. 'ending:' .. me
local ending, per, moved, lists = redis.call('SMEMBERS', ek), {}, 0, {}
for i = #ending, 1, -1 do
  local h = redis.call('HMGET', P .. 'job:' .. ending[i], 'state', 'node')
  if h[1] ~= 'running' or h[2] ~= me then redis.call('SREM', ek, ending[i]) table.remove(ending, i) end
end
for i = 11, #ARGV, 3 do
  local s, waiting = ARGV[i + 1], 0
  local due = redis.call('ZCOUNT', P .. 'delayed:' .. s, '-inf', int(t))
  local delayed = redis.call('ZCARD', P .. 'delayed:' .. s)
  if ARGV[i] == 'stream' then
    local n, p = redis.pcall('XLEN', s), redis.pcall('XPENDING', s, ARGV[i + 2])
    if type(n) == 'number' then
      waiting = n
      if not p.err then waiting = math.max(0, n - p[1]) + math.min(n, delayed + redis.call('ZCARD', P .. 'ahead:' .. s)) end
    end
  else
    local n = redis.pcall('LLEN', s)
    if type(n) == 'number' then waiting = n + delayed end
    lists[#lists + 1] = s
  end
  per[#per + 1] = {due, waiting, waiting - delayed}
end
for _, name in ipairs(redis.call('SMEMBERS', P .. 'nodes')) do
  local seen = tonumber(redis.call('HGET', P .. 'node:' .. name, 'seen') or 0)
  if name ~= me and t - seen > tonumber(lease) + 5000 then
    local k = P .. 'processing:' .. name
    for _, s in ipairs(lists) do
      for _ = 1, 100 do
        if not redis.call('LMOVE', k, s, 'RIGHT', 'LEFT') then break end
        moved = moved + 1
      end
    end
    if seen == 0 and redis.call('EXISTS', k) == 0 then redis.call('SREM', P .. 'nodes', name) end
  end
end
local unwanted, ck = {}, P .. 'cancel'
redis.call('ZREMRANGEBYSCORE', ck, '(0', int(t - tonumber(day)))
for _, id in ipairs(redis.call('ZRANGEBYSCORE', ck, '-inf', '0', 'LIMIT', 0, 64)) do
  local h = redis.call('HMGET', P .. 'job:' .. id, 'state', 'ending')
  if not h[1] then redis.call('ZADD', ck, int(t), id)
  elseif h[2] == '1' or (h[1] ~= 'waiting' and h[1] ~= 'running' and h[1] ~= 'pending') then redis.call('ZREM', ck, id)
  else unwanted[#unwanted + 1] = id end
end
-- The index loses what is not there any more: so many are looked at each time, from where the last look ended.
local xk, seen_until = P .. 'index', redis.call('HGET', nk, 'looked') or '-inf'
local page = redis.call('ZRANGEBYSCORE', xk, seen_until, '+inf', 'WITHSCORES', 'LIMIT', 0, 512)
for i = 1, #page, 2 do
  if redis.call('EXISTS', P .. 'job:' .. page[i]) == 0 then redis.call('ZREM', xk, page[i]) end
end
local last = #page == 1024 and page[#page] or '-inf'
redis.call('HSET', nk, 'looked', last == seen_until and '(' .. last or last)
return {redis.call('HGET', nk, 'drain') or '0', ending, per, moved, unwanted}
