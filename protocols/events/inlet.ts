/**
 * The way in of one first word: a batch is opened, its signature checked, replays refused, its events read.
 *
 * Signatures are checked in parallel, batches are accepted in the order in which they came: otherwise a batch whose check
 * ended first would make the one before it look like a replay. The bytes of batches under check are bounded, over all
 * inlets. Between accept and deliver a batch is kept under the identity of its bytes, so that it is opened once.
 */
import { isParleyError } from '../errors.ts'
import type { Acceptance, Port } from '../port.ts'
import type { Series } from './holding.ts'
import { eventReader, type OpenBatch, openBatch, signedBytes, type WireEvent } from './read-batch.ts'
import type { Range, Seen } from './seen.ts'

/** Why a batch was not let in. */
export type Refusal = 'malformed' | 'overloaded' | 'foreign' | 'signature' | 'duplicate' | 'stale' | 'unchecked'

/** Bytes of batches whose signature is being checked, over all inlets. */
export interface Checking {
  bytes: number
}

export interface InletHooks {
  refused(reason: Refusal): void
  /** A batch was let in that this node did not publish. */
  heard(batch: OpenBatch, bytes: Uint8Array): void
  /** A gap is one too many to be remembered: its events are not let in any more. */
  gaveUp(): void
  /** Events came from a neighbour that held them. */
  repaired(events: number): void
  /** A verified batch was let in after the events in `missed` did not come. */
  missed(publisher: string, epoch: number, missed: Range): void
  /** False when nobody listens: the events are then not even read. */
  wanted(): boolean
  /** The batch came from its publisher, and everyone whom this node could send it to has it from there too. */
  complete(batch: OpenBatch): boolean
  event(batch: OpenBatch, index: number, event: WireEvent, arrivedAt: number): void
  /** An event inside a verified batch could not be read. */
  malformed(): void
  batch(events: number): void
}

export interface Inlet {
  /** @param from the neighbour that it came from; undefined where that proves nothing */
  accept(bytes: Uint8Array, from: string | undefined): Promise<Acceptance>
  deliver(bytes: Uint8Array): void
  /**
   * Accepts and delivers a batch that a neighbour held for `ageMs`, where it is of this series and holds something of
   * `range`. @returns the numbers of its events, where they are here now
   */
  take(series: Series, range: Range, bytes: Uint8Array, ageMs: number): Promise<Range | undefined>
}

interface Accepted {
  /** Brought back by gossip after a restart: it may travel on, but it is not news here. */
  readonly own: boolean
  readonly batch: OpenBatch
  readonly missed: Range | undefined
  /** Monotonic: time spent waiting after this counts against the events' ttl. */
  readonly arrivedAt: number
}

const rangeOf = ({ first, spans }: OpenBatch): Range => ({ from: first, to: first + spans.length / 2 - 1 })

const open = (bytes: Uint8Array): OpenBatch | undefined => {
  try {
    return openBatch(bytes)
  } catch (error) {
    if (isParleyError(error, 'MSG003')) return undefined
    throw error
  }
}

export const createInlet = (
  port: Pick<Port, 'self' | 'clock' | 'verify'>,
  word: string,
  prefix: Uint8Array,
  limits: { maxUnverifiedBytes: number },
  checking: Checking,
  seen: Seen,
  hooks: InletHooks,
): Inlet => {
  const accepted = new WeakMap<Uint8Array, Accepted>()
  /** Batches whose events were heard before. */
  const repeated = new WeakSet<Uint8Array>()
  let order: Promise<unknown> = Promise.resolve()

  const refuse = (reason: Refusal): 'refuse' => {
    hooks.refused(reason)
    return 'refuse'
  }

  const admit = (bytes: Uint8Array, batch: OpenBatch, arrivedAt: number, then: Acceptance): Acceptance => {
    if (batch.publisher === port.self.id) {
      accepted.set(bytes, { own: true, batch, missed: undefined, arrivedAt })
      return then
    }
    const verdict = seen.admit(batch.publisher, word, batch.epoch, batch.first, batch.spans.length / 2)
    if (verdict.kind === 'duplicate') repeated.add(bytes)
    if (verdict.kind === 'duplicate' || verdict.kind === 'stale') return refuse(verdict.kind)
    const missed = verdict.kind === 'fresh' ? verdict.missed : undefined
    if (verdict.kind === 'fresh' && verdict.dropped !== undefined) hooks.gaveUp()
    accepted.set(bytes, { own: false, batch, missed, arrivedAt })
    hooks.heard(batch, bytes)
    return then
  }

  /** Who hands a batch on answers for its signature; from the publisher's own hand it proves nothing that Noise has not. */
  const check = async (
    bytes: Uint8Array,
    batch: OpenBatch,
    from: string | undefined,
    arrivedAt: number,
    before: Promise<unknown>,
  ): Promise<Acceptance> => {
    const last = from === batch.publisher && hooks.complete(batch)
    // Started now, looked at in its turn.
    const verifying =
      last || port.verify(batch.publisher, signedBytes(prefix, batch), batch.signature).catch(() => false)
    await before
    const genuine = await verifying
    checking.bytes -= bytes.length
    return genuine ? admit(bytes, batch, arrivedAt, last ? 'keep' : 'forward') : refuse('signature')
  }

  const read = (batch: OpenBatch, arrivedAt: number): void => {
    const eventAt = eventReader(batch)
    const count = batch.spans.length / 2
    for (let index = 0; index < count; index += 1) {
      let event: WireEvent
      try {
        event = eventAt(index)
      } catch (error) {
        if (!isParleyError(error, 'MSG003')) throw error
        hooks.malformed()
        continue
      }
      hooks.event(batch, index, event, arrivedAt)
    }
  }

  const enqueue = (
    bytes: Uint8Array,
    batch: OpenBatch | undefined,
    from: string | undefined,
    arrivedAt: number,
  ): Promise<Acceptance> => {
    if (batch === undefined) return Promise.resolve(refuse('malformed'))
    if (batch.word !== word) return Promise.resolve(refuse('foreign'))
    if (checking.bytes + bytes.length > limits.maxUnverifiedBytes) return Promise.resolve(refuse('overloaded'))
    checking.bytes += bytes.length
    const result = check(bytes, batch, from, arrivedAt, order)
    order = result
    return result
  }

  const deliver = (bytes: Uint8Array): void => {
    const entry = accepted.get(bytes)
    accepted.delete(bytes)
    if (entry === undefined) {
      hooks.refused('unchecked')
      return
    }
    if (entry.own) return
    const { batch, missed, arrivedAt } = entry
    hooks.batch(batch.spans.length / 2)
    if (missed !== undefined) hooks.missed(batch.publisher, batch.epoch, missed)
    if (hooks.wanted()) read(batch, arrivedAt)
  }

  return {
    accept: (bytes, from) => enqueue(bytes, open(bytes), from, port.clock.monotonic()),
    deliver,
    async take({ publisher, epoch }, asked, bytes, ageMs) {
      const batch = open(bytes)
      if (batch !== undefined) {
        const range = rangeOf(batch)
        const isAsked = batch.publisher === publisher && batch.epoch === epoch
        if (!isAsked || range.from > asked.to || range.to < asked.from) {
          hooks.refused('foreign')
          return undefined
        }
      }
      const acceptance = await enqueue(bytes, batch, undefined, port.clock.monotonic() - ageMs)
      if (batch === undefined) return undefined
      const range = rangeOf(batch)
      if (repeated.has(bytes)) return range
      if (acceptance === 'refuse') return undefined
      deliver(bytes)
      hooks.repaired(range.to - range.from + 1)
      return range
    },
  }
}
