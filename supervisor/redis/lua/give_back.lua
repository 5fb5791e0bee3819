-- A lease ends without a result. 1; 0: lost; 2: dead; 3: somebody wants its end, nothing was done.
-- how         enum queue_give
-- backoff     ms; keep: ms when dead
-- lacking_ms  that it may be lacking
-- leave_ms    that it is left to other nodes then
-- ends        '1': an end event when dead
-- with: prelude entry

local id, attempt, reason, how, attempts, backoff, keep, kind, src, g, token, field,
  message, channel, log, lacking_ms, leave_ms, ends = unpack(ARGV, 4)
local jk = P .. 'job:' .. id
local h = redis.call('HMGET', jk, 'state', 'attempt', 'failures', 'ending', 'unstarted', 'lacked')
if h[1] ~= 'running' or h[2] ~= attempt then return 0 end
if h[4] == '1' then return 3 end
local failures, unstarted = tonumber(h[3] or 0), tonumber(h[5] or 0)
local t = now()
local due, dead = t, false
if how == '0' then
  failures = failures + 1
  local back = tonumber(backoff)
  for _ = 2, failures do back = math.min(back * 2, 300000) end
  due = due + back
  dead = failures >= tonumber(attempts)
end
if how == '0' or how == '1' then
  redis.call('HDEL', jk, 'lacked')
else
  unstarted = unstarted + 1
end
if how == '3' then
  local since = math.min(tonumber(h[6] or t), t)
  dead = t - since >= tonumber(lacking_ms)
  redis.call('HSET', jk, 'lacked', int(since))
end
redis.call('HSET', jk, 'unstarted', unstarted)
if dead then
  to_dead(kind, src, g, token, field, id, tonumber(attempt) - unstarted, reason, tonumber(keep))
  job_dead(id, reason, failures, tonumber(keep), ends)
  tell(message, channel, log)
  return 2
end
if how == '3' then
  local lk = P .. 'lacking:' .. me
  redis.call('ZADD', lk, int(t + tonumber(leave_ms)), lacking(src, token))
  redis.call('PEXPIRE', lk, int(2 * tonumber(leave_ms)))
end
redis.call('HSET', jk, 'state', 'waiting', 'failures', failures, 'reason', reason, 'not_before', int(due))
redis.call('HDEL', jk, 'lease_until')
redis.call('SREM', P .. 'running:' .. me, id)
park(kind, src, token, due)
return 1
