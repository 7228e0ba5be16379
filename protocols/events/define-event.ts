/**
 * Typed events: a topic, a version and a schema. Like a protocol, an event definition is data.
 *
 * What is published is checked against the schema and sent as it was given; what is received goes through the schema, so
 * that defaults and transforms happen at the reader, and a reader with a newer schema fills in what an older publisher
 * does not know.
 */
import type { ZodType, z } from 'zod'
import { ParleyError } from '../errors.ts'
import { checkKeys, keysOf } from '../unknown-keys.ts'
import { checkTopic, compilePattern, isPattern } from './topic.ts'

export interface EventDefinition<S extends ZodType = ZodType> {
  /** A topic, or a pattern for a family of topics such as `tasks.status.*`. */
  readonly topic: string
  /** `major.minor.patch`; it travels with each event. */
  readonly version: string
  readonly schema: S
}

const KEYS = keysOf<EventDefinition>({ topic: true, version: true, schema: true })
const VERSION = /^\d{1,5}\.\d{1,5}\.\d{1,5}$/

/**
 * Checks a definition and returns it with its exact type.
 * @throws MSG001 for a topic or version that cannot go on the wire, and for a key that nobody knows
 */
export const defineEvent = <S extends ZodType>(definition: EventDefinition<S>): EventDefinition<S> => {
  checkKeys(definition, KEYS, 'the definition of an event')
  if (isPattern(definition.topic)) compilePattern(definition.topic)
  else checkTopic(definition.topic)
  if (!VERSION.test(definition.version)) {
    throw new ParleyError(
      'MSG001',
      `version ${JSON.stringify(definition.version)} of ${definition.topic} is not usable`,
      {
        hint: 'use major.minor.patch, as in 1.0.0',
      },
    )
  }
  return definition
}

/** What a schema did not like, small enough to travel. */
export interface SchemaIssue {
  path: string
  message: string
}

const MAX_ISSUES = 16

type Checked = { readonly ok: true; readonly data: unknown } | { readonly ok: false; readonly issues: SchemaIssue[] }

/** Runs data through the definition's schema; at most 16 issues are named. */
export const checkEventData = (definition: EventDefinition, data: unknown): Checked => {
  const result = definition.schema.safeParse(data)
  if (result.success) return { ok: true, data: result.data }
  const issues = result.error.issues.slice(0, MAX_ISSUES).map((issue: z.core.$ZodIssue) => ({
    path: issue.path.map(String).join('.'),
    message: issue.message,
  }))
  return { ok: false, issues }
}

/** Finds the definition that holds for a topic: the one with exactly this topic, else the first pattern that matches. */
export const createEventRegistry = (
  definitions: readonly EventDefinition[],
): ((topic: string) => EventDefinition | undefined) => {
  const exact = new Map<string, EventDefinition>()
  const families: { definition: EventDefinition; match: (topic: string) => boolean }[] = []
  for (const definition of definitions) {
    defineEvent(definition)
    const known = exact.get(definition.topic) ?? families.find((one) => one.definition.topic === definition.topic)
    if (known !== undefined) {
      throw new ParleyError('MSG001', `the event ${definition.topic} is defined twice`, {
        hint: 'keep one definition per topic; a new minor version replaces the old one',
      })
    }
    if (isPattern(definition.topic)) families.push({ definition, match: compilePattern(definition.topic) })
    else exact.set(definition.topic, definition)
  }
  return (topic) => exact.get(topic) ?? families.find((family) => family.match(topic))?.definition
}
