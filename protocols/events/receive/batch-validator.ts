/**
 * The way in of one first word: a batch is opened, its signature checked, replays refused, and its events read once it is
 * its turn (order.ts).
 *
 * Signatures are checked in parallel, batches are let in as they came: otherwise a batch whose check ended first would
 * open a gap. The bytes of batches under check are bounded, over all inlets.
 */

import { isParleyError } from '../../errors.ts'
import { createRateLimiter, type RateLimiter } from '../../limits/fair-shares.ts'
import type { Acceptance, Port } from '../../port.ts'
import type { VerifiedBatch } from '../batch/batch-decoder.ts'
import {
  batchRange,
  type DecodedBatch,
  decodeBatch,
  eventDecoder,
  signedBytes,
  type WireEvent,
} from '../batch/batch-decoder.ts'
import type { BatchRefusal } from '../event-counters.ts'
import type { EventSeries, SequenceRange } from '../series.ts'
import type { BufferedBatch, ReorderBuffer } from './reorder-buffer.ts'

/**
 * What the batch itself shows, to every node alike, and an honest one forwards none of it. All other reasons lie with
 * this node: what it heard before, and how much it has to do.
 */
const FORGED: ReadonlySet<BatchRefusal> = new Set(['malformed', 'foreign', 'signature'])

/**
 * Batches of one publisher that are let in, whoever brings them; one above `PACE_BYTES` counts for several. They count
 * after their check, since a forged one must not use up what its publisher may say. More are dropped and not forwarded;
 * once the share is used up they are not even checked.
 */
export const BATCHES_PER_S = 4_096
export const BATCH_BURST = 4_096
const PACE_BYTES = 16 << 10
const costOf = (bytes: Uint8Array): number => Math.max(1, bytes.length / PACE_BYTES)

/** What all inlets share. */
export interface ValidationBudget {
  /** Of batches whose signature is being checked. */
  bytes: number
  /** By publisher. */
  readonly rates: RateLimiter
}

export const createValidationBudget = (maxPublishers: number): ValidationBudget => ({
  bytes: 0,
  rates: createRateLimiter({ perSecond: BATCHES_PER_S, burst: BATCH_BURST, maxKeys: maxPublishers }),
})

export interface BatchValidatorHooks {
  refused(reason: BatchRefusal): void
  /**
   * A batch came that this node did not publish and had not had.
   * @param fetched it was asked for
   */
  admitted(released: DecodedBatch, bytes: Uint8Array, fetched: boolean): void
  /** It was given up here lately. */
  isGivenUp(batch: DecodedBatch): boolean
  /** Gossip brought one that was given up. */
  arrivedLate(batch: DecodedBatch, bytes: Uint8Array): void
  /** The row of this publisher waits for something. */
  gapFound(publisher: string): void
  /** There was no room for a batch behind a gap. */
  bufferFull(): void
  /** False when nobody listens: the events are then not even read. */
  hasListeners(): boolean
  /** The batch came from its publisher, and everyone whom this node could send it to has it from there too. */
  reachedAll(batch: DecodedBatch): boolean
  event(batch: DecodedBatch, index: number, event: WireEvent, arrivedAt: number): void
  /** An event inside a verified batch could not be read. */
  malformed(): void
  /** It is the batch's turn. */
  batch(proven: VerifiedBatch): void
}

export interface BatchValidator {
  /** @param from the neighbour that it came from */
  accept(bytes: Uint8Array, from: string): Promise<Acceptance>
  /** Lets a verified batch in, now or when it is its turn. */
  admit(proven: VerifiedBatch): Acceptance
  /** Lets in what waited. */
  release(batches: readonly BufferedBatch<VerifiedBatch>[]): void
}

/** Opens what a peer sent; undefined for what is no batch. */
export const tryDecodeBatch = (bytes: Uint8Array): DecodedBatch | undefined => {
  try {
    return decodeBatch(bytes)
  } catch (error) {
    if (isParleyError(error, 'MSG003')) return undefined
    throw error
  }
}

/** Checks batches that a neighbour was asked for. */
export const createFetchedBatchValidator = (
  port: Pick<Port, 'clock' | 'verify'>,
  prefix: Uint8Array,
  limits: { maxUnverifiedBytes: number },
  checking: ValidationBudget,
  refused: (reason: BatchRefusal) => void,
) => {
  const refuse = (reason: BatchRefusal): undefined => {
    refused(reason)
    return undefined
  }
  return async (
    { publisher, word, epoch }: EventSeries,
    { from, to }: SequenceRange,
    bytes: Uint8Array,
    ageMs: number,
  ): Promise<VerifiedBatch | undefined> => {
    const batch = tryDecodeBatch(bytes)
    if (batch === undefined) return refuse('malformed')
    const range = batchRange(batch)
    const isAsked = batch.publisher === publisher && batch.word === word && batch.epoch === epoch
    if (!isAsked || range.from > to || range.to < from) return refuse('foreign')
    if (checking.bytes + bytes.length > limits.maxUnverifiedBytes) return refuse('overloaded')
    checking.bytes += bytes.length
    const genuine = await port.verify(publisher, signedBytes(prefix, batch), batch.signature).catch(() => false)
    checking.bytes -= bytes.length
    if (!genuine) return refuse('signature')
    return { batch, bytes, arrivedAt: port.clock.monotonic() - ageMs }
  }
}

