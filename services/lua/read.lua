-- Reads hashes and sets of one partition in one atomic step.
-- KEYS[1]  state hash of the partition; all keys named in ARGV[1] carry the same hash tag
-- ARGV[1]  msgpack {fields, members, whole}:
--            fields   {{hash key, field, ...}, ...}    at most 4,001 a group
--            members  {{set key, integer, ...}, ...}   integers as decimal strings
--            whole    {hash key, ...}
-- answer   {state, values, members, whole}: an array of values for each group, nil where a field is absent, and of
--          1 or 0 for each group of members; state and each whole as flat field, value, ... arrays
-- What Redis gave goes out as it is: to pack a year of bitmaps into one string took two fifths of the call.
local wanted = cmsgpack.unpack(ARGV[1])
local values, members, whole = {}, {}, {}
for i, group in ipairs(wanted[1]) do
  values[i] = redis.call('HMGET', unpack(group))
end
for i, group in ipairs(wanted[2]) do
  members[i] = redis.call('SMISMEMBER', unpack(group))
end
for i, key in ipairs(wanted[3]) do
  whole[i] = redis.call('HGETALL', key)
end
return {redis.call('HGETALL', KEYS[1]), values, members, whole}
