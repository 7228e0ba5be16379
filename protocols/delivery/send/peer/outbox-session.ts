/**
 * The session with one peer, as its sender sees it: whether it stands, and when to greet next. Pure over the time that it is
 * told.
 *
 * `idle`: to be greeted when that is due. `greeting`: it was asked, and has not answered. `up`: messages go. `refused`: the
 * peer takes nothing of this node, and is asked again after a long while.
 * A peer that does not answer is greeted again after 1 s to 30 s, which has the mesh dial it.
 */
import { ParleyError } from '../../../errors.ts'
import type { PeerSenderState } from './peer-sender-api.ts'

const FIRST_GREETING_MS = 1_000
const LAST_GREETING_MS = 30_000
const REFUSED_MS = 300_000

export const isRefusal = (error: unknown): boolean =>
  error instanceof ParleyError && (error.code === 'STA002' || error.code === 'SEC002')

export class OutboxSession {
  #state: PeerSenderState = 'idle'
  #number = 0
  #greetAt = 0
  #greetDelayMs = FIRST_GREETING_MS
  /** The connection broke while messages were to be sent. */
  #wasLost = false

  get state(): PeerSenderState {
    return this.#state
  }

  /** 0: there is none. */
  get number(): number {
    return this.#number
  }

  isUp(): boolean {
    return this.#state === 'up'
  }

  isDue(nowMs: number): boolean {
    return nowMs >= this.#greetAt && (this.#state === 'idle' || this.#state === 'refused')
  }

  greeting(number: number): void {
    this.#state = 'greeting'
    this.#number = number
  }

  /** @returns whether messages were held up by the loss of the one before */
  opened(): boolean {
    const wasLost = this.#wasLost
    this.#state = 'up'
    this.#wasLost = false
    this.#greetDelayMs = FIRST_GREETING_MS
    return wasLost
  }

  /** It could not begin, or does not go on. */
  broken(nowMs: number, chance: number): void {
    this.#wasLost ||= this.#state === 'up'
    this.#number = 0
    if (this.#state !== 'refused') this.#state = 'idle'
    this.#greetAt = nowMs + this.#greetDelayMs * (0.75 + 0.5 * chance)
    this.#greetDelayMs = Math.min(LAST_GREETING_MS, this.#greetDelayMs * 2)
  }

  /** The peer takes nothing of this node. */
  refused(nowMs: number): void {
    this.#wasLost ||= this.#state === 'up'
    this.#number = 0
    this.#state = 'refused'
    this.#greetAt = nowMs + REFUSED_MS
  }

  /** The connection is gone. */
  peerLeft(hasMessages: boolean, nowMs: number, chance: number): void {
    this.#wasLost ||= this.#state === 'up' && hasMessages
    this.#state = 'idle'
    this.#number = 0
    this.#greetAt = nowMs + FIRST_GREETING_MS * chance
  }

  /** It is worth a greeting now, after however many were in vain. */
  greetSoon(): void {
    this.#greetAt = 0
    this.#greetDelayMs = FIRST_GREETING_MS
  }

  /** The peer asks for a greeting; the delay after further ones stays as it is. */
  greetNow(nowMs: number): void {
    this.#greetAt = nowMs
  }
}
