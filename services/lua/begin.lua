-- Creates the state of a partition that has none.
-- KEYS[1]  state hash of the partition
-- ARGV[1]  seconds after which a new one is gone, 0 for never
-- ARGV     then field, value, ... of the new state
-- answer   the state that stands there now, as a flat field, value, ... array
if redis.call('EXISTS', KEYS[1]) == 0 then
  redis.call('HSET', KEYS[1], unpack(ARGV, 2))
  if ARGV[1] ~= '0' then
    redis.call('EXPIRE', KEYS[1], ARGV[1])
  end
end
return redis.call('HGETALL', KEYS[1])
