/**
 * The way out of one first word: events gather into a batch, batches are signed in parallel and sent in order.
 *
 * A batch closes when it is full, when it is `batchMs` old, and at once when none is on its way: so a lone event leaves
 * immediately, and under load the time that signing takes is what fills the next batch. Before a batch is taken, the
 * outlet waits until the neighbours know each other's topics (reach.ts) and no outbound buffer is too full.
 *
 * State: the open batch, those that wait, the next sequence number. Bounded by the budget, which all outlets share.
 */
import { ParleyError } from '../../errors.ts'
import type { Port, Stop } from '../../port.ts'
import { ProtobufWriter } from '../../wire/frames/protobuf.ts'
import { BatchDraft, type EventAttributes, putEvent } from '../batch/batch-encoder.ts'
import type { EventsSettings } from '../options.ts'

/** A larger buffer is given back after the batch that needed it. */
const KEPT_BUFFER_BYTES = 256 * 1024
const RETRY_AFTER_MS = 100

/** Bytes of events that wait to be sent, over all outlets. */
export interface SendBudget {
  queuedBytes: number
}

export type BatchProducerPort = Pick<Port, 'self' | 'clock' | 'timers' | 'gossip' | 'sign'>

export interface BatchProducerHooks {
  /** Resolves when the batch may go, whose first event came at `openedAt` (monotonic). */
  ready(openedAt: number): Promise<void>
  /** Whom the next batch reaches directly, where that is sure. */
  directRecipients(): Uint8Array | undefined
  /** A batch went to gossip: `events` from number `first` on. */
  sent(first: number, events: number, recipients: number, bytes: Uint8Array, sentAt: number): void
  failed(events: number, error: unknown): void
}

