-- The usual settlement, before settle.lua, which books everything: all states are there, in the life
-- in which they were charged, and what goes back goes to their current windows. Unrolled as
-- acquire-quick.lua is.
--
-- Guarantee, KEYS, ARGV, expiry: as settle.lua. Returns outcome 1, or goes on behind this part with
-- nothing written.
local function settle_quickly()
    local call, read, pack, min = redis.call, struct.unpack, struct.pack, math.min
    local now_us, wall_us = time_us, wall_us
    local largest_count = 2199023255550
    --[[each scope]]
    local ask_S = ARGV[ASK_AT]
    local layout_S, birth_S, lifetime_S = read('<LLL', ask_S)
    local --[[rolling: limit_I, cell_I,]] --[[calendar: limit_I, guard_I,]]
        --[[concurrency: limit_I, lease_I,]] --[[bucket: full_I, full_rest_I, parts_I,]]
        --[[rolling: back_I, more_I, place_I,]] --[[calendar: back_I, more_I, place_I,]]
        --[[concurrency: frees_I,]] --[[bucket: back_I, back_rest_I, more_I, more_rest_I,]]
        next_S = read('SETTLE_FORMAT', ask_S, 73)
    -- The head and the plan's fields, without the descriptors.
    local value_S = call('GETRANGE', KEYS[STATE_KEY], '0', 'HEAD_END')
    if #value_S ~= HEAD_BYTES then return end
    local life_S, written_S, kept_S, version_S, steady_S, then_S,
        --[[rolling: epoch_I, base_I, count_I,]] --[[calendar: start_I, end_I, count_I,]]
        --[[concurrency: live_I, earliest_I, held_I,]] --[[bucket: us_I, rest_I,]]
        next_S = read('HEAD_FORMAT', value_S, 9)
    if life_S ~= birth_S or written_S ~= layout_S or steady_S > now_us
        or now_us + lifetime_S > kept_S then return end
    --[[each rolling]]
    do
        local since = now_us - epoch_I * cell_I
        if since < 0 or since >= cell_I or back_I > count_I
            or (back_I > 0 and place_I ~= epoch_I) then return end
    end
    --[[end]]
    --[[each calendar]]
    if wall_us < start_I or wall_us >= end_I or back_I > count_I
        or (back_I > 0 and place_I ~= start_I) then return end
    --[[end]]
    --[[each concurrency]]
    -- Before the earliest expiry no lease has run out.
    if earliest_I <= now_us then return end
    --[[end]]
    --[[each bucket]]
    us_I, rest_I = us_I - back_I, rest_I - back_rest_I
    if rest_I < 0 then us_I, rest_I = us_I - 1, rest_I + parts_I end
    if us_I < now_us then us_I, rest_I = now_us, 0 end
    us_I, rest_I = us_I + more_I, rest_I + more_rest_I
    if rest_I >= parts_I then us_I, rest_I = us_I + 1, rest_I - parts_I end
    if us_I > kept_S then return end
    --[[end]]
    --[[end]]

    -- All is read; what follows writes, and nothing of it can fail but on a key that is no set.
    --[[each scope]]
    --[[each concurrency]]
    local freed_I = frees_I == 1 and call('HDEL', KEYS[LEASE_KEY], ARGV[1]) or 0
    if live_I > 0 then live_I = live_I - freed_I end
    --[[end]]
    local brief_S = pack('BRIEF_FORMAT', 1, now_us, wall_us
        --[[rolling:, epoch_I, base_I, min(largest_count, count_I - back_I + more_I)]]
        --[[calendar:, start_I, end_I, min(largest_count, count_I - back_I + more_I)]]
        --[[concurrency:, live_I, earliest_I, held_I]] --[[bucket:, us_I, rest_I]])
    call('SETRANGE', KEYS[STATE_KEY], '32', brief_S)
    --[[end]]
    return '' --[[scope: .. brief_S]] --[[concurrency: .. pack('<L', freed_I)]]
end
local quick_reply = settle_quickly()
if quick_reply then return quick_reply end
