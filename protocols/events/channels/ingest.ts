/**
 * Receiving, put together: what gossip brings and what neighbours are asked for goes one way.
 *
 * Each batch is checked (batch-validator.ts), then put in its order by one pure step (reorder-buffer.ts), which says what
 * is to be delivered and whether something is to be asked for; this driver carries it out. Deliver: to the dispatch, for
 * who listens now, and to the subscriptions that catch up. Ask: gap-repair.ts has it fetched.
 *
 * State: what is remembered of publishers (publisher-memory.ts), and that of the parts.
 */
import { delay } from '../../async.ts'
import type { Port, Stop } from '../../port.ts'
import { batchRange, type DecodedBatch, type VerifiedBatch } from '../batch/batch-decoder.ts'
import { type SigningPrefixes, signingPrefixes } from '../batch/batch-encoder.ts'
import type { DirectRecipients } from '../batch/direct-recipients.ts'
import type { BatchRefusal, EventCounters } from '../event-counters.ts'
import type { History } from '../history/history.ts'
import type { EventsSettings } from '../options.ts'
import { type OwnHead, signedHead } from '../protocol.ts'
import {
  BatchValidator,
  createFetchedBatchValidator,
  createValidationBudget,
  tryDecodeBatch,
  type ValidationBudget,
} from '../receive/batch-validator.ts'
import type { EventDispatch } from '../receive/event-dispatch.ts'
import { type BufferedBatch, ReorderBuffer } from '../receive/reorder-buffer.ts'
import { GapRepair } from '../repair/gap-repair.ts'
import { PublisherHeads } from '../repair/publisher-heads.ts'
import { Retrieval, type RetrievalPort } from '../repair/retrieval.ts'
import type { CatchupRegistry } from '../replay/catchup-registry.ts'
import type { EventSeries, SequenceRange } from '../series.ts'
import { GivenUpRanges, LastBatchTimes } from './publisher-memory.ts'

/** Batches that are on their way are not missing yet, when their publisher says how far it is. */
const HEAD_DELAY_MS = 100
/** Only what was said shortly before its publisher left may not have come. */
const TAIL_MS = 15_000
/** Clocks of publishers are believed to be no further apart, where it is asked how old an event is. */
const MAX_SKEW_MS = 3_600_000
const ROOM_EVERY_MS = 20
const ROOM_LIMIT_MS = 2_000

export type EventIngestPort = RetrievalPort & Pick<Port, 'sign' | 'verify' | 'hash'>

/** The channels as receiving sees them. */
export interface IngestChannels {
  topicOf(word: string): string
  /** This node is subscribed to the word. */
  has(word: string): boolean
}

export class EventIngest {
  readonly retrieval: Retrieval
  readonly heads: PublisherHeads
  readonly reorderBuffer: ReorderBuffer<VerifiedBatch>
  readonly #port: EventIngestPort
  readonly #settings: EventsSettings
  readonly #dispatch: EventDispatch
  readonly #counters: EventCounters
  readonly #history: History
  readonly #readers: CatchupRegistry
  readonly #directRecipients: DirectRecipients
  readonly #channels: IngestChannels
  readonly #prefixes: SigningPrefixes
  readonly #budget: ValidationBudget
  readonly #repair: GapRepair<VerifiedBatch>
  readonly #lastBatchTimes: LastBatchTimes
  readonly #givenUp = new GivenUpRanges()
  readonly #stopWatching: Stop

