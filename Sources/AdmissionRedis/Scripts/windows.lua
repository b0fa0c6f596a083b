-- Windows: what happens to a limit when its time moves on, and when a refused cost will fit.
-- A rolling limit's cells before the current one, and where in the scope's cells its section
-- begins; the cell of an epoch is at epoch % (cells + 1) in it.
local function section(s, i)
    local offset = 8
    for j = 1, i - 1 do offset = offset + 6 * (descriptor(s, j, 6) + 1) end
    return descriptor(s, i, 6), offset
end

-- The cells as they stand; all zero where there are none or they belong to another life. Then
-- what the state counts beside the current cell has lost its places, so it is put into the newest
-- sealed cell: it comes back later than it might, never sooner.
local function load_cells(s)
    if cells[s] then return cells[s] end
    local w = words[s]
    local birth = pack('<L', w[w[9] + 1])
    local last, offset = section(s, w[4])
    local length = offset + 6 * (last + 1)
    local value = not rests[s] and call('GET', KEYS[state_keys[s] + 1])
    if value and #value >= length and slice(value, 1, 8) == birth then
        cells[s] = value
        return value
    end
    value = birth .. string.rep('\0', length - 8)
    for i = 1, w[4] do
        local x = w[9] + 4 + 3 * i
        if w[x + 1] > 0 then
            local k, offset = section(s, i)
            local slot = offset + 6 * ((w[x] - 1) % (k + 1))
            local count = pack('<I6', math.min(w[x + 1], largest_count))
            value = slice(value, 1, slot) .. count .. slice(value, slot + 7)
            events = with(events, 4)
            changed[s], repaired[s] = true, true
        end
    end
    cells[s] = value
    return value
end

-- Moves a rolling limit to the cell of `now_us`.
function windows.turn(s, i, x)
    local w = words[s]
    local epoch = floor(now_us / w[2 * i + 9])
    local passed = epoch - w[x]
    if passed == 0 then return end
    if passed < 0 then
        fault = damaged(KEYS[state_keys[s]], 'state')
        return
    end
    if w[x + 1] + w[x + 2] == 0 then
        w[x] = epoch
        return
    end
    local k, offset = section(s, i)
    local value = load_cells(s)
    if passed > k then
        value = slice(value, 1, offset) .. string.rep('\0', 6 * (k + 1))
            .. slice(value, offset + 6 * (k + 1) + 1)
        cells[s], changed[s] = value, true
        w[x], w[x + 1], w[x + 2] = epoch, 0, 0
        return
    end
    local function replace(slot, count)
        local before = read('<I6', value, offset + 6 * slot + 1)
        if before ~= count then
            value = slice(value, 1, offset + 6 * slot) .. pack('<I6', count)
                .. slice(value, offset + 6 * slot + 7)
        end
        return before
    end
    local sealed = math.min(w[x + 2], largest_count)
    local base = w[x + 1] + sealed
    for gone = w[x] + 1, epoch do base = base - replace(gone % (k + 1), 0) end
    replace(w[x] % (k + 1), sealed)
    cells[s], changed[s] = value, true
    w[x], w[x + 1], w[x + 2] = epoch, math.max(0, base), 0
end

-- The instant from which `amount` fits beside what counts now.
function windows.rolling_fits(s, i, x, amount, limit)
    if fault then return 1 end
    local w, value = words[s], load_cells(s)
    local k, offset = section(s, i)
    local cell = w[2 * i + 9]
    local excess = w[x + 1] + w[x + 2] + amount - limit
    for epoch = math.max(0, w[x] - k), w[x] - 1 do
        excess = excess - read('<I6', value, offset + 6 * (epoch % (k + 1)) + 1)
        if excess <= 0 then return (epoch + k + 1) * cell end
    end
    return (w[x] + k + 1) * cell
end

