/**
 * The way out of one first word: events gather into a batch, batches are signed in parallel and sent in order.
 *
 * A batch closes when it is full, when it is `batchMs` old, and, when none is on its way, at the end of the turn: so a lone
 * event leaves immediately, what is published together leaves together, and under load the time that signing takes is what
 * fills the next batch. Before a batch is taken, the producer waits until the neighbours know each other's topics
 * (subscription-sync.ts) and no outbound buffer is too full.
 *
 * State: the open batch, those that wait, the next sequence number. Bounded by the budget, which all producers share.
 */
import { ParleyError } from '../../errors.ts'
import type { Port, Stop } from '../../port.ts'
import { ProtobufWriter } from '../../wire/frames/protobuf.ts'
import { BatchDraft, putEvent } from '../batch/batch-encoder.ts'
import type { EventAttributes } from '../batch/event-attributes.ts'
import type { EventsSettings } from '../options.ts'

/** A larger buffer is given back after the batch that needed it. */
const KEPT_BUFFER_BYTES = 256 * 1024
const RETRY_AFTER_MS = 100

/** Bytes of events that wait to be sent, over all producers. */
export interface SendBudget {
  queuedBytes: number
}

export type BatchProducerPort = Pick<Port, 'self' | 'clock' | 'timers' | 'gossip' | 'sign' | 'hash'>

export interface BatchProducerHooks {
  /** Resolves when the batch may go, whose first event came at `openedAt` (monotonic). */
  ready(openedAt: number): Promise<void>
  /** Whom the next batch reaches directly, where that is sure. */
  directRecipients(): Uint8Array | undefined
  /** A batch went to gossip: `events` from number `first` on. */
  sent(first: number, events: number, recipients: number, bytes: Uint8Array, sentAt: number): void
  failed(events: number, error: unknown): void
}

/** The way out of one first word, as publish() sees it. */
export interface ChannelProducer {
  readonly batches: BatchProducer
  /** In front of a sequence number it is an event's id. */
  readonly idPrefix: string
}

interface Batch {
  /** Sequence number of the first event. */
  first: number
  count: number
  /** Set when the batch is closed; before, the events are in the writer. */
  draft: BatchDraft | undefined
  openedAt: number
  /** Settled when the batch went to gossip. */
  readonly sent: PromiseWithResolvers<number>
}

const stoppedError = (): ParleyError =>
  new ParleyError('COM002', 'the mesh stopped before this event was sent', { hint: 'publish before stop()' })

export class BatchProducer {
  readonly #port: BatchProducerPort
  readonly #word: string
  readonly #topic: string
  readonly #prefix: Uint8Array
  readonly #settings: EventsSettings
  readonly #budget: SendBudget
  readonly #hooks: BatchProducerHooks
  #writer: ProtobufWriter
  #open: Batch | undefined
  readonly #full: Batch[] = []
  #next = 1
  #inFlight = 0
  #order: Promise<void> = Promise.resolve()
  #isClearing = false
  #isClear = false
  #timer: Stop | undefined
  #due = false
  #isSoon = false
  #stopped = false
  readonly #idleWaiters: (() => void)[] = []

  /** Made once, as a timer is set for many batches. */
  readonly #tick = (): void => {
    this.#timer = undefined
    if (this.#open === undefined) return
    const restMs = this.#open.openedAt + this.#settings.batchMs - this.#port.clock.monotonic()
    if (restMs > 0) this.#timer = this.#port.timers.after(Math.ceil(restMs), this.#tick)
    else {
      this.#due = true
      this.#advance()
    }
  }

  constructor(
    port: BatchProducerPort,
    word: string,
    topic: string,
    prefix: Uint8Array,
    settings: EventsSettings,
    budget: SendBudget,
    hooks: BatchProducerHooks,
  ) {
    this.#port = port
    this.#word = word
    this.#topic = topic
    this.#prefix = prefix
    this.#settings = settings
    this.#budget = budget
    this.#hooks = hooks
    this.#writer = new ProtobufWriter(settings.batchBytes)
  }

