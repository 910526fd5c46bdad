-- Reads hashes and sets of one partition in one atomic step.
-- KEYS[1]  state hash of the partition; all keys named in ARGV[1] carry the same hash tag
-- ARGV[1]  msgpack {fields, members, whole}:
--            fields   {{hash key, field, ...}, ...}    at most 4,001 a group
--            members  {{set key, integer, ...}, ...}   integers as decimal strings
--            whole    {hash key, ...}
-- answer   msgpack {state, values, members, whole}: state and each whole as flat field, value, ... arrays;
--            values false where a field is absent; members 1 or 0
local wanted = cmsgpack.unpack(ARGV[1])
local values, members, whole = {}, {}, {}
local at = 0
for _, group in ipairs(wanted[1]) do
  for _, value in ipairs(redis.call('HMGET', unpack(group))) do
    at = at + 1
    values[at] = value
  end
end
at = 0
for _, group in ipairs(wanted[2]) do
  for _, member in ipairs(redis.call('SMISMEMBER', unpack(group))) do
    at = at + 1
    members[at] = member
  end
end
for i, key in ipairs(wanted[3]) do
  whole[i] = redis.call('HGETALL', key)
end
return cmsgpack.pack({redis.call('HGETALL', KEYS[1]), values, members, whole})
