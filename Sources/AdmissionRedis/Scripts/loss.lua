-- Loss: a state that should be there and is not (a server restarted empty, FLUSHALL, a failover to a
-- replica that lagged, eviction), or a clock that stepped back too far to wait for it.
--
-- A client tells of each scope the birth it last saw and when. A state that is missing, or has
-- another birth, before its lifetime has passed since then was lost, and a client that says so writes
-- the instant into the shard's key: all scopes of the shard that are made later are held as of then.
-- The client's policy says what follows: 1 hold, until everything that was charged before has
-- passed; 2 reset, start anew.
do
    -- A clock that stepped back farther is not waited for.
    local longest_step_us = 60000000
    local birth, lost_at, lost_wall, reset_at, kept = 2, 3, 4, 5, 6
    local shard, is_shard_changed
    -- A loss was noted by this very call, as it found the shard's key.
    local is_noted_now

    local function holds() return read('<L', rare) == 1 end

    -- The shard's words; made when they are missing.
    local function shard_words()
        if shard then return shard end
        local value = call('GET', KEYS[1])
        if value and #value == 48 and read('<L', value) == 1 then
            shard = {read('<LLLLLL', value)}
            shard[7] = nil
        elseif value then
            fault = damaged(KEYS[1], 'shard')
            shard = {1, 0, 0, 0, 0, most}
            return shard
        end
        local random, known, seen, until_us = words[1][words[1][9]], 0, 0, 0
        if rare ~= '' then random, known, seen, until_us = read('<LLLL', rare, 9) end
        local is_lost = known > 0 and now_us < until_us
        if not shard then
            shard, is_shard_changed = {1, random, 0, 0, 0, 0}, true
        else
            is_lost = is_lost and shard[birth] ~= known
                and math.max(shard[lost_at], shard[reset_at]) < seen
        end
        if is_lost then scope.note_loss() end
        return shard
    end

    function scope.note_loss()
        events, is_noted_now = with(events, 1), true
        if holds() then
            shard[lost_at], shard[lost_wall], is_shard_changed = now_us, wall_us, true
        end
    end

    -- Whether the state that the client knew was lost, and nobody has noted that before.
    function scope.is_lost(s)
        local w, noted = words[s], shard_words()
        local seen = read('<L', rare, 8 * s + 33)
        if fault or w[2] == 0 or now_us >= seen + w[3] then return false end
        if is_noted_now then return true end
        if math.max(noted[lost_at], noted[reset_at]) >= seen then return false end
        scope.note_loss()
        return true
    end

    -- Whether a state that others made anew has to be held too. With reset it stays as it is: who
    -- comes later does not wipe out what was counted since.
    function scope.is_lost_and_held(s) return scope.is_lost(s) and holds() end

    function scope.has_stepped_back(old) return old.steady_us > time_us + longest_step_us end

    -- A scope whose time lies too far ahead begins anew: calendar windows, which steady time does
    -- not move, stay; what the leases' owners renew is taken back while the limit is held.
    function scope.restart(s, old)
        events = with(events, 2)
        local w = words[s]
        scope.create(s, false, nil, holds() and {time_us, wall_us})
        if fault then return end
        for i = 1, w[5] do
            local calendar = old.by_id[descriptor(s, w[4] + i, 1)]
            local x = w[9] + 4 + 3 * (w[4] + i)
            if calendar and calendar.kind == 2 then
                w[x], w[x + 1], w[x + 2] = unpack(calendar.fields)
            end
        end
        is_wiped[s] = true
        for i = 1, w[6] do
            w[w[9] + 5 + 3 * (w[4] + w[5] + i)] = most
        end
    end

    -- A new state: untouched, or held as of the shard's last loss, or of `held`.
    function scope.create(s, is_lost, birth_before, held)
        local w, noted = words[s], shard_words()
        if fault then return end
        local is_held = is_lost or not birth_before
        if not held and is_held and noted[lost_at] > noted[reset_at] and holds() then
            held = {noted[lost_at], noted[lost_wall]}
        end
        local x, p = w[9], 10
        local function append(...)
            for _, word in ipairs({...}) do
                w[x] = word
                x = x + 1
            end
        end
        append(noted[birth], birth_before or read('<L', rare, 9), w[1], 0, 1, now_us, wall_us)
        for i = 1, w[4] do
            append(floor((held and held[1] or now_us) / w[p + 1]), 0, held and w[p] or 0)
            p = p + 2
        end
        for i = 1, w[5] do
            local start, finish = windows.window_at(s, i, wall_us)
            if not start then
                fault = outcome(3)
                return
            end
            append(start, finish, held and held[2] >= start and w[p] or 0)
            p = p + 2
        end
        for _ = 1, w[6] do
            -- Expiry 0: leases that outlived the state are counted.
            append(0, 0, held and held[1] + w[p + 1] or 0)
            p = p + 2
        end
        for _ = 1, w[7] do
            append(held and held[1] + w[p] or now_us, held and w[p + 1] or 0)
            p = p + 3
        end
        rests[s] = descriptors[s] .. pack('<LL', limit_count(s), 1)
        repaired[s] = held and true
    end

    function scope.keep_shard(until_us)
        local noted = shard_words()
        if noted[kept] < until_us then
            noted[kept], is_shard_changed = until_us, true
        end
    end

    function scope.store_shard()
        if not is_shard_changed then return end
        is_shard_changed = false
        local value = pack('<LLLLLL', unpack(shard))
        call('SET', KEYS[1], value, 'PX', lifetime_ms(shard[kept]))
    end
end
