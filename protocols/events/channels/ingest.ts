/**
 * The way in of all words, put together: inlets, the order in which batches are let in, what is missing and who has it, how
 * far publishers are, and who is told: the dispatch and the subscriptions that read.
 *
 * State: when publishers were heard last, and what was given up last, for those that ask for it.
 */
import type { Port, Stop } from '../../port.ts'
import type { VerifiedBatch } from '../batch/batch-decoder.ts'
import { batchRange } from '../batch/batch-decoder.ts'
import { signingPrefix } from '../batch/batch-encoder.ts'
import type { DirectRecipients } from '../batch/direct-recipients.ts'
import type { EventCounters } from '../event-counters.ts'
import type { History } from '../history/history.ts'
import type { EventsSettings } from '../options.ts'
import { type OwnHead, signedHead } from '../protocol.ts'
import {
  type BatchValidator,
  createBatchValidator,
  createFetchedBatchValidator,
  createValidationBudget,
  tryDecodeBatch,
} from '../receive/batch-validator.ts'
import type { EventDispatch } from '../receive/event-dispatch.ts'
import { createReorderBuffer, type ReorderBuffer } from '../receive/reorder-buffer.ts'
import { createGapRepair } from '../repair/gap-repair.ts'
import { createPublisherHeads, type PublisherHeads } from '../repair/publisher-heads.ts'
import { createRetrieve, type Retrieve, type RetrievePort } from '../repair/retrieve.ts'
import type { CatchupRegistry } from '../replay/catchup-registry.ts'
import type { EventSeries, SequenceRange } from '../series.ts'

/** Batches that are on their way are not missing yet, when their publisher says how far it is. */
const HEAD_DELAY_MS = 100
/** Only what was said shortly before its publisher left may not have come. */
const TAIL_MS = 15_000
/** Ranges that were given up, for those that ask for them. */
const MAX_LOSSES = 256
/** Clocks of publishers are believed to be no further apart, where it is asked how old an event is. */
const MAX_SKEW_MS = 3_600_000
const ROOM_EVERY_MS = 20
const ROOM_LIMIT_MS = 2_000

export type EventIngestPort = RetrievePort & Pick<Port, 'sign' | 'verify'>

export interface EventIngest {
  readonly retrieve: Retrieve
  readonly heads: PublisherHeads
  readonly reorderBuffer: Pick<
    ReorderBuffer<VerifiedBatch>,
    'position' | 'publishers' | 'stopListening' | 'waitingBytes'
  >
  /** Hears a word. */
  subscribe(name: string, topic: string): { inlet: BatchValidator; unsubscribe: Stop }
  /** A neighbour told how far it is with what it publishes; undefined: it does not tell. */
  learnHeads(publisher: string, own: readonly OwnHead[] | undefined): void
  /** Up to where what this node does not have of these is gone for good. */
  goneTo(series: EventSeries, range: SequenceRange): number | undefined
  stop(): void
}

