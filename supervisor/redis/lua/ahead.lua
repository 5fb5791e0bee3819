-- Whose job a payload of a stream is, and how urgent: for the turns only, who reads it decides. What cannot be said at a
-- glance is nobody's in particular ('?', which no owner is called).
local HINT_BYTES, READ_AHEAD, READ_STEP = 65536, 1024, 256
local function hint(v)
  if not v or #v > HINT_BYTES then return '?', 0 end
  local is_json, o = pcall(cjson.decode, v)
  if not is_json or type(o) ~= 'table' then return '?', 0 end
  local owner, priority = o.user_id, o.priority
  if owner == nil or owner == cjson.null then owner = o.owner end
  if owner == nil or owner == cjson.null then owner = 'redis' end
  if type(owner) == 'number' then owner = int(owner) end
  if type(owner) ~= 'string' or #owner > 64 or not string.match(owner, '^[%w._-]+$') then owner = '?' end
  if type(priority) ~= 'number' or priority ~= priority or priority < -100 or priority > 100 then priority = 0 end
  return owner, math.floor(priority)
end
-- The next one whose turn it is, taken out; nil: there is none.
local function next_ahead(src)
  while true do
    local owners = P .. 'ahead-owners:' .. src
    local owner = redis.call('ZRANGEBYSCORE', owners, '-inf', '+inf', 'LIMIT', 0, 1)[1]
    if not owner then return nil end
    local first = redis.call('ZRANGEBYSCORE', ahead_by(src, owner), '-inf', '+inf', 'LIMIT', 0, 1)[1]
    if first then
      local ms, n = string.match(first, '^0*(%d+)%-0*(%d+)$')
      local token = ms .. '-' .. n
      redis.call('ZADD', owners, turn(src), owner)
      redis.call('ZREM', ahead_by(src, owner), first) -- also when somebody took away what stands beside it
      drop_ahead(src, token)
      return token
    end
    redis.call('ZREM', owners, owner)
  end
end
