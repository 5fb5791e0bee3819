-- A result. 1; 0: another attempt owns it. The same again is 1.
-- keep      ms, unless the job asked for less
-- with_end  '1': an end event
-- token     '': the node does not know any more from where it has the job, the hash does
-- Behind log, from argument 19 on, are the fields: put_result().
-- with: prelude entry

local id, attempt, status, state, keep, owner, kind, src, g, token, queued, with_end,
  message, channel, log = unpack(ARGV, 4)
local jk, rk = P .. 'job:' .. id, P .. 'result:' .. id
local h = redis.call('HMGET', jk, 'state', 'attempt', 'run')
if redis.call('EXISTS', rk) == 1 then
  return h[2] == attempt and h[3] == run and h[1] ~= 'running' and 1 or 0
end
if h[1] and (h[1] ~= 'running' or h[2] ~= attempt) then return 0 end
keep = stays_for(id, keep)
put_result(id, 19, keep)
if token == '' and h[1] then
  local o = redis.call('HMGET', jk, 'owner', 'source', 'entry', 'queued_ms')
  owner, src, token, queued = o[1] or owner, o[2] or src, o[3] or '', o[4] or queued
end
redis.call('HSET', jk, 'id', id, 'state', state, 'status', status, 'attempt', attempt, 'run', run, 'node', me,
  'owner', owner, 'source', src, 'entry', token, 'queued_ms', queued, 'finished_ms', int(now()),
  'reason', '')
redis.call('HDEL', jk, 'lease_until', 'ending', 'not_before')
redis.call('PEXPIRE', jk, keep)
redis.call('SREM', P .. 'running:' .. me, id)
redis.call('SREM', P .. 'ending:' .. me, id)
ack(kind, src, g, token, me)
if with_end == '1' then put_end(id, status, keep) end
tell(message, channel, log)
return 1
