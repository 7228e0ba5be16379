/**
 * Bytes of other nodes, fetched and checked; and what this node offers them while they are to hold it. State: what is offered.
 */
import { toString as encodeText } from 'uint8arrays/to-string'
import { ParleyError } from '../../errors.ts'
import type { Port } from '../../port.ts'
import { PART_BYTES, taskBytesProtocol } from './bytes-contract.ts'
import type { BytesPlace } from './stored-bytes.ts'

export const hexHash = ({ hash }: Pick<Port, 'hash'>, bytes: Uint8Array): string => encodeText(hash(bytes), 'base16')

const notThese = (peer: string, { task, hash }: BytesPlace): ParleyError =>
  new ParleyError('MSG003', `${peer} sent other bytes than ${hash} of the task ${task}`, {
    hint: 'ask another node that holds them',
    details: { task, hash, peer },
  })

/** @param peer that sends them @throws MSG003 where they are others than it says; what the stream throws */
export const gatherBytes = async (
  port: Pick<Port, 'hash'>,
  peer: string,
  place: BytesPlace & { readonly size: number },
  parts: AsyncIterable<{ readonly bytes: Uint8Array }>,
): Promise<Uint8Array> => {
  const found: Uint8Array[] = []
  let size = 0
  for await (const { bytes } of parts) {
    size += bytes.length
    if (size > place.size || bytes.length === 0) throw notThese(peer, place)
    found.push(bytes)
  }
  const all = new Uint8Array(size)
  let at = 0
  for (const part of found) {
    all.set(part, at)
    at += part.length
  }
  if (size !== place.size || hexHash(port, all) !== place.hash) throw notThese(peer, place)
  return all
}

/** From one peer. @param as `read`: in the name of the capability coordinate */
export const fetchBytes = (
  port: Pick<Port, 'hash' | 'to'>,
  peer: string,
  { task, row, hash, size }: BytesPlace & { readonly size: number },
  as: 'fetch' | 'read',
  signal: AbortSignal | undefined,
): Promise<Uint8Array> => {
  const options = signal === undefined ? {} : { signal }
  const parts = port.to(peer, taskBytesProtocol)[as]({ task, row, hash }, options)
  return gatherBytes(port, peer, { task, row, hash, size }, parts)
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
