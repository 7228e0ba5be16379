/**
 * Connections between the nodes of a port network: who is a neighbour of whom, how long a message is under way, and what
 * is lost. Each direction of a connection keeps its order, as TCP does.
 *
 * State: the connections, when the last message of each direction arrives, and the faults that are set.
 */
import type { VirtualTime } from './virtual-time.ts'

export interface ConnectionFaults {
  /** Milliseconds of one way, least and most. */
  latencyMs: readonly [number, number]
  /** Share of single gossip hops that are lost, 0 to 1. */
  gossipLoss: number
  /** Share of one-way calls that are lost, and of streams' pieces that are sent again after `RESEND_MS`, 0 to 1. */
  loss: number
}

/** After so long a lost piece of a stream is sent again, milliseconds: the least retransmission timeout of Linux. */
const RESEND_MS = 200
/** A piece is not lost more often: at a loss of 1 it still arrives, late. */
const MAX_RESENDS = 8

/** How a message travels: what is lost of `stream` comes later, what is lost of `one-way` never. */
export type Travel = 'steady' | 'stream' | 'one-way'

export class VirtualConnections {
  readonly #time: VirtualTime
  readonly #random: () => number
  readonly #neighbours = new Map<string, Set<string>>()
  /** By `from>to`: when the last message of this direction arrives; another object after each new connection. */
  readonly #directions = new Map<string, { lastMs: number }>()
  readonly faults: ConnectionFaults
  /** What was sent, lost or not. */
  readonly traffic = { messages: 0, bytes: 0, lost: 0 }

  constructor(time: VirtualTime, random: () => number, faults: ConnectionFaults) {
    this.#time = time
    this.#random = random
    this.faults = faults
  }

  /** @returns its neighbours from now on: of this process, and not of the next one with its id */
  add(id: string): ReadonlySet<string> {
    const neighbours = new Set<string>()
    this.#neighbours.set(id, neighbours)
    return neighbours
  }

  remove(id: string): void {
    this.#neighbours.delete(id)
  }

  /** @returns whether that is new */
  connect(a: string, b: string): boolean {
    if (this.#neighbours.get(a)?.has(b) === true) return false
    this.#neighbours.get(a)?.add(b)
    this.#neighbours.get(b)?.add(a)
    this.#directions.set(`${a}>${b}`, { lastMs: 0 }).set(`${b}>${a}`, { lastMs: 0 })
    return true
  }

  /** What is under way is lost. @returns whether they were connected */
  disconnect(a: string, b: string): boolean {
    if (this.#neighbours.get(a)?.delete(b) !== true) return false
    this.#neighbours.get(b)?.delete(a)
    this.#directions.delete(`${a}>${b}`)
    this.#directions.delete(`${b}>${a}`)
    return true
  }

  isGossipLost(): boolean {
    return this.#random() < this.faults.gossipLoss
  }

  /** Runs `arrive` after the latency of the connection, if it still stands then. */
  send(from: string, to: string, bytes: Uint8Array, arrive: () => void, travel: Travel = 'steady'): void {
    const direction = this.#directions.get(`${from}>${to}`)
    if (direction === undefined) return
    this.traffic.messages += 1
    this.traffic.bytes += bytes.length
    const [least, most] = this.faults.latencyMs
    const now = this.#time.now()
    const arrivesMs = now + least + this.#random() * (most - least)
    const lostMs = travel === 'steady' ? 0 : this.#lostMs(travel)
    if (lostMs === Number.POSITIVE_INFINITY) return
    direction.lastMs = Math.max(direction.lastMs, arrivesMs + lostMs)
    this.#time.after(direction.lastMs - now, () => {
      if (this.#directions.get(`${from}>${to}`) === direction) arrive()
    })
  }

  /** How much later it arrives because it was lost; infinity for never. */
  #lostMs(travel: 'stream' | 'one-way'): number {
    const { loss } = this.faults
    let resends = 0
    while (loss > 0 && resends < MAX_RESENDS && this.#random() < loss) {
      this.traffic.lost += 1
      if (travel === 'one-way') return Number.POSITIVE_INFINITY
      resends += 1
    }
    return resends * RESEND_MS
  }
}
