/** Asks others who coordinates, for as long as somebody waits to know. State: those who wait (bounded by their deadlines). */
import { waitFor } from '../async.ts'
import type { Port, Stop } from '../port.ts'
import { coordinatorProtocol } from './contract.ts'

/** Others are asked this often while somebody waits, milliseconds. */
const ASK_MS = 100
const ASK_AT_ONCE = 3
const ASK_TIMEOUT_MS = 800

export interface KnownLeader {
  readonly epoch: number
  /** Peer id. */
  readonly peer: string
}

export interface LeaderReport {
  readonly meshId?: string | undefined
  readonly epoch: number
  readonly leader?: string | undefined
  readonly version?: number | undefined
  /** Peers of the voters and learners. */
  readonly seats?: readonly string[] | undefined
  /** From somebody else, who may not have heard of it for long. */
  readonly isIndirect?: boolean
}

export interface LeaderSearchDeps {
  readonly port: Pick<Port, 'self' | 'timers' | 'members' | 'to'>
  /** A coordinator that is not doubted. */
  believed(): KnownLeader | undefined
  /** Peers of the voters and learners: they know soonest, and are asked first. */
  members(): readonly string[]
  onAnswer(report: LeaderReport, peer: string): void
}

interface LeaderWaiter {
  done(leader: KnownLeader): void
  fail(error: unknown): void
}

export class LeaderSearch {
  readonly #deps: LeaderSearchDeps
  readonly #waiting = new Set<LeaderWaiter>()
  #stopAsking: Stop | undefined
  /** Whose turn it is to be asked. */
  #next = 0

  constructor(deps: LeaderSearchDeps) {
    this.#deps = deps
  }

  /** @throws the signal's reason */
  find(signal: AbortSignal): Promise<KnownLeader> {
    const leader = this.#deps.believed()
    if (leader !== undefined) return Promise.resolve(leader)
    return waitFor(signal, (done, fail) => {
      const one: LeaderWaiter = { done, fail }
      this.#waiting.add(one)
      this.#stopAsking ??= this.#deps.port.timers.every(ASK_MS, () => this.#ask())
      this.#ask()
      return () => this.#waiting.delete(one)
    })
  }

  /** Whoever waits has a coordinator, where one is believed in. */
  settle(): void {
    const leader = this.#deps.believed()
    if (leader === undefined) return
    const all = [...this.#waiting]
    this.#rest()
    for (const { done } of all) done(leader)
  }

  stop(reason: unknown): void {
    const all = [...this.#waiting]
    this.#rest()
    for (const { fail } of all) fail(reason)
  }

  #rest(): void {
    this.#waiting.clear()
    this.#stopAsking?.()
    this.#stopAsking = undefined
  }

  #ask(): void {
    this.settle()
    if (this.#waiting.size === 0) {
      this.#rest()
      return
    }
    const { port, members, onAnswer } = this.#deps
    const connected = port.members().map(({ id }) => id)
    const others = [...new Set([...members(), ...connected])].filter((id) => id !== port.self.id)
    if (others.length === 0) return
    for (let i = 0; i < Math.min(ASK_AT_ONCE, others.length); i += 1) {
      const peer = others[this.#next % others.length]
      this.#next += 1
      if (peer === undefined) continue
      port
        .to(peer, coordinatorProtocol)
        .where({}, { timeoutMs: ASK_TIMEOUT_MS })
        .then(
          (report) => onAnswer(report, peer),
          () => {},
        )
    }
  }
}