/** Hands on the events of a batch. */
const read = ({ batch, arrivedAt }: VerifiedBatch, hooks: Pick<BatchValidatorHooks, 'event' | 'malformed'>): void => {
  const eventAt = eventDecoder(batch)
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

export const createBatchValidator = (
  port: Pick<Port, 'self' | 'clock' | 'verify'>,
  word: string,
  prefix: Uint8Array,
  limits: { maxUnverifiedBytes: number },
  checking: ValidationBudget,
  order: ReorderBuffer<VerifiedBatch>,
  hooks: BatchValidatorHooks,
): BatchValidator => {
  let turn: Promise<unknown> = Promise.resolve()

  const refuse = (reason: BatchRefusal): 'ignore' | 'refuse' => {
    hooks.refused(reason)
    return FORGED.has(reason) ? 'refuse' : 'ignore'
  }

  const release = (batches: readonly BufferedBatch<VerifiedBatch>[]): void => {
    for (const { value } of batches) {
      hooks.batch(value)
      if (hooks.hasListeners()) read(value, hooks)
    }
  }

  /** @param at when it came here, which for one that was asked for is not when its giver had it */
  const admit = (proven: VerifiedBatch, then: Acceptance, at: number, fetched: boolean): Acceptance => {
    const { batch, bytes } = proven
    const { publisher, epoch, first, spans } = batch
    const entry = { from: first, to: first + spans.length / 2 - 1, bytes: bytes.length, at, value: proven }
    const verdict = order.admit({ publisher, word, epoch }, entry, hooks.hasListeners())
    if (verdict.kind === 'duplicate' || verdict.kind === 'stale') {
      if (!fetched && hooks.isGivenUp(batch)) hooks.arrivedLate(batch, bytes)
      return refuse(verdict.kind)
    }
    hooks.admitted(batch, bytes, fetched)
    if (verdict.kind === 'next') release(verdict.ready)
    else hooks.gapFound(publisher)
    if (verdict.kind === 'unkept') hooks.bufferFull()
    return then
  }

  /** Who hands a batch on answers for its signature; from the publisher's own hand it proves nothing that Noise has not. */
  const check = async (
    bytes: Uint8Array,
    batch: DecodedBatch,
    from: string,
    arrivedAt: number,
    before: Promise<unknown>,
  ): Promise<Acceptance> => {
    const last = from === batch.publisher && hooks.reachedAll(batch)
    // Started now, looked at in its turn.
    const verifying =
      last || port.verify(batch.publisher, signedBytes(prefix, batch), batch.signature).catch(() => undefined)
    await before
    const genuine = await verifying
    checking.bytes -= bytes.length
    // Where the check itself failed, that is this node's own trouble.
    if (genuine === undefined) return refuse('unchecked')
    if (!genuine) return refuse('signature')
    const then = last ? 'keep' : 'forward'
    // Brought back by gossip after a restart: it may travel on, but it is not news here.
    if (batch.publisher === port.self.id) return then
    if (!checking.rates.take(batch.publisher, port.clock.monotonic(), costOf(bytes))) return refuse('overloaded')
    return admit({ batch, bytes, arrivedAt }, then, arrivedAt, false)
  }

  return {
    accept(bytes, from) {
      const batch = tryDecodeBatch(bytes)
      if (batch === undefined) return Promise.resolve(refuse('malformed'))
      if (batch.word !== word) return Promise.resolve(refuse('foreign'))
      const past = order.isPast(batch, batchRange(batch))
      if (past !== undefined && !hooks.isGivenUp(batch)) return Promise.resolve(refuse(past))
      const nowMs = port.clock.monotonic()
      const isFull = checking.bytes + bytes.length > limits.maxUnverifiedBytes
      if (isFull || checking.rates.waitMs(batch.publisher, nowMs, costOf(bytes)) > 0)
        return Promise.resolve(refuse('overloaded'))
      checking.bytes += bytes.length
      const result = check(bytes, batch, from, nowMs, turn)
      // One that fails holds up none of those behind it.
      turn = result.catch(() => undefined)
      return result
    },
    admit: (proven) => admit(proven, 'keep', port.clock.monotonic(), true),
    release,
  }
}