  constructor(
    port: EventIngestPort,
    settings: EventsSettings,
    dispatch: EventDispatch,
    counters: EventCounters,
    history: History,
    readers: CatchupRegistry,
    directRecipients: DirectRecipients,
    channels: IngestChannels,
  ) {
    this.#port = port
    this.#settings = settings
    this.#dispatch = dispatch
    this.#counters = counters
    this.#history = history
    this.#readers = readers
    this.#directRecipients = directRecipients
    this.#channels = channels
    this.reorderBuffer = new ReorderBuffer<VerifiedBatch>(settings)
    this.#prefixes = signingPrefixes(port.self.mesh)
    this.#budget = createValidationBudget(settings.maxPublishers)
    this.#lastBatchTimes = new LastBatchTimes(settings.maxPublishers)
    this.retrieval = this.#createRetrieval()
    this.#repair = this.#createRepair()
    this.heads = new PublisherHeads(port, directRecipients, (head) => signedHead(port.self.mesh, head), {
      advanced: ({ publisher, word, epoch, last }) => this.#noteHead({ publisher, word, epoch }, last),
      topicOf: channels.topicOf,
      isSubscribed: channels.has,
    })
    this.#stopWatching = port.onMember(({ id }, change) => {
      if (change === 'joined') {
        for (const reader of readers.all()) reader.neighbourJoined(id)
        return
      }
      this.heads.forget(id)
      if (this.#lastBatchTimes.isSince(id, port.clock.monotonic() - TAIL_MS)) this.#repair.askForTails(id)
    })
  }

  /** Subscribes to a word. */
  subscribe(word: string, topic: string): Stop {
    const validator = new BatchValidator(this.#port, word, this.#prefixes, this.#settings, this.#budget, {
      pastReason: (batch) => this.#pastReason(batch),
      reachedAll: ({ publisher, circle }) =>
        circle !== undefined && this.#directRecipients.coversAll(topic, publisher, circle),
      admit: (proven) => this.#admit(proven, proven.arrivedAt, false),
      refused: this.#counters.refused,
    })
    const accept = (bytes: Uint8Array, from: string) => validator.accept(bytes, from)
    // What was accepted is let in at once: what is accepted next may have waited for it.
    return this.#port.gossip.subscribe(topic, accept, () => undefined)
  }

  /** A neighbour told how far it is with what it publishes; undefined: it does not tell. */
  learnHeads(publisher: string, own: readonly OwnHead[] | undefined): void {
    this.heads.noteSupport(publisher, own !== undefined)
    if (own === undefined) {
      this.#repair.askForTails(publisher)
      return
    }
    this.#repair.cancelTails(publisher)
    for (const { word, epoch, last, since } of own) {
      if (!this.#channels.has(word)) continue
      this.reorderBuffer.startAt({ publisher, word, epoch }, since + 1)
      for (const reader of this.#readers.of(word)) reader.refresh(publisher, word)
      this.#noteHead({ publisher, word, epoch }, last)
    }
  }

  /** Up to where what this node does not have of these is gone for good. */
  goneTo({ publisher, word, epoch }: EventSeries, { from, to }: SequenceRange): number | undefined {
    return publisher === this.#port.self.id ? to : this.#givenUp.find(publisher, word, epoch, from)?.to
  }

  stop(): void {
    this.#stopWatching()
    this.heads.stop()
    this.retrieval.stop()
    this.#repair.stop()
  }

  /** Asked before a signature is paid for. What was given up is worth a check: others may ask for it. */
  #pastReason(batch: DecodedBatch): 'duplicate' | 'stale' | undefined {
    const reason = this.reorderBuffer.isPast(batch, batchRange(batch))
    return reason !== undefined && this.#isGivenUp(batch) ? undefined : reason
  }

  #isGivenUp({ publisher, word, epoch, first }: DecodedBatch): boolean {
    return this.#givenUp.find(publisher, word, epoch, first) !== undefined
  }

  /**
   * Takes the step for a proven batch and carries out what it says.
   * @param at when it came here, which for one that was asked for is not when its giver had it
   * @returns why it is not let in
   */
  #admit(proven: VerifiedBatch, at: number, wasAskedFor: boolean): BatchRefusal | undefined {
    const { batch, bytes } = proven
    const { publisher, word, epoch, first, spans, sentAt } = batch
    const series = { publisher, word, epoch }
    const entry = { from: first, to: first + spans.length / 2 - 1, bytes: bytes.length, at, value: proven }
    const { verdict, deliver, ask } = this.reorderBuffer.admit(series, entry, this.#dispatch.hasListeners(word))
    if (verdict === 'duplicate' || verdict === 'stale') {
      // Nobody is told any more here of what was given up; others may ask for it.
      if (!wasAskedFor && this.#isGivenUp(batch)) this.#history.keep(series, batchRange(batch), bytes, sentAt)
      return verdict
    }
    if (!wasAskedFor) this.#history.keep(series, batchRange(batch), bytes, sentAt)
    this.#lastBatchTimes.set(publisher, this.#port.clock.monotonic())
    this.#deliver(word, deliver)
    if (ask) this.#repair.check(publisher, word, 0)
    if (verdict === 'unkept') this.#counters.unkept()
    return undefined
  }

  /** Batches whose turn it is. */
  #deliver(word: string, batches: readonly BufferedBatch<VerifiedBatch>[]): void {
    for (const { value } of batches) {
      this.#counters.received(value.batch)
      if (this.#readers.has(word)) for (const reader of this.#readers.of(word)) reader.offer(value)
      // Where nobody listens the events are not even read.
      if (this.#dispatch.hasListeners(word)) this.#dispatch.deliverBatch(value)
    }
  }

  /** A publisher is proven to be this far. */
  #noteHead(series: EventSeries, last: number): void {
    if (this.reorderBuffer.noteHead(series, last, this.#port.clock.monotonic()))
      this.#repair.check(series.publisher, series.word, HEAD_DELAY_MS)
  }

  #createRetrieval(): Retrieval {
    const { clock } = this.#port
    return new Retrieval(this.#port, this.#history, this.#settings, {
      keep: (proven) => this.#keepGiven(proven),
      verify: createFetchedBatchValidator(
        this.#port,
        this.#prefixes,
        this.#settings,
        this.#budget,
        this.#counters.refused,
      ),
      decode(bytes, ageMs) {
        const batch = tryDecodeBatch(bytes)
        return batch === undefined ? undefined : { batch, bytes, arrivedAt: clock.monotonic() - ageMs }
      },
      topicOf: this.#channels.topicOf,
    })
  }

  /**
   * Keeps what a neighbour gave, with its age, as its giver says and as its publisher signed: nothing outlives the bounds by
   * being handed on, and what is old does not take the place of what is new.
   */
  #keepGiven({ batch, bytes, arrivedAt }: VerifiedBatch): void {
    const { publisher, word, epoch, sentAt } = batch
    const { clock } = this.#port
    const ageMs = Math.max(0, clock.monotonic() - arrivedAt, clock.now() - sentAt - MAX_SKEW_MS)
    this.#history.keep({ publisher, word, epoch }, batchRange(batch), bytes, sentAt, ageMs)
  }

  #createRepair(): GapRepair<VerifiedBatch> {
    return new GapRepair(this.#port, this.reorderBuffer, this.retrieval, {
      admit: (proven, fetched) => {
        const { word, spans } = proven.batch
        if (!this.#channels.has(word)) return
        const refusal = this.#admit(proven, this.#port.clock.monotonic(), true)
        if (refusal !== undefined) this.#counters.refused(refusal)
        else if (fetched) this.#counters.repaired(spans.length / 2)
      },
      lost: (series, range) => this.#giveUp(series, range),
      epochEnded: (series) => {
        if (this.#channels.has(series.word)) this.#deliver(series.word, this.reorderBuffer.endEpoch(series))
      },
      waitForRoom: (word) => this.#waitForRoom(word),
      hasListeners: (word) => this.#channels.has(word) && this.#dispatch.hasListeners(word),
    })
  }

  /** These are gone for good: everybody here is told, and what waited for them is delivered. */
  #giveUp(series: EventSeries, range: SequenceRange): void {
    const { word } = series
    this.#givenUp.add(series, range)
    this.#counters.missed(word, range.to - range.from + 1)
    this.#dispatch.missed({ ...series, ...range, reason: 'gap' })
    for (const reader of this.#readers.of(word)) reader.lost(series, range)
    if (this.#channels.has(word)) this.#deliver(word, this.reorderBuffer.giveUp(series, range))
  }

  /** Resolves when no subscription is far behind, or after ROOM_LIMIT_MS. */
  async #waitForRoom(word: string): Promise<void> {
    for (let waitedMs = 0; waitedMs < ROOM_LIMIT_MS && !this.#dispatch.hasRoom(word); waitedMs += ROOM_EVERY_MS) {
      await delay(this.#port.timers, ROOM_EVERY_MS)
    }
  }
}
