/**
 * Answers to messages that were moved: two peers may have processed such a message, and both may answer. Of the answers by
 * its correlationId those of the peer that answered first count; the other's are late: acknowledged, counted, and handed
 * to nobody. Known at the node that sent the message; a third party that the answers go to hears both, and knows the second
 * by another source with the same correlationId.
 *
 * Rows `m/<message>`. State: the messages that were moved, at most MAX_MOVED; the one that was sent first goes first, and
 * is counted.
 */
import * as z from 'zod'
import { ParleyError } from '../../errors.ts'
import { decodePayload, encodePayload } from '../../wire/payload/payload.ts'
import { MOVED } from '../store/delivery-rows.ts'
import type { RowChange, RowStore } from '../store/row-storage.ts'

export const MAX_MOVED = 10_000
const AGAIN_MS = 500

const Row = z.object({
  /** Peer that answered first. */
  by: z.string().optional(),
})

interface Moved {
  by: string | undefined
  /** Answers of it are at work: whether they count is not known yet. */
  atWork: string | undefined
  running: number
}

/** One answer at work. */
export interface AnswerClaim {
  /** Asked for in the turn in which the answer counts: what is to be committed with that. */
  count(): RowChange[]
  /** However it ended. */
  end(): void
}

export interface LateAnswers {
  /** These messages are moved. @returns what goes with the commit that moves them */
  expect(messageIds: readonly string[]): RowChange[]
  /**
   * @returns undefined for what answers no message that was moved
   * @throws COM003 while an answer of another peer is at work
   */
  claim(correlationId: string | undefined, source: string): AnswerClaim | 'late' | undefined
  size(): number
}

export const openLateAnswers = async (
  store: Pick<RowStore, 'rows'>,
  forgotten: (count: number) => void,
): Promise<LateAnswers> => {
  const all = new Map<string, Moved>()
  for await (const { key, value } of store.rows(MOVED)) {
    const { by } = Row.parse(decodePayload('cbor', value))
    all.set(key.slice(MOVED.length), { by, atWork: undefined, running: 0 })
  }

  const change = (id: string, by: string | undefined): RowChange => ({
    key: MOVED + id,
    value: encodePayload('cbor', by === undefined ? {} : { by }),
  })

  return {
    expect(messageIds) {
      const changes: RowChange[] = []
      for (const id of messageIds) {
        if (all.has(id)) continue
        all.set(id, { by: undefined, atWork: undefined, running: 0 })
        changes.push(change(id, undefined))
      }
      let gone = 0
      for (const id of all.keys()) {
        if (all.size <= MAX_MOVED) break
        all.delete(id)
        changes.push({ key: MOVED + id, value: undefined })
        gone += 1
      }
      forgotten(gone)
      return changes
    },
    claim(correlationId, source) {
      const moved = correlationId === undefined ? undefined : all.get(correlationId)
      if (moved === undefined || correlationId === undefined) return undefined
      if (moved.by !== undefined && moved.by !== source) return 'late'
      if (moved.atWork !== undefined && moved.atWork !== source)
        throw new ParleyError('COM003', 'another answer to the same message is at work', {
          hint: 'it is tried again by itself',
          details: { retryAfterMs: AGAIN_MS },
        })
      moved.atWork = source
      moved.running += 1
      let isOpen = true
      return {
        count() {
          if (moved.by !== undefined) return []
          moved.by = source
          return [change(correlationId, source)]
        },
        end() {
          if (!isOpen) return
          isOpen = false
          moved.running -= 1
          if (moved.running === 0) moved.atWork = undefined
        },
      }
    },
    size: () => all.size,
  }
}