  /**
   * Puts an event into the open batch; its number is then `last()`.
   * @returns to how many peers the batch went; one promise for all events of a batch
   * @throws COM003 when too many bytes wait already
   */
  append(name: Uint8Array, text: string, attributes: EventAttributes | undefined): Promise<number> {
    if (this.#stopped) throw stoppedError()
    let start = this.#writer.at
    this.#put(name, text, attributes)
    const size = this.#writer.at - start
    if (this.#budget.queuedBytes + size > this.#settings.maxQueuedBytes) {
      this.#writer.at = start
      throw new ParleyError(
        'COM003',
        `${this.#budget.queuedBytes} bytes of events wait already, at most ${this.#settings.maxQueuedBytes}`,
        {
          hint: 'await publish() before the next one, or publish less',
          details: { retryAfterMs: RETRY_AFTER_MS, queuedBytes: this.#budget.queuedBytes },
        },
      )
    }
    if (start > 0 && this.#writer.at > this.#settings.batchBytes) {
      this.#writer.at = start
      this.#close()
      start = 0
      this.#put(name, text, attributes)
    }
    this.#open ??= this.#newBatch()
    this.#budget.queuedBytes += this.#writer.at - start
    this.#open.count += 1
    this.#next += 1
    const { promise } = this.#open.sent
    const isFull = this.#open.count >= this.#settings.batchEvents || this.#writer.at >= this.#settings.batchBytes
    if (isFull) this.#close()
    if (isFull || this.#full.length > 0) this.#advance()
    else this.#advanceSoon()
    return promise
  }

  /** Sequence number of the event appended last; 0 before the first. */
  last(): number {
    return this.#next - 1
  }

  /** Resolves when nothing waits and nothing is on its way. */
  idle(): Promise<void> {
    if (this.#inFlight === 0 && !this.#isClearing && this.#open === undefined && this.#full.length === 0)
      return Promise.resolve()
    return new Promise((resolve) => {
      this.#idleWaiters.push(resolve)
    })
  }

  /** Fails what still waits. */
  stop(): void {
    this.#stopped = true
    this.#timer?.()
    this.#close()
    for (const batch of this.#full.splice(0)) {
      this.#budget.queuedBytes -= batch.draft?.eventBytes ?? 0
      this.#fail(batch, stoppedError())
    }
    for (const resolve of this.#idleWaiters.splice(0)) resolve()
  }

  #put(name: Uint8Array, text: string, attributes: EventAttributes | undefined): void {
    const ttl = attributes?.ttlMs
    // The wire counts from the opening of the batch.
    const ageMs =
      ttl === undefined || this.#open === undefined ? 0 : Math.round(this.#port.clock.monotonic() - this.#open.openedAt)
    putEvent(this.#writer, name, text, ttl === undefined ? attributes : { ...attributes, ttlMs: ttl + ageMs })
  }

  #newBatch(): Batch {
    const sent = Promise.withResolvers<number>()
    return { first: this.#next, count: 0, draft: undefined, openedAt: this.#port.clock.monotonic(), sent }
  }

  #close(): void {
    if (this.#open === undefined) return
    this.#open.draft = new BatchDraft(
      this.#prefix,
      this.#port.hash,
      { publisher: this.#port.self.id, word: this.#word },
      this.#writer.bytes.subarray(0, this.#writer.at),
    )
    this.#writer.at = 0
    if (this.#writer.bytes.length > KEPT_BUFFER_BYTES) this.#writer = new ProtobufWriter(this.#settings.batchBytes)
    this.#full.push(this.#open)
    this.#open = undefined
    this.#due = false
  }

  async #sign(batch: Batch, draft: BatchDraft, sentAt: number): Promise<Uint8Array> {
    const waitedMs = Math.max(0, Math.round(this.#port.clock.monotonic() - batch.openedAt))
    const { id: publisher, incarnation: epoch } = this.#port.self
    const header = {
      publisher,
      word: this.#word,
      epoch,
      first: batch.first,
      sentAt,
      waitedMs,
      circle: this.#hooks.directRecipients(),
    }
    return draft.seal(await this.#port.sign(draft.toSign(header)))
  }

  #fail(batch: Batch, error: unknown): void {
    this.#hooks.failed(batch.count, error)
    const what = `${batch.count} events of ${this.#word} from number ${batch.first} on could not be sent`
    const hint = 'see the cause in the log; publish them again if they matter'
    batch.sent.reject(error instanceof ParleyError ? error : new ParleyError('COM002', what, { hint, cause: error }))
  }

  #launch(batch: Batch, draft: BatchDraft): void {
    this.#inFlight += 1
    const sentAt = this.#port.clock.now()
    const sealed = this.#sign(batch, draft, sentAt)
    // It is awaited in its turn, perhaps after it failed.
    sealed.catch(() => undefined)
    const before = this.#order
    this.#order = (async () => {
      await before
      try {
        const bytes = await sealed
        const recipients = await this.#port.gossip.publish(this.#topic, bytes)
        this.#hooks.sent(batch.first, batch.count, recipients, bytes, sentAt)
        batch.sent.resolve(recipients)
      } catch (error) {
        this.#fail(batch, error)
      }
      this.#inFlight -= 1
      this.#budget.queuedBytes -= draft.eventBytes
      this.#advance()
    })()
  }

  async #makeClear(openedAt: number): Promise<void> {
    await this.#hooks.ready(openedAt)
    // If even the waiting fails, so will the sending, and that is where it is reported.
    await this.#port.gossip.writable(this.#settings.syncMs).catch(() => undefined)
    this.#isClear = true
    this.#isClearing = false
    this.#advance()
  }

  /** Once this turn has published what it publishes: its first event would be a batch of its own otherwise. */
  #advanceSoon(): void {
    if (this.#isSoon) return
    this.#isSoon = true
    queueMicrotask(() => {
      this.#isSoon = false
      this.#advance()
    })
  }

  /** Sends what may be sent now. */
  #advance(): void {
    while (!this.#isClearing && this.#inFlight < this.#settings.pipeline) {
      const oldest = this.#full[0] ?? (this.#inFlight === 0 || this.#due ? this.#open : undefined)
      if (oldest === undefined) {
        if (this.#open !== undefined) this.#timer ??= this.#port.timers.after(this.#settings.batchMs, this.#tick)
        break
      }
      if (!this.#isClear) {
        this.#isClearing = true
        void this.#makeClear(oldest.openedAt)
        return
      }
      this.#isClear = false
      if (this.#full.length === 0) this.#close()
      const batch = this.#full.shift()
      if (batch?.draft !== undefined) this.#launch(batch, batch.draft)
    }
    if (this.#inFlight === 0 && !this.#isClearing && this.#open === undefined)
      for (const resolve of this.#idleWaiters.splice(0)) resolve()
  }
}
