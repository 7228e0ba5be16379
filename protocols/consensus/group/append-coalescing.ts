/**
 * Appends without entries, a little later: they say how far is committed, and mostly the next entries come first and say
 * the same. Each one that is spared spares an answer as well.
 *
 * To the algorithm a message that waits is one that was slow, and one that was dropped for a later one is one that was
 * lost: both are what it is made for. A new round of heartbeats, which reads wait for, is never held back.
 * State: at most one message for each member, for NOTICE_MS.
 */
import type { Port, Stop } from '../../port.ts'
import type { AddressedMessage, RaftMessage } from '../raft/raft-messages.ts'

/** Far below a heartbeat's 100 ms, and longer than a client takes to answer an answer. */
const NOTICE_MS = 5
/** Members and those who were members lately. */
const MAX_ROUNDS = 128

export interface AppendCoalescer {
  /** Sends it, now or soon. */
  send(addressed: AddressedMessage): void
  stop(): void
}

export const createAppendCoalescer = (
  timers: Port['timers'],
  send: (to: string, message: RaftMessage) => void,
): AppendCoalescer => {
  const held = new Map<string, RaftMessage>()
  /** The last round of heartbeats that each member was told. */
  const rounds = new Map<string, number>()
  let stopTimer: Stop | undefined

  const flush = (): void => {
    stopTimer = undefined
    const all = [...held]
    held.clear()
    for (const [to, message] of all) send(to, message)
  }

  return {
    send({ to, message }) {
      if (message.type !== 'append') {
        send(to, message)
        return
      }
      const isNotice = message.entries.length === 0 && message.round === rounds.get(to)
      if (isNotice) {
        held.set(to, message)
        stopTimer ??= timers.after(NOTICE_MS, flush)
        return
      }
      held.delete(to)
      if (rounds.size >= MAX_ROUNDS) rounds.clear()
      rounds.set(to, message.round)
      send(to, message)
    },
    stop() {
      stopTimer?.()
      held.clear()
    },
  }
}
