/**
 * The messages of one sender at its receiver: which of them may run, which wait, which were processed. Pure.
 *
 * Promises: a number runs once it and all before it in its lane are known, and never while an earlier one of the same
 * conversation is not done; so messages of one conversation are processed in order, and one that fails holds up its own
 * conversation only. A number that was done is never run again. What waits is bounded by the span of a lane, and by the
 * sender's window.
 */
import { type AckRanges, copyAckRanges, isDone, LANE_SPAN, markDone, newAckRanges, raiseBase } from '../ack-ranges.ts'

/** `early`: a number before it is missing. `failed`: it ran and failed, and what is kept of it is its place. */
export type ReceiveStage = 'early' | 'waiting' | 'running' | 'finished' | 'failed'

export interface HeldMessage<M> {
  readonly lane: number
  readonly sequence: number
  readonly conversation: string | undefined
  readonly size: number
  /** Undefined: a skip, or what failed. */
  message: M | undefined
  stage: ReceiveStage
}

/** What became of a message that arrived. `known`: it is here already. `beyond`: there is no room for it. */
export type Arrival = 'taken' | 'known' | 'duplicate' | 'beyond'

interface ReceiveLane<M> {
  readonly number: number
  position: AckRanges
  readonly held: Map<number, HeldMessage<M>>
  /** All numbers up to it are done or held. */
  known: number
  readonly conversations: Map<string, HeldMessage<M>[]>
}

export interface ReceiveWindow<M> {
  /** What may run from now on is handed to `run`, which may be at once. */
  arrived(
    lane: number,
    sequence: number,
    message: M | undefined,
    conversation: string | undefined,
    size: number,
  ): Arrival
  /** The message was processed; it is kept until what it did is durable. */
  finished(held: HeldMessage<M>): void
  /** What it did is durable. */
  settled(held: HeldMessage<M>): void
  failed(held: HeldMessage<M>): void
  /** The sender has nothing below these numbers. @returns how many of them were not known to be done */
  raiseBases(bases: ReadonlyMap<number, number>): number
  /** Numbers that later ones wait for. */
  missing(): { lane: number; sequences: number[] }[]
  /** Numbers that are here and not done. */
  held(): { lane: number; sequences: number[] }[]
  /** By lane, what was processed, durable or not. */
  ackRanges(): Map<number, AckRanges>
  /** The same, the very ones. */
  liveAckRanges(): ReadonlyMap<number, AckRanges>
  /** Drops what has not begun; what runs is let go of. */
  clear(): HeldMessage<M>[]
  running(): number
}

/** Missing numbers of one lane that are asked for at a time. */
const MAX_MISSING = 128

