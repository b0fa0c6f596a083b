-- Clock: the server's own. The first part of every script; it is this one or clock-manual.lua.
--
-- Leaves two instants in whole microseconds since 1970: `time_us` (which makes steady time) and
-- `wall_us`; and `least_ttl_ms`, below which no key's expiry is set.
local clock = redis.call('TIME')
local time_us = clock[1] * 1000000 + clock[2]
local wall_us = time_us
local least_ttl_ms = 1