export interface BatchProducer {
  /**
   * Puts an event into the open batch; its number is then `last()`.
   * @returns to how many peers the batch went; one promise for all events of a batch
   * @throws COM003 when too many bytes wait already
   */
  append(topic: Uint8Array, text: string, marks: EventAttributes | undefined): Promise<number>
  /** Sequence number of the event appended last; 0 before the first. */
  last(): number
  /** Resolves when nothing waits and nothing is on its way. */
  idle(): Promise<void>
  /** Fails what still waits. */
  stop(): void
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

export const createBatchProducer = (
  port: BatchProducerPort,
  word: string,
  topic: string,
  prefix: Uint8Array,
  settings: EventsSettings,
  budget: SendBudget,
  hooks: BatchProducerHooks,
): BatchProducer => {
  let writer = new ProtobufWriter(settings.batchBytes)
  let open: Batch | undefined
  const full: Batch[] = []
  let next = 1
  let flying = 0
  let order: Promise<void> = Promise.resolve()
  let clearing = false
  let clear = false
  let timer: Stop | undefined
  let due = false
  let stopped = false
  const idlers: (() => void)[] = []

  const newBatch = (): Batch => {
    const sent = Promise.withResolvers<number>()
    return { first: next, count: 0, draft: undefined, openedAt: port.clock.monotonic(), sent }
  }

  const close = (): void => {
    if (open === undefined) return
    open.draft = new BatchDraft(prefix, { publisher: port.self.id, word }, writer.bytes.subarray(0, writer.at))
    writer.at = 0
    if (writer.bytes.length > KEPT_BUFFER_BYTES) writer = new ProtobufWriter(settings.batchBytes)
    full.push(open)
    open = undefined
    due = false
  }

  const sign = async (batch: Batch, draft: BatchDraft, sentAt: number): Promise<Uint8Array> => {
    const waitedMs = Math.max(0, Math.round(port.clock.monotonic() - batch.openedAt))
    const { id: publisher, incarnation: epoch } = port.self
    const header = { publisher, word, epoch, first: batch.first, sentAt, waitedMs, circle: hooks.directRecipients() }
    return draft.seal(await port.sign(draft.toSign(header)))
  }

  const fail = (batch: Batch, error: unknown): void => {
    hooks.failed(batch.count, error)
    const what = `${batch.count} events of ${word} from number ${batch.first} on could not be sent`
    const hint = 'see the cause in the log; publish them again if they matter'
    batch.sent.reject(error instanceof ParleyError ? error : new ParleyError('COM002', what, { hint, cause: error }))
  }

  const launch = (batch: Batch, draft: BatchDraft): void => {
    flying += 1
    const sentAt = port.clock.now()
    const sealed = sign(batch, draft, sentAt)
    // It is awaited in its turn, perhaps after it failed.
    sealed.catch(() => undefined)
    const before = order
    order = (async () => {
      await before
      try {
        const bytes = await sealed
        const recipients = await port.gossip.publish(topic, bytes)
        hooks.sent(batch.first, batch.count, recipients, bytes, sentAt)
        batch.sent.resolve(recipients)
      } catch (error) {
        fail(batch, error)
      }
      flying -= 1
      budget.queuedBytes -= draft.eventBytes
      advance()
    })()
  }

  const tick = (): void => {
    timer = undefined
    if (open === undefined) return
    const restMs = open.openedAt + settings.batchMs - port.clock.monotonic()
    if (restMs > 0) timer = port.timers.after(Math.ceil(restMs), tick)
    else {
      due = true
      advance()
    }
  }

  const makeClear = async (openedAt: number): Promise<void> => {
    await hooks.ready(openedAt)
    // If even the waiting fails, so will the sending, and that is where it is reported.
    await port.gossip.writable(settings.syncMs).catch(() => undefined)
    clear = true
    clearing = false
    advance()
  }

  /** Sends what may be sent now. */
  const advance = (): void => {
    while (!clearing && flying < settings.pipeline) {
      const oldest = full[0] ?? (flying === 0 || due ? open : undefined)
      if (oldest === undefined) {
        if (open !== undefined) timer ??= port.timers.after(settings.batchMs, tick)
        break
      }
      if (!clear) {
        clearing = true
        void makeClear(oldest.openedAt)
        return
      }
      clear = false
      if (full.length === 0) close()
      const batch = full.shift()
      if (batch?.draft !== undefined) launch(batch, batch.draft)
    }
    if (flying === 0 && !clearing && open === undefined) for (const resolve of idlers.splice(0)) resolve()
  }

  return {
    append(name, text, marks) {
      if (stopped) throw stoppedError()
      let start = writer.at
      const ttl = marks?.ttlMs
      // The wire counts from the opening of the batch.
      const put = () => {
        const age = ttl === undefined || open === undefined ? 0 : Math.round(port.clock.monotonic() - open.openedAt)
        putEvent(writer, name, text, ttl === undefined ? marks : { ...marks, ttlMs: ttl + age })
      }
      put()
      const size = writer.at - start
      if (budget.queuedBytes + size > settings.maxQueuedBytes) {
        writer.at = start
        throw new ParleyError(
          'COM003',
          `${budget.queuedBytes} bytes of events wait already, at most ${settings.maxQueuedBytes}`,
          {
            hint: 'await publish() before the next one, or publish less',
            details: { retryAfterMs: RETRY_AFTER_MS, queuedBytes: budget.queuedBytes },
          },
        )
      }
      if (start > 0 && writer.at > settings.batchBytes) {
        writer.at = start
        close()
        start = 0
        put()
      }
      open ??= newBatch()
      budget.queuedBytes += writer.at - start
      open.count += 1
      next += 1
      const { promise } = open.sent
      if (open.count >= settings.batchEvents || writer.at >= settings.batchBytes) close()
      advance()
      return promise
    },
    last: () => next - 1,
    idle() {
      if (flying === 0 && !clearing && open === undefined && full.length === 0) return Promise.resolve()
      return new Promise((resolve) => {
        idlers.push(resolve)
      })
    },
    stop() {
      stopped = true
      timer?.()
      close()
      for (const batch of full.splice(0)) {
        budget.queuedBytes -= batch.draft?.eventBytes ?? 0
        fail(batch, stoppedError())
      }
      for (const resolve of idlers.splice(0)) resolve()
    },
  }
}