export const createEventIngest = (
  port: EventIngestPort,
  settings: EventsSettings,
  dispatch: EventDispatch,
  counters: EventCounters,
  history: History,
  readers: CatchupRegistry,
  circle: DirectRecipients,
  words: {
    topicOf(name: string): string
    hears(name: string): boolean
    inletOf(name: string): BatchValidator | undefined
  },
): EventIngest => {
  const order = createReorderBuffer<VerifiedBatch>(settings)
  const prefix = signingPrefix(port.self.mesh)
  const checking = createValidationBudget(settings.maxPublishers)
  /** The one heard longest ago first. */
  const heardAt = new Map<string, number>()
  const losses: (EventSeries & SequenceRange)[] = []

  /**
   * With its age, as its giver says and as its publisher signed: nothing outlives the bounds by being handed on, and what is
   * old does not take the place of what is new.
   */
  const keep = ({ batch, bytes, arrivedAt }: VerifiedBatch): void => {
    const { publisher, word, epoch, sentAt } = batch
    const ageMs = Math.max(0, port.clock.monotonic() - arrivedAt, port.clock.now() - sentAt - MAX_SKEW_MS)
    history.keep({ publisher, word, epoch }, batchRange(batch), bytes, sentAt, ageMs)
  }

  const retrieve = createRetrieve(port, history, settings, {
    keep,
    verify: createFetchedBatchValidator(port, prefix, settings, checking, counters.refused),
    decode(bytes, ageMs) {
      const batch = tryDecodeBatch(bytes)
      return batch === undefined ? undefined : { batch, bytes, arrivedAt: port.clock.monotonic() - ageMs }
    },
    topicOf: words.topicOf,
  })

  /** What was given up lately and holds number `at`. */
  const lossAt = ({ publisher, word, epoch }: EventSeries, at: number): SequenceRange | undefined =>
    losses.find(
      (loss) =>
        loss.publisher === publisher && loss.word === word && loss.epoch === epoch && loss.from <= at && at <= loss.to,
    )

  /** Resolves when no subscription is far behind, or after ROOM_LIMIT_MS. */
  const room = async (word: string): Promise<void> => {
    for (let waitedMs = 0; waitedMs < ROOM_LIMIT_MS && !dispatch.hasRoom(word); waitedMs += ROOM_EVERY_MS) {
      await new Promise<void>((resolve) => port.timers.after(ROOM_EVERY_MS, resolve))
    }
  }

  const repair = createGapRepair(port, order, retrieve, {
    admit(proven, fetched) {
      const { from, to } = batchRange(proven.batch)
      const acceptance = words.inletOf(proven.batch.word)?.admit(proven)
      if (fetched && acceptance === 'keep') counters.repaired(to - from + 1)
    },
    lost(series, range) {
      losses.push({ ...series, ...range })
      if (losses.length > MAX_LOSSES) losses.shift()
      counters.missed(series.word, range.to - range.from + 1)
      dispatch.missed({ ...series, ...range, reason: 'gap' })
      for (const reader of readers.of(series.word)) reader.lost(series, range)
      words.inletOf(series.word)?.release(order.giveUp(series, range))
    },
    epochEnded: (series) => words.inletOf(series.word)?.release(order.endEpoch(series)),
    waitForRoom: room,
    hasListeners: (name) => words.hears(name) && dispatch.hasListeners(name),
  })

  const heads = createPublisherHeads(port, circle, (head) => signedHead(port.self.mesh, head), {
    advanced({ publisher, word, epoch, last }) {
      if (order.noteHead({ publisher, word, epoch }, last, port.clock.monotonic()))
        repair.check(publisher, word, HEAD_DELAY_MS)
    },
    topicOf: words.topicOf,
    isSubscribed: words.hears,
  })

  const stopWatching = port.onMember(({ id }, change) => {
    if (change === 'joined') {
      for (const reader of readers.all()) reader.neighbourJoined(id)
      return
    }
    heads.forget(id)
    if ((heardAt.get(id) ?? Number.NEGATIVE_INFINITY) > port.clock.monotonic() - TAIL_MS) repair.askForTails(id)
  })

  const heard = (publisher: string): void => {
    const [oldest] = heardAt.size >= settings.maxPublishers && !heardAt.has(publisher) ? heardAt.keys() : []
    if (oldest !== undefined) heardAt.delete(oldest)
    heardAt.set(publisher, port.clock.monotonic())
  }

  return {
    retrieve,
    heads,
    reorderBuffer: order,
    subscribe(name, topic) {
      const inlet = createBatchValidator(port, name, prefix, settings, checking, order, {
        refused: counters.refused,
        gapFound: (publisher) => repair.check(publisher, name, 0),
        bufferFull: counters.unkept,
        hasListeners: () => dispatch.hasListeners(name),
        event: dispatch.deliverReceived,
        malformed: () => counters.dropped('malformed'),
        batch(proven) {
          counters.received(proven.batch)
          if (readers.has(name)) for (const reader of readers.of(name)) reader.offer(proven)
        },
        admitted(batch, bytes, fetched) {
          const { publisher, epoch, sentAt } = batch
          if (!fetched) history.keep({ publisher, word: name, epoch }, batchRange(batch), bytes, sentAt)
          heard(publisher)
        },
        isGivenUp: ({ publisher, epoch, first }) => lossAt({ publisher, word: name, epoch }, first) !== undefined,
        // Nobody is told of it here any more; others may ask for it.
        arrivedLate(batch, bytes) {
          const { publisher, epoch, sentAt } = batch
          history.keep({ publisher, word: name, epoch }, batchRange(batch), bytes, sentAt)
        },
        reachedAll: ({ publisher, circle: named }) => named !== undefined && circle.coversAll(topic, publisher, named),
      })
      // What was accepted is let in at once: what is accepted next may have waited for it.
      return { inlet, unsubscribe: port.gossip.subscribe(topic, inlet.accept, () => undefined) }
    },
    learnHeads(publisher, own) {
      heads.noteSupport(publisher, own !== undefined)
      if (own === undefined) {
        repair.askForTails(publisher)
        return
      }
      repair.cancelTails(publisher)
      for (const { word, epoch, last, since } of own) {
        if (!words.hears(word)) continue
        order.startAt({ publisher, word, epoch }, since + 1)
        for (const reader of readers.of(word)) reader.refresh(publisher, word)
        if (order.noteHead({ publisher, word, epoch }, last, port.clock.monotonic()))
          repair.check(publisher, word, HEAD_DELAY_MS)
      }
    },
    goneTo: (series, { from, to }) => (series.publisher === port.self.id ? to : lossAt(series, from)?.to),
    stop() {
      stopWatching()
      heads.stop()
      retrieve.stop()
      repair.stop()
    },
  }
}
