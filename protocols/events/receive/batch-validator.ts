/**
 * Checks the batches of one first word: a batch is opened, replays are refused, its signature is checked.
 *
 * Signatures are checked in parallel, batches are let in as they came: otherwise a batch whose check ended first would
 * open a gap. The bytes of batches under check, and the batches of each publisher, are bounded over all words.
 */

import { isParleyError } from '../../errors.ts'
import { createRateLimiter, type RateLimiter } from '../../limits/rate-limiter.ts'
import type { Acceptance, Port } from '../../port.ts'
import type { VerifiedBatch } from '../batch/batch-decoder.ts'
import { batchRange, type DecodedBatch, decodeBatch, signedBytes } from '../batch/batch-decoder.ts'
import type { SigningPrefixes } from '../batch/batch-encoder.ts'
import type { BatchRefusal } from '../event-counters.ts'
import type { EventSeries, SequenceRange } from '../series.ts'

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

/** What the validators of all words share. */
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
  /** Why the batch is not worth a check: it was had before, or is of an epoch that is over. */
  pastReason(batch: DecodedBatch): BatchRefusal | undefined
  /** The batch came from its publisher, and everyone whom this node could send it to has it from there too. */
  reachedAll(batch: DecodedBatch): boolean
  /** Takes in a proven batch of another publisher. @returns why it is not let in */
  admit(proven: VerifiedBatch): BatchRefusal | undefined
  refused(reason: BatchRefusal): void
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
  port: Pick<Port, 'clock' | 'verify' | 'hash'>,
  prefixes: SigningPrefixes,
  limits: { maxUnverifiedBytes: number },
  budget: ValidationBudget,
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
    if (budget.bytes + bytes.length > limits.maxUnverifiedBytes) return refuse('overloaded')
    budget.bytes += bytes.length
    const genuine = await port
      .verify(publisher, signedBytes(prefixes, port.hash, batch), batch.signature)
      .catch(() => false)
    budget.bytes -= bytes.length
    if (!genuine) return refuse('signature')
    return { batch, bytes, arrivedAt: port.clock.monotonic() - ageMs }
  }
}

/** Checks what gossip brings of one first word. */
export class BatchValidator {
  readonly #port: Pick<Port, 'self' | 'clock' | 'verify' | 'hash'>
  readonly #word: string
  readonly #prefixes: SigningPrefixes
  readonly #limits: { maxUnverifiedBytes: number }
  readonly #budget: ValidationBudget
  readonly #hooks: BatchValidatorHooks
  /** Settles when what came before is let in or refused. */
  #turn: Promise<unknown> = Promise.resolve()

  constructor(
    port: Pick<Port, 'self' | 'clock' | 'verify' | 'hash'>,
    word: string,
    prefixes: SigningPrefixes,
    limits: { maxUnverifiedBytes: number },
    budget: ValidationBudget,
    hooks: BatchValidatorHooks,
  ) {
    this.#port = port
    this.#word = word
    this.#prefixes = prefixes
    this.#limits = limits
    this.#budget = budget
    this.#hooks = hooks
  }

  /** @param from the neighbour that it came from */
  accept(bytes: Uint8Array, from: string): Promise<Acceptance> {
    const batch = tryDecodeBatch(bytes)
    if (batch === undefined) return Promise.resolve(this.#refuse('malformed'))
    if (batch.word !== this.#word) return Promise.resolve(this.#refuse('foreign'))
    const past = this.#hooks.pastReason(batch)
    if (past !== undefined) return Promise.resolve(this.#refuse(past))
    const nowMs = this.#port.clock.monotonic()
    const isFull = this.#budget.bytes + bytes.length > this.#limits.maxUnverifiedBytes
    if (isFull || this.#budget.rates.waitMs(batch.publisher, nowMs, costOf(bytes)) > 0)
      return Promise.resolve(this.#refuse('overloaded'))
    this.#budget.bytes += bytes.length
    const result = this.#check(bytes, batch, from, nowMs, this.#turn)
    // One that fails holds up none of those behind it.
    this.#turn = result.catch(() => undefined)
    return result
  }

  #refuse(reason: BatchRefusal): 'ignore' | 'refuse' {
    this.#hooks.refused(reason)
    return FORGED.has(reason) ? 'refuse' : 'ignore'
  }

  /** Who hands a batch on answers for its signature; from the publisher's own hand it proves nothing that Noise has not. */
  async #check(
    bytes: Uint8Array,
    batch: DecodedBatch,
    from: string,
    arrivedAt: number,
    before: Promise<unknown>,
  ): Promise<Acceptance> {
    const reachedAll = from === batch.publisher && this.#hooks.reachedAll(batch)
    // Started now, looked at in its turn.
    const verifying =
      reachedAll ||
      this.#port
        .verify(batch.publisher, signedBytes(this.#prefixes, this.#port.hash, batch), batch.signature)
        .catch(() => undefined)
    await before
    const genuine = await verifying
    this.#budget.bytes -= bytes.length
    // Where the check itself failed, that is this node's own trouble.
    if (genuine === undefined) return this.#refuse('unchecked')
    if (!genuine) return this.#refuse('signature')
    const acceptance = reachedAll ? 'keep' : 'forward'
    // Brought back by gossip after a restart: it may travel on, but it is not news here.
    if (batch.publisher === this.#port.self.id) return acceptance
    if (!this.#budget.rates.take(batch.publisher, this.#port.clock.monotonic(), costOf(bytes)))
      return this.#refuse('overloaded')
    const refusal = this.#hooks.admit({ batch, bytes, arrivedAt })
    return refusal === undefined ? acceptance : this.#refuse(refusal)
  }
}
