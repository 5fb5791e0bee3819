-- A lease goes on. lease, keep: ms. 1, or 0: lost.
-- A hash that is gone without a result was lost by the server: it is made again.
-- with: prelude

local id, attempt, lease, keep, owner, kind, src, g, token, queued = unpack(ARGV, 4)
local jk = P .. 'job:' .. id
local h = redis.call('HMGET', jk, 'state', 'attempt')
if not h[1] then
  if redis.call('EXISTS', P .. 'result:' .. id) == 1 then return 0 end
  redis.call('HSET', jk, 'id', id, 'state', 'running', 'attempt', attempt, 'failures', 0, 'owner', owner,
    'kind', kind, 'source', src, 'group', g, 'entry', token, 'queued_ms', queued)
elseif h[1] ~= 'running' or h[2] ~= attempt then
  return 0
end
redis.call('HSET', jk, 'node', me, 'run', run, 'lease_until', int(now() + tonumber(lease)))
redis.call('PEXPIRE', jk, keep)
redis.call('SADD', P .. 'running:' .. me, id)
if kind == 'stream' then
  redis.pcall('XCLAIM', src, g, me, 0, token, 'IDLE', 0, 'JUSTID')
end
return 1
