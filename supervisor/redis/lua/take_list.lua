-- Jobs of the list: n at most.
-- with_processing  '1': what is in our processing list as well, which may be more than n
-- Answers as take_stream.
-- with: prelude entry too_long

local s, n, with_processing = unpack(ARGV, 4)
n = tonumber(n)
local d, k, out, last = P .. 'delayed:' .. s, P .. 'processing:' .. me, {}, ''
local function add(p)
  if not too_long('list', s, '', p, '', p) then out[#out + 1] = {p, '', p, 0} end
end
if with_processing == '1' then
  for i = 0, 1023 do
    local p = bytes < TAKE_BYTES and redis.call('LINDEX', k, i)
    if not p then break end
    add(p)
  end
end
local old = #out
for _, p in ipairs(n > 0 and due_now(s, n) or {}) do
  if bytes >= TAKE_BYTES then break end
  redis.call('RPUSH', k, p)
  redis.call('ZREM', d, p)
  add(p)
end
while #out < n and bytes < TAKE_BYTES and old == 0 do
  local p = redis.call('LMOVE', s, k, 'LEFT', 'RIGHT')
  if not p then last = '1' break end
  add(p)
end
return {out, '', '', last, dead}
