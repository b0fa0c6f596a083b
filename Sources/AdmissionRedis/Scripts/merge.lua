-- Merging: a state of another layout, since another document was loaded or is in use beside ours.
--
-- The stored state says itself what it holds: behind the fields stand the limits' descriptors. A
-- limit that both know, by its id, keeps its counter; one that the plan alone knows starts anew; one
-- that the state alone knows is kept behind the plan's while it means something. Whose parameters
-- are newer is told by each limit's stamp: older ones are converted here, newer ones are the answer.
do
    local rolling, calendar, concurrency, bucket = 1, 2, 3, 4

    local function is_sound(limit)
        local a, b, c, d, e = unpack(limit, 4)
        if limit.kind == rolling then return b > 0 and c > 0 and c <= 96 end
        if limit.kind == bucket then return c > 0 and d + e > 0 end
        return limit.kind == calendar or limit.kind == concurrency
    end

    -- The parts of a stored state; nil when it is none.
    function scope.parse(value)
        local length = #value
        if length % 8 ~= 0 or length < 152 then return nil end
        local count, version = read('<LL', value, length - 15)
        local at = length - 15 - 64 * count
        if version ~= 1 or count < 1 or count > 256 or at < 73 then return nil end
        local old = {by_id = {}, limits = {}}
        old.shard, old.birth, old.layout, old.kept_us, old.one, old.steady_us = read('<LLLLLL', value)
        if old.one ~= 1 then return nil end
        local x = 57
        for i = 1, count do
            local limit = {read('<LLLLLLLL', value, at + 64 * i - 64)}
            limit.kind = limit[2]
            if not is_sound(limit) then return nil end
            local size = limit.kind == bucket and 2 or 3
            if x + 8 * size > at then return nil end
            limit.fields = {read(words_format(size), value, x)}
            limit.fields[size + 1] = nil
            x = x + 8 * size
            old.limits[i], old.by_id[limit[1]] = limit, limit
        end
        if x ~= at then return nil end
        return old
    end

    -- Pairs (us, rest) stand for us + rest / parts microseconds.
    local function doubled(us, rest, parts)
        if rest * 2 >= parts then return us * 2 + 1, rest * 2 - parts end
        return us * 2, rest * 2
    end
    local function sum(us, rest, more_us, more_rest, parts)
        if rest + more_rest >= parts then return us + more_us + 1, rest + more_rest - parts end
        return us + more_us, rest + more_rest
    end
    local function difference(us, rest, less_us, less_rest, parts)
        if rest < less_rest then return us - less_us - 1, rest - less_rest + parts end
        return us - less_us, rest - less_rest
    end
    local function is_less(us, rest, other_us, other_rest)
        return us < other_us or (us == other_us and rest < other_rest)
    end

    -- A span of time in which one bucket earns so many units, as the span in which another does:
    -- long division of the one pair, 60 binary places deep, and the same bits times the other.
    -- Rounded down by less than 3 us.
    local function scaled(us, rest, from, to)
        local from_us, from_rest, parts = from[7], from[8], from[6]
        local to_us, to_rest, to_parts = to[7], to[8], to[6]
        local powers = {}
        while not is_less(us, rest, from_us, from_rest) do
            powers[#powers + 1] = {from_us, from_rest, to_us, to_rest}
            from_us, from_rest = doubled(from_us, from_rest, parts)
            to_us, to_rest = doubled(to_us, to_rest, to_parts)
        end
        local whole_us, whole_rest = 0, 0
        for power = #powers, 1, -1 do
            local a, b, c, d = unpack(powers[power])
            if not is_less(us, rest, a, b) then
                us, rest = difference(us, rest, a, b, parts)
                whole_us, whole_rest = sum(whole_us, whole_rest, c, d, to_parts)
            end
        end
        local bits = {}
        for place = 1, 60 do
            us, rest = doubled(us, rest, parts)
            bits[place] = not is_less(us, rest, from[7], from[8])
            if bits[place] then us, rest = difference(us, rest, from[7], from[8], parts) end
        end
        local part_us, part_rest = 0, 0
        for place = 60, 1, -1 do
            if bits[place] then
                part_us, part_rest = sum(part_us, part_rest, to[7], to[8], to_parts)
            end
            if part_us % 2 == 1 then part_us, part_rest = part_us - 1, part_rest + to_parts end
            part_us, part_rest = part_us / 2, floor(part_rest / 2)
        end
        return sum(whole_us, whole_rest, part_us, part_rest, to_parts)
    end

    -- A bucket's fields under new parameters: its level in units stays, cut to the new burst, and so
    -- does a debt; parts of a unit are rounded against the caller.
    --
    -- As of the load, or of the state's last charge where that is later: the old rate refilled it
    -- until then, the new one does since.
    local function converted(old, new, steady_us)
        local at_us = math.min(now_us, math.max(new[3], steady_us))
        local us, rest = old.fields[1], old.fields[2]
        if us < at_us then us, rest = at_us, 0 end
        local full_us, full_rest = at_us + old[4], old[5]
        if is_less(full_us, full_rest, us, rest) then
            us, rest = difference(us, rest, full_us, full_rest, old[6])
            us, rest = scaled(us, rest, old, new)
            us, rest = sum(us + 3, rest, at_us + new[4], new[5], new[6])
            return {math.min(us, most), rest}
        end
        us, rest = difference(full_us, full_rest, us, rest, old[6])
        us, rest = scaled(us, rest, old, new)
        if not is_less(us, rest, new[4], new[5]) then return {at_us, 0} end
        us, rest = difference(new[4], new[5], us, rest, new[6])
        return {at_us + us, rest}
    end

    local function is_alive(limit)
        local x, y, z = unpack(limit.fields)
        if limit.kind == rolling then return (x + limit[6] + 1) * limit[5] > now_us and y + z > 0 end
        if limit.kind == calendar then return y > wall_us and z > 0 end
        if limit.kind == concurrency then return x > 0 or z > now_us end
        return x > now_us
    end

    -- The cells in the new order, where the old ones are there.
    local function merge_cells(s, old, limits)
        local value = call('GET', KEYS[state_keys[s] + 1])
        local at, sections = 8, {}
        for _, limit in ipairs(old.limits) do
            if limit.kind == rolling then
                sections[limit[1]] = {at + 1, at + 6 * (limit[6] + 1)}
                at = at + 6 * (limit[6] + 1)
            end
        end
        if not value or #value ~= at or slice(value, 1, 8) ~= pack('<L', old.birth) then return end
        local parts = {slice(value, 1, 8)}
        for _, limit in ipairs(limits) do
            if limit.kind == rolling then
                local section = sections[limit[1]]
                parts[#parts + 1] = section and slice(value, section[1], section[2])
                    or string.rep('\0', 6 * (limit[6] + 1))
            end
        end
        cells[s], changed[s] = table.concat(parts), true
    end

    -- Brings a stored state under the plan.
    function scope.merge(s, old, value)
        local count = limit_count(s)
        local limits, known = {}, {}
        for i = 1, count do
            local limit = {read('<LLLLLLLL', descriptors[s], 64 * i - 63)}
            limit.kind = limit[2]
            local before = old.by_id[limit[1]]
            if before and before.kind ~= limit.kind then before = nil end
            if before and before[3] > limit[3] then
                fault = outcome(4, pack('<L', s) .. value)
                return
            end
            if not before then
                limit.fields = limit.kind == bucket and {now_us, 0} or {0, 0, 0}
                if limit.kind == rolling then limit.fields[1] = floor(now_us / limit[5]) end
            elseif limit.kind == bucket and before[3] < limit[3] then
                limit.fields = converted(before, limit, old.steady_us)
            elseif limit.kind == concurrency then
                -- The leases are counted anew: another layout may have let their set expire.
                limit.fields = {0, 0, before.fields[3]}
            else
                limit.fields = before.fields
            end
            limits[i], known[limit[1]] = limit, true
        end
        for _, limit in ipairs(old.limits) do
            if not known[limit[1]] and is_alive(limit) and #limits < 256 then
                limits[#limits + 1] = limit
            end
        end
        scope.replace_head(s, old, limits, count)
        if words[s][4] > 0 then merge_cells(s, old, limits) end
    end

    -- Puts the plan's fields into the words, and all else into what follows them.
    function scope.replace_head(s, old, limits, count)
        local w = words[s]
        local x, rest, descriptors = w[9], {}, {}
        w[x], w[x + 1], w[x + 2], w[x + 3] = old.shard, old.birth, w[1], old.kept_us
        w[x + 4], w[x + 5], w[x + 6], x = 1, old.steady_us, wall_us, x + 7
        for i, limit in ipairs(limits) do
            for _, field in ipairs(limit.fields) do
                if i <= count then
                    w[x] = field
                    x = x + 1
                else
                    rest[#rest + 1] = pack('<L', field)
                end
            end
            descriptors[i] = pack('<LLLLLLLL', unpack(limit, 1, 8))
        end
        rests[s] = table.concat(rest) .. table.concat(descriptors) .. pack('<LL', #limits, 1)
    end
end
