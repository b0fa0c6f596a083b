-- The usual decision, before acquire.lua, which decides everything: all states are there and as the
-- client knows them, in their current windows. It is unrolled for the shape of the call, so that it
-- makes no table and no loop: docs/redis-protocol.md, *How a script is composed*.
--
-- Guarantee, KEYS, ARGV, expiry: as acquire.lua. Returns outcome 1 or 2, or goes on behind this part with
-- nothing written.
local function decide_quickly()
    local member = ARGV[1]
    -- A call without a lease's name only looks.
    if #member == 0 then return end
    local call, read, pack = redis.call, struct.unpack, struct.pack
    local now_us, wall_us = time_us, wall_us
    --[[each scope]]
    local ask_S = ARGV[ASK_AT]
    local layout_S, birth_S, lifetime_S = read('<LLL', ask_S)
    local --[[rolling: limit_I, cell_I,]] --[[calendar: limit_I, guard_I,]]
        --[[concurrency: limit_I, lease_I,]] --[[bucket: full_I, full_rest_I, parts_I,]]
        --[[rolling: units_I,]] --[[calendar: units_I,]] --[[concurrency: one_I,]]
        --[[bucket: units_I, units_rest_I,]] next_S = read('ACQUIRE_FORMAT', ask_S, 73)
    -- The head and the plan's fields, without the descriptors.
    local value_S = call('GETRANGE', KEYS[STATE_KEY], '0', 'HEAD_END')
    if #value_S ~= HEAD_BYTES then return end
    local life_S, written_S, kept_S, version_S, steady_S, then_S,
        --[[rolling: epoch_I, base_I, count_I,]] --[[calendar: start_I, end_I, count_I,]]
        --[[concurrency: live_I, earliest_I, held_I,]] --[[bucket: full_at_I, full_at_rest_I,]]
        next_S = read('HEAD_FORMAT', value_S, 9)
    if life_S ~= birth_S or written_S ~= layout_S or steady_S > now_us then return end
    --[[each rolling]]
    local fits_I = 0
    do
        local since = now_us - epoch_I * cell_I
        if since < 0 or since >= cell_I then return end
        if base_I + count_I + units_I > limit_I then fits_I = 1 end
    end
    --[[end]]
    --[[each calendar]]
    local fits_I = 0
    if wall_us < start_I or wall_us >= end_I then return end
    if count_I + units_I > limit_I then
        fits_I = end_I + (units_I > 0 and guard_I or 0)
    elseif wall_us - start_I < guard_I and units_I > 0 then
        fits_I = start_I + guard_I
    end
    --[[end]]
    --[[each concurrency]]
    local fits_I = 0
    if earliest_I <= now_us then return end
    if live_I >= limit_I or held_I > now_us then fits_I = 1 end
    --[[end]]
    --[[each bucket]]
    local us_I, rest_I, fits_I = full_at_I, full_at_rest_I, 0
    if us_I < now_us then us_I, rest_I = now_us, 0 end
    rest_I = rest_I + units_rest_I
    if rest_I >= parts_I then us_I, rest_I = us_I + 1, rest_I - parts_I end
    do
        -- In this order no step leaves 2^53.
        local over = us_I - full_I + units_I
        if over > now_us or (over == now_us and rest_I > full_rest_I) then
            fits_I = rest_I > full_rest_I and over + 1 or over
        end
    end
    --[[end]]
    --[[end]]

    if false --[[limit: or fits_I ~= 0]] then
        -- A rolling limit's cells tell when it fits; without them it is for acquire.lua.
        local function rolling_fits(key, birth, offset, k, epoch, cell, base, excess)
            local oldest = math.max(0, epoch - k)
            local cells = base > 0 and call('GET', key)
            if base == 0 then
                oldest = epoch
            elseif not cells or #cells < offset + 6 * (k + 1)
                or string.sub(cells, 1, 8) ~= pack('<L', birth) then
                return
            end
            for past = oldest, epoch - 1 do
                excess = excess - read('<I6', cells, offset + 6 * (past % (k + 1)) + 1)
                if excess <= 0 then return (past + k + 1) * cell end
            end
            return (epoch + k + 1) * cell
        end
        --[[each scope]]
        local offset_S = 8
        --[[each rolling]]
        local cells_I = read('<L', ask_S, CELLS_AT)
        if fits_I ~= 0 then
            fits_I = rolling_fits(KEYS[STATE_KEY + 1], life_S, offset_S, cells_I, epoch_I, cell_I,
                base_I, base_I + count_I + units_I - limit_I)
            if not fits_I then return end
        end
        offset_S = offset_S + 6 * (cells_I + 1)
        --[[end]]
        --[[end]]
        local most = 9007199254740991
        return pack('<LLLL', 2, now_us, wall_us, 0) --[[scope: .. value_S]]
            --[[limit: .. pack('<L', math.min(fits_I, most))]]
    end

    --[[each scope]]
    if now_us + lifetime_S > kept_S then return end
    --[[end]]
    -- All is read; what follows writes. A set that was not there, or is none, is for acquire.lua.
    local leased, added = {}
    --[[each scope]]
    --[[each concurrency]]
    local expiry_I = now_us + lease_I
    added = redis.pcall('HSET', KEYS[LEASE_KEY], '', '', member, pack('<L', expiry_I))
    if added ~= 1 then
        -- Another lease has the member, and keeps it; the leases before this one go.
        if added == 2 then call('DEL', KEYS[LEASE_KEY]) end
        for _, key in ipairs(leased) do call('HDEL', key, member) end
        return
    end
    leased[#leased + 1] = KEYS[LEASE_KEY]
    if expiry_I < earliest_I then earliest_I = expiry_I end
    --[[end]]
    --[[end]]
    --[[each scope]]
    local brief_S = pack('BRIEF_FORMAT', 1, now_us, wall_us
        --[[rolling:, epoch_I, base_I, count_I + units_I]]
        --[[calendar:, start_I, end_I, count_I + units_I]]
        --[[concurrency:, live_I + 1, earliest_I, held_I]] --[[bucket:, us_I + units_I, rest_I]])
    call('SETRANGE', KEYS[STATE_KEY], '32', brief_S)
    --[[end]]
    return '' --[[scope: .. brief_S]]
end
local quick_reply = decide_quickly()
if quick_reply then return quick_reply end
