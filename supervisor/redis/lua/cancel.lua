-- Somebody does not want a job any more.
-- has_owner  '1': it must belong to owner
-- attempt    that must be its number
-- is_leased  '1': also when it is leased with that number and its lease is over or ours
-- keep       ms, unless the job asked for less
-- with_end   '1': an end event
-- Behind log, from argument 14 on, are the fields: put_result().
-- 0 there is none, 1 cancelled, 2 it runs and its node is told, 3 it has ended, 4 another attempt: look again.
-- with: prelude entry

local id, has_owner, owner, attempt, is_leased, keep, with_end, message, channel, log = unpack(ARGV, 4)
local jk = P .. 'job:' .. id
local h = redis.call('HMGET', jk, 'state', 'owner', 'attempt', 'node', 'lease_until', 'kind', 'source', 'group',
  'entry')
local state = h[1]
if not state or (has_owner == '1' and h[2] ~= owner) then return 0 end
if redis.call('EXISTS', P .. 'result:' .. id) == 1 then return 3 end
if state ~= 'waiting' and state ~= 'running' and state ~= 'pending' then return 3 end
local over = tonumber(h[5] or 0) <= now() or h[4] == me
if state == 'running' and not (is_leased == '1' and over and (h[3] or '0') == attempt) then
  redis.call('HSET', jk, 'ending', '1')
  redis.call('SADD', P .. 'ending:' .. (h[4] or ''), id)
  redis.call('PEXPIRE', P .. 'ending:' .. (h[4] or ''), 86400000)
  return 2
end
if (h[3] or '0') ~= attempt then return 4 end
keep = stays_for(id, keep)
put_result(id, 14, keep)
redis.call('HSET', jk, 'state', 'cancelled', 'status', 'cancelled', 'finished_ms', int(now()), 'run', run)
redis.call('HDEL', jk, 'lease_until', 'ending', 'not_before')
redis.call('PEXPIRE', jk, keep)
redis.call('SREM', P .. 'running:' .. (h[4] or ''), id)
if h[7] and h[9] then
  ack(h[6] or 'stream', h[7], h[8] or '', h[9], h[4] or me)
  if h[6] == 'list' then redis.call('LREM', P .. 'cubes', 0, h[9]) end
end
if with_end == '1' then put_end(id, 'cancelled', keep) end
tell(message, channel, log)
return 1
