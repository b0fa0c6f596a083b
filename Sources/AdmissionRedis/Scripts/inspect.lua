-- Shows the state of scopes; changes nothing.
--
-- Composed of: a clock, this. O(leases).
-- KEYS[1] shard (string); then three for each scope: state (string), cells (string), and one lease
--   set (hash). A scope without rolling or concurrency limits names its state again; one with
--   several concurrency limits is asked for again with each further set.
-- ARGV[1] the most leases to show of each set, decimal text.
-- Returns an array: one string of words (steady instant us, wall instant us); the shard's value; then
--   for each scope the state's value, the cells' value, and the leases as an array of member and
--   expiry (a word, us) in turn, those that ran out included. Nil, or an empty array, for what is
--   not there.
-- Expiry: untouched.
local reply = {struct.pack('<LL', time_us, wall_us), redis.call('GET', KEYS[1])}
for key = 2, #KEYS, 3 do
    local state, cells, leases = KEYS[key], KEYS[key + 1], KEYS[key + 2]
    reply[#reply + 1] = redis.call('GET', state)
    reply[#reply + 1] = cells ~= state and redis.call('GET', cells)
    local shown = {}
    if leases ~= state then
        local entries = redis.call('HGETALL', leases)
        for entry = 1, #entries, 2 do
            if entries[entry] ~= '' and #shown < 2 * tonumber(ARGV[1]) then
                shown[#shown + 1], shown[#shown + 2] = entries[entry], entries[entry + 1]
            end
        end
    end
    reply[#reply + 1] = shown
end
return reply
