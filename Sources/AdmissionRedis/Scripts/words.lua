-- Words: what all parts of acquire.lua and settle.lua behind the quick way share.
--
-- The words of a scope are one Lua table, read from the ask of the call and the stored head;
-- docs/redis-protocol.md gives their order. All are integers, packed as unsigned 64 bits, so that no
-- stored byte can be read as a fraction, a negative number or NaN.
--   w[1] layout  w[2] birth that the client knows  w[3] lifetime us
--   w[4..7] number of rolling, calendar, concurrency and bucket limits
--   w[8] index of the first amount asked for  w[9] of the head, where the ask has the head's bytes
--   w[10..] parameters of the limits
--   head + 0 shard's birth  1 birth  2 layout  3 kept us  4 the number 1  5 steady us  6 wall us
--   head + 7.. fields of the limits
-- `scope_count` stands in front of all parts.
local call, read, pack, floor, slice = redis.call, struct.unpack, struct.pack, math.floor, string.sub
local most = 9007199254740991
-- A window's count saturates far below what its six bytes in the cells hold: sums stay exact.
local largest_count = 2199023255550

-- The decision's steady instant. Like `wall_us` it only rises, to the newest that a scope has seen.
local now_us = time_us
-- Bits: 1 state lost, 2 clock stepped back, 4 cells lost, 8 leases lost, 16 calendar damaged.
local events = 0
-- The reply to give instead of a decision: an error, or what the client has to do first.
local fault
-- What the client sends where it and the store may not agree; empty where it left that out.
local rare = ARGV[scope_count + 2] or ''
-- For each scope: its words; the position of its state key; what follows the fields of a state that
-- is written whole; the new expiry, milliseconds as text; the cells, and whether those changed;
-- whether its leases are to go; whether it is written in spite of a refusal, since something was
-- found lost or damaged.
local words, state_keys, rests, expiring, cells, changed = {}, {}, {}, {}, {}, {}
local is_wiped, repaired = {}, {}
-- Leases that ran out, to be removed with the first write: their set and member; and for each scope
-- whether its leases were counted anew.
local expired, is_counted = {}, {}
-- For each scope the number of words of its head with the plan's fields.
local last_words = {}
-- For each scope its limits' descriptors, from the rare part or the state, and the calendar limits'
-- tables, from the rare part: nil where the client left it out.
local descriptors, tables = {}, {}
-- The parts' functions.
local scope, windows = {}, {}

local function with(bits, bit)
    return bits % (2 * bit) >= bit and bits or bits + bit
end

local function damaged(key, what)
    return redis.error_reply('ADMISSION_DAMAGED ' .. key .. ' holds no ' .. what)
end

local function outcome(number, rest)
    return pack('<LLLL', number, now_us, wall_us, events) .. (rest or '')
end

local function words_format(count) return '<' .. string.rep('L', count) end

-- The index of a scope's last word.
local function last_word(s) return words[s][9] - 1 + last_words[s] end

local function limit_count(s)
    local w = words[s]
    return w[4] + w[5] + w[6] + w[7]
end

-- A word of a limit's descriptor, from 1: id, kind, stamp and five parameters.
local function descriptor(s, i, word)
    return read('<L', descriptors[s], 64 * i + 8 * word - 71)
end

local function lease_key(s, i) return KEYS[state_keys[s] + i + (words[s][4] > 0 and 1 or 0)] end

-- Milliseconds from now, as text, until an instant of steady time has surely passed.
local function lifetime_ms(until_us)
    local ms = math.ceil((until_us - time_us) / 1000) + 1
    return string.format('%d', math.max(ms, least_ttl_ms))
end
