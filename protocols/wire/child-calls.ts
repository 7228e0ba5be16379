/**
 * Calls that were made on behalf of one request and are not answered yet: what its handler waits for. Both sides of a call know
 * it by the same key: the session of its link, which is random, and its number there.
 *
 * State: those calls, how often there was a change, and the last one. A stream counts until its first item: its handler has
 * begun then.
 */
import { toString as toText } from 'uint8arrays/to-string'

export interface ChildCall {
  /** Who was called. */
  readonly peer: string
  readonly key: string
}

/** Of a link's opener, as keys have it. */
export const sessionText = (session: Uint8Array): string => toText(session, 'hex')

/** @param session as text */
export const callKeyOf = (session: string, exchange: number): string => `${session}.${exchange}`

/** @returns undefined for what is no key */
export const readCallKey = (key: string): { readonly session: string; readonly exchange: number } | undefined => {
  const [session = '', number = '', ...more] = key.split('.')
  const exchange = Number(number)
  return more.length === 0 && session !== '' && Number.isSafeInteger(exchange) && exchange > 0
    ? { session, exchange }
    : undefined
}

export class ChildCalls {
  readonly #open = new Map<object, ChildCall>()
  readonly #clock: { monotonic(): number }
  #changes = 0
  #since = 0

  constructor(clock: { monotonic(): number }) {
    this.#clock = clock
  }

  /** @param call anything that stands for it alone @param session as text */
  begun(call: object, peer: string, session: string, exchange: number): void {
    this.#open.set(call, { peer, key: callKeyOf(session, exchange) })
    this.#changed()
  }

  /** Harmless for one that has ended. */
  ended(call: object): void {
    if (this.#open.delete(call)) this.#changed()
  }

  #changed(): void {
    this.#changes += 1
    this.#since = this.#clock.monotonic()
  }

  /** Another number after each call that began or ended. */
  changes(): number {
    return this.#changes
  }

  /** When the last of them began or ended. */
  since(): number {
    return this.#since
  }

  size(): number {
    return this.#open.size
  }

  calls(): ChildCall[] {
    return [...this.#open.values()]
  }
}
