-- What is known of a job: {job hash, result, journal}; nil: there is none.
-- with_journal  '1': with the journal
-- keep          ms that a dead job stays: what waits and whose entry was trimmed ends here: lost
-- ends          '1': with an end event
-- with: prelude entry

local id, with_journal, keep, ends = unpack(ARGV, 4)
local w = redis.call('HMGET', P .. 'job:' .. id, 'state', 'kind', 'source', 'entry', 'failures')
if w[1] == 'waiting' and w[2] == 'stream' and not there(w[2], w[3], w[4]) then
  redis.call('ZREM', P .. 'delayed:' .. (w[3] or ''), w[4] or '')
  job_dead(id, 'lost: its entry was taken out of the stream (trimmed?) before it had run', w[5] or 0,
    tonumber(keep), ends)
end
local h = redis.call('HMGET', P .. 'job:' .. id, 'state', 'owner', 'attempt', 'failures', 'queued_ms',
  'not_before', 'finished_ms', 'node', 'status', 'reason', 'ending', 'spec', 'source', 'unstarted')
local r = redis.call('HMGET', P .. 'result:' .. id, 'json', 'status')
if not h[1] and not r[1] then return false end
if not h[1] then h[1] = r[2] == 'cancelled' and 'cancelled' or 'done'; h[9] = r[2] end
local j = ''
if with_journal == '1' and r[1] then j = redis.call('HGET', P .. 'result:' .. id, 'journal') or '' end
return {h, r[1], j}
