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

/** Missing numbers of one lane that are asked for at a time. */
const MAX_MISSING = 128

export class ReceiveWindow<M> {
  readonly #run: (held: HeldMessage<M>) => void
  /** Bytes that are held, over all senders. */
  readonly #memory: { bytes: number }
  readonly #lanes = new Map<number, ReceiveLane<M>>()
  readonly #ackRanges = new Map<number, AckRanges>()
  #running = 0

  /** @param run what may run from now on, which may be at once */
  constructor(
    run: (held: HeldMessage<M>) => void,
    positions: ReadonlyMap<number, AckRanges> = new Map(),
    memory: { bytes: number } = { bytes: 0 },
  ) {
    this.#run = run
    this.#memory = memory
    for (const [number, position] of positions) this.#addLane(number, copyAckRanges(position))
  }

  #addLane(number: number, position: AckRanges): ReceiveLane<M> {
    const lane = { number, position, held: new Map(), known: position.upTo, conversations: new Map() }
    this.#lanes.set(number, lane)
    this.#ackRanges.set(number, position)
    return lane
  }

  #laneAt(number: number): ReceiveLane<M> {
    return this.#lanes.get(number) ?? this.#addLane(number, newAckRanges())
  }

  #drop(lane: ReceiveLane<M>, held: HeldMessage<M>): void {
    if (lane.held.get(held.sequence) !== held) return
    lane.held.delete(held.sequence)
    if (held.message !== undefined) this.#memory.bytes -= held.size
  }

  #begin(held: HeldMessage<M>): void {
    held.stage = 'running'
    this.#running += 1
    this.#run(held)
  }

  /** The next of its conversation may go. */
  #release(lane: ReceiveLane<M>, held: HeldMessage<M>): void {
    if (held.conversation === undefined) return
    const line = lane.conversations.get(held.conversation)
    const at = line?.indexOf(held) ?? -1
    if (line === undefined || at < 0) return
    line.splice(at, 1)
    const [next] = line
    if (next === undefined) lane.conversations.delete(held.conversation)
    else if (at === 0 && next.stage === 'waiting') this.#begin(next)
  }

  /** It and all before it are known. */
  #admit(lane: ReceiveLane<M>, held: HeldMessage<M>): void {
    if (held.message === undefined) {
      this.#drop(lane, held)
      markDone(lane.position, held.sequence)
      return
    }
    held.stage = 'waiting'
    if (held.conversation === undefined) {
      this.#begin(held)
      return
    }
    const line = lane.conversations.get(held.conversation)
    if (line === undefined) {
      lane.conversations.set(held.conversation, [held])
      this.#begin(held)
    } else line.push(held)
  }

  #advance(lane: ReceiveLane<M>): void {
    for (;;) {
      const sequence = lane.known + 1
      const held = lane.held.get(sequence)
      if (held === undefined && !isDone(lane.position, sequence)) return
      lane.known = sequence
      if (held?.stage === 'early') this.#admit(lane, held)
    }
  }

  /** A skip for a number that is here. */
  #skip(lane: ReceiveLane<M>, held: HeldMessage<M>): void {
    if (held.stage === 'running' || held.stage === 'finished') return
    this.#drop(lane, held)
    if (held.stage === 'early') {
      lane.held.set(held.sequence, { ...held, message: undefined })
      return
    }
    markDone(lane.position, held.sequence)
    this.#release(lane, held)
  }

  /** @param message undefined: a skip */
  arrived(
    number: number,
    sequence: number,
    message: M | undefined,
    conversation: string | undefined,
    size: number,
  ): Arrival {
    const lane = this.#laneAt(number)
    const known = lane.held.get(sequence)
    if (known !== undefined) return this.#arrivedAgain(lane, known, message)
    if (isDone(lane.position, sequence)) return 'duplicate'
    if (sequence > lane.position.upTo + LANE_SPAN) return 'beyond'
    const held: HeldMessage<M> = { lane: number, sequence, conversation, size, message, stage: 'early' }
    lane.held.set(sequence, held)
    if (message !== undefined) this.#memory.bytes += size
    this.#advance(lane)
    return message === undefined && isDone(lane.position, sequence) ? 'duplicate' : 'taken'
  }

  #arrivedAgain(lane: ReceiveLane<M>, known: HeldMessage<M>, message: M | undefined): Arrival {
    if (message === undefined) {
      const before = known.stage
      this.#skip(lane, known)
      return before === 'failed' || before === 'waiting' ? 'duplicate' : 'known'
    }
    if (known.stage !== 'failed') return 'known'
    known.message = message
    this.#memory.bytes += known.size
    this.#begin(known)
    return 'taken'
  }

  /** The message was processed; it is kept until what it did is durable. */
  finished(held: HeldMessage<M>): void {
    const lane = this.#laneAt(held.lane)
    if (held.stage !== 'running') return
    held.stage = 'finished'
    this.#running -= 1
    markDone(lane.position, held.sequence)
    this.#release(lane, held)
  }

  /** What it did is durable. */
  settled(held: HeldMessage<M>): void {
    this.#drop(this.#laneAt(held.lane), held)
  }

  failed(held: HeldMessage<M>): void {
    if (held.stage !== 'running') return
    held.stage = 'failed'
    this.#running -= 1
    this.#memory.bytes -= held.size
    held.message = undefined
  }

  /** The sender has nothing below these numbers. @returns how many of them were not known to be done */
  raiseBases(bases: ReadonlyMap<number, number>): number {
    let unknown = 0
    for (const [number, base] of bases) {
      const lane = this.#laneAt(number)
      unknown += raiseBase(lane.position, base)
      for (const held of [...lane.held.values()]) {
        if (held.sequence >= base || held.stage === 'running' || held.stage === 'finished') continue
        this.#drop(lane, held)
        this.#release(lane, held)
      }
      lane.known = Math.max(lane.known, lane.position.upTo)
      this.#advance(lane)
    }
    return unknown
  }

  /** Numbers that later ones wait for. */
  missing(): { lane: number; sequences: number[] }[] {
    const all: { lane: number; sequences: number[] }[] = []
    for (const lane of this.#lanes.values()) {
      let last = 0
      for (const held of lane.held.values()) if (held.stage === 'early' && held.sequence > last) last = held.sequence
      const sequences: number[] = []
      for (let sequence = lane.known + 1; sequence < last && sequences.length < MAX_MISSING; sequence += 1)
        if (!lane.held.has(sequence) && !isDone(lane.position, sequence)) sequences.push(sequence)
      if (sequences.length > 0) all.push({ lane: lane.number, sequences })
    }
    return all
  }

  /** Numbers that are here and not done. */
  held(): { lane: number; sequences: number[] }[] {
    const all: { lane: number; sequences: number[] }[] = []
    for (const lane of this.#lanes.values()) {
      const sequences: number[] = []
      for (const held of lane.held.values()) if (held.stage !== 'failed') sequences.push(held.sequence)
      if (sequences.length > 0) all.push({ lane: lane.number, sequences })
    }
    return all
  }

  /** By lane, what was processed, durable or not. */
  ackRanges(): Map<number, AckRanges> {
    return new Map([...this.#ackRanges].map(([number, position]) => [number, copyAckRanges(position)]))
  }

  /** The same, the very ones. */
  liveAckRanges(): ReadonlyMap<number, AckRanges> {
    return this.#ackRanges
  }

  /** Drops what has not begun; what runs is let go of. */
  clear(): HeldMessage<M>[] {
    const gone: HeldMessage<M>[] = []
    for (const lane of this.#lanes.values()) {
      for (const held of [...lane.held.values()]) {
        if (held.stage === 'running' || held.stage === 'finished') continue
        this.#drop(lane, held)
        gone.push(held)
      }
      lane.conversations.clear()
    }
    return gone
  }

  running(): number {
    return this.#running
  }
}
