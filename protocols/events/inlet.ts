/**
 * The way in of one first word: a batch is opened, its signature checked, replays refused, and its events read once it is
 * its turn (order.ts).
 *
 * Signatures are checked in parallel, batches are let in as they came: otherwise a batch whose check ended first would
 * open a gap. The bytes of batches under check are bounded, over all inlets.
 */
import { isParleyError } from '../errors.ts'
import { createRates, type Rates } from '../limiter.ts'
import type { Acceptance, Port } from '../port.ts'
import type { Batch, Order } from './order.ts'
import { eventReader, type OpenBatch, openBatch, rangeOf, signedBytes, type WireEvent } from './read-batch.ts'
import type { Proven } from './retrieve.ts'
import type { Range, Series } from './series.ts'

/** Why a batch was not let in. */
export type Refusal = 'malformed' | 'overloaded' | 'foreign' | 'signature' | 'unchecked' | 'duplicate' | 'stale'

/**
 * What the batch itself shows, to every node alike, and an honest one forwards none of it. All other reasons lie with
 * this node: what it heard before, and how much it has to do.
 */
const FORGED: ReadonlySet<Refusal> = new Set(['malformed', 'foreign', 'signature'])

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
export interface Checking {
  /** Of batches whose signature is being checked. */
  bytes: number
  /** By publisher. */
  readonly rates: Rates
}

export const createChecking = (maxPublishers: number): Checking => ({
  bytes: 0,
  rates: createRates({ perSecond: BATCHES_PER_S, burst: BATCH_BURST, maxKeys: maxPublishers }),
})

export interface InletHooks {
  refused(reason: Refusal): void
  /**
   * A batch came that this node did not publish and had not had.
   * @param fetched it was asked for
   */
  heard(batch: OpenBatch, bytes: Uint8Array, fetched: boolean): void
  /** It was given up here lately. */
  isLost(batch: OpenBatch): boolean
  /** Gossip brought one that was given up. */
  late(batch: OpenBatch, bytes: Uint8Array): void
  /** The row of this publisher waits for something. */
  incomplete(publisher: string): void
  /** There was no room for a batch behind a gap. */
  unkept(): void
  /** False when nobody listens: the events are then not even read. */
  wanted(): boolean
  /** The batch came from its publisher, and everyone whom this node could send it to has it from there too. */
  complete(batch: OpenBatch): boolean
  event(batch: OpenBatch, index: number, event: WireEvent, arrivedAt: number): void
  /** An event inside a verified batch could not be read. */
  malformed(): void
  /** It is the batch's turn. */
  batch(proven: Proven): void
}

export interface Inlet {
  /** @param from the neighbour that it came from */
  accept(bytes: Uint8Array, from: string): Promise<Acceptance>
  /** Lets a verified batch in, now or when it is its turn. */
  take(proven: Proven): Acceptance
  /** Lets in what waited. */
  release(batches: readonly Batch<Proven>[]): void
}

/** Opens what a peer sent; undefined for what is no batch. */
export const open = (bytes: Uint8Array): OpenBatch | undefined => {
  try {
    return openBatch(bytes)
  } catch (error) {
    if (isParleyError(error, 'MSG003')) return undefined
    throw error
  }
}

/** Checks batches that a neighbour was asked for. */
export const createProver = (
  port: Pick<Port, 'clock' | 'verify'>,
  prefix: Uint8Array,
  limits: { maxUnverifiedBytes: number },
  checking: Checking,
  refused: (reason: Refusal) => void,
) => {
  const refuse = (reason: Refusal): undefined => {
    refused(reason)
    return undefined
  }
  return async (
    { publisher, word, epoch }: Series,
    { from, to }: Range,
    bytes: Uint8Array,
    ageMs: number,
  ): Promise<Proven | undefined> => {
    const batch = open(bytes)
    if (batch === undefined) return refuse('malformed')
    const range = rangeOf(batch)
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
const read = ({ batch, arrivedAt }: Proven, hooks: Pick<InletHooks, 'event' | 'malformed'>): void => {
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

export const createInlet = (
  port: Pick<Port, 'self' | 'clock' | 'verify'>,
  word: string,
  prefix: Uint8Array,
  limits: { maxUnverifiedBytes: number },
  checking: Checking,
  order: Order<Proven>,
  hooks: InletHooks,
): Inlet => {
  let turn: Promise<unknown> = Promise.resolve()

  const refuse = (reason: Refusal): 'ignore' | 'refuse' => {
    hooks.refused(reason)
    return FORGED.has(reason) ? 'refuse' : 'ignore'
  }

  const release = (batches: readonly Batch<Proven>[]): void => {
    for (const { value } of batches) {
      hooks.batch(value)
      if (hooks.wanted()) read(value, hooks)
    }
  }

  /** @param at when it came here, which for one that was asked for is not when its giver had it */
  const admit = (proven: Proven, then: Acceptance, at: number, fetched: boolean): Acceptance => {
    const { batch, bytes } = proven
    const { publisher, epoch, first, spans } = batch
    const entry = { from: first, to: first + spans.length / 2 - 1, bytes: bytes.length, at, value: proven }
    const verdict = order.admit({ publisher, word, epoch }, entry, hooks.wanted())
    if (verdict.kind === 'duplicate' || verdict.kind === 'stale') {
      if (!fetched && hooks.isLost(batch)) hooks.late(batch, bytes)
      return refuse(verdict.kind)
    }
    hooks.heard(batch, bytes, fetched)
    if (verdict.kind === 'next') release(verdict.ready)
    else hooks.incomplete(publisher)
    if (verdict.kind === 'unkept') hooks.unkept()
    return then
  }

  /** Who hands a batch on answers for its signature; from the publisher's own hand it proves nothing that Noise has not. */
  const check = async (
    bytes: Uint8Array,
    batch: OpenBatch,
    from: string,
    arrivedAt: number,
    before: Promise<unknown>,
  ): Promise<Acceptance> => {
    const last = from === batch.publisher && hooks.complete(batch)
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
      const batch = open(bytes)
      if (batch === undefined) return Promise.resolve(refuse('malformed'))
      if (batch.word !== word) return Promise.resolve(refuse('foreign'))
      const past = order.past(batch, rangeOf(batch))
      if (past !== undefined && !hooks.isLost(batch)) return Promise.resolve(refuse(past))
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
    take: (proven) => admit(proven, 'keep', port.clock.monotonic(), true),
    release,
  }
}
