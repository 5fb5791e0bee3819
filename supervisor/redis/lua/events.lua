-- Events of a job. The number of the last one Redis has; -1: another attempt owns the job.
-- most      '0': channel only
-- keep      ms
-- channel   or ''
-- n_events  that follow, from argument 10 on: n, type, at_ms, data, message, log of each
-- with: prelude

local id, attempt, most, keep, channel, n_events = unpack(ARGV, 4)
local ek = P .. 'events:' .. id
local a = redis.call('HGET', P .. 'job:' .. id, 'attempt')
if a and a ~= attempt then return -1 end
local last = 0
if most ~= '0' then
  for _, e in ipairs(redis.call('XREVRANGE', ek, '+', '-', 'COUNT', 2)) do
    local n, of
    for i = 1, #e[2], 2 do
      if e[2][i] == 'n' then n = tonumber(e[2][i + 1]) elseif e[2][i] == 'attempt' then of = e[2][i + 1] end
    end
    if of and of ~= attempt then
      redis.call('XADD', ek, '*', 'n', '0', 'type', 'again', 'attempt', attempt, 'data', '')
      redis.call('XTRIM', ek, 'MAXLEN', 1)
      break
    end
    if of == attempt and n > last then last = n end
  end
end
for i = 0, tonumber(n_events) - 1 do
  local b = 10 + 6 * i
  if tonumber(ARGV[b]) > last then
    if most ~= '0' then
      redis.call('XADD', ek, 'MAXLEN', '~', most, '*', 'n', ARGV[b], 'type', ARGV[b + 1], 'at_ms', ARGV[b + 2],
        'attempt', attempt, 'data', ARGV[b + 3])
      redis.pcall('PUBLISH', P .. 'events', ARGV[b + 4])
    end
    if channel ~= '' and ARGV[b + 5] ~= '' then redis.pcall('PUBLISH', channel, ARGV[b + 5]) end
    last = tonumber(ARGV[b])
  end
end
if most ~= '0' then redis.call('PEXPIRE', ek, keep) end
return last
