-- The floor that acquire.lua is measured against: one bucket, no remainder, no loss, no settlement.
-- KEYS[1] the bucket. ARGV: us a unit, us of a burst. Returns the us to wait, 0 where it was charged.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local interval, tolerance = tonumber(ARGV[1]), tonumber(ARGV[2])
local tat = tonumber(redis.call('GET', KEYS[1]) or now)
if tat < now then tat = now end
tat = tat + interval
if tat - now > tolerance then return tat - now - tolerance end
redis.call('SET', KEYS[1], string.format('%d', tat), 'PX', math.ceil((tat - now) / 1000) + 1)
return 0
