/**
 * Bytes of other nodes, fetched and checked; and what this node offers them while they are to hold it. State: what is offered.
 */
import { toString as encodeText } from 'uint8arrays/to-string'
import { abortable, delay } from '../../async.ts'
import { ParleyError } from '../../errors.ts'
import type { Port } from '../../port.ts'
import { PART_BYTES, taskBytesProtocol } from './bytes-contract.ts'
import type { BytesPlace } from './stored-bytes.ts'

/** Bytes for each millisecond, at the least: 64 MiB take two minutes then, as the protocol has it. */
export const PACE_BYTES_PER_MS = 559
const LOOK_MS = 1_000

export const hexHash = ({ hash }: Pick<Port, 'hash'>, bytes: Uint8Array): string => encodeText(hash(bytes), 'base16')

const HASHED_AT_ONCE = 4 * 1024 * 1024
/** Of a large value: others have their turn meanwhile. */
export const hexHashInTurns = async (
  { hasher, timers }: Pick<Port, 'hasher' | 'timers'>,
  bytes: Uint8Array,
): Promise<string> => {
  const made = hasher()
  for (let at = 0; at < bytes.length; at += HASHED_AT_ONCE) {
    if (at > 0) await delay(timers, 0)
    made.update(bytes.subarray(at, at + HASHED_AT_ONCE))
  }
  return encodeText(made.digest(), 'base16')
}

const notThese = (peer: string, { task, hash }: BytesPlace): ParleyError =>
  new ParleyError('MSG003', `${peer} sent other bytes than ${hash} of the task ${task}`, {
    hint: 'ask another node that holds them',
    details: { task, hash, peer },
  })

/** @param peer that sends them @throws MSG003 where they are others than it says; what the stream throws */
export const gatherBytes = async (
  port: Pick<Port, 'hasher'>,
  peer: string,
  place: BytesPlace & { readonly size: number },
  parts: AsyncIterable<{ readonly bytes: Uint8Array }>,
): Promise<Uint8Array> => {
  const made = port.hasher()
  let all = new Uint8Array(0)
  let size = 0
  for await (const { bytes } of parts) {
    if (size + bytes.length > place.size || bytes.length === 0) throw notThese(peer, place)
    // Once something comes: what is said is not what is given.
    if (size === 0) all = new Uint8Array(place.size)
    all.set(bytes, size)
    made.update(bytes)
    size += bytes.length
  }
  if (size !== place.size || encodeText(made.digest(), 'base16') !== place.hash) throw notThese(peer, place)
  return all
}

const tooSlow = (peer: string, { task, hash }: BytesPlace): ParleyError =>
  new ParleyError('COM001', `${peer} gives the bytes ${hash} of the task ${task} too slowly`, {
    hint: 'ask another node that holds them',
    details: { task, hash, peer },
  })

/** Ends what stays behind PACE: progress that is told puts the deadline of a call off, and gives nothing. */
async function* paced<T extends { readonly bytes: Uint8Array }>(
  { clock, timers }: Pick<Port, 'clock' | 'timers'>,
  graceMs: number,
  end: () => void,
  parts: AsyncIterable<T>,
): AsyncGenerator<T, void> {
  const begunAt = clock.monotonic()
  let size = 0
  const stop = timers.every(LOOK_MS, () => {
    if (clock.monotonic() - begunAt > graceMs + size / PACE_BYTES_PER_MS) end()
  })
  try {
    for await (const part of parts) {
      size += part.bytes.length
      yield part
    }
  } finally {
    stop()
  }
}

export interface FetchOptions {
  /** `read`: in the name of the capability coordinate. */
  readonly as: 'fetch' | 'read'
  /** Milliseconds until the first bytes have to be there. */
  readonly graceMs: number
  readonly signal: AbortSignal | undefined
}

/** From one peer. @throws COM001 where it is too slow; what gatherBytes throws */
export const fetchBytes = async (
  port: Pick<Port, 'hasher' | 'to' | 'clock' | 'timers'>,
  peer: string,
  { task, row, hash, size }: BytesPlace & { readonly size: number },
  { as, graceMs, signal }: FetchOptions,
): Promise<Uint8Array> => {
  const place = { task, row, hash }
  const slow = new AbortController()
  const ended = signal === undefined ? slow.signal : AbortSignal.any([signal, slow.signal])
  const parts = port.to(peer, taskBytesProtocol)[as](place, { signal: ended })
  const end = (): void => slow.abort(tooSlow(peer, place))
  return abortable(gatherBytes(port, peer, { ...place, size }, paced(port, graceMs, end, parts)), ended)
}

export function* partsOf(bytes: Uint8Array): Generator<{ bytes: Uint8Array }, void> {
  for (let at = 0; at < bytes.length; at += PART_BYTES) yield { bytes: bytes.subarray(at, at + PART_BYTES) }
}

/** What is offered: in memory, or by whoever reads it. */
export type OfferedBytes = () => AsyncIterable<{ bytes: Uint8Array }> | Iterable<{ bytes: Uint8Array }>

/** As many as transfers run, so bounded by those. */
export class OfferedValues {
  readonly #offers = new Map<string, Set<{ readonly peers: ReadonlySet<string>; readonly open: OfferedBytes }>>()

  /** These peers may fetch it, until it is taken back. */
  offer({ task, hash }: BytesPlace, peers: ReadonlySet<string>, open: OfferedBytes): () => void {
    const key = `${task}/${hash}`
    const offers = this.#offers.get(key) ?? new Set()
    const offer = { peers, open }
    this.#offers.set(key, offers.add(offer))
    return () => {
      offers.delete(offer)
      if (offers.size === 0 && this.#offers.get(key) === offers) this.#offers.delete(key)
    }
  }

  find({ task, hash }: BytesPlace, peer: string): OfferedBytes | undefined {
    for (const { peers, open } of this.#offers.get(`${task}/${hash}`) ?? []) if (peers.has(peer)) return open
    return undefined
  }
}
