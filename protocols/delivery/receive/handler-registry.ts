/**
 * What the program takes messages with: one handler for each type. State: the handlers, at most MAX_TYPES.
 */
import { ParleyError } from '../../errors.ts'
import type { Log } from '../../port.ts'
import { createRegistration } from '../../registration.ts'
import type { MessageHandler, Messages, ReceiveOptions } from '../api.ts'
import { defineMessage, type MessageDefinition } from '../define-message.ts'
import type { ResolvedDeliveryOptions } from '../options.ts'
import type { KnownTypes, TypeOffers } from './received-types.ts'

export interface RegisteredHandler {
  readonly definition: MessageDefinition | undefined
  readonly handler: MessageHandler<unknown>
  readonly timeoutMs: number
}

export interface HandlerRegistryDeps {
  readonly log: Pick<Log, 'info'>
  readonly settings: Pick<ResolvedDeliveryOptions, 'handlerTimeoutMs'>
  readonly offers: TypeOffers
  /** Undefined while the store is not open. */
  knownTypes(): Pick<KnownTypes, 'add' | 'remove'> | undefined
}

export const MAX_TYPES = 64

export class HandlerRegistry {
  readonly #deps: HandlerRegistryDeps
  readonly #handlers = new Map<string, RegisteredHandler>()

  constructor(deps: HandlerRegistryDeps) {
    this.#deps = deps
  }

  get(type: string): RegisteredHandler | undefined {
    return this.#handlers.get(type)
  }

  has(type: string): boolean {
    return this.#handlers.has(type)
  }

  #check({ type }: MessageDefinition): void {
    if (this.#handlers.has(type))
      throw new ParleyError('STA003', `messages of the type ${type} are received already`, {
        hint: 'one handler takes a type; stop what receive() returned to end the former one',
        details: { reason: 'in-use' },
      })
    if (this.#handlers.size >= MAX_TYPES)
      throw new ParleyError('COM003', `${MAX_TYPES} types of messages are received already`, {
        hint: 'tell similar things apart within one type',
      })
  }

  /** @returns what ends it, once the directory tells of it. @throws STA003, COM003 */
  readonly receive: Messages['receive'] = async (definition, handler, about: ReceiveOptions = {}) => {
    const { type, version } = definition
    defineMessage(definition)
    this.#check(definition)
    const timeoutMs = about.timeoutMs ?? this.#deps.settings.handlerTimeoutMs
    // The handler gets what the schema made of the data.
    this.#handlers.set(type, { definition, handler: handler as MessageHandler<unknown>, timeoutMs })
    this.#deps.knownTypes()?.add(type)
    const withdraw = await this.#deps.offers(type, version, about.description)
    return createRegistration(() => {
      this.#handlers.delete(type)
      this.#deps.knownTypes()?.remove(type)
      return withdraw().catch((error: unknown) => this.#deps.log.info('the directory was not told', { error }))
    })
  }
}