export const createReceiveWindow = <M>(
  run: (held: HeldMessage<M>) => void,
  positions: ReadonlyMap<number, AckRanges> = new Map(),
  /** Bytes that are held, over all senders. */
  memory: { bytes: number } = { bytes: 0 },
): ReceiveWindow<M> => {
  const lanes = new Map<number, ReceiveLane<M>>()
  const live = new Map<number, AckRanges>()
  let running = 0

  const laneAt = (number: number, position: AckRanges = newAckRanges()): ReceiveLane<M> => {
    const known = lanes.get(number)
    if (known !== undefined) return known
    const lane = { number, position, held: new Map(), known: position.upTo, conversations: new Map() }
    lanes.set(number, lane)
    live.set(number, position)
    return lane
  }
  for (const [number, position] of positions) laneAt(number, copyAckRanges(position))

  const drop = (lane: ReceiveLane<M>, held: HeldMessage<M>): void => {
    if (lane.held.get(held.sequence) !== held) return
    lane.held.delete(held.sequence)
    if (held.message !== undefined) memory.bytes -= held.size
  }

  const begin = (held: HeldMessage<M>): void => {
    held.stage = 'running'
    running += 1
    run(held)
  }

  /** The next of its conversation may go. */
  const release = (lane: ReceiveLane<M>, held: HeldMessage<M>): void => {
    if (held.conversation === undefined) return
    const line = lane.conversations.get(held.conversation)
    const at = line?.indexOf(held) ?? -1
    if (line === undefined || at < 0) return
    line.splice(at, 1)
    const [next] = line
    if (next === undefined) lane.conversations.delete(held.conversation)
    else if (at === 0 && next.stage === 'waiting') begin(next)
  }

  /** It and all before it are known. */
  const admit = (lane: ReceiveLane<M>, held: HeldMessage<M>): void => {
    if (held.message === undefined) {
      drop(lane, held)
      markDone(lane.position, held.sequence)
      return
    }
    held.stage = 'waiting'
    if (held.conversation === undefined) {
      begin(held)
      return
    }
    const line = lane.conversations.get(held.conversation)
    if (line === undefined) {
      lane.conversations.set(held.conversation, [held])
      begin(held)
    } else line.push(held)
  }

  const advance = (lane: ReceiveLane<M>): void => {
    for (;;) {
      const sequence = lane.known + 1
      const held = lane.held.get(sequence)
      if (held === undefined && !isDone(lane.position, sequence)) return
      lane.known = sequence
      if (held?.stage === 'early') admit(lane, held)
    }
  }

  /** A skip for a number that is here. */
  const skip = (lane: ReceiveLane<M>, held: HeldMessage<M>): void => {
    if (held.stage === 'running' || held.stage === 'finished') return
    drop(lane, held)
    if (held.stage === 'early') {
      lane.held.set(held.sequence, { ...held, message: undefined })
      return
    }
    markDone(lane.position, held.sequence)
    release(lane, held)
  }

  return {
    arrived(number, sequence, message, conversation, size) {
      const lane = laneAt(number)
      const known = lane.held.get(sequence)
      if (known !== undefined) {
        if (message === undefined) {
          const before = known.stage
          skip(lane, known)
          return before === 'failed' || before === 'waiting' ? 'duplicate' : 'known'
        }
        if (known.stage !== 'failed') return 'known'
        known.message = message
        memory.bytes += known.size
        begin(known)
        return 'taken'
      }
      if (isDone(lane.position, sequence)) return 'duplicate'
      if (sequence > lane.position.upTo + LANE_SPAN) return 'beyond'
      const held: HeldMessage<M> = { lane: number, sequence, conversation, size, message, stage: 'early' }
      lane.held.set(sequence, held)
      if (message !== undefined) memory.bytes += size
      advance(lane)
      return message === undefined && isDone(lane.position, sequence) ? 'duplicate' : 'taken'
    },
    finished(held) {
      const lane = laneAt(held.lane)
      if (held.stage !== 'running') return
      held.stage = 'finished'
      running -= 1
      markDone(lane.position, held.sequence)
      release(lane, held)
    },
    settled(held) {
      drop(laneAt(held.lane), held)
    },
    failed(held) {
      if (held.stage !== 'running') return
      held.stage = 'failed'
      running -= 1
      memory.bytes -= held.size
      held.message = undefined
    },
    raiseBases(bases) {
      let unknown = 0
      for (const [number, base] of bases) {
        const lane = laneAt(number)
        unknown += raiseBase(lane.position, base)
        for (const held of [...lane.held.values()]) {
          if (held.sequence >= base || held.stage === 'running' || held.stage === 'finished') continue
          drop(lane, held)
          release(lane, held)
        }
        lane.known = Math.max(lane.known, lane.position.upTo)
        advance(lane)
      }
      return unknown
    },
    missing() {
      const all: { lane: number; sequences: number[] }[] = []
      for (const lane of lanes.values()) {
        let last = 0
        for (const held of lane.held.values()) if (held.stage === 'early' && held.sequence > last) last = held.sequence
        const sequences: number[] = []
        for (let sequence = lane.known + 1; sequence < last && sequences.length < MAX_MISSING; sequence += 1)
          if (!lane.held.has(sequence) && !isDone(lane.position, sequence)) sequences.push(sequence)
        if (sequences.length > 0) all.push({ lane: lane.number, sequences })
      }
      return all
    },
    held() {
      const all: { lane: number; sequences: number[] }[] = []
      for (const lane of lanes.values()) {
        const sequences: number[] = []
        for (const held of lane.held.values()) if (held.stage !== 'failed') sequences.push(held.sequence)
        if (sequences.length > 0) all.push({ lane: lane.number, sequences })
      }
      return all
    },
    ackRanges: () => new Map([...live].map(([number, position]) => [number, copyAckRanges(position)])),
    liveAckRanges: () => live,
    clear() {
      const gone: HeldMessage<M>[] = []
      for (const lane of lanes.values()) {
        for (const held of [...lane.held.values()]) {
          if (held.stage === 'running' || held.stage === 'finished') continue
          drop(lane, held)
          gone.push(held)
        }
        lane.conversations.clear()
      }
      return gone
    },
    running: () => running,
  }
}
