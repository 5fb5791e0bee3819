-- A job into a stream.
-- keep, retention, delay  ms
-- key                     or ''
-- asked                   ms that what comes of it is to be kept, 0: as the node does
-- {'ok', id}, {'same', id}, {'used'} the key with another request, {'taken'} the id, {'full'}
-- with: prelude

local s, g, field, payload, id, owner, spec, most, keep, key, fingerprint, retention, delay, asked, priority = unpack(ARGV, 4)
local kk = P .. 'key:' .. owner .. ':' .. key
if key ~= '' then
  local k = redis.call('HMGET', kk, 'fingerprint', 'id')
  if k[1] == fingerprint then return {'same', k[2]} end
  if k[1] then return {'used'} end
end
if redis.call('EXISTS', P .. 'job:' .. id, P .. 'result:' .. id) > 0 then return {'taken'} end
if redis.call('XLEN', s) >= tonumber(most) then return {'full'} end
local entry = redis.call('XADD', s, '*', field, payload)
local jk = P .. 'job:' .. id
redis.call('HSET', jk, 'id', id, 'state', 'waiting', 'attempt', 0, 'failures', 0, 'owner', owner, 'kind', 'stream',
  'source', s, 'group', g, 'entry', entry, 'spec', spec, 'queued_ms', int(now()),
  'retention', asked, 'priority', priority)
redis.call('ZADD', P .. 'index', int(now()), id)
if tonumber(delay) > 0 then redis.call('HSET', jk, 'not_before', int(now() + tonumber(delay))) end
redis.call('PEXPIRE', jk, keep)
if key ~= '' then
  redis.call('HSET', kk, 'fingerprint', fingerprint, 'id', id)
  redis.call('PEXPIRE', kk, retention)
end
return {'ok', id}
