-- A request for a cube; token is its payload. 1 kept, 0 it was; -1 the id is a job's.
-- with: prelude entry

local src, token, id, owner, name, cube_type = unpack(ARGV, 4)
local jk, k = P .. 'job:' .. id, P .. 'processing:' .. me
local h = redis.call('HMGET', jk, 'state', 'entry')
if h[1] and h[1] ~= 'pending' and h[1] ~= 'cancelled' then return -1 end
local fresh = h[1] ~= 'pending'
if not fresh and h[2] ~= token then redis.call('LREM', P .. 'cubes', 0, h[2]) end
redis.call('HSET', jk, 'id', id, 'state', 'pending', 'owner', owner, 'name', name, 'cube_type', cube_type,
  'kind', 'list', 'source', src, 'entry', token, 'group', '')
if fresh then
  redis.call('HSET', jk, 'queued_ms', int(now()))
  redis.call('ZADD', P .. 'index', int(now()), id)
end
redis.call('PERSIST', jk)
if not redis.call('LPOS', P .. 'cubes', token) then redis.call('RPUSH', P .. 'cubes', token) end
redis.call('LREM', k, 0, token)
return fresh and 1 or 0
