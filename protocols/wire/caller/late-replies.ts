/**
 * Answers that came too late: known for what they are, counted, and never handed to another call.
 *
 * State: the numbers of the last exchanges that were given up (at most 1,024), and the last late answers (at most 32).
 */
import type { Clock } from '../../port.ts'
import type { Frame } from '../frames/frame.ts'

export interface LateReply {
  exchange: number
  label: string
  kind: number
  bytes: number
  atMs: number
}

export interface LateReplies {
  /** An exchange was given up: what still comes for it is late. */
  expect(exchange: number, label: string): void
  add(received: Frame): void
  list(): readonly LateReply[]
}

const MAX_ABANDONED = 1024
const MAX_LATE = 32

export const createLateReplies = (clock: Clock): LateReplies => {
  const abandoned = new Map<number, string>()
  const late: LateReply[] = []
  return {
    expect(exchange, label) {
      abandoned.set(exchange, label)
      if (abandoned.size <= MAX_ABANDONED) return
      const oldest = abandoned.keys().next().value
      if (oldest !== undefined) abandoned.delete(oldest)
    },
    add({ exchange, kind, payload }) {
      late.push({
        exchange,
        label: abandoned.get(exchange) ?? 'unknown',
        kind,
        bytes: payload.length,
        atMs: clock.now(),
      })
      if (late.length > MAX_LATE) late.shift()
    },
    list: () => late,
  }
}
