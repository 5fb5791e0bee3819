-- {{id, owner, attempt, failures, queued_ms, ending, token}...} of this node's name, whoever it was.
-- with: prelude

local src = unpack(ARGV, 4)
local out = {}
for _, id in ipairs(redis.call('SMEMBERS', P .. 'running:' .. me)) do
  local h = redis.call('HMGET', P .. 'job:' .. id, 'owner', 'attempt', 'failures', 'queued_ms', 'ending', 'entry',
    'state', 'node', 'source')
  if h[7] ~= 'running' or h[8] ~= me then
    redis.call('SREM', P .. 'running:' .. me, id)
  elseif h[9] == src then
    out[#out + 1] = {id, h[1] or '', h[2] or '1', h[3] or '0', h[4] or '0', h[5] or '', h[6] or ''}
  end
end
return out
