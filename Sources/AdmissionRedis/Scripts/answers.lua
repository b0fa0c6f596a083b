-- Answers of acquire.lua that are not an admission.
do
    -- For each limit, in the order of the asks, what a refusal says of it.
    local fits_at = {}

    function scope.refuse(at, instant)
        fits_at[at] = math.min(instant, most)
        return true
    end

    -- Another look at every limit begins.
    function scope.look_again() fits_at = {} end

    -- Writes that leases were counted, and when, so that the next refusal need not, and so that a
    -- clock that steps back brings none of them back.
    local function store_count(s)
        local w = words[s]
        local first = 7 + 3 * (w[4] + w[5])
        local last = w[9] + first + 3 * w[6] - 1
        scope.remove_expired()
        call('SETRANGE', KEYS[state_keys[s]], '40', pack('<L', now_us))
        call('SETRANGE', KEYS[state_keys[s]], string.format('%d', 8 * first),
            pack(words_format(3 * w[6]), unpack(w, w[9] + first, last)))
    end

    -- A refusal changes no counter; but what was found lost or damaged is written as it now counts.
    function scope.rejected()
        local count, heads, fits = 0, '', ''
        for s = 1, scope_count do
            if repaired[s] then scope.prepare(s) end
        end
        if fault then return fault end
        for s = 1, scope_count do
            count = count + limit_count(s)
            if is_counted[s] and not rests[s] then store_count(s) end
            heads = heads .. (repaired[s] and scope.store(s) or scope.head(s))
        end
        for at = 1, count do fits = fits .. pack('<L', fits_at[at] or 0) end
        return outcome(2, heads .. fits)
    end

    -- A lease was not just added to its set: what to return, or nil to go on.
    function scope.odd_lease(s, i, x, added)
        local w = words[s]
        if added == 2 then
            -- The set was not there: it gets an expiry, and leases that should be in it are lost.
            call('PEXPIRE', lease_key(s, i), lifetime_ms(w[w[9] + 3]))
            if w[x] > 0 then
                windows.lose_leases(s, i, x)
                w[x + 1] = now_us
            end
        else
            -- The key holds no set, or another lease has this member: nothing is charged, and the
            -- leases before it go.
            for other = 1, s do
                for limit = 1, other == s and i - 1 or words[other][6] do
                    call('HDEL', lease_key(other, limit), ARGV[1])
                end
            end
            return added == 0 and outcome(6) or added
        end
    end
end
