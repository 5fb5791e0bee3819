-- What every script begins with. Numbers go to commands through int(), which never says 1.7e+12.
local P, me, run = ARGV[1], ARGV[2], ARGV[3]
local function int(x) return string.format('%.0f', x) end
local function now() local t = redis.call('TIME'); return t[1] * 1000 + math.floor(t[2] / 1000) end
