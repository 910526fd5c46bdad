-- Takes away keys of an epoch of a partition that is not the live one, or nothing.
-- KEYS[1]  state hash of the partition
-- ARGV[1]  epoch of the keys; ARGV[2] and on: the keys, all of that epoch, at most 4,000
-- answer   how many there were | nil: the epoch is the live one, or none is live
local live = redis.call('HGET', KEYS[1], 'epoch')
if not live or live == ARGV[1] then
  return nil
end
return redis.call('UNLINK', unpack(ARGV, 2))
