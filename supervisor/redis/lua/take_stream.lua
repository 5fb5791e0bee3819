-- Jobs of a stream: n at most. More are read ahead, so that owners can take turns; they stay pending and are anybody's.
-- lease       ms
-- from_mine   from where our own pending entries are looked through ('': not)
-- from_stale  the same for those that were idle for a lease
-- Answers {{token, id or '', payload or nil, is it gone}...}, next from_mine, next from_stale, newest id of the stream when
-- all were read (''), dead.
-- with: prelude entry ahead too_long

local s, g, field, n, lease, from_mine, from_stale = unpack(ARGV, 4)
n = tonumber(n)
local d, out, last = P .. 'delayed:' .. s, {}, ''
local p = redis.pcall('XPENDING', s, g)
if p.err then
  if not string.find(p.err, 'NOGROUP') then return p end
  redis.call('XGROUP', 'CREATE', s, g, '0', 'MKSTREAM')
end
redis.call('ZADD', P .. 'ahead-turn:' .. s, 'INCR', 0, 't') -- refused when the server is full, before anything is taken
local function parts(e)
  local v, id = false, ''
  for i = 1, #e[2], 2 do
    if e[2][i] == field then v = e[2][i + 1] elseif e[2][i] == 'id' then id = e[2][i + 1] end
  end
  return v, id
end
local function add(e, gone)
  local v, id = parts(e)
  if v and too_long('stream', s, g, e[1], field, v) then return end
  out[#out + 1] = {e[1], id, v, gone}
end
local function full() return #out >= n or bytes >= TAKE_BYTES end
local function claim(id)
  local c = redis.call('XCLAIM', s, g, me, 0, id)
  if c[1] and c[1][2] then add(c[1], 0) else add({id, {}}, 1) end
end
for _, id in ipairs(due_now(s, READ_STEP)) do
  local e = redis.call('XRANGE', s, id, id)[1]
  if e then
    put_ahead(s, id, hint(parts(e)))
    redis.call('ZREM', d, id)
  elseif not full() then
    redis.call('ZREM', d, id)
    claim(id)
  end
end
local function scan(from, idle)
  if from == '' or full() then return from end
  local p
  if idle then p = redis.call('XPENDING', s, g, 'IDLE', lease, from, '+', 64)
  else p = redis.call('XPENDING', s, g, from, '+', 64, me) end
  for _, e in ipairs(p) do
    if full() then return from end
    from = '(' .. e[1]
    if not redis.call('ZSCORE', d, e[1]) and not is_ahead(s, e[1]) then claim(e[1]) end
  end
  return #p < 64 and '' or from
end
local mine = scan(from_mine, false)
local claimed = scan(from_stale, true)
local ahead, lk, read, is_all = P .. 'ahead:' .. s, P .. 'lacking:' .. me, 0, false
local room = math.min(READ_STEP, READ_AHEAD - redis.call('ZCARD', ahead))
while room > 0 and read < TAKE_BYTES do
  local r = redis.call('XREADGROUP', 'GROUP', g, me, 'COUNT', 1, 'STREAMS', s, '>')
  if not r or not r[1] then is_all = true break end
  local e = r[1][2][1]
  local v = parts(e)
  room, read = room - 1, read + (v and #v or 0)
  if not v or #v <= most or not too_long('stream', s, g, e[1], field, v) then put_ahead(s, e[1], hint(v)) end
end
while not full() do
  local token = next_ahead(s)
  if not token then break end
  if redis.call('ZSCORE', lk, lacking(s, token)) then park('stream', s, token, now()) else claim(token) end
end
if is_all and redis.call('ZCARD', ahead) == 0 then
  local info = redis.call('XINFO', 'STREAM', s)
  for i = 1, #info, 2 do if info[i] == 'last-generated-id' then last = info[i + 1] end end
end
return {out, mine, claimed, last, dead}
