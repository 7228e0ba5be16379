/**
 * Answers that go to a topic: kept until they are published, so that an answer is an event if what it answers was
 * processed. They are published once or more, where the process dies in between.
 *
 * Rows `p/<number>`. They count against the outbox's bounds. State: those that wait, oldest first; whether one is being
 * published.
 */
import * as z from 'zod'
import type { Port } from '../../port.ts'
import { decodePayload, encodePayload } from '../../wire/payload/payload.ts'
import { padded, TOPIC_ANSWERS } from '../store/delivery-rows.ts'
import type { RowStore } from '../store/row-storage.ts'
import type { Outbox, StagedChanges } from './outbox.ts'

const KEY_DIGITS = 11
const AGAIN_MS = 1_000

const TopicAnswerSchema = z.object({
  topic: z.string(),
  /** Id of the message that is answered. */
  correlationId: z.string(),
  conversationId: z.string().optional(),
  /** Who sent it. */
  requester: z.string(),
  /** Of the answer. */
  type: z.string(),
  value: z.unknown(),
})
export type TopicAnswer = z.output<typeof TopicAnswerSchema>

export interface TopicAnswersDeps {
  readonly port: Pick<Port, 'clock' | 'log'>
  readonly store: Pick<RowStore, 'rows' | 'later'>
  readonly outbox: Pick<Outbox, 'count'>
  publish(answer: TopicAnswer): Promise<void>
  published(): void
}

export interface TopicAnswers {
  /** In the turn in which the changes are handed over. */
  stage(row: Uint8Array): StagedChanges
  tick(): void
  size(): number
  stop(): void
}

/** @throws MSG002 */
export const encodeTopicAnswer = (answer: TopicAnswer): Uint8Array => encodePayload('cbor', answer)

export const openTopicAnswers = async (deps: TopicAnswersDeps): Promise<TopicAnswers> => {
  const { port, store, outbox } = deps
  const waiting = new Map<string, Uint8Array>()
  let turn = 0
  let isBusy = false
  let isStopped = false
  let notBefore = 0
  for await (const { key, value } of store.rows(TOPIC_ANSWERS)) {
    waiting.set(key, value)
    turn = Math.max(turn, Number.parseInt(key.slice(TOPIC_ANSWERS.length), 36))
    outbox.count(1, value.length)
  }

  const publishNext = async (key: string, row: Uint8Array): Promise<void> => {
    const { conversationId, ...answer } = TopicAnswerSchema.parse(decodePayload('cbor', row))
    await deps.publish({ ...answer, ...(conversationId !== undefined && { conversationId }) })
    if (isStopped) return
    waiting.delete(key)
    outbox.count(-1, -row.length)
    store.later([{ key, value: undefined }])
    deps.published()
  }

  const publishAll = async (): Promise<void> => {
    if (isBusy || isStopped || port.clock.monotonic() < notBefore) return
    isBusy = true
    try {
      for (const [key, row] of waiting) {
        if (isStopped) return
        await publishNext(key, row)
      }
    } catch (error) {
      notBefore = port.clock.monotonic() + AGAIN_MS
      port.log.info('an answer could not be published on its topic; it is tried again', { error })
    } finally {
      isBusy = false
    }
  }

  return {
    stage(row) {
      turn += 1
      const key = TOPIC_ANSWERS + padded(turn, KEY_DIGITS)
      outbox.count(1, row.length)
      return {
        changes: [{ key, value: row }],
        launch() {
          waiting.set(key, row)
          void publishAll()
        },
        drop: () => outbox.count(-1, -row.length),
      }
    },
    tick() {
      if (waiting.size > 0) void publishAll()
    },
    size: () => waiting.size,
    stop() {
      isStopped = true
    },
  }
}
