-- Renews leases, many at once, of any scopes of one shard.
--
-- Guarantee: a lease that ran out is not brought back. One that its owner still believes live and
-- that its set has lost comes back, and the scope counts its leases anew at its next decision; the
-- limit is held meanwhile (see loss.lua), so that it is not exceeded by leases that come back.
-- Composed of: a clock, this. O(leases).
--
-- KEYS for each concurrency limit: its state (string), its lease set (hash).
-- ARGV[1] words, four for each lease: position of its limit among the KEYS pairs, from 1; the
--   expiry it was last given, us; its length, us; the expiry that it must not pass, us.
-- ARGV[2] the leases' members, one behind the other, all of one length.
-- Returns one string of words: steady instant us, then for each lease its new expiry, us; 0 for one
--   that ran out.
-- Expiry: a lease set lives as long as its leases, at least; the state is left as it is.
local call, read, pack = redis.call, struct.unpack, struct.pack
local now_us = time_us
local steady = {}
local count = #ARGV[1] / 32
local size = #ARGV[2] / count

-- A scope whose time is ahead of the clock judges leases by its own.
local function steady_us(pair)
    if not steady[pair] then
        local head = call('GETRANGE', KEYS[2 * pair - 1], '0', '47')
        steady[pair] = time_us
        if #head == 48 then
            local seen = read('<L', head, 41)
            if seen <= time_us + 60000000 then steady[pair] = math.max(time_us, seen) end
        end
        now_us = math.max(now_us, steady[pair])
    end
    return steady[pair]
end

local function ms_until(instant)
    return string.format('%d', math.max(math.ceil((instant - time_us) / 1000) + 1, least_ttl_ms))
end

local expiries, until_us = {}, {}
for lease = 1, count do
    local pair, believed, length, last = read('<LLLL', ARGV[1], 32 * lease - 31)
    local now = steady_us(pair)
    local leases, member = KEYS[2 * pair], string.sub(ARGV[2], size * (lease - 1) + 1, size * lease)
    local value = call('HGET', leases, member)
    local held_until = value and #value == 8 and read('<L', value)
    local is_live = (held_until or believed) > now
    local expiry = math.min(now + length, last)
    if not is_live or expiry <= now then
        expiries[lease] = is_live and held_until or 0
    else
        -- A value of more than 64 bytes makes the set a table: a list is searched from its front.
        call('HSET', leases, '', string.rep('-', 65), member, pack('<L', expiry))
        expiries[lease] = expiry
        until_us[pair] = math.max(until_us[pair] or 0, expiry)
    end
end
for pair, instant in pairs(until_us) do
    -- Never shortened: the scope's own decisions may have set it farther.
    local ms = ms_until(instant + instant - steady[pair])
    if call('PTTL', KEYS[2 * pair]) < tonumber(ms) then call('PEXPIRE', KEYS[2 * pair], ms) end
end
local reply = pack('<L', now_us)
for lease = 1, count do reply = reply .. pack('<L', expiries[lease]) end
return reply