-- Gives `amount` back to the cell it was charged to, if that still counts.
function windows.give_back(s, i, x, place, amount)
    local w = words[s]
    local k, offset = section(s, i)
    if place == w[x] then
        w[x + 2] = math.max(0, w[x + 2] - amount)
    elseif place < w[x] and place >= w[x] - k then
        local value = load_cells(s)
        local at = offset + 6 * (place % (k + 1))
        local before = read('<I6', value, at + 1)
        amount = math.min(amount, before)
        cells[s] = slice(value, 1, at) .. pack('<I6', before - amount) .. slice(value, at + 7)
        changed[s] = true
        w[x + 1] = math.max(0, w[x + 1] - amount)
    end
end

-- The window of the client's table that holds an instant, and the end of the next one if the
-- table tells it; nil when the table does not hold the instant, or was not sent.
function windows.window_at(s, i, instant)
    if not tables[s] then return nil end
    local start, boundary, finish = read('<LLL', tables[s], 24 * i - 23)
    if instant >= start and instant < boundary then return start, boundary, finish end
    if instant >= boundary and instant < finish then return boundary, finish end
end

-- Moves a calendar limit to the window of `wall_us`. The stored window decides while it lasts,
-- and the client's table, which another host's zone data may contradict, only behind it.
function windows.turn_calendar(s, i, x, limit)
    local w = words[s]
    if wall_us >= w[x] and wall_us < w[x + 1] then return end
    local start, finish, next_finish = windows.window_at(s, i, wall_us)
    local is_ahead = wall_us < w[x]
    if not start or (is_ahead and not next_finish) then
        fault = outcome(3)
    elseif is_ahead and w[x] < next_finish then
        -- The clock stepped back behind a window that was begun, which is not opened again.
        wall_us = w[x]
    elseif is_ahead then
        w[x], w[x + 1], w[x + 2] = start, finish, limit
        events, repaired[s] = with(events, 16), true
    else
        w[x], w[x + 1], w[x + 2] = math.max(start, w[x + 1]), finish, 0
    end
end

-- Counts a concurrency limit's leases anew, without those that ran out. Once in two thirds of a
-- lease, since live owners renew theirs: O(leases). The set holds one member more, so that an empty
-- set can be told from one that was lost. What is no expiry is taken for one that has passed.
function windows.purge(s, i, x)
    local w = words[s]
    if w[x + 1] > now_us then return end
    local leases = lease_key(s, i)
    local entries = call('HGETALL', leases)
    if #entries == 0 and w[x] > 0 then windows.lose_leases(s, i, x) end
    local live, earliest = 0, most
    for entry = 1, #entries, 2 do
        local expiry = #entries[entry + 1] == 8 and read('<L', entries[entry + 1]) or 0
        if expiry > now_us then
            live, earliest = live + 1, math.min(earliest, expiry)
        elseif entries[entry] ~= '' then
            expired[#expired + 1] = {leases, entries[entry]}
        end
    end
    w[x], w[x + 1], is_counted[s] = live, earliest, true
end

-- The leases are gone: until every one of them would have run out, the limit counts as full.
function windows.lose_leases(s, i, x)
    local w = words[s]
    w[x + 2] = now_us + descriptor(s, w[4] + w[5] + i, 5)
    events, repaired[s] = with(events, 8), true
end

-- A bucket's fields with the rest of the ask's pair charged, and still without its microseconds.
function windows.bucket(w, p, q, x)
    local us, rest = w[x], w[x + 1]
    if us < now_us then us, rest = now_us, 0 end
    rest = rest + w[q + 1]
    if rest >= w[p + 2] then us, rest = us + 1, rest - w[p + 2] end
    return us, rest
end

-- A bucket's fields without the pair given back and with the pair used beyond the charge.
function windows.settled_bucket(w, p, q, x, is_same_life)
    local us, rest, parts = w[x], w[x + 1], w[p + 2]
    if is_same_life then
        us, rest = us - w[q], rest - w[q + 1]
        if rest < 0 then us, rest = us - 1, rest + parts end
    end
    if us < now_us then us, rest = now_us, 0 end
    us, rest = us + w[q + 2], rest + w[q + 3]
    if rest >= parts then us, rest = us + 1, rest - parts end
    -- Saturates: no debt reaches beyond the year 2255.
    if us >= most then return most, 0 end
    return us, rest
end
