/**
 * Typed messages: a type, a version and a schema. Like a protocol and an event, a message definition is data.
 *
 * What is sent is checked against the schema and stored as it was given; what is received goes through the schema again, so
 * that defaults and transforms happen at the receiver.
 */
import type { ZodType } from 'zod'
import type { Content } from '../define.ts'
import { ParleyError } from '../errors.ts'
import { checkKeys, keysOf } from '../unknown-keys.ts'

export interface MessageDefinition<S extends ZodType = ZodType> {
  /** 1 to 56 characters: words of a-z, 0-9, _ and -, with dots between them, as in `order.placed`. */
  readonly type: string
  /** `major.minor.patch`; it travels with each message. */
  readonly version: string
  readonly schema: S
  /** How the data is written: JSON unless told. */
  readonly content?: Content
}

const KEYS = keysOf<MessageDefinition>({ type: true, version: true, schema: true, content: true })
const TYPE = /^[a-z0-9_-]+(\.[a-z0-9_-]+)*$/
export const MAX_TYPE_LENGTH = 56
const VERSION = /^\d{1,5}\.\d{1,5}\.\d{1,5}$/

/** @throws MSG001 */
export const checkType = (type: string): string => {
  if (typeof type === 'string' && type.length <= MAX_TYPE_LENGTH && TYPE.test(type)) return type
  throw new ParleyError('MSG001', `the message type ${JSON.stringify(type)?.slice(0, 80)} is not usable`, {
    hint: `use at most ${MAX_TYPE_LENGTH} characters: words of a-z, 0-9, _ and -, with dots between them`,
  })
}

/**
 * Checks a definition and returns it with its exact type.
 * @throws MSG001 for a type or version that cannot go on the wire, and for a key that nobody knows
 */
export const defineMessage = <S extends ZodType>(definition: MessageDefinition<S>): MessageDefinition<S> => {
  checkKeys(definition, KEYS, 'the definition of a message')
  checkType(definition.type)
  if (VERSION.test(definition.version)) return definition
  throw new ParleyError('MSG001', `version ${JSON.stringify(definition.version)} of ${definition.type} is not usable`, {
    hint: 'use major.minor.patch, as in 1.0.0',
  })
}
