-- Jobs of a stream: n at most.
-- lease       ms
-- from_mine   from where our own pending entries are looked through ('': not)
-- from_stale  the same for those that were idle for a lease
-- Answers {{token, id or '', payload or nil, is it gone}...}, next from_mine, next from_stale, newest id of the stream when
-- all were read (''), dead.
-- with: prelude entry too_long

local s, g, field, n, lease, from_mine, from_stale = unpack(ARGV, 4)
n = tonumber(n)
local d, out, last = P .. 'delayed:' .. s, {}, ''
local p = redis.pcall('XPENDING', s, g)
if p.err then
  if not string.find(p.err, 'NOGROUP') then return p end
  redis.call('XGROUP', 'CREATE', s, g, '0', 'MKSTREAM')
end
local function add(e, gone)
  local v, id = false, ''
  for i = 1, #e[2], 2 do
    if e[2][i] == field then v = e[2][i + 1] elseif e[2][i] == 'id' then id = e[2][i + 1] end
  end
  if v and too_long('stream', s, g, e[1], field, v) then return end
  out[#out + 1] = {e[1], id, v, gone}
end
local function full() return #out >= n or bytes >= TAKE_BYTES end
local function claim(id)
  local c = redis.call('XCLAIM', s, g, me, 0, id)
  if c[1] and c[1][2] then add(c[1], 0) else add({id, {}}, 1) end
end
for _, id in ipairs(due_now(s, n)) do
  if full() then break end
  redis.call('ZREM', d, id)
  claim(id)
end
local function scan(from, idle)
  if from == '' or full() then return from end
  local p
  if idle then p = redis.call('XPENDING', s, g, 'IDLE', lease, from, '+', 64)
  else p = redis.call('XPENDING', s, g, from, '+', 64, me) end
  for _, e in ipairs(p) do
    if full() then return from end
    from = '(' .. e[1]
    if not redis.call('ZSCORE', d, e[1]) then claim(e[1]) end
  end
  return #p < 64 and '' or from
end
local mine = scan(from_mine, false)
local claimed = scan(from_stale, true)
while not full() do
  local r = redis.call('XREADGROUP', 'GROUP', g, me, 'COUNT', 1, 'STREAMS', s, '>')
  if r and r[1] then
    add(r[1][2][1], 0)
  else
    local info = redis.call('XINFO', 'STREAM', s)
    for i = 1, #info, 2 do if info[i] == 'last-generated-id' then last = info[i + 1] end end
    break
  end
end
return {out, mine, claimed, last, dead}
