-- Clock: set by hand, for tests. The first part of every script; it is this one or clock-time.lua.
--
-- Reads the hash `admission:clock`, which is one for the whole server and in no KEYS, so a manual
-- clock is not for clusters: fields `steady` and `wall`, nanoseconds as decimal text. The last three
-- digits are cut off as text, since a number holds 2^53 exactly, which in nanoseconds is 1970.
-- Keys live a day by the server's time: the clock set by hand must not outlive them by accident.
local clock = redis.call('HMGET', 'admission:clock', 'steady', 'wall')
if not clock[1] or not clock[2] then
    return redis.error_reply('ADMISSION_CLOCK admission:clock is not set')
end
local time_us = tonumber(string.sub(clock[1], 1, -4)) or 0
local wall_us = tonumber(string.sub(clock[2], 1, -4)) or 0
local least_ttl_ms = 86400000
