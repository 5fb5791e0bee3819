-- A job begins.
-- lease     ms; so are delay and keep
-- is_own    '1': the id is the entry's own
-- is_again  '1': it was read once more from our own list
-- priority  as it is shown
-- asked     ms that what comes of it is to be kept, 0: as the node does
-- Answers
--   {'ok', attempt, failures, queued_ms, ending, unstarted}: run it
--   {'done'}: it has its result, or is a copy: gone
--   {'busy'}, {'later'}: left alone
--   {'same'}: as it is at work already, for the same owner: gone
--   {'duplicate'}: another entry has this id; {'other'}: so has, but the id was the entry's own
--   {'dead', attempt, failures, reason}: attempts used up
--   {'cancel', attempt, queued_ms}: somebody wants its end
-- with: prelude entry

local kind, src, g, token, id, owner, spec, lease, attempts, delay, is_own, keep, is_again, asked, priority = unpack(ARGV, 4)
lease, attempts, delay = tonumber(lease), tonumber(attempts), tonumber(delay)
local jk, t = P .. 'job:' .. id, now()
local h = redis.call('HMGET', jk, 'state', 'attempt', 'failures', 'node', 'lease_until', 'entry', 'source', 'run',
  'ending', 'not_before', 'queued_ms', 'kind', 'unstarted')
local state, attempt, failures = h[1], tonumber(h[2] or 0), tonumber(h[3] or 0)
local same = state and h[6] == token and h[7] == src
local queued = tonumber(h[11] or 0)
if is_own == '1' and state and not same then return {'other'} end
local function is_other()
  local o = redis.call('HMGET', jk, 'owner', 'spec')
  return (o[1] and o[1] ~= '' and o[1] ~= owner) or (o[2] and o[2] ~= spec)
end
if redis.call('EXISTS', P .. 'result:' .. id) == 1 then
  if not same and is_other() then return {'duplicate'} end
  ack(kind, src, g, token, me)
  return {'done'}
end
local function again()
  if is_other() then return {'duplicate'} end
  ack(kind, src, g, token, me)
  return {'same'}
end
if state == 'running' and tonumber(h[5] or 0) > t then
  if not same then return again() end
  if h[8] == run then
    redis.call('HSET', jk, 'lease_until', int(t + lease))
    return {'ok', attempt, failures, int(queued), h[9] or '', h[13] or '0'}
  end
  if kind == 'list' and is_again ~= '1' then
    if h[4] ~= me and redis.call('LPOS', P .. 'processing:' .. (h[4] or ''), token) then
      redis.call('LREM', P .. 'processing:' .. me, 0, token)
      return {'done'}
    end
    park(kind, src, token, tonumber(h[5]) + 1)
  end
  return {'busy'}
end
local alive = state == 'waiting' or state == 'running' or state == 'pending'
if alive and not same and there(h[12], h[7], h[6], h[4]) then return again() end
if same and not alive and kind == 'stream' then ack(kind, src, g, token, me) return {'done'} end
if not same or not alive then
  failures, queued, h[9], h[10], h[13] = 0, t, false, false, false
  redis.call('HDEL', jk, 'lacked')
  if state == 'dead' then redis.call('DEL', P .. 'events:' .. id) end
  if kind == 'stream' then
    local ms = tonumber(string.match(token, '^(%d+)'))
    if ms and ms <= t and ms > t - 30 * 86400000 then queued = ms end
  end
  if delay > 0 then h[10] = queued + delay end
end
local reason = ''
if same and state == 'running' then
  failures = failures + 1
  reason = 'the lease of node ' .. (h[4] or '?') .. ' ran out'
  if h[9] == '1' then return {'cancel', attempt, int(queued)} end
  redis.call('SREM', P .. 'running:' .. (h[4] or ''), id)
  if failures >= attempts then return {'dead', attempt, failures, reason} end
end
local base = {'id', id, 'owner', owner, 'kind', kind, 'source', src, 'group', g, 'entry', token, 'spec', spec,
  'queued_ms', int(queued), 'attempt', attempt, 'failures', failures, 'reason', reason,
  'unstarted', h[13] or '0', 'retention', asked, 'priority', priority}
if not same or not alive then redis.call('ZADD', P .. 'index', int(queued), id) end
if tonumber(h[10] or 0) > t then
  redis.call('HSET', jk, 'state', 'waiting', 'not_before', int(tonumber(h[10])), unpack(base))
  redis.call('PEXPIRE', jk, keep)
  park(kind, src, token, tonumber(h[10]))
  return {'later'}
end
attempt = attempt + 1
local unwanted = redis.call('ZREM', P .. 'cancel', id) == 1
redis.call('HSET', jk, unpack(base))
redis.call('HSET', jk, 'state', 'running', 'attempt', attempt, 'node', me, 'run', run, 'lease_until', int(t + lease))
redis.call('HDEL', jk, 'not_before', 'ending', 'finished_ms', 'status')
if unwanted then redis.call('HSET', jk, 'ending', '1') end
redis.call('PEXPIRE', jk, keep)
redis.call('SADD', P .. 'running:' .. me, id)
redis.call('ZREM', P .. 'delayed:' .. src, token)
return {'ok', attempt, failures, int(queued), unwanted and '1' or '', h[13] or '0'}
