/**
 * Which types of messages the inbox takes, and what the directory is told of them. State: how often it was opened for each
 * type, at most MAX_TYPES, and for all.
 */
import { ParleyError } from '../../errors.ts'
import type { Port } from '../../port.ts'
import { createRegistration, type Registration } from '../../registration.ts'
import { checkType } from '../define-message.ts'
import type { TypeOffers } from '../receive/received-types.ts'
import type { InboxType } from './inbox-api.ts'

export interface InboxTypesDeps {
  readonly port: Pick<Port, 'log'>
  readonly offers: TypeOffers
  /** Taken from now on, or no more: told of types that were named. */
  takes(type: string, isTaken: boolean): void
}

const MAX_TYPES = 64
/** Of a type that was named by its name alone. */
const ANY_VERSION = '1.0.0'

export class InboxTypes {
  readonly #deps: InboxTypesDeps
  readonly #opened = new Map<string, number>()
  #openedForAll = 0

  constructor(deps: InboxTypesDeps) {
    this.#deps = deps
  }

  /** @throws MSG001 for a type that is not usable, COM003 for too many */
  async open(types: 'all' | readonly InboxType[]): Promise<Registration> {
    const named = types === 'all' ? [] : types.map((one) => (typeof one === 'string' ? { type: one } : one))
    for (const { type } of named) checkType(type)
    const fresh = new Set(named.map(({ type }) => type).filter((type) => !this.#opened.has(type)))
    if (this.#opened.size + fresh.size > MAX_TYPES)
      throw new ParleyError('COM003', `the inbox was opened for ${this.#opened.size} types, at most for ${MAX_TYPES}`, {
        hint: 'open it for all, or tell similar things apart within one type',
      })
    if (types === 'all') this.#openedForAll += 1
    for (const { type } of named) this.#add(type)
    const withdrawals: (() => Promise<void>)[] = []
    const registration = createRegistration(() => {
      if (types === 'all') this.#openedForAll -= 1
      for (const { type } of named) this.#remove(type)
      const told = withdrawals.map((withdraw) =>
        withdraw().catch((error: unknown) => this.#deps.port.log.info('the directory was not told', { error })),
      )
      return Promise.all(told)
    })
    try {
      for (const one of named)
        withdrawals.push(await this.#deps.offers(one.type, 'version' in one ? one.version : ANY_VERSION, undefined))
    } catch (error) {
      await registration.stop()
      throw error
    }
    return registration
  }

  /** @param isAwaited a handler of the type may come yet: what is taken of all types is not taken from it */
  takes(type: string, isAwaited: (type: string) => boolean): boolean {
    return this.#opened.has(type) || (this.#openedForAll > 0 && !isAwaited(type))
  }

  list(): 'all' | string[] {
    return this.#openedForAll > 0 ? 'all' : [...this.#opened.keys()]
  }

  #add(type: string): void {
    this.#opened.set(type, (this.#opened.get(type) ?? 0) + 1)
    this.#deps.takes(type, true)
  }

  #remove(type: string): void {
    const left = (this.#opened.get(type) ?? 0) - 1
    if (left > 0) this.#opened.set(type, left)
    else {
      this.#opened.delete(type)
      this.#deps.takes(type, false)
    }
  }
}
