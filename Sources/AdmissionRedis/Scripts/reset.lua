-- Gives everything back that was charged in scopes of one shard: their next decision finds them new.
--
-- Guarantee: what was charged before is not given back a second time by a later settlement, since
-- the scopes begin another life; and no client takes that for a loss, since the shard's key says
-- when they were reset. Leases stay unless they are to go: they are counted again.
-- Composed of: a clock, this. O(keys), and O(leases) where those go.
--
-- KEYS[1] shard (string); then the keys to remove: states, cells and, where leases go, lease sets.
-- ARGV[1] words: a random birth, for a shard that is not there; the longest lifetime of the
--   scopes, us; the newest instant that the client saw in the shard, us.
-- Returns the number of keys that were removed.
-- Expiry: the shard's key lives at least as long as the longest lifetime from now.
local call, read, pack = redis.call, struct.unpack, struct.pack
local random, lifetime_us, seen_us = read('<LLL', ARGV[1])
local now_us = math.max(time_us, seen_us)
local value = call('GET', KEYS[1])
local shard = {1, random, 0, 0, 0, 0}
if value and #value == 48 and read('<L', value) == 1 then shard = {read('<LLLLLL', value)} end
local removed = 0
for key = 2, #KEYS do removed = removed + call('DEL', KEYS[key]) end
shard[5] = math.max(now_us, shard[3])
shard[6] = math.max(shard[6], now_us + lifetime_us)
local ms = math.max(math.ceil((shard[6] - time_us) / 1000) + 1, least_ttl_ms)
call('SET', KEYS[1], pack('<LLLLLL', unpack(shard, 1, 6)), 'PX', string.format('%d', ms))
return removed
