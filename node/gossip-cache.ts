/**
 * Bounds for what gossipsub keeps of each message: bytes of those that neighbours may have missed, and no score.
 *
 * gossipsub keeps all messages of the last heartbeats, however many there are: at 25 MB a second that is more than
 * 100 MB. Here a window of that cache ends with each heartbeat or after so many bytes, whichever is first, so that it
 * holds at most `windowBytes` for each window and one message more. gossipsub takes a cache of one's own but does not
 * export the class; its own one is given another `put`.
 */
import type { GossipSub } from '@chainsafe/libp2p-gossipsub'

interface Cache {
  put(id: unknown, message: { data?: Uint8Array }, validated?: boolean): boolean
  shift(): void
}

const isCache = (value: unknown): value is Cache =>
  typeof value === 'object' &&
  value !== null &&
  typeof Reflect.get(value, 'put') === 'function' &&
  typeof Reflect.get(value, 'shift') === 'function'

/** @throws TypeError when another release of gossipsub keeps its messages elsewhere */
export const boundGossipCache = (gossip: GossipSub, windowBytes: number): void => {
  const cache: unknown = Reflect.get(gossip, 'mcache')
  if (!isCache(cache)) throw new TypeError('this release of gossipsub has no message cache that could be bounded')
  const put = cache.put.bind(cache)
  const shift = cache.shift.bind(cache)
  let bytes = 0
  cache.shift = () => {
    bytes = 0
    shift()
  }
  cache.put = (id, message, validated) => {
    if (bytes >= windowBytes) cache.shift()
    const added = put(id, message, validated)
    if (added) bytes += message.data?.length ?? 0
    return added
  }
}

/** What gossipsub tells its scores of each message that is well. */
const TOLD = ['validateMessage', 'deliverMessage', 'duplicateMessage']

/**
 * Who brought which message first counts for topics that have a score, and none has here; gossipsub keeps a record with a
 * set of peers for each message all the same, for minutes. What is refused still counts.
 * @throws TypeError when another release of gossipsub scores elsewhere
 */
export const keepNoDeliveries = (gossip: GossipSub): void => {
  const score: unknown = Reflect.get(gossip, 'score')
  const isScore =
    typeof score === 'object' && score !== null && TOLD.every((name) => typeof Reflect.get(score, name) === 'function')
  if (!isScore) throw new TypeError('this release of gossipsub has no scores of messages')
  for (const name of TOLD) Reflect.set(score, name, () => {})
}
