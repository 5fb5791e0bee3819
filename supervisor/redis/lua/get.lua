-- What is known of a job: {job hash, result, journal, what stands once in a result, events}; nil: there is none.
-- with_journal  '1': with the journal, or with the events that it is made from
-- keep          ms that a dead job stays: what waits and whose entry was trimmed ends here: lost
-- ends          '1': with an end event
-- with: prelude entry

local id, with_journal, keep, ends = unpack(ARGV, 4)
local w = redis.call('HMGET', P .. 'job:' .. id, 'state', 'kind', 'source', 'entry', 'failures')
if w[1] == 'waiting' and w[2] == 'stream' and not there(w[2], w[3], w[4]) then
  redis.call('ZREM', P .. 'delayed:' .. (w[3] or ''), w[4] or '')
  drop_ahead(w[3] or '', w[4] or '')
  job_dead(id, 'lost: its entry was taken out of the stream (trimmed?) before it had run', w[5] or 0,
    tonumber(keep), ends)
end
local h = redis.call('HMGET', P .. 'job:' .. id, 'state', 'owner', 'attempt', 'failures', 'queued_ms',
  'not_before', 'finished_ms', 'node', 'status', 'reason', 'ending', 'spec', 'source', 'unstarted', 'priority')
local r = redis.call('HMGET', P .. 'result:' .. id, 'json', 'status')
if not h[1] and not r[1] then return false end
if not h[1] then h[1] = r[2] == 'cancelled' and 'cancelled' or 'done'; h[9] = r[2] end
local EVENTS_BYTES = 50331648
-- All events of an attempt, {type, at_ms, data} each; none when one is missing or they are too many for one answer.
local function events_of(attempt)
  local out, from, bytes = {}, '-', 0
  while true do
    local page = redis.call('XRANGE', P .. 'events:' .. id, from, '+', 'COUNT', 256)
    for _, e in ipairs(page) do
      local f = {}
      for i = 1, #e[2], 2 do f[e[2][i]] = e[2][i + 1] end
      if f.attempt == attempt and f.type ~= 'again' then
        bytes = bytes + #(f.data or '')
        if tonumber(f.n) ~= #out + 1 or bytes > EVENTS_BYTES then return {} end
        out[#out + 1] = {f.type, f.at_ms or '0', f.data or ''}
      end
      from = '(' .. e[1]
    end
    if #page < 256 then return out end
  end
end
local j, once, events = '', {}, {}
if r[1] then once = redis.call('HMGET', P .. 'result:' .. id, 'stdout', 'stderr', 'compile', 'outputs', 'cases') end
if with_journal == '1' and r[1] then
  j = redis.call('HGET', P .. 'result:' .. id, 'journal') or ''
  if j == '' and h[3] then events = events_of(h[3]) end
end
return {h, r[1], j, once, events}
